"""A static text that is never markup, that costs nothing when nothing changed, and little when something did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style as Drawn
from rich.terminal_theme import TerminalTheme
from rich.text import Span, Text
from textual.strip import Strip
from textual.style import Style
from textual.widgets import Static


class Plain(Static):
    """Shows ready-made ``Text``; lays out again only when the number of its lines changes.

    Lines that fit are drawn here, several times as fast as Textual, which makes every one ready to be selected.
    """

    ALLOW_SELECT = False

    def __init__(self, text: Text | str = "", *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(text, id=id, classes=classes, markup=False)
        self._put = text if isinstance(text, Text) else Text(text)
        self._strips: list[Strip] | None = None
        self._strips_for: tuple[int, Style] | None = None

    def put(self, text: Text) -> None:
        """Show ``text`` from now on."""
        if text == self._put and text.style == self._put.style:
            return
        layout = text.plain.count("\n") != self._put.plain.count("\n")
        self._put, self._strips_for = text, None
        self.update(text, layout=layout)

    def render_line(self, y: int) -> Strip:
        base = self.visual_style
        drawn_for = (self.size.width, base)
        if drawn_for != self._strips_for:
            self._strips, self._strips_for = self._made(*drawn_for), drawn_for
        if self._strips is None:
            return super().render_line(y)
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, base.rich_style)

    def _made(self, width: int, base: Style) -> list[Strip] | None:
        """All lines, cut where they are not to be broken; None where one must be."""
        text, theme = self._put, self.app.ansi_theme
        broken = not text.no_wrap and any(cell_len(line) > width for line in text.plain.split("\n"))
        if broken or "\t" in text.plain:
            return None
        strips = map(Strip, _lines(text, lambda styles: _on_top(base, styles, theme)))
        return [_cut(strip, width, "" if text.overflow == "crop" else "…") for strip in strips]


def _cut(strip: Strip, width: int, sign: str) -> Strip:
    if strip.cell_length <= width:
        return strip
    kept = strip.crop(0, width - len(sign))
    return Strip([*kept, Segment(sign, [*kept][-1].style if kept else None)])


Styles = tuple[str | Drawn, ...]
"""That lie on one another, the lowest first."""


@lru_cache(1024)
def _on_top(base: Style, styles: Styles, theme: TerminalTheme) -> Drawn:
    """What they come to on a widget's own style."""
    for style in styles:
        base += Style.from_rich_style(Drawn.parse(style) if isinstance(style, str) else style, theme)
    return base.rich_style


def _lines(text: Text, on_top: Callable[[Styles], Drawn]) -> Iterator[list[Segment]]:
    """The segments of each line."""
    plain = text.plain
    edges = sorted({0, len(plain), *(edge for span in text.spans for edge in span[:2] if 0 < edge < len(plain))})
    spans = sorted(enumerate(text.spans), key=lambda each: each[1].start)
    lowest: Styles = (text.style,) if text.style else ()
    active: list[tuple[int, Span]] = []
    line: list[Segment] = []
    begun = 0
    for start, end in pairwise(edges):
        while begun < len(spans) and spans[begun][1].start <= start:
            active.append(spans[begun])
            begun += 1
        active = [each for each in active if each[1].end > start]
        style = on_top((*lowest, *(span.style for _, span in sorted(active, key=lambda each: each[0]))))
        first, *more = plain[start:end].split("\n")
        if first:
            line.append(Segment(first, style))
        for piece in more:
            yield line
            line = [Segment(piece, style)] if piece else []
    yield line
