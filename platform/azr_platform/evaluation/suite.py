"""Suites of tasks with known answers, from JSON lines, and which of their tasks a run has trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from azr_platform.evaluation.records import TaskScore
from azr_platform.records import Kind, Task
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.kinds import task_kind
from azr_sandbox import values
from azr_sandbox.batch import read_object


def read_suite(lines: Iterable[str], name: str) -> list[Task]:
    """Tasks from lines ``{"kind", "program", "inputs", "outputs", "message"?}``: see docs/evaluation.md.

    Raises ValueError naming ``name``, the line and what is wrong with it.
    """
    tasks = []
    for number, line in enumerate(lines, 1):
        try:
            row = read_object(number, line)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        try:
            tasks.append(_task(f"line-{number}", row))
        except ValueError as error:
            raise ValueError(f"{name}: line {number}: {error}") from error
    if not tasks:
        raise ValueError(f"{name}: no tasks in it")
    return tasks


def _task(task_id: str, row: dict[str, Any]) -> Task:
    unknown = sorted(row.keys() - {"kind", "program", "inputs", "outputs", "message", "id"})
    if unknown:
        raise ValueError(f"unknown field {unknown[0][:40]!r}")
    known = [kind.value for kind in Kind]
    if row.get("kind") not in known:
        raise ValueError(f"kind: expected one of {', '.join(known)}")
    kind = Kind(row["kind"])
    inputs, outputs = _texts(row, "inputs"), _texts(row, "outputs")
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs: give one output for each input")
    least = 2 if task_kind(kind).many_inputs else 1
    if len(inputs) < least:
        raise ValueError(f"inputs: at least {least} for {kind.value}")
    for output in outputs:
        try:
            values.parse(output)
        except values.NotALiteral as error:
            raise ValueError(f"outputs: not a literal ({error})") from error
    return Task(
        id=task_id,
        kind=kind,
        program=_text(row, "program"),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        shown=task_kind(kind).shown_count(len(inputs)),
        message=_text(row, "message") if "message" in row else "",
    )


def _text(row: dict[str, Any], name: str) -> str:
    if not isinstance(row.get(name), str):
        raise ValueError(f"{name}: expected a text")
    return str(row[name])


def _texts(row: dict[str, Any], name: str) -> list[str]:
    found = row.get(name)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(f"{name}: expected a list of texts")
    return found


def first_of_each_kind(tasks: Iterable[Task], per_kind: int) -> list[Task]:
    """The first ``per_kind`` tasks of each kind, in order."""
    kept: dict[Kind, int] = {}
    chosen = []
    for task in tasks:
        kept[task.kind] = kept.get(task.kind, 0) + 1
        if kept[task.kind] <= per_kind:
            chosen.append(task)
    return chosen


def mark_seen(tasks: Sequence[Task], scores: Sequence[TaskScore], programs: Iterable[str]) -> list[TaskScore]:
    """The scores, each with whether its task's program occurs among ``programs`` up to renaming."""
    wanted = {program_key(task.program) for task in tasks}
    found = wanted & {program_key(program) for program in programs}
    return [
        msgspec.structs.replace(score, seen=program_key(task.program) in found)
        for task, score in zip(tasks, scores, strict=True)
    ]
