"""The report of an audit as Markdown: what is not ours stands in code, where no link, picture, HTML or table begins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from azr_platform.audits.blocks import Block, Heading, Panel, Para, Table, Theirs, Words
from azr_platform.page import Visible

_OURS: Final = re.compile(r"([\\`*_{}\[\]<>|#~&$])")
_TICKS: Final = re.compile(r"`+")


def render(blocks: Iterable[Block], visible: Visible) -> str:
    """The whole text."""
    return "\n\n".join(line for block in blocks for line in _written(block, visible)) + "\n"


def _written(block: Block, visible: Visible) -> Iterator[str]:
    match block:
        case Heading(parts, level):
            yield f"{'#' * level} {_joined(parts, visible)}"
        case Para(parts, kind):
            said = _joined(parts, visible)
            yield f"**{said}**" if kind in ("verdict", "broken") else said
        case Table(heads, rows, _, of):
            yield "\n".join(_table(heads, rows, visible))
            if of > len(rows):
                yield f"The first {len(rows):,} of {of:,}; the JSON form has all."
        case Words(before, words, after):
            yield _fenced(visible(before + words + after))
        case Panel(_, _, parts):
            yield f"- {_joined(parts, visible)}"


def _table(heads: tuple[str, ...], rows: list[list[str]], visible: Visible) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell, visible) for cell in row)} |"


def _cell(text: str, visible: Visible) -> str:
    """A row is cut at bars before anything else is read, so one in code is escaped as well."""
    return _code(text, visible).replace("|", "\\|") if isinstance(text, Theirs) else _plain(text)


def _joined(parts: Iterable[str], visible: Visible) -> str:
    return "".join(_code(part, visible) if isinstance(part, Theirs) else _plain(part) for part in parts).strip()


def _plain(text: str) -> str:
    return _OURS.sub(r"\\\1", text)


def _code(text: str, visible: Visible) -> str:
    """As a code span on one line, between more ticks than there are in it."""
    shown = visible(text).replace("\n", "␊").strip()
    if not shown:
        return "–"
    ticks = "`" * (_longest(shown) + 1)
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"{ticks}{shown}{ticks}"


def _fenced(text: str) -> str:
    """As a block of code, between more ticks than there are in it."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest(text: str) -> int:
    return max((len(found) for found in _TICKS.findall(text)), default=0)
