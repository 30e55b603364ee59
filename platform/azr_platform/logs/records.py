"""What comes out of a log: rows as they were found, what was left out and why, and cases to judge."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

import msgspec


class Reason(Enum):
    """Why something of a log was not judged. ``unread`` ones might have held anything."""

    ENCODING = "not UTF-8"
    BROKEN = "not JSON"
    TRUNCATED = "cut off"
    LONG = "too long"
    DEEP = "nested too deeply"
    SHAPE = "of another shape"
    BOMB = "unpacks to too much"
    DAMAGED = "damaged"
    LINK = "a link that leads outside"
    REFUSED = "refused"
    APART = "a text stands apart and is not there"
    EMPTY = "no text of a model's"
    OTHER = "not a log of texts"

    @property
    def unread(self) -> bool:
        """Whether a model's text may have been in it."""
        return self not in (Reason.EMPTY, Reason.OTHER)


class Place(msgspec.Struct, frozen=True):
    """Where something stands: a file as it was named, and the line, row or sample in it (0: the file itself)."""

    file: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.number}" if self.number else self.file


class Row(msgspec.Struct, frozen=True):
    """One object of a log, as the bytes of its JSON; nothing has looked inside yet."""

    place: Place
    data: bytes
    last: bool = False
    """Nothing follows it, not even the end of the line: it may have been cut off."""


class Skip(msgspec.Struct, frozen=True):
    """Something that is not judged. ``why`` is our own sentence; text of the file's in it is short and printable."""

    place: Place
    reason: Reason
    why: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A case to judge. ``trace`` is what the model wrote in words, ``program`` what it wrote in Python.

    ``response`` is the text that they were cut from, empty where they stand apart in the log already. ``prompt`` is
    context and is not judged. ``outputs`` are what the log claims that the program gave, one an input. ``lacks`` says
    which text of the model's is not here, so that it cannot be judged; the rest is.
    """

    id: str = ""
    prompt: str = ""
    response: str = ""
    trace: str = ""
    program: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    message: str = ""
    role: str = ""
    kind: str = ""
    reward: float | None = None
    step: int | None = None
    lacks: str = ""
    extra: dict[str, str | int | float | bool] = {}

    @property
    def holds_text(self) -> bool:
        return any(text.strip() for text in (self.trace, self.program, self.message, *self.inputs))


class Format(Protocol):
    """How one trainer writes its log."""

    name: str

    def looks(self, row: dict[str, Any]) -> str:
        """Why the row looks like one of this format's, in words; empty when it does not."""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        """The cases in a row: usually one.

        Raises:
            ValueError: the row is not of this format; the text says what is wrong.
        """
