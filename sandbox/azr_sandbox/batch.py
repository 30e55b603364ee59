"""Run programs from JSON lines: what `azr-platform sandbox run` does, without the command line.

A line is ``{"id", "program", "input"}`` or ``{"id", "program", "inputs": [...]}``. A line that cannot be run is
answered with an outcome and a reason like any other; nothing in the input can raise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import Jail

LINES_AT_ONCE = 256
"""Lines given to the pool together: enough to keep its workers busy, few enough to answer steadily."""


class _Line(NamedTuple):
    """A line understood: either a request, or the execution that stands for what is wrong with it."""

    id: object
    request: Request | None
    many: bool
    problem: Execution | None


def run_lines(lines: Iterable[str], pool: Jail) -> Iterator[dict[str, object]]:
    """One answer a line, in order: ``{"id", "outcome", "value", "detail", "cpu_ms", "wall_ms"}``.

    A line with ``inputs`` is answered with ``{"id", "results": [...]}``, one result an input. Blank lines are
    skipped. Raises only what the pool raises (JailUnavailable).
    """
    pending: list[_Line] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        pending.append(_read(number, text))
        if len(pending) == LINES_AT_ONCE:
            yield from _answer(pending, pool)
            pending = []
    yield from _answer(pending, pool)


def _read(number: int, text: str) -> _Line:
    try:
        row = json.loads(text, parse_constant=str)  # NaN in an id must not come back as invalid JSON
    except (ValueError, RecursionError):
        return _refused(None, Outcome.INVALID_INPUT, f"line {number} is not JSON")
    if not isinstance(row, dict):
        return _refused(None, Outcome.INVALID_INPUT, f"line {number} is not a JSON object")
    name, program = row.get("id"), row.get("program")
    if not isinstance(program, str):
        return _refused(name, Outcome.INVALID_PROGRAM, f'line {number}: "program" must be text')
    if ("input" in row) == ("inputs" in row):
        return _refused(name, Outcome.INVALID_INPUT, f'line {number}: give either "input" or "inputs"')
    inputs: Any = row["inputs"] if "inputs" in row else [row["input"]]
    if not isinstance(inputs, list) or not all(isinstance(item, str) for item in inputs):
        return _refused(name, Outcome.INVALID_INPUT, f"line {number}: every input must be text")
    return _Line(name, Request(program, tuple(inputs)), "inputs" in row, None)


def _refused(name: object, outcome: Outcome, why: str) -> _Line:
    return _Line(name, None, False, Execution(outcome, detail=why))


def _answer(lines: list[_Line], pool: Jail) -> Iterator[dict[str, object]]:
    results = iter(pool.run([line.request for line in lines if line.request is not None]))
    for line in lines:
        if line.problem is not None:
            yield {"id": line.id, **_fields(line.problem)}
            continue
        executions = next(results)
        if line.many:
            yield {"id": line.id, "results": [_fields(execution) for execution in executions]}
        else:
            yield {"id": line.id, **_fields(executions[0])}


def _fields(execution: Execution) -> dict[str, object]:
    return {
        "outcome": execution.outcome.value,
        "value": execution.value,
        "detail": execution.detail,
        "cpu_ms": execution.cpu_ms,
        "wall_ms": execution.wall_ms,
    }
