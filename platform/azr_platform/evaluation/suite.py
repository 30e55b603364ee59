"""Which tasks an evaluation asks, and which of them a run has on record already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from azr_platform.evaluation.records import TaskScore, task_digest
from azr_platform.records import Kind, Task
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.problems import unlabelled


def first_of_each_kind(tasks: Iterable[Task], per_kind: int) -> list[Task]:
    """The first ``per_kind`` tasks of each kind, in order."""
    kept: dict[Kind, int] = {}
    chosen = []
    for task in tasks:
        kept[task.kind] = kept.get(task.kind, 0) + 1
        if kept[task.kind] <= per_kind:
            chosen.append(task)
    return chosen


def mark_seen(
    tasks: Sequence[Task], scores: Sequence[TaskScore], programs: Iterable[str], given: Iterable[Task]
) -> list[TaskScore]:
    """The scores, each with whether a run has seen its task.

    It has when the task's program occurs among ``programs`` up to renaming, or when what a solver is shown of the
    task is what it is shown of one of ``given``.
    """
    known = {program_key(program) for program in programs if program}
    shown = {task_digest(unlabelled(task)) for task in given}
    return [
        msgspec.structs.replace(
            score,
            seen=bool(task.program and program_key(task.program) in known) or task_digest(unlabelled(task)) in shown,
        )
        for task, score in zip(tasks, scores, strict=True)
    ]
