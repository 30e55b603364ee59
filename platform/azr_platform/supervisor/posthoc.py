"""Judge what is already written: the samples of a run, or programs and traces from any source.

The same auditor and the same jail as in a live run; nothing is ever overwritten. A re-judged run gets rows of
its own in the ledger's ``audits`` table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from azr_monitor.records import Subject, Verdict
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import SampleDetail
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.decisions import subject_of
from azr_platform.supervisor.gate import Judge
from azr_sandbox import values
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import Jail

T = TypeVar("T")
CHUNK = 256
_APART = ("supervisor.", "review.")
"""Rules that no policy has: what they say does not come again when the texts are judged again."""
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


# -- a run's own samples ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rejudged:
    """A sample of a run, the verdict it had, and the verdict it has under the policy at hand.

    ``apart`` says that the old one was not the policy's alone: held out, in quarantine, a person's word, or a fault.
    """

    sample: int
    before: bool | None
    verdict: Verdict
    apart: bool = False


def rejudge(reader: LedgerReader, judge: Judge, progress: Callable[[int], None] | None = None) -> Iterator[Rejudged]:
    """Judge every sample of a run again, with the executions on record; nothing is run."""
    for numbers in _chunks(reader.sample_numbers(), CHUNK):
        details = [detail for number in numbers if (detail := reader.sample(number)) is not None]
        subjects = [subject_of(detail) for detail in details]
        for detail, subject, verdict in zip(details, subjects, judge.inspect(subjects), strict=True):
            final = judge.conclude(subject, verdict, executions_of(detail)) if detail.executions else verdict
            before = None if detail.verdict is None else bool(detail.verdict.allowed)
            apart = any(finding.rule.startswith(_APART) for finding in detail.findings)
            yield Rejudged(detail.sample.id, before, final, apart)
        if progress is not None:
            progress(len(numbers))


def record_audit(writer: LedgerWriter, audit: str, policy: str, results: Sequence[Rejudged]) -> None:
    """Keep new verdicts beside the old ones."""
    now = time.time()
    with writer.batch() as batch:
        for result in results:
            verdict = result.verdict
            batch.add(
                "audits",
                {
                    "time": now,
                    "audit": audit,
                    "policy": policy,
                    "sample": result.sample,
                    "allowed": verdict.allowed,
                    "severity": verdict.severity,
                    "score": verdict.score,
                    "findings": json.dumps(
                        [[f.rule, int(f.severity), f.part, f.span, f.why] for f in verdict.findings]
                    ),
                    "reason": verdict.reason,
                },
            )


def executions_of(detail: SampleDetail) -> list[Execution]:
    """What the jail reported of a sample, as it is on record."""
    return [
        Execution(Outcome(row.outcome), row.value, row.detail, row.cpu_ms, row.wall_ms, row.memory_kb)
        for row in detail.executions
    ]


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
