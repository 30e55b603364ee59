"""A timeline as pictures in a page: one small panel a category, so that no colour has to tell them apart.

The picture is inline SVG of shapes alone; what is to be read stands around it as text, so that it stays readable on a
phone and on paper, and follows the page's light or dark scheme. Every number in it is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from azr_monitor.intervals import Estimate
from azr_platform.audits.timeline import Timeline, Track

_WIDTH, _HEIGHT = 1000, 100
STYLE: Final = """
figure.track { margin: .2rem 0 .7rem; break-inside: avoid; }
figure.track figcaption { color: inherit; font-size: .9rem; }
figure.track svg { display: block; width: 100%; height: 3.2rem; background: var(--soft); }
figure.track .band { fill: var(--blue); opacity: .28; } figure.track .rate { stroke: var(--blue); }
figure.track .stretch { stroke: var(--ink); stroke-width: 2; }
figure.track .event { stroke: var(--faint); stroke-dasharray: 1 4; }
figure.track .change { stroke: var(--red); }
figure.track path, figure.track line { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
figure.track path.band { fill: var(--blue); } figure.track line.change { stroke-dasharray: 4 3; }
p.axis { display: flex; justify-content: space-between; margin: -.4rem 0 1rem; }
""".strip()


def picture(timeline: Timeline, track: Track, label: str) -> str:
    """One track: the rate with its interval, the rates of its stretches, and where they change. ``label`` is HTML."""
    known = [rate for rate in track.rates if rate is not None]
    top = max((rate.value for rate in known), default=0.0) or 1.0
    # Of few samples an interval reaches far: it may take half of the picture, and what is above is cut off.
    scale = _Scale(timeline, max(1.15 * top, min(2 * top, max((rate.high for rate in known), default=0.0))))
    shapes = [
        *(f'<path class="band" d="{scale.band(run)}"/>' for run in _runs(track.rates)),
        *(f'<path class="rate" d="{scale.line(run)}"/>' for run in _runs(track.rates)),
    ]
    for stretch in track.stretches:
        left, right = scale.step(stretch.first), scale.step(stretch.last + 1)
        height = scale.height(stretch.rate.value)
        shapes.append(f'<line class="stretch" x1="{left}" x2="{right}" y1="{height}" y2="{height}"/>')
    for event in timeline.events:
        at = scale.step(event.step)
        shapes.append(f'<line class="event" x1="{at}" x2="{at}" y1="0" y2="{_HEIGHT}"/>')
    for step in track.changes:
        at = scale.step(step)
        shapes.append(f'<line class="change" x1="{at}" x2="{at}" y1="0" y2="{_HEIGHT}"/>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{''.join(shapes)}</svg>"
    )


class _Scale:
    """From places and rates to the picture's numbers, with one digit after the point."""

    def __init__(self, timeline: Timeline, top: float) -> None:
        self._places = max(1, len(timeline.starts))
        self._first = timeline.starts[0] if timeline.starts else 0
        last = timeline.starts[-1] + timeline.width if timeline.starts else 1
        self._span = max(1, last - self._first)
        self._width = timeline.width
        self._starts = timeline.starts
        self._top = top

    def step(self, step: int) -> str:
        """Where a step, or a sample, begins."""
        return f"{min(1.0, max(0.0, (step - self._first) / self._span)) * _WIDTH:.1f}"

    def height(self, rate: float) -> str:
        return f"{_HEIGHT * (1 - min(1.0, rate / self._top)):.1f}"

    def _middle(self, place: int) -> str:
        return f"{(self._starts[place] + self._width / 2 - self._first) / self._span * _WIDTH:.1f}"

    def line(self, run: Sequence[tuple[int, Estimate]]) -> str:
        points = [f"{self._middle(place)} {self.height(rate.value)}" for place, rate in run]
        return "M" + " L".join(points if len(points) > 1 else points * 2)

    def band(self, run: Sequence[tuple[int, Estimate]]) -> str:
        upper = [f"{self._middle(place)} {self.height(rate.high)}" for place, rate in run]
        lower = [f"{self._middle(place)} {self.height(rate.low)}" for place, rate in reversed(run)]
        return "M" + " L".join([*upper, *lower]) + " Z"


def _runs(rates: Sequence[Estimate | None]) -> Iterator[list[tuple[int, Estimate]]]:
    """Neighbouring places that have a rate; where nothing was judged, nothing is drawn."""
    for known, places in groupby(enumerate(rates), key=lambda pair: pair[1] is not None):
        if known:
            yield [(place, rate) for place, rate in places if rate is not None]
