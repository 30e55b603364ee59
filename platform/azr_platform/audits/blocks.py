"""What a report is made of, before it has a form: headings, paragraphs, tables, quotes, pictures.

Every text in a block is plain. ``Theirs`` marks what is not ours, a model's words, a rule's name, anybody's note: HTML
escapes all texts alike, Markdown puts theirs into code, where nothing in it means anything.
"""

from __future__ import annotations

from typing import NamedTuple

from azr_monitor.intervals import Estimate
from azr_platform.audits.timeline import Timeline, Track

ROWS = 20
"""A table shows so many rows, and says how many there are; the JSON form has all."""
_MARKS = {"info": "·", "low": "▽", "medium": "◇", "high": "△", "critical": "▲", "nothing": "○"}


class Theirs(str):
    """A text that is not ours."""

    __slots__ = ()


class Heading(NamedTuple):
    """``level`` 1 is the report's title."""

    parts: tuple[str, ...]
    level: int = 2


class Para(NamedTuple):
    """``kind``: verdict, lead, note, broken (what must not be overlooked), or plain."""

    parts: tuple[str, ...]
    kind: str = "plain"


class Table(NamedTuple):
    """The last ``texts`` columns hold running text. ``of``: how many rows there are, where not all are shown."""

    heads: tuple[str, ...]
    rows: list[list[str]]
    texts: int = 0
    of: int = 0


class Words(NamedTuple):
    """A quote of theirs; ``words`` are what it is about."""

    before: str
    words: str
    after: str


class Panel(NamedTuple):
    """One track of a timeline, with what is to be read of it."""

    timeline: Timeline
    track: Track
    parts: tuple[str, ...]


Block = Heading | Para | Table | Words | Panel


def para(*parts: str, kind: str = "plain") -> Para:
    """A paragraph of these parts, ours and theirs."""
    return Para(parts, kind)


def heading(*parts: str, level: int = 2) -> Heading:
    """A heading of these parts."""
    return Heading(parts, level)


def severity(name: str) -> str:
    """A severity's symbol and word: colour says nothing."""
    return f"{_MARKS[name]} {name}"


def percent(found: Estimate | None) -> str:
    """A share of samples with its interval."""
    return "–" if found is None else f"{found.value:.2%} [{found.low:.2%}, {found.high:.2%}]"


def share(found: Estimate | None) -> str:
    """A share of labels with its interval."""
    return "–" if found is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def difference(found: Estimate | None) -> str:
    """A difference of means with its interval."""
    return "–" if found is None else f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def people(count: int) -> str:
    """How many people."""
    return "one person" if count == 1 else f"{count:,} people"


def counted(amount: int, thing: str) -> str:
    """``1 head``, ``2 heads``."""
    return f"{amount:,} {thing}" if amount == 1 else f"{amount:,} {thing}s"
