"""Samples: everything about one, and figures over all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from azr_platform.ledger.reads.base import T
from azr_platform.ledger.reads.pages import PageReads
from azr_platform.ledger.records import (
    DecisionRow,
    ExecutionRow,
    FindingRow,
    GroupTotals,
    RewardedRow,
    SampleDetail,
    ScoreRow,
    VerdictRow,
)

_TEXTS: Final = ("prompt", "response", "reasoning", "program", "input", "message", "answer")
_WANTED: Final = "(SELECT value FROM json_each(?))"
_DECISIONS: Final = "SELECT id, time, branch, step, sample, decision, who, note, digest FROM decisions"


class SampleReads(PageReads):
    """Samples with what was found in them."""

    def sample(self, number: int) -> SampleDetail | None:
        """Everything on record about one sample, or None when there is no such sample."""
        return next(iter(self.details([number])), None)

    def details(self, numbers: Sequence[int]) -> list[SampleDetail]:
        """Everything on record about some samples, in this order; unknown ones are left out."""
        numbers = [number for number in numbers if 0 < number < 2**63]  # SQLite has no other numbers of rows
        wanted = json.dumps(numbers)
        query = f"SELECT id, {', '.join(_TEXTS)} FROM samples WHERE id IN {_WANTED}"
        texts = {row[0]: dict(zip(_TEXTS, row[1:], strict=True)) for row in self._query(query, wanted)}
        verdicts = self._of_samples(VerdictRow, "allowed, action, severity, score, reason FROM verdicts", wanted)
        findings = self._of_samples(FindingRow, "rule, severity, part, span_start, span_end, why FROM findings", wanted)
        scores = self._of_samples(ScoreRow, "classifier, category, value FROM scores", wanted)
        executions = self._of_samples(
            ExecutionRow,
            "position, input, outcome, value, detail, cpu_ms, wall_ms, memory_kb FROM executions",
            wanted,
            "position, id",
        )
        decisions = defaultdict(list)
        for decision in self._rows(DecisionRow, f"{_DECISIONS} WHERE sample IN {_WANTED} ORDER BY id", wanted):
            decisions[decision.sample].append(decision)
        return [
            SampleDetail(
                row,
                **texts[row.id],
                verdict=next(iter(verdicts[row.id]), None),
                findings=findings[row.id],
                scores=scores[row.id],
                executions=executions[row.id],
                decisions=decisions[row.id],
            )
            for row in self.sample_rows(numbers)
            if row.id in texts
        ]

    def _of_samples(self, kind: type[T], what: str, wanted: str, order: str = "id") -> defaultdict[int, list[T]]:
        """Rows of a table by the sample that they are about."""
        found: defaultdict[int, list[T]] = defaultdict(list)
        for row in self._query(f"SELECT sample, {what} WHERE sample IN {_WANTED} ORDER BY {order}", wanted):
            found[row[0]].append(kind(*row[1:]))
        return found

    def rewarded(self, sample: int, *, prompts: bool = False) -> list[RewardedRow]:
        """What the update made of every sample of the same step and branch as this one; with ``prompts`` also which of
        them answer the same prompt."""
        same = "s.prompt = o.prompt" if prompts else "0"
        return self._rows(
            RewardedRow,
            f"SELECT s.id, s.role, s.kind, {same}, r.reward, r.advantage, r.trained FROM samples o "
            "JOIN samples s ON s.branch = o.branch AND s.step = o.step JOIN rewards r ON r.sample = s.id "
            "WHERE o.id = ? ORDER BY s.id",
            sample,
        )

    def newest_sample(self) -> int:
        """Its id; 0 while there is none."""
        return int(self._value("SELECT coalesce(max(id), 0) FROM samples"))

    def responses(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """(id, response) of the samples between two ids, both included."""
        return self._query("SELECT id, response FROM samples WHERE id BETWEEN ? AND ? ORDER BY id", first, last)

    def trace(self, sample: int) -> str:
        """The reasoning of a sample; all of the response where no part of it is marked as reasoning."""
        row = self._first("SELECT coalesce(nullif(reasoning, ''), response, '') FROM samples WHERE id = ?", sample)
        return row[0] if row is not None else ""

    def decisions(self, sample: int | None = None) -> list[DecisionRow]:
        """Everything that people decided, or what they decided about one sample, oldest first."""
        if sample is None:
            return self._rows(DecisionRow, f"{_DECISIONS} ORDER BY id")
        return self._rows(DecisionRow, f"{_DECISIONS} WHERE sample = ? ORDER BY id", sample)

    def last_decisions(self, *, beyond: int | None = None) -> Iterator[DecisionRow]:
        """The last word on each sample that somebody decided about, newest first, from below an id on."""
        later = "SELECT 1 FROM decisions l WHERE l.sample = d.sample AND l.id > d.id"
        query = f"{_DECISIONS} d WHERE id < ? AND NOT EXISTS ({later}) ORDER BY id DESC"
        for row in self._query(query, 2**62 if beyond is None else beyond):
            yield DecisionRow(*row)

    def sample_numbers(self) -> Iterator[int]:
        """Ids of all samples, oldest first."""
        for (number,) in self._query("SELECT id FROM samples ORDER BY id"):
            yield number

    def counts(self, column: str) -> dict[str, int]:
        """How many samples have each value of ``outcome``, ``phase``, ``role`` or ``kind``."""
        if column not in ("outcome", "phase", "role", "kind"):
            raise ValueError(f"samples cannot be counted by {column!r}")
        query = f"SELECT {column}, count(*) FROM samples GROUP BY 1 ORDER BY 2 DESC"
        return {key or "": count for key, count in self._query(query)}

    def group_totals(self) -> list[GroupTotals]:
        """Counts of each role and kind that has samples, seeds left out."""
        return self._rows(
            GroupTotals,
            "SELECT s.role, s.kind, count(*), coalesce(sum(r.trained), 0), sum(v.allowed = 0), sum(s.well_formed), "
            "coalesce(sum(s.correct), 0) FROM samples s LEFT JOIN verdicts v ON v.sample = s.id "
            "LEFT JOIN rewards r ON r.sample = s.id WHERE s.phase != 'seed' GROUP BY 1, 2 ORDER BY 1, 2",
        )

    def step_reasoning(self, branch: int, step: int) -> Iterator[tuple[str, str]]:
        """(role, reasoning) of a step's samples, in order."""
        yield from self._query(
            "SELECT role, reasoning FROM samples WHERE branch = ? AND step = ? AND reasoning != '' ORDER BY id",
            branch,
            step,
        )

    def source(self, sample: int) -> tuple[str, str] | None:
        """(id of the task that a sample became or answers, the program in it), empty where there is none; None when
        there is no such sample."""
        return self._first("SELECT coalesce(task, ''), coalesce(program, '') FROM samples WHERE id = ?", sample)
