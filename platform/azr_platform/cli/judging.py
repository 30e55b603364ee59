"""Lines of a file judged chunk by chunk and answered in order, by this process or by several: audit --jsonl."""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Severity, Verdict
from azr_platform.cli.cases import BadLine, entries_in
from azr_platform.cli.input import BadInput
from azr_platform.cli.json_text import json_text
from azr_platform.logs.limits import MAX_ROW
from azr_platform.supervisor.posthoc import CHUNK, Judged, judge_cases
from azr_sandbox.jail import Jail

_UNREAD: Final = "audit.unreadable"
_AHEAD: Final = 3
"""Chunks a process is given before the first of them is answered; no more of a file is held at once."""
Work = TypeVar("Work")
Answered = TypeVar("Answered")


@dataclass
class Tally:
    """Counts for the tables at the end."""

    verdicts: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Judged) -> None:
        """Count one case."""
        self.verdicts[judged.verdict.word] += 1
        self.rules.update({(finding.rule, finding.severity.label) for finding in judged.verdict.findings})
        self.outcomes.update(execution.outcome.value for execution in judged.executions)
        if judged.case.subject.program and not judged.executions:
            self.outcomes["blocked" if not judged.verdict.allowed else "not run"] += 1
        words = {True: "same as recorded", False: "differs from recorded", None: "nothing to compare"}
        self.agreement.update(words[agrees] for agrees in judged.agrees)

    def add_unread(self) -> None:
        """Count a line that holds nothing to judge."""
        self.verdicts["block"] += 1
        self.rules[_UNREAD, "high"] += 1

    @property
    def worst(self) -> Severity | None:
        """The worst finding there was."""
        labels = {label for _, label in self.rules}
        return max((severity for severity in Severity if severity.label in labels), default=None)

    def merge(self, other: Tally) -> None:
        """Count what another counted."""
        self.verdicts += other.verdicts
        self.rules += other.rules
        self.outcomes += other.outcomes
        self.agreement += other.agreement


class Answer(NamedTuple):
    """What became of a chunk: a JSON row a line, counts, why lines could not be read, and how much text it was."""

    rows: list[str]
    tally: Tally
    bad: list[str]
    size: int


def answers(lines: Iterable[str], auditor: Auditor, jail: Jail | None) -> Iterator[Answer]:
    """Judge lines in this process."""
    return (_answer(chunk, auditor, jail) for chunk in _chunks(lines))


def answers_of(lines: Iterable[str], policy: str, workers: int) -> Iterator[Answer]:
    """Judge lines in so many processes; nothing is run. The answers are in order."""
    return spread(_chunks(lines), _answer, policy, workers)


def spread(
    works: Iterable[Work], judge: Callable[[Work, Auditor, None], Answered], policy: str, workers: int
) -> Iterator[Answered]:
    """What ``judge``, a function of a module, makes of each piece of work, in order, in so many processes, each with an
    auditor of its own.

    Raises:
        BadInput: one of the processes ended before its time.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _prepare, (policy,)) as pool:
        waiting: deque[Future[Answered]] = deque()
        try:
            for work in works:
                waiting.append(pool.submit(_judge_here, judge, work))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise BadInput("a process that judges was ended, so the rest is not judged; try fewer --workers") from error
        finally:
            for future in waiting:
                future.cancel()


_auditors: list[Auditor] = []
"""In a process of the pool: its auditor."""


def _prepare(policy: str) -> None:
    _auditors[:] = [Auditor.from_policy(load_policy(policy))]


def _judge_here(judge: Callable[[Work, Auditor, None], Answered], work: Work) -> Answered:
    return judge(work, _auditors[0], None)


def _chunks(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines some at a time, each time with the number of the first."""
    first, chunk, size = 1, [], 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if len(chunk) == CHUNK or size >= MAX_ROW:
            yield first, chunk
            first, chunk, size = first + len(chunk), [], 0
    if chunk:
        yield first, chunk


def _answer(chunk: tuple[int, list[str]], auditor: Auditor, jail: Jail | None) -> Answer:
    first, lines = chunk
    entries = list(entries_in(lines, first))
    judged_cases = judge_cases((entry for entry in entries if not isinstance(entry, BadLine)), auditor, jail)
    answer = Answer([], Tally(), [], sum(len(line.encode("utf-8", "surrogateescape")) for line in lines))
    for entry in entries:
        if isinstance(entry, BadLine):
            answer.tally.add_unread()
            answer.bad.append(entry.why)
            row = _unread_row(entry)
        else:
            judged = next(judged_cases)
            answer.tally.add(judged)
            row = judged_row(judged)
        answer.rows.append(json_text(row))
    return answer


# -- rows ------------------------------------------------------------------------------------------------


def judged_row(judged: Judged) -> dict[str, Any]:
    """A case with its verdict and what the jail saw, as JSON."""
    row = {"id": judged.case.id, **verdict_row(judged.verdict)}
    if judged.executions:
        row["outcome"] = judged.outcome
        row["values"] = [execution.value for execution in judged.executions]
    if judged.case.recorded and judged.agrees:
        row["agrees"] = list(judged.agrees)
    return row


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON; docs/auditing.md says what each key means."""
    scores: dict[str, dict[str, float]] = {}
    for score in verdict.scores:
        scores.setdefault(score.classifier, {})[score.category] = round(score.value, 6)
    return {
        "verdict": verdict.word,
        "score": verdict.score,
        "severity": verdict.severity.label if verdict.findings else "none",
        "category": verdict.category or "none",
        "reason": verdict.reason,
        "findings": [
            {"rule": f.rule, "severity": f.severity.label, "part": f.part, "span": f.span, "why": f.why}
            for f in verdict.findings
        ],
        "scores": scores,
    }


def _unread_row(line: BadLine) -> dict[str, Any]:
    finding = {"rule": _UNREAD, "severity": "high", "part": "line", "span": None, "why": line.why}
    verdict = {"verdict": "block", "score": 1.0, "severity": "high", "category": "unreadable", "reason": line.why}
    return {"id": line.id, **verdict, "findings": [finding], "scores": {}}
