"""A raster of dots, drawn with braille: two dots across and four down in each cell."""

from __future__ import annotations

from rich.text import Text

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_UPRIGHTS = [
    [[sum(dots[side] for dots in _DOTS[start:end]) for end in range(5)] for start in range(4)] for side in range(2)
]
"""By side, first dot and the one after the last: a vertical line within a cell."""
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

    def upright(self, x: int, top: int, bottom: int, style: str) -> None:
        """A vertical line, both ends included."""
        top, bottom = max(0, top), min(self.down - 1, bottom)
        if not 0 <= x < self.across:
            return
        column, side = divmod(x, 2)
        for row in range(top // 4, bottom // 4 + 1):
            # The first dot in this cell and the one after the last.
            start, end = max(0, top - row * 4), min(4, bottom - row * 4 + 1)
            if start < end:
                self._bits[row][column] |= _UPRIGHTS[side][start][end]
                self._styles[row][column] = style

    def line(self, x: int, y: int, to_x: int, to_y: int, style: str) -> None:
        """A straight line, both ends included."""
        if abs(to_x - x) == 1 and abs(to_y - y) > 1:  # steep, between neighbours: two uprights
            middle = (y + to_y) // 2 if to_y > y else -(-(y + to_y) // 2)
            after = middle + 1 if to_y > y else middle - 1
            self.upright(x, min(y, middle), max(y, middle), style)
            self.upright(to_x, min(after, to_y), max(after, to_y), style)
            return
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
