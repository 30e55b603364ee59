"""A raster of dots, drawn with braille: two dots across and four down in each cell."""

from __future__ import annotations

from rich.text import Text

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
CURSOR = "│"


class Canvas:
    """``columns`` x ``rows`` cells; dots count from the top left. What was drawn last gives a cell its style."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.across, self.down = columns * 2, rows * 4
        self._bits = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, style: str) -> None:
        """Set one dot; outside of the raster it is left out."""
        if 0 <= x < self.across and 0 <= y < self.down:
            self._bits[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
            self._styles[y // 4][x // 2] = style

    def upright(self, x: int, top: int, bottom: int, style: str, every: int = 1) -> None:
        """A vertical line, both ends included; ``every`` leaves dots out between."""
        for y in range(max(0, top), min(self.down - 1, bottom) + 1):
            if (x + y) % every == 0:
                self.dot(x, y, style)

    def line(self, x: int, y: int, to_x: int, to_y: int, style: str) -> None:
        """A straight line, both ends included."""
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for step in range(steps + 1):
            self.dot(x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps), style)

    def text(self, row: int, cursor: int | None = None) -> Text:
        """One row of cells; ``cursor`` is the column that is marked from top to bottom."""
        text, run, style = Text(), "", ""
        for column, (bits, here) in enumerate(zip(self._bits[row], self._styles[row], strict=True)):
            char = chr(_BRAILLE | bits) if bits else " "
            if column == cursor:
                char, here = (char, f"bold {here}".strip()) if bits else (CURSOR, "dim")
            elif not bits:
                here = style  # a blank has no colour of its own
            if here != style:
                text.append(run, style=style)
                run, style = "", here
            run += char
        return text.append(run, style=style)
