"""Evaluations as files, and two of them side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from azr_platform.evaluation.records import (
    Evaluation,
    comparison,
    estimates,
    file_name,
    measures,
    read,
    store,
    stored,
    task_digest,
    unseen,
)
from azr_platform.records import Kind, Task

Make = Any


def test_an_evaluation_is_read_back_as_it_was_stored(tmp_path: Path, evaluation: Make) -> None:
    made = evaluation(20, lambda number: number % 4)
    path = store(made, tmp_path / "evaluations")
    assert path.name == "000020-1-nano.json"
    assert read(path) == made


def test_an_earlier_evaluation_is_never_overwritten(tmp_path: Path, evaluation: Make) -> None:
    paths = [store(evaluation(20, lambda number: 1, time=float(n)), tmp_path / "evaluations") for n in range(3)]
    assert [path.name for path in paths] == ["000020-1-nano.json", "000020-1-nano.2.json", "000020-1-nano.3.json"]
    assert [read(path).time for path in paths] == [0.0, 1.0, 2.0]
    (newest,) = stored(tmp_path)
    assert newest.time == 2.0


@pytest.mark.parametrize("suite", ["../../etc/passwd", "a\nb\x1b[2J", "", "....", "x" * 500, "nano\0"])
def test_a_suite_s_name_is_no_path(tmp_path: Path, evaluation: Make, suite: str) -> None:
    made = evaluation(1, lambda number: 1, suite=suite)
    name = file_name(made)
    assert Path(name).name == name and name.isascii() and name.isprintable() and len(name) < 100
    assert store(made, tmp_path / "in").parent == tmp_path / "in"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        "[" * 100_000,
        "\ud800",
        '{"format": 1, "target": "x", "weights": "", "settings": {}, "tasks": [], "seconds": 1, "time": 1}',
    ],
)
def test_what_is_no_evaluation_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"bad\.json"):
        read(path)


@pytest.mark.parametrize(
    "change", [{"right": 9}, {"right": -1}, {"samples": 0}, {"well_formed": 5}, {"unknown": 1}, {"greedy": "yes"}]
)
def test_impossible_counts_are_refused(tmp_path: Path, evaluation: Make, change: dict[str, object]) -> None:
    row = msgspec.to_builtins(evaluation(1, lambda number: 1))
    row["tasks"][0] |= change
    (tmp_path / "bad.json").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=r"bad\.json"):
        read(tmp_path / "bad.json")


def test_another_format_is_refused(tmp_path: Path, evaluation: Make) -> None:
    row = msgspec.to_builtins(evaluation(1, lambda number: 1)) | {"format": 2}
    (tmp_path / "new.json").write_text(json.dumps(row))
    with pytest.raises(ValueError, match="format 2"):
        read(tmp_path / "new.json")


def test_the_measures_are_those_of_the_samples(evaluation: Make) -> None:
    made: Evaluation = evaluation(1, lambda number: (0, 1, 2, 4)[number % 4])  # of 4 samples
    found = {name: estimates(made.tasks, measure)["all"].value for name, measure in measures(4).items()}
    assert found == {
        "pass@1": pytest.approx((0 + 0.25 + 0.5 + 1) / 4),
        "pass@4": pytest.approx(0.75),
        "greedy": pytest.approx(0.5),
        "well-formed": 1.0,
    }
    assert list(measures(1)) == ["pass@1", "greedy", "well-formed"]


def test_a_comparison_pairs_the_tasks_that_both_have_whatever_their_order(evaluation: Make) -> None:
    before, after = evaluation(0, lambda number: number % 3), evaluation(20, lambda number: number % 3 + 1)
    shuffled = msgspec.structs.replace(after, tasks=after.tasks[::-1][5:])
    (all_kinds,) = [row for row in comparison(before, shuffled) if (row.measure, row.kind) == ("pass@1", "all")]
    assert all_kinds.change.value == pytest.approx(0.25)
    assert (all_kinds.change.low, all_kinds.change.high) == (pytest.approx(0.25), pytest.approx(0.25))
    assert all_kinds.change.count == len(shuffled.tasks)


def test_seen_tasks_are_left_out_of_the_unseen_rows(evaluation: Make) -> None:
    """Task 0 of each kind is seen, and only it got better: the gain is all memory."""
    before, after = evaluation(0, lambda number: 0), evaluation(20, lambda number: 4 if number == 0 else 0)
    rows = {(row.measure, row.kind): row.change for row in comparison(before, after)}
    assert rows["pass@1", "all"].value == pytest.approx(1 / 20)
    assert rows["pass@1, unseen", "all"].value == 0.0
    assert len(unseen(after.tasks)) == 57


def test_what_was_asked_otherwise_is_not_compared(evaluation: Make) -> None:
    one, other = evaluation(0, lambda number: 1), evaluation(1, lambda number: 1)
    strange = msgspec.structs.replace(other, tasks=[msgspec.structs.replace(t, digest="e") for t in other.tasks])
    with pytest.raises(ValueError, match="no task in common"):
        comparison(one, strange)
    more = msgspec.structs.replace(other, settings=msgspec.structs.replace(other.settings, samples=8))
    with pytest.raises(ValueError, match="same --samples"):
        comparison(one, more)


def test_a_task_s_digest_is_of_its_content_and_not_of_its_id() -> None:
    task = Task(id="a", kind=Kind.DEDUCTION, program="def f(x):\n    return x", inputs=("1",), outputs=("1",))
    assert task_digest(task) == task_digest(msgspec.structs.replace(task, id="b"))
    assert task_digest(task) != task_digest(msgspec.structs.replace(task, outputs=("2",)))
