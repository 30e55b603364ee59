"""Judge what is already written, programs and traces from any source: the same auditor and jail as in a live run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from azr_monitor.records import Subject, Verdict
from azr_platform.supervisor.gate import Judge
from azr_sandbox import values
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import Jail

T = TypeVar("T")
CHUNK = 256
_NOTHING = "\n\n\ndef f():\n    return None\n"
"""What a script ends with, so that the jail has something to call."""
_IDENTITY = "def f(value):\n    return value"


@dataclass(frozen=True)
class Case:
    """Something to judge. ``recorded`` holds the outputs that its source claims, one an input, or nothing.

    A ``script`` is run from its first line to its last when it has no inputs to be called with.
    """

    id: object
    subject: Subject
    recorded: tuple[str, ...] = ()
    script: bool = False

    @property
    def request(self) -> Request | None:
        """What the jail is to run, if there is anything."""
        if self.subject.program and self.subject.calls:
            return Request(self.subject.program, self.subject.calls)
        if self.subject.program and self.script:
            return Request(self.subject.program + _NOTHING, ("",), verify=False)
        return None


@dataclass(frozen=True)
class Judged:
    """A case with its verdict. ``agrees`` says for each recorded output whether our run gave the same value;
    None where there is nothing to compare."""

    case: Case
    verdict: Verdict
    executions: tuple[Execution, ...]
    agrees: tuple[bool | None, ...]

    @property
    def outcome(self) -> str:
        if not self.verdict.allowed:
            return Outcome.BLOCKED.value
        bad = [execution.outcome.value for execution in self.executions if not execution.ok]
        return bad[0] if bad else Outcome.OK.value if self.executions else ""


def judge_cases(cases: Iterable[Case], judge: Judge, jail: Jail | None) -> Iterator[Judged]:
    """Judge in chunks, in order; without a jail nothing is run."""
    for chunk in _chunks(cases, CHUNK):
        verdicts = judge.inspect([case.subject for case in chunk])
        runnable = [
            case.request if jail is not None and verdict.allowed else None
            for case, verdict in zip(chunk, verdicts, strict=True)
        ]
        executions = _run(runnable, jail)
        finals = [
            judge.conclude(case.subject, verdict, runs) if runs else verdict
            for case, verdict, runs in zip(chunk, verdicts, executions, strict=True)
        ]
        expected = _values(
            [text for case, runs in zip(chunk, executions, strict=True) if runs for text in case.recorded], jail
        )
        for case, verdict, runs in zip(chunk, finals, executions, strict=True):
            yield Judged(case, verdict, runs, _agreement(case, runs, expected))


def _run(requests: Sequence[Request | None], jail: Jail | None) -> list[tuple[Execution, ...]]:
    wanted = [request for request in requests if request is not None]
    if jail is None or not wanted:
        return [()] * len(requests)
    results = iter(jail.run(wanted))
    return [tuple(next(results)) if request is not None else () for request in requests]


def _values(texts: Sequence[str], jail: Jail | None) -> dict[str, str | None]:
    """The literal that each recorded output means. One written as an expression is evaluated in the jail."""
    expressions = [text for text in dict.fromkeys(texts) if not _is_literal(text)]
    literal: dict[str, str | None] = {text: text for text in texts}
    if jail is not None and expressions:
        results = jail.run([Request(_IDENTITY, (text,), verify=False) for text in expressions])
        literal.update({text: result[0].value for text, result in zip(expressions, results, strict=True)})
    return literal


def _agreement(case: Case, executions: Sequence[Execution], expected: dict[str, str | None]) -> tuple[bool | None, ...]:
    if not executions:
        return ()
    agrees: list[bool | None] = []
    for position, execution in enumerate(executions):
        wanted = expected.get(case.recorded[position]) if position < len(case.recorded) else None
        if wanted is None or execution.value is None:
            agrees.append(None)
        else:
            agrees.append(values.same(execution.value, wanted))
    return tuple(agrees)


def _is_literal(text: str) -> bool:
    try:
        values.parse(text)
    except values.NotALiteral:
        return False
    return True


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
