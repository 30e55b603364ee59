"""What the gate writes: a judged sample, its task and its alert as rows of the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from azr_monitor.decide import UNSURE
from azr_monitor.records import Action, Severity, Verdict
from azr_platform.channel.messages import Review
from azr_platform.ledger.writer import Batch
from azr_platform.records import Role, Task
from azr_platform.supervisor.draft import Draft
from azr_sandbox.execution import Execution


@dataclass(frozen=True)
class RaisedAlert:
    """An alert as it was recorded."""

    severity: Severity
    action: Action
    rule: str
    message: str
    step: int
    since: int | None = None
    """The step with which the trouble began, if not the alert's own."""

    @property
    def began(self) -> int:
        return self.step if self.since is None else self.since


def task_row(task: Task, *, sample: int | None, branch: int, step: int) -> dict[str, object]:
    """The ledger row of a validated task."""
    return {
        "sample": sample,
        "branch": branch,
        "step": step,
        "task": task.id,
        "kind": task.kind.value,
        "program": task.program,
        "inputs": json.dumps(task.inputs),
        "outputs": json.dumps(task.outputs),
        "shown": task.shown,
        "message": task.message,
    }


def add_rows(batch: Batch, draft: Draft, review: Review, branch: int) -> int:
    """Add every row of one sample to the batch; returns the sample's number."""
    sample, parsed = draft.submission, draft.parsed
    number = batch.add(
        "samples",
        {
            "time": time.time(),
            "branch": branch,
            "step": review.step,
            "phase": review.phase.value,
            "role": sample.role.value,
            "kind": sample.kind.value,
            "uid": sample.uid,
            "task": draft.new_task.id if draft.new_task else sample.task or None,
            "prompt": sample.prompt,
            "response": sample.response,
            # Exactly the texts that were judged: the spans of findings count in them.
            "reasoning": draft.subject.trace,
            "program": draft.subject.program,
            "input": draft.subject.text("input"),
            "message": draft.subject.message,
            "answer": draft.subject.answer,
            "tokens": sample.tokens,
            "well_formed": parsed.well_formed,
            "correct": draft.correct if sample.role is Role.SOLVE else draft.valid,
            "outcome": draft.outcome,
            "problem": draft.problem,
        },
    )
    inputs = draft.request.inputs if draft.request is not None else ()
    add_judgement(batch, number, draft.verdict, draft.executions, inputs)
    if draft.new_task is not None:
        batch.add("tasks", task_row(draft.new_task, sample=number, branch=branch, step=review.step))
    return number


def add_judgement(
    batch: Batch, number: int, verdict: Verdict, executions: Sequence[Execution], inputs: Sequence[str]
) -> None:
    """Add what was made of a sample: what the jail saw of it, an input each, what was found, and the verdict.

    What did not run has inputs and no executions."""
    for position, (execution, given) in enumerate(zip(executions, inputs, strict=False)):
        batch.add(
            "executions",
            {
                "sample": number,
                "position": position,
                "input": given,
                "outcome": execution.outcome.value,
                "value": execution.value,
                "detail": execution.detail,
                "cpu_ms": execution.cpu_ms,
                "wall_ms": execution.wall_ms,
                "memory_kb": execution.memory_kb,
            },
        )
    for finding in verdict.findings:
        start, end = finding.span or (None, None)
        batch.add(
            "findings",
            {
                "sample": number,
                "rule": finding.rule,
                "severity": finding.severity,
                "part": finding.part,
                "span_start": start,
                "span_end": end,
                "why": finding.why,
            },
        )
    for score in verdict.scores:
        batch.add(
            "scores",
            {"sample": number, "classifier": score.classifier, "category": score.category, "value": score.value},
        )
    batch.add(
        "verdicts",
        {
            "sample": number,
            "allowed": verdict.allowed,
            "action": verdict.action.value,
            "severity": verdict.severity,
            "score": verdict.score,
            "reason": verdict.reason,
        },
    )


def alert_of(verdict: Verdict, step: int) -> RaisedAlert:
    """What is told of a sample that the policy wants somebody to see: its worst finding, or that it is doubtful."""
    if verdict.cause == UNSURE:
        severity = max(verdict.severity, Severity.LOW)
        return RaisedAlert(severity, verdict.action, UNSURE, verdict.reason[:500], step)
    worst = max(verdict.findings, key=lambda finding: finding.severity, default=None)
    return RaisedAlert(
        verdict.severity,
        verdict.action,
        worst.rule if worst else "classifier",
        (worst.why if worst else verdict.reason)[:500],
        step,
    )


def alert_row(alert: RaisedAlert, branch: int, sample: int | None) -> dict[str, object]:
    """The ledger row of an alert."""
    return {
        "time": time.time(),
        "branch": branch,
        "step": alert.step,
        "severity": alert.severity,
        "rule": alert.rule,
        "sample": sample,
        "message": alert.message,
    }
