"""A timeline as strips of bars, one a category, with a mark under each place where its rate changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from azr_tui.escape import visible_line
from azr_tui.wording import count, percent

if TYPE_CHECKING:
    from azr_platform.audits.timeline import Stretch, Timeline, Track

COLUMNS = 44
CLUMPED = 2.0
"""From here on it is told that samples are no independent evidence."""
BARS = "▁▂▃▄▅▆▇█"
_NAME = 16


def strips(found: Timeline, most: int) -> Iterator[str]:
    """Each strip is as high as its own highest rate, which is told beside it; a blank is no hit at all."""
    unit = "step" if found.axis == "step" else "sample"
    yield f"TIMELINE: {count(sum(found.totals), 'sample')} over {_span(found)}"
    if found.aside:
        yield f"  without {count(found.aside, 'sample')}: seeds, and what rollbacks left behind"
    if not found.tracks:
        yield "  nothing was flagged"
        return
    edges = _edges(len(found.starts))
    yield f"  {'':<{_NAME}}{'samples':>8}  {_ruler(found, len(edges) - 1)}  highest"
    for track in found.tracks[:most]:
        yield from _strip(track, found, edges, unit)
    if len(found.tracks) > most:
        yield f"  and {len(found.tracks) - most} more; --json has all"
    for event in found.events[:most]:
        yield f"  step {event.step}: {visible_line(event.what, 64)}"
    if len(found.events) > most:
        yield f"  and {len(found.events) - most} more events; --json has all"
    clumped = max(track.clumped for track in found.tracks)
    if clumped >= CLUMPED:
        yield f"  Rates vary up to {clumped:.1f} times as much as of independent samples, which hides changes."


def _span(found: Timeline) -> str:
    if not found.starts:
        return "no steps"
    last = found.starts[-1] + found.width - 1
    if found.axis == "step":
        return f"steps {found.starts[0]}-{last}"
    return "their order, as they have no steps"


def _edges(places: int) -> list[int]:
    """Where each column begins; neighbouring places share one where there are too many."""
    columns = min(COLUMNS, places)
    return [column * places // columns for column in range(columns + 1)] if places else [0]


def _ruler(found: Timeline, columns: int) -> str:
    first, last = str(found.starts[0]), str(found.starts[-1])
    return f"{first}{last:>{max(1, columns - len(first))}}".ljust(columns)


def _strip(track: Track, found: Timeline, edges: Sequence[int], unit: str) -> Iterator[str]:
    rates = []
    for left, right in pairwise(edges):
        total = sum(found.totals[left:right])
        rates.append(sum(track.hits[left:right]) / total if total else 0.0)
    top = max(rates)
    bars = "".join(" " if not rate else BARS[min(7, int(rate / top * 8))] for rate in rates)
    yield f"  {visible_line(track.what, _NAME - 1):<{_NAME}}{track.samples:>8,}  {bars}  {percent(top)}"
    changed = [found.starts.index(step) for step in track.changes]
    if changed:
        columns = {next(at for at, edge in enumerate(edges[1:]) if place < edge) for place in changed}
        marks = "".join("^" if at in columns else " " for at in range(len(rates))).rstrip()
        yield f"  {'':<{_NAME}}{'':>8}  {marks}"
    for before, after in pairwise(track.stretches):
        yield f"      from {unit} {after.first} on {_rate(after)}, before {_rate(before)}"


def _rate(stretch: Stretch) -> str:
    rate = stretch.rate
    return f"{percent(rate.value)} [{percent(rate.low)}, {percent(rate.high)}]"
