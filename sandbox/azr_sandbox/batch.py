"""Run programs from JSON lines: what `azr-platform sandbox run` does, without the command line.

A line is ``{"id", "program", "input"}`` or ``{"id", "program", "inputs": [...]}``. A line that cannot be run is
answered with an outcome and a reason like any other; nothing in the input can raise.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.pool import JailPool


class Line(NamedTuple):
    """A line understood: either a request, or the execution that stands for what is wrong with it."""

    id: object
    request: Request | None
    many: bool
    problem: Execution | None


def run_lines(lines: Iterable[str], pool: JailPool, *, together: bool = False) -> Iterator[dict[str, object]]:
    """One answer a line, in order: ``{"id", "outcome", "value", "detail", "cpu_ms", "wall_ms"}``.

    A line with ``inputs`` is answered with ``{"id", "results": [...]}``, one result an input; with ``together``
    these share a process. Blank lines are skipped. Raises only what the pool raises (JailUnavailable).
    """
    waiting: deque[Line] = deque()

    def requests() -> Iterator[Request]:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            line = read_line(number, text, together)
            waiting.append(line)
            if line.request is not None:
                yield line.request

    for executions in pool.stream(requests()):
        yield from _refusals(waiting)
        line = waiting.popleft()
        fields = [_fields(execution) for execution in executions]
        yield {"id": line.id, "results": fields} if line.many else {"id": line.id, **fields[0]}
    yield from _refusals(waiting)


def _refusals(waiting: deque[Line]) -> Iterator[dict[str, object]]:
    """The answers to lines that ask for no run, up to the first that does."""
    while waiting and waiting[0].problem is not None:
        line = waiting.popleft()
        assert line.problem is not None
        yield {"id": line.id, **_fields(line.problem)}


def read_line(number: int, text: str, together: bool = False) -> Line:
    """One line, blank ones aside; for one that cannot be run, ``problem`` says why."""
    try:
        row = read_object(number, text)
    except ValueError as error:
        return _refused(None, Outcome.INVALID_INPUT, str(error))
    name, program = row.get("id"), row.get("program")
    if not isinstance(program, str):
        return _refused(name, Outcome.INVALID_PROGRAM, f'line {number}: "program" must be text')
    if ("input" in row) == ("inputs" in row):
        return _refused(name, Outcome.INVALID_INPUT, f'line {number}: give either "input" or "inputs"')
    inputs: Any = row["inputs"] if "inputs" in row else [row["input"]]
    if not isinstance(inputs, list) or not all(isinstance(item, str) for item in inputs):
        return _refused(name, Outcome.INVALID_INPUT, f"line {number}: every input must be text")
    return Line(name, Request(program, tuple(inputs), together=together), "inputs" in row, None)


def read_object(number: int, text: str) -> dict[str, Any]:
    """The JSON object on a line; its numbers that JSON does not know (NaN, 1e999) as texts, so that it can be written.

    Raises:
        ValueError: the line is no JSON object; the text names it by number.
    """
    try:
        value = json.loads(text, parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"line {number} is not a JSON object")
    return value


def _finite(digits: str) -> float | str:
    return number if math.isfinite(number := float(digits)) else digits


def _refused(name: object, outcome: Outcome, why: str) -> Line:
    return Line(name, None, False, Execution(outcome, detail=why))


def _fields(execution: Execution) -> dict[str, object]:
    return {
        "outcome": execution.outcome.value,
        "value": execution.value,
        "detail": execution.detail,
        "cpu_ms": execution.cpu_ms,
        "wall_ms": execution.wall_ms,
    }
