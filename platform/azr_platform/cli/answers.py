"""Judge answers given as JSON lines: what ``azr-platform sandbox check`` does with each chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from azr_platform.records import Kind, Task
from azr_platform.tasks import check
from azr_platform.tasks.kinds import Block, task_kind
from azr_platform.tasks.parse import Parsed
from azr_sandbox.batch import read_object
from azr_sandbox.execution import Execution, Outcome
from azr_sandbox.jail import Jail

CHUNK = 512


def check_lines(lines: Iterable[str], jail: Jail) -> Iterator[dict[str, Any]]:
    """One result a line, in order; a line that cannot be judged is wrong, with the outcome saying why."""
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == CHUNK:
            yield from _check(chunk, jail)
            chunk = []
    yield from _check(chunk, jail)


def _check(lines: list[str], jail: Jail) -> Iterator[dict[str, Any]]:
    cases = [_case(line) for line in lines]
    requests = [check.answer_request(task, parsed) if task is not None else None for _, task, parsed in cases]
    results = iter(jail.run([request for request in requests if request is not None]))
    for (number, task, parsed), request in zip(cases, requests, strict=True):
        if task is None:
            yield {"id": number, "correct": False, "outcome": Outcome.INVALID_INPUT.value}
            continue
        executions = next(results) if request is not None else ()
        yield {
            "id": number,
            "correct": check.is_correct(task, parsed, executions),
            "outcome": _outcome(task, parsed, executions),
        }


def _outcome(task: Task, parsed: Parsed, executions: tuple[Execution, ...]) -> str:
    if check.answer_problem(task, parsed):
        return Outcome.NOT_A_VALUE.value
    return next((execution.outcome for execution in executions if not execution.ok), Outcome.OK).value


def _case(line: str) -> tuple[object, Task | None, Parsed]:
    """(id, the task, the answer); no task when the line does not describe one."""
    nothing = Parsed(well_formed=False)
    try:
        row = read_object(0, line)  # answers name their case, not their line
    except ValueError:
        return None, None, nothing
    try:
        return row.get("id"), *_read(row)
    except (ValueError, KeyError, TypeError):
        return row.get("id"), None, nothing


def _read(row: dict[str, Any]) -> tuple[Task, Parsed]:
    """Raises ValueError, KeyError or TypeError when the row is no case."""
    kind = Kind(row["kind"])
    answer = _text(row["answer"])
    if task_kind(kind).many_inputs:
        pairs = _pairs(row["pairs"])
        inputs, outputs = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    else:
        inputs, outputs = (_text(row.get("input", "")),), (_text(row["output"]),)
    task = Task(id="", kind=kind, program=_text(row.get("program", "")), inputs=inputs, outputs=outputs, shown=0)
    asked = task_kind(kind).asked
    return task, Parsed(
        well_formed=True,
        answer=answer,
        output=answer if asked is Block.OUTPUT else "",
        inputs=(answer,) if asked is Block.INPUT else (),
        program=answer if asked is Block.PROGRAM else "",
    )


def _pairs(value: object) -> list[tuple[str, str]]:
    """Hidden pairs: ``[[input, output], ...]``, or objects with those two names, at least one.

    Raises ValueError, KeyError or TypeError for anything else; unpacking alone would take ``"12"`` for a pair.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("no pairs to test the answer on")
    pairs = []
    for item in value:
        two = [item["input"], item["output"]] if isinstance(item, dict) else item
        if not isinstance(two, list) or len(two) != 2:
            raise ValueError("a pair is an input and an output")
        pairs.append((_text(two[0]), _text(two[1])))
    return pairs


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return value
