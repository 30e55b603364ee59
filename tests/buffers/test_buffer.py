"""The buffer takes nothing without an allowing verdict, keeps its order, its cap and each task once."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.buffers.buffer import Entry, NotAllowed, TaskBuffer
from azr_platform.channel.messages import Judgement
from azr_platform.records import Kind, Task


def _task(number: int, kind: Kind = Kind.DEDUCTION) -> Task:
    return Task(id=f"t{number}", kind=kind, program=f"def f(x): return {number}", inputs=("1",), outputs=(f"{number}",))


def _judgement(task: Task | None) -> Judgement:
    return Judgement(uid="u", sample=1, allowed=True, well_formed=True, valid=True, task=task)


def test_an_allowed_valid_recorded_proposal_is_taken() -> None:
    buffer = TaskBuffer(Kind.DEDUCTION, 10)
    assert buffer.add(_judgement(_task(1)), 3)
    assert buffer.entries == [Entry(_task(1), 3)]
    assert _task(1) in buffer


@pytest.mark.parametrize(
    "missing",
    [
        {"allowed": False},
        {"valid": False},
        {"sample": 0},
        {"sample": -1},
        {"task": None},
        {"task": _task(1, Kind.ABDUCTION)},
        {"task": _task(1, Kind.INDUCTION)},
        {"allowed": False, "valid": False, "sample": 0, "task": None},
    ],
    ids=str,
)
def test_any_condition_missing_is_refused_and_nothing_is_kept(missing: dict[str, object]) -> None:
    buffer = TaskBuffer(Kind.DEDUCTION, 10)
    judgement = msgspec.structs.replace(_judgement(_task(1)), **missing)
    with pytest.raises(NotAllowed, match=f"sample {judgement.sample}"):
        buffer.add(judgement, 1)
    assert len(buffer) == 0
    assert _task(1) not in buffer


def test_a_task_is_kept_once_at_its_first_place() -> None:
    buffer = TaskBuffer(Kind.DEDUCTION, 10)
    for number in (1, 2, 3):
        assert buffer.add(_judgement(_task(number)), number)
    assert not buffer.add(_judgement(_task(1)), 9)
    assert [(entry.task.id, entry.step) for entry in buffer.entries] == [("t1", 1), ("t2", 2), ("t3", 3)]


def test_the_oldest_leave_when_the_cap_is_reached() -> None:
    buffer = TaskBuffer(Kind.DEDUCTION, 3)
    buffer.plant(_task(0))
    for number in range(1, 6):
        buffer.add(_judgement(_task(number)), number)
    assert [entry.task.id for entry in buffer.entries] == ["t3", "t4", "t5"]
    assert buffer.add(_judgement(_task(0)), 6)  # it was forgotten, so it is new again


def test_planted_seeds_count_as_step_0() -> None:
    buffer = TaskBuffer(Kind.INDUCTION, 3)
    buffer.plant(_task(7, Kind.INDUCTION))
    assert buffer.entries == [Entry(_task(7, Kind.INDUCTION), 0)]


def test_the_entries_handed_out_are_a_copy() -> None:
    buffer = TaskBuffer(Kind.DEDUCTION, 3)
    buffer.plant(_task(1))
    before = buffer.entries
    buffer.plant(_task(2))
    assert len(before) == 1
    assert len(buffer) == 2


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 8))
def test_restoring_gives_back_the_same_buffer(numbers: list[int], cap: int) -> None:
    original, restored = TaskBuffer(Kind.DEDUCTION, cap), TaskBuffer(Kind.DEDUCTION, cap)
    for step, number in enumerate(numbers):
        original.add(_judgement(_task(number)), step)
    restored.plant(_task(99))
    saved = msgspec.msgpack.encode(original.entries)
    restored.restore(msgspec.msgpack.decode(saved, type=list[Entry]))
    assert restored.entries == original.entries
    assert len(restored) <= cap
    for buffer in (original, restored):
        buffer.add(_judgement(_task(50)), 100)
    assert restored.entries == original.entries
    # Newest last, each once.
    steps = [entry.step for entry in original.entries]
    assert steps == sorted(steps)
    assert len({entry.task.id for entry in original.entries}) == len(original)


def test_entries_of_another_kind_or_too_many_are_not_restored() -> None:
    buffer = TaskBuffer(Kind.DEDUCTION, 2)
    buffer.plant(_task(1))
    with pytest.raises(NotAllowed, match="deduction buffer"):
        buffer.restore([Entry(_task(1, Kind.ABDUCTION), 0)])
    with pytest.raises(NotAllowed, match="at most 2"):
        buffer.restore([Entry(_task(number), 0) for number in range(3)])
    assert len(buffer) == 1
