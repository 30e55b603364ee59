"""A long styled text as lines, and its wrapping to a width. Pure, and quick for a line of a megabyte.

Texts in a document have been through ``escape.visible``; styles are names that the widget maps to colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size


class Span(NamedTuple):
    """A style on the half-open character range ``start``..``end`` of a text."""

    start: int
    end: int
    style: str


class Line(NamedTuple):
    """One logical line. ``colours`` are sorted and apart from one another; ``marks`` are drawn over them.

    ``gutter`` stands before its first row, blanks before the others. ``stop``: n and N jump here. ``note_at``: it is a
    note on the line before, and stands right below the row with that character of it. ``name``: what it is found by.
    """

    text: str
    gutter: str = ""
    style: str = ""
    colours: tuple[Span, ...] = ()
    marks: tuple[Span, ...] = ()
    stop: bool = False
    note_at: int = -1
    name: str = ""


class Row(NamedTuple):
    """One row on screen: characters ``start``..``end`` of line number ``line``."""

    line: int
    start: int
    end: int


def split(
    text: str,
    *,
    style: str = "",
    colours: Sequence[Span] = (),
    marks: Sequence[Span] = (),
    numbered: bool = False,
    gutter: str = "",
) -> list[Line]:
    """The lines of ``text`` with each span cut to the lines it covers; ``numbered`` puts line numbers before them."""
    texts = text.split("\n")
    if not (colours or marks or numbered):
        return [Line(line, gutter, style) for line in texts]
    digits = len(str(len(texts)))
    lines: list[Line] = []
    start = 0
    ordered, waiting = sorted(colours), sorted(marks, reverse=True)
    open_marks: list[Span] = []
    first = 0
    for number, line in enumerate(texts, 1):
        end = start + len(line)
        while first < len(ordered) and ordered[first].end <= start:
            first += 1
        inside: list[Span] = []
        index = first
        while index < len(ordered) and ordered[index].start < end:
            inside.append(ordered[index])
            index += 1
        open_marks = [mark for mark in open_marks if mark.end > start]
        begins_here = False
        while waiting and waiting[-1].start <= end:
            open_marks.append(waiting.pop())
            begins_here = True
        lines.append(
            Line(
                line,
                f"{number:>{digits}} │ " if numbered else gutter,
                style,
                _cut(inside, start, end),
                _cut(open_marks, start, end),
                stop=begins_here,
            )
        )
        start = end + 1
    return lines


def _cut(spans: Sequence[Span], start: int, end: int) -> tuple[Span, ...]:
    if not spans:
        return ()
    return tuple(
        Span(max(span.start, start) - start, min(span.end, end) - start, span.style)
        for span in spans
        if span.start < end and span.end > start
    )


def wrap(lines: Sequence[Line], width: int) -> list[Row]:
    """Rows of at most ``width`` cells, gutters included; broken at blanks where there are any."""
    rows: list[Row] = []
    number = 0
    while number < len(lines):
        after = number + 1
        while after < len(lines) and lines[after].note_at >= 0:
            after += 1
        notes = list(range(number + 1, after))
        for row in _rows_of(number, lines[number], width):
            rows.append(row)
            while notes and lines[notes[0]].note_at < row.end:
                rows += _rows_of(notes[0], lines[notes.pop(0)], width)
        for note in notes:
            rows += _rows_of(note, lines[note], width)
        number = after
    return rows


def _rows_of(number: int, line: Line, width: int) -> list[Row]:
    room = max(1, width - len(line.gutter))
    if len(line.text) <= room and line.text.isascii():
        return [Row(number, 0, len(line.text))]
    return [Row(number, start, end) for start, end in _breaks(line.text, room)]


def marked(lines: Sequence[Line], places: Callable[[str], Sequence[tuple[int, int]]]) -> list[Line]:
    """The lines with what ``places`` finds in their texts marked too."""
    found: list[Line] = []
    for line in lines:
        spans = tuple(Span(start, end, "found") for start, end in places(line.text))
        found.append(line._replace(marks=(*spans, *line.marks), stop=True) if spans else line)
    return found


def beside(blocks: Sequence[Sequence[Line]], width: int, gap: int = 2) -> list[Line]:
    """Blocks side by side, each wrapped to an equal share of ``width`` cells."""
    share = max(1, (width - gap * (len(blocks) - 1)) // max(1, len(blocks)))
    columns = [(block, wrap(block, share)) for block in blocks]
    lines: list[Line] = []
    for place in range(max((len(rows) for _, rows in columns), default=0)):
        text, colours, marks = "", [], []
        for block, rows in columns:
            if place < len(rows):
                row, start = rows[place], len(text)
                line = block[row.line]
                piece = (line.gutter if row.start == 0 else " " * len(line.gutter)) + line.text[row.start : row.end]
                shift = start + len(line.gutter) - row.start
                whole = (Span(row.start, row.end, line.style),) if line.style and row.end > row.start else ()
                colours += _shifted(line.colours or whole, row, shift)
                marks += _shifted(line.marks, row, shift)
            else:
                piece = ""
            text += piece + " " * (share - cell_len(piece) + gap)
        lines.append(Line(text.rstrip(), colours=tuple(colours), marks=tuple(marks), stop=bool(marks)))
    return lines


def _shifted(spans: Sequence[Span], row: Row, shift: int) -> list[Span]:
    return [
        Span(max(span.start, row.start) + shift, min(span.end, row.end) + shift, span.style)
        for span in spans
        if span.start < row.end and span.end > row.start
    ]


def _breaks(text: str, room: int) -> list[tuple[int, int]]:
    if text.isascii():
        return _break_ascii(text, room)
    return _break_cells(text, room)


def _break_ascii(text: str, room: int) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    start = 0
    while len(text) - start > room:
        blank = text.rfind(" ", start + room // 2, start + room)
        end = blank + 1 if blank >= 0 else start + room
        pieces.append((start, end))
        start = end
    pieces.append((start, len(text)))
    return pieces


def _break_cells(text: str, room: int) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    start = used = 0
    blank = -1
    for index, char in enumerate(text):
        size = get_character_cell_size(char)
        if used + size > room and index > start:
            end = blank + 1 if blank > start + room // 2 else index
            pieces.append((start, end))
            used = sum(get_character_cell_size(each) for each in text[end:index])
            start, blank = end, -1
        if char == " ":
            blank = index
        used += size
    pieces.append((start, len(text)))
    return pieces
