"""Which steps a plot shows and where its cursor stands; each key gives a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace

_LEAST = 5
"""Steps that the closest look still shows."""


@dataclass(frozen=True)
class Extent:
    """The first and the last step there is, and how many columns there are to show them in."""

    first: int
    last: int
    columns: int

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Zoom:
    """``span`` steps are in sight, 0: all; ``last`` is the last of them, None: the newest, whichever that is.

    ``cursor``: the step whose values are told; None: the newest, without a line. ``log``: a logarithmic scale.
    """

    span: int = 0
    last: int | None = None
    cursor: int | None = None
    log: bool = False

    def window(self, extent: Extent) -> tuple[int, int]:
        """The first and the last step in sight."""
        span = min(self.span or extent.steps, extent.steps)
        last = extent.last if self.last is None else min(max(self.last, extent.first + span - 1), extent.last)
        return last - span + 1, last

    def closer(self, extent: Extent) -> Zoom:
        """Half as many steps, around the cursor."""
        return self._sized((self.window(extent)[1] - self.window(extent)[0] + 1) // 2, extent)

    def wider(self, extent: Extent) -> Zoom:
        """Twice as many."""
        return self._sized((self.window(extent)[1] - self.window(extent)[0] + 1) * 2, extent)

    def pan(self, direction: int, extent: Extent) -> Zoom:
        """Half a window earlier (-1) or later (+1); at the newest step it is followed again. The cursor keeps its
        place in the window."""
        first, last = self.window(extent)
        by = direction * max(1, (last - first + 1) // 2)
        moved = self._ending(last + by, extent)
        shift = moved.window(extent)[1] - last
        return moved if self.cursor is None else replace(moved, cursor=self.cursor + shift)

    def move(self, columns: int, extent: Extent) -> Zoom:
        """The cursor some columns to the left or right; the window follows it."""
        first, last = self.window(extent)
        here = last if self.cursor is None else min(max(self.cursor, extent.first), extent.last)
        by = columns * max(1, round((last - first + 1) / max(1, extent.columns)))
        cursor = min(max(here + by, extent.first), extent.last)
        moved = replace(self, cursor=cursor)
        if cursor < first:
            return moved._ending(last - (first - cursor), extent)
        return moved._ending(cursor, extent) if cursor > last else moved

    def _sized(self, span: int, extent: Extent) -> Zoom:
        if span >= extent.steps:
            return replace(self, span=0, last=None)
        span = max(min(_LEAST, extent.steps), span)
        first, last = self.window(extent)
        centre = last if self.cursor is None else self.cursor
        place = (centre - first) / max(1, last - first)  # the cursor keeps its place on the screen
        sized = replace(self, span=span)
        return sized._ending(round(centre + (1 - place) * (span - 1)), extent)

    def _ending(self, last: int, extent: Extent) -> Zoom:
        return replace(self, last=None if last >= extent.last else max(last, extent.first))
