"""Two runs, or two branches, side by side: what is read of each, and in what they differ.

The other run may be finished, of an older version, moved away or damaged: what cannot be read becomes a line.
"""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from azr_platform.ledger.errors import LedgerError
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import MetricSpan, PolicyRow
from azr_tui.questions import Answer, Question, Sources

_UNREADABLE = (LedgerError, sqlite3.Error, OSError, ValueError, TypeError, msgspec.MsgspecError)
_POINTS = 512
_LOW_IS_BEST = (
    "loss",
    "approx_kl",
    "clip_fraction",
    "grad_norm",
    "ratio_max",
    "blocked",
    "repeats",
    "seconds/*",
    "oversight/*",
)
"""Metrics of which the smallest value is the best; of all others the largest."""


class Side(NamedTuple):
    """A run along the line that leads to one of its branches."""

    run: str
    branch: int
    branches: tuple[int, ...]
    state: str
    step: int
    samples: int
    blocked: int
    alerts: int
    totals: Mapping[str, MetricSpan]
    lasts: Mapping[str, float | None]
    config: Mapping[str, object]
    policy: Mapping[str, object]


@dataclass
class ComparisonRead(Answer):
    """Both sides; ``trouble`` says why there is no other one."""

    question: AskComparison
    mine: Side
    other: Side | None
    trouble: str
    runs: list[Path]


@dataclass(frozen=True)
class AskComparison(Question):
    """This run's branch (0: the newest) beside another run's, or beside another of its own (``other`` None)."""

    run: Path
    branch: int
    other: Path | None
    other_branch: int

    def read(self, sources: Sources) -> ComparisonRead:
        mine = side(sources.reader, self.branch)
        runs = runs_beside(self.run)
        try:
            if self.other is None:
                other = side(sources.reader, self.other_branch) if len(mine.branches) > 1 else None
                return ComparisonRead(self, mine, other, "" if other else "choose another run with o", runs)
            with sources.beside(self.other) as reader:
                return ComparisonRead(self, mine, side(reader, self.other_branch), "", runs)
        except _UNREADABLE as error:
            told = str(error).replace(f"{self.other}/", "").replace(str(self.other), "it")
            return ComparisonRead(self, mine, None, f"{self.other.name}: {told}" if self.other else told, runs)


@dataclass
class CurvesRead(Answer):
    """A metric on both sides, each in so many spans of steps at most; nothing of a side that cannot be read."""

    question: AskCurves
    mine: list[MetricSpan]
    other: list[MetricSpan]


@dataclass(frozen=True)
class AskCurves(Question):
    """A metric up to a step of each side's branch, as they were read; ``run`` is the other's, None for this one."""

    metric: str
    mine: tuple[int, int]
    other: tuple[int, int] | None
    run: Path | None

    @classmethod
    def of(cls, metric: str, read: ComparisonRead) -> AskCurves:
        other = (read.other.branch, read.other.step) if read.other is not None else None
        return cls(metric, (read.mine.branch, read.mine.step), other, read.question.other)

    def read(self, sources: Sources) -> CurvesRead:
        def spans(reader: LedgerReader, branch: int, last: int) -> list[MetricSpan]:
            return reader.metric_span(self.metric, 0, last, _POINTS, branch)

        mine = spans(sources.reader, *self.mine)
        if self.other is None:
            return CurvesRead(self, mine, [])
        if self.run is None:
            return CurvesRead(self, mine, spans(sources.reader, *self.other))
        try:
            with sources.beside(self.run) as reader:
                return CurvesRead(self, mine, spans(reader, *self.other))
        except _UNREADABLE:  # since its side was read; the next reading of it says why
            return CurvesRead(self, mine, [])


def runs_beside(run: Path, most: int = 200) -> list[Path]:
    """Other runs in the same folder, the newest first."""
    here = run.absolute()
    found = [ledger for ledger in here.parent.glob("*/ledger.db") if ledger.parent != here]
    times = {ledger: ledger.stat().st_mtime for ledger in found if ledger.exists()}
    return [ledger.parent for ledger in sorted(times, key=lambda ledger: -times[ledger])[:most]]


def side(reader: LedgerReader, branch: int) -> Side:
    """What there is to compare of a run. An unknown branch is the newest."""
    with reader.one_moment():
        known = tuple(row.id for row in reader.branches())
        on = branch if branch in known else reader.branch()
        totals = reader.metric_totals(on)
        run, facts = reader.run(), {row.branch.id: row for row in reader.branch_facts()}
        last = max((span.last_step for span in totals.values()), default=0)
        held = facts[on].held if on in facts else None
        return Side(
            run=run.name,
            branch=on,
            branches=known,
            state=reader.state().state,
            step=last,
            samples=held.samples if held is not None else 0,
            blocked=held.blocked if held is not None else 0,
            alerts=held.alerts if held is not None else 0,
            totals=totals,
            lasts={name: reader.metric_at(name, on, span.last_step) for name, span in totals.items()},
            config=_config(run.config),
            policy=_policy(reader.policies()),
        )


def _config(text: str) -> dict[str, object]:
    try:
        return dict(_leaves("", tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        return {}


def _policy(rows: Sequence[PolicyRow]) -> dict[str, object]:
    """A policy's settings by their paths, with the changes in them; empty for a run that put none on record. Files that
    it names are shown, and not opened."""
    from azr_monitor.extends import FILES
    from azr_monitor.outside import without_files
    from azr_platform.ledger.policies import base_on_record, changes, with_changes  # with every rule of the monitor

    try:
        base = base_on_record(rows)
    except ValueError:
        return {"not understood by this version": True}
    if base is None:
        return {}
    policy, _ = with_changes(without_files(base), changes(rows))
    files = base.rules.model_dump(mode="json", include=set(FILES))
    return dict(_leaves("", policy.model_dump(mode="json"))) | dict(_leaves("rules", files))


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        for at, entry in enumerate(value):
            yield from _leaves(f"{path}[{entry.get('name', at)}]", entry)
    else:
        yield path, value


# -- in what they differ -------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A metric on both sides: the last value, the best and the mean, None where a side has none."""

    name: str
    last: tuple[float | None, float | None]
    best: tuple[float | None, float | None]
    mean: tuple[float | None, float | None]


def rows(mine: Side, other: Side | None, names: Sequence[str]) -> list[Row]:
    """The metrics in the order of their names."""

    def best(one: Side | None, name: str) -> float | None:
        span = one.totals.get(name) if one is not None else None
        if span is None:
            return None
        return span.low if any(fnmatchcase(name, pattern) for pattern in _LOW_IS_BEST) else span.high

    def mean(one: Side | None, name: str) -> float | None:
        span = one.totals.get(name) if one is not None else None
        return span.mean if span is not None else None

    return [
        Row(
            name,
            (mine.lasts.get(name), other.lasts.get(name) if other is not None else None),
            (best(mine, name), best(other, name)),
            (mean(mine, name), mean(other, name)),
        )
        for name in names
    ]


def difference(pair: tuple[float | None, float | None]) -> float | None:
    """How much greater the other's value is."""
    mine, other = pair
    return None if mine is None or other is None else other - mine


def settings_apart(mine: Mapping[str, object], other: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """(setting, mine, other's) of every setting that is not the same, by name; absent ones are ``-``."""

    def said(values: Mapping[str, object], name: str) -> str:
        return json.dumps(values[name], default=str, ensure_ascii=False) if name in values else "-"

    return [
        (name, said(mine, name), said(other, name))
        for name in sorted({*mine, *other})
        if said(mine, name) != said(other, name)
    ]
