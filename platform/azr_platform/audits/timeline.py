"""How often samples were flagged along the run, by category, and where that changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from azr_monitor.intervals import Estimate, wilson
from azr_platform.audits.changes import changes, clumping
from azr_platform.audits.flags import LEAST, categories, marks
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader

PLACES: Final = 256
"""Once there are so many steps, the timeline has at least so many places and less than twice as many."""
ANY, BLOCKED = "flagged", "blocked"
"""Besides the categories: whatever it was flagged for, and what was not allowed, whoever said so."""


class Stretch(msgspec.Struct, frozen=True):
    """Steps, both ends included, over which a rate stayed the same as far as can be told. Its interval takes the ends
    as given, though they were chosen by the same counts: it is rather narrow."""

    first: int
    last: int
    hits: int
    rate: Estimate


class Track(msgspec.Struct, frozen=True):
    """One category along the run: at each place how many samples have it, and the rate with its Wilson interval, None
    where nothing was judged. More than one stretch means that the rate changed where the later ones begin. ``clumped``:
    how many times the variance of neighbouring rates is that of independent samples; changes are judged accordingly."""

    what: str
    samples: int
    hits: list[int]
    rates: list[Estimate | None]
    stretches: list[Stretch]
    clumped: float

    @property
    def changes(self) -> list[int]:
        """The steps with which a new rate begins."""
        return [stretch.first for stretch in self.stretches[1:]]


class Event(msgspec.Struct, frozen=True):
    """What may explain a change from a step on: another policy, or a rollback. A person's words are in it."""

    step: int
    what: str


class Timeline(msgspec.Struct, frozen=True):
    """Tracks over places: neighbouring steps, each ``width`` of them. Where the samples have no steps to speak of (a
    log that kept none), ``axis`` is ``sample`` and a place holds ``width`` samples in the order of the record."""

    axis: str
    width: int
    starts: list[int]
    totals: list[int]
    tracks: list[Track]
    aside: int = 0
    """Samples that were left out: the seeds, and what a rollback left behind."""
    events: list[Event] = []


def events(reader: LedgerReader, line: Sequence[tuple[int, int]], *, policies: bool) -> list[Event]:
    """What happened along a line of branches, oldest first. Changes of policy matter to what the run itself decided;
    an audit holds every sample against one."""
    until = dict(line)
    found = [
        Event(branch.from_step + 1, f"branch {branch.id}: {branch.reason}")
        for branch in reader.branches()
        if branch.id in until and branch.parent
    ]
    before = ""
    for row in reader.policies() if policies else ():
        if row.step <= until.get(row.branch, -1) and (row.rule or before not in ("", row.fingerprint)):
            what = f"{row.rule} {row.setting}: {row.before} to {row.after}" if row.rule else f"now {row.name}"
            found.append(Event(row.step + 1, f"policy: {what}"))
        before = before if row.rule else row.fingerprint
    return sorted(found, key=lambda event: event.step)


class _Places:
    """Counts at places along an axis; when there are too many places, each two become one."""

    def __init__(self) -> None:
        self.width = 1
        self.counts: dict[int, Counter[str]] = {}

    def add(self, at: int, what: Iterable[str]) -> None:
        counts = self.counts.setdefault(at // self.width, Counter())
        counts[""] += 1
        counts.update(what)
        while len(self.counts) >= 2 * PLACES:
            self.width *= 2
            joined: dict[int, Counter[str]] = {}
            for place, some in self.counts.items():
                joined.setdefault(place // 2, Counter()).update(some)
            self.counts = joined


def timeline(judgements: Iterable[Judgement], line: Sequence[tuple[int, int]] = (), least: int = LEAST) -> Timeline:
    """Rates along ``line``, (branch, last step that counts) as ``LedgerReader.lineage`` gives it; without one, over
    whatever comes. The seeds that a run begins with are no samples of the model's and are left out."""
    until = dict(line)
    steps, samples = _Places(), _Places()
    seen = aside = 0
    for judgement in judgements:
        if judgement.phase == "seed" or (line and judgement.step > until.get(judgement.branch, -1)):
            aside += 1
            continue
        found = marks(judgement, least)
        what = set() if found is None else {ANY, *categories(found)}
        if not judgement.allowed:
            what.add(BLOCKED)
        steps.add(judgement.step, what)
        samples.add(seen, what)
        seen += 1
    by_step = len(steps.counts) > 1
    places = steps if by_step else samples
    return _drawn("step" if by_step else "sample", places, aside)


def _drawn(axis: str, places: _Places, aside: int) -> Timeline:
    order = sorted(places.counts)
    counts = [places.counts[place] for place in order]
    totals = [some[""] for some in counts]
    starts = [place * places.width for place in order]
    names = Counter[str]()
    for some in counts:
        names.update(some)
    tracks = []
    for name, samples in sorted(names.items(), key=lambda item: (item[0] not in (ANY, BLOCKED), -item[1], item[0])):
        if name:
            hits = [some[name] for some in counts]
            rates = [wilson(hit, total) if total else None for hit, total in zip(hits, totals, strict=True)]
            stretches = _stretches(hits, totals, starts, places.width)
            tracks.append(Track(name, samples, hits, rates, stretches, clumping(hits, totals)))
    return Timeline(axis, places.width, starts, totals, tracks, aside)


def _stretches(hits: list[int], totals: list[int], starts: list[int], width: int) -> list[Stretch]:
    edges = [0, *changes(hits, totals), len(hits)]
    return [
        Stretch(starts[a], starts[b - 1] + width - 1, sum(hits[a:b]), wilson(sum(hits[a:b]), sum(totals[a:b])))
        for a, b in pairwise(edges)
    ]
