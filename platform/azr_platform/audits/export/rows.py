"""A judged sample as other tools take it: one flat row, with what was found in it as a list."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from azr_monitor.categories import category_of
from azr_platform.audits.export.redact import Redactor
from azr_platform.audits.quotes import part_of
from azr_platform.audits.selection import EVERYTHING, Selection, judgements
from azr_platform.ledger.judgements import LIVE, Judgement, nearest
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import ExecutionRow, FindingRow, SampleDetail

PARTS = {"reasoning": "trace", "program": "program", "input": "input", "message": "message", "answer": "answer"}
"""The columns that are parts of what was judged, with the names that findings have for them."""


class FoundRow(msgspec.Struct, frozen=True):
    """A finding. ``start`` and ``end`` count characters in the column of its part; what is redacted has none."""

    rule: str
    category: str
    severity: str
    part: str
    start: int | None
    end: int | None
    why: str


class RanRow(msgspec.Struct, frozen=True):
    """What the jail reported of one run of the program."""

    input: str
    outcome: str
    value: str | None
    detail: str


class Row(msgspec.Struct, frozen=True):
    """A sample. All texts are a model's, or quote one. ``severity`` is ``none`` where nothing was found;
    ``decision`` is a person's last word, empty while there is none."""

    sample: int
    branch: int
    step: int
    phase: str
    role: str
    kind: str
    task: str
    uid: str
    prompt: str
    response: str
    reasoning: str
    program: str
    input: str
    message: str
    answer: str
    tokens: int
    outcome: str
    correct: bool | None
    reward: float | None
    advantage: float | None
    trained: bool
    allowed: bool
    severity: str
    score: float
    reason: str
    findings: list[FoundRow]
    executions: list[RanRow]
    decision: str
    decided_by: str
    note: str


def rows(
    reader: LedgerReader, audit: str = LIVE, selection: Selection = EVERYTHING, *, redact: bool = False
) -> Iterator[Row]:
    """Every selected sample with what an audit, or the run itself, made of it, in order and one at a time."""
    for judgement in judgements(reader, audit, selection):
        detail = reader.sample(judgement.sample)
        if detail is not None:
            yield _redacted(judgement, detail) if redact else _row(judgement, detail)


def _row(judgement: Judgement, detail: SampleDetail) -> Row:
    sample = detail.sample
    decided = detail.decisions[-1] if detail.decisions else None
    return Row(
        sample=judgement.sample,
        branch=judgement.branch,
        step=judgement.step,
        phase=judgement.phase,
        role=judgement.role,
        kind=judgement.kind,
        task=judgement.task or "",
        uid=sample.uid or "",
        prompt=detail.prompt or "",
        response=detail.response or "",
        **{column: part_of(detail, part) for column, part in PARTS.items()},
        tokens=sample.tokens or 0,
        outcome=sample.outcome or "",
        correct=None if sample.correct is None else bool(sample.correct),
        reward=judgement.reward,
        advantage=sample.advantage,
        trained=judgement.trained,
        allowed=judgement.allowed,
        severity=nearest(judgement.severity).label if judgement.findings else "none",
        score=judgement.score,
        reason=judgement.reason or "",
        findings=[_found(finding) for finding in judgement.findings],
        executions=[_ran(execution) for execution in detail.executions],
        decision=decided.decision if decided else "",
        decided_by=decided.who if decided else "",
        note=decided.note if decided else "",
    )


def _redacted(judgement: Judgement, detail: SampleDetail) -> Row:
    """The row without what was flagged, in no column: neither by this audit nor by the run itself."""
    row = _row(judgement, detail)
    redactor = Redactor(
        {part: part_of(detail, part) for part in PARTS.values()}, [*judgement.findings, *detail.findings]
    )
    clean = redactor.text
    return msgspec.structs.replace(
        row,
        **{column: redactor.part(part) for column, part in PARTS.items()},
        **{column: clean(getattr(row, column)) for column in ("uid", "prompt", "response", "reason", "note")},
        findings=[msgspec.structs.replace(one, start=None, end=None, why=clean(one.why)) for one in row.findings],
        executions=[
            msgspec.structs.replace(
                one,
                input=clean(one.input),
                value=None if one.value is None else clean(one.value),
                detail=clean(one.detail),
            )
            for one in row.executions
        ],
    )


def _found(finding: FindingRow) -> FoundRow:
    return FoundRow(
        rule=finding.rule,
        category=category_of(finding.rule),
        severity=nearest(finding.severity).label,
        part=finding.part,
        start=finding.span_start,
        end=finding.span_end,
        why=finding.why,
    )


def _ran(execution: ExecutionRow) -> RanRow:
    return RanRow(execution.input, execution.outcome, execution.value, execution.detail or "")
