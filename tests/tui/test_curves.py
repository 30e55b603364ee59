"""Curves: added to step by step they are what they would be read anew, keep every bound, and follow the run's line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_tui import curves
from azr_tui.curves import Curve, Curves
from azr_tui.view import Series

FEW = 8


@pytest.fixture
def ledger(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LedgerWriter, LedgerReader]]:
    monkeypatch.setattr(curves, "POINTS", FEW)
    with LedgerWriter(run_folder) as writer, LedgerReader(run_folder) as reader:
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 99, "config": ""})
        writer.append("branches", {"created_at": 1.0, "from_step": 0, "reason": "begun"})
        yield writer, reader


def record(writer: LedgerWriter, branch: int, step: int, **values: float) -> None:
    with writer.batch() as batch:
        batch.add("steps", {"branch": branch, "step": step, "started_at": 1.0, "seconds": 1.0})
        for name, value in values.items():
            batch.add("metrics", {"branch": branch, "step": step, "name": name, "value": value})


def whole(reader: LedgerReader) -> dict[str, Series]:
    """All curves, read by somebody who has just come."""
    fresh = Curves()
    found = fresh.read(reader)
    while not fresh.complete:
        found = fresh.read(reader)
    return found


def test_curves_that_were_added_to_are_what_a_new_reading_gives(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    rng, known = random.Random(1), Curves()
    told: dict[str, list[tuple[int, float]]] = {}
    for step in range(1, 120):
        values = {"loss": rng.gauss(0, 1), "rare": rng.gauss(0, 1)} if step % 7 == 0 else {"loss": rng.gauss(0, 1)}
        if step == 40:
            values["late"] = float("nan")
        if step > 40:
            values["late"] = rng.gauss(5, 1)
        record(writer, 1, step, **values)
        for name, value in values.items():
            if value == value:
                told.setdefault(name, []).append((step, value))
        if rng.random() < 0.4:
            found = known.read(reader)
            assert found.keys() == whole(reader).keys() == told.keys()
            for name, series in found.items():
                numbers = [value for _, value in told[name]]
                assert (series.low, series.high, series.last) == (min(numbers), max(numbers), numbers[-1])
                assert len(series.steps) < 2 * FEW
                assert series.steps[-1] == told[name][-1][0]
    assert max(len(series.steps) for series in known.read(reader).values()) >= FEW
    both = known.read(reader), whole(reader)
    assert list(both[0]["loss"].steps) == list(both[1]["loss"].steps)
    assert list(both[0]["loss"].values) == pytest.approx(list(both[1]["loss"].values))


def test_a_curve_that_nothing_was_added_to_stays_the_same_object(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    record(writer, 1, 1, loss=1.0, other=2.0)
    known = Curves()
    first = known.read(reader)
    record(writer, 1, 2, loss=3.0)
    second = known.read(reader)
    assert second["other"] is first["other"]
    assert (second["loss"].last, first["loss"].last) == (3.0, 1.0)


def test_another_branch_is_another_line(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    for step in range(1, 6):
        record(writer, 1, step, loss=float(step))
    known = Curves()
    assert list(known.read(reader)["loss"].values) == [1.0, 2.0, 3.0, 4.0, 5.0]
    writer.append("branches", {"created_at": 1.0, "parent": 1, "from_step": 3, "reason": "rollback"})
    record(writer, 2, 4, loss=40.0)
    assert list(known.read(reader)["loss"].values) == [1.0, 2.0, 3.0, 40.0]


def test_first_come_the_curves_of_the_overview_and_the_others_follow(
    ledger: tuple[LedgerWriter, LedgerReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = ledger
    record(writer, 1, 1, aaa=1.0, **{"reward/solve/deduction": 0.5})
    ticks = iter([0.0, 0.0, 60.0])
    with monkeypatch.context() as slow:
        slow.setattr(curves, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        known = Curves()
        assert list(known.read(reader)) == ["reward/solve/deduction"]
        assert not known.complete
    found = known.read(reader)
    while not known.complete:
        found = known.read(reader)
    assert list(found) == ["aaa", "reward/solve/deduction"]


def test_an_outlier_survives_however_long_the_run_is() -> None:
    curve = Curve()
    for step in range(100_000):
        curve.add(step, 1e6 if step == 77 else 0.0)
    assert curve.series.high == 1e6 and len(curve.series.steps) < 2 * curves.POINTS
    place = list(curve.series.highs).index(1e6)
    assert curve.series.steps[place] < 1000
