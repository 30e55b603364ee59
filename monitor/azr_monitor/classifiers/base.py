"""What a classifier is, and the two ways it can be missing: unavailable when asked for, failing when running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class Unscored(NamedTuple):
    """Stands for the values of a text that was not scored, and says why: what it was is not known."""

    why: str


class Classifier(Protocol):
    """Scores prose. Implementations load their weights when built, never on import."""

    name: str
    categories: tuple[str, ...]

    def windows(self, text: str) -> list[tuple[int, int]]:
        """Cover a text with half-open character ranges that each fit the model; ``[]`` for an empty text."""

    def score(self, texts: Sequence[str]) -> Sequence[Mapping[str, float] | Unscored]:
        """For each text every category's value in 0..1, in order; a long text's values are its windows' highest."""


@runtime_checkable
class Pointing(Protocol):
    """A classifier that can say which part of a window it means."""

    def place(self, text: str, category: str) -> tuple[int, int]:
        """The half-open character range of ``text`` that scores highest in ``category``."""


@runtime_checkable
class OfPrograms(Protocol):
    """A classifier that reads programs as they stand, and no prose."""

    reads_programs: bool


@runtime_checkable
class Noting(Protocol):
    """A classifier that says what it did to score a text, for the record."""

    def note(self, text: str) -> str:
        """What it did about a text of the last batch; empty for none."""


@runtime_checkable
class Stepped(Protocol):
    """A classifier that may do only so much in a step."""

    def begin_step(self) -> None:
        """A new step begins."""


class ClassifierUnavailable(RuntimeError):
    """A classifier cannot be loaded here. ``reason`` says why and ``remedy`` what would mend it, a line each."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
