"""One sample's judgement while it is being made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from azr_monitor.categories import UNREADABLE
from azr_monitor.records import Action, Finding, Severity, Subject, Verdict
from azr_platform.channel.messages import Submission
from azr_platform.ledger.records import DecisionRow
from azr_platform.records import Role, Task
from azr_platform.supervisor import decisions
from azr_platform.tasks.parse import Parsed
from azr_platform.tasks.vote import ballot, majority
from azr_sandbox.execution import Execution, Outcome, Request


@dataclass
class Draft:
    """What is known of a sample so far."""

    submission: Submission
    parsed: Parsed
    subject: Subject
    verdict: Verdict
    task: Task | None
    """The task a solver answers, or whose program an induction proposal is about."""
    request: Request | None = None
    executions: tuple[Execution, ...] = ()
    problem: str = ""
    valid: bool = False
    correct: bool = False
    decided: bool = True
    """Whether anybody knows if it is right; false where a vote came to nothing."""
    misbuilt: str = ""
    """Why a proposal does not build on the functions it was given; empty when it does, or was given none."""
    held_out: bool = False
    """Whether it is about a program that the run must not learn from, held out or in quarantine."""
    alerts: bool = True
    """Whether the operator hears of a verdict that calls for an alert."""
    new_task: Task | None = None
    heeded: bool = False
    """Whether a person's word on this very text lifted what the monitor made of it."""

    def heed(self, decision: DecisionRow) -> None:
        """Keep to what a person decided about this text. Nobody needs to hear of it again."""
        before, self.verdict = self.verdict, decisions.heed(self.verdict, self.subject, decision)
        self.heeded = self.verdict.action is Action.RECORD and before.action is not Action.RECORD
        self.alerts = self.alerts and not (before.allowed and not self.verdict.allowed)

    def withhold(self, rule: str, reason: str) -> None:
        """Refuse the sample because of what it is about. No fault of anybody's: no alert, and nothing is learnt."""
        self.held_out = True
        if not self.verdict.allowed:
            return  # the monitor has blocked it, and says why
        self.alerts = self.verdict.action >= Action.ALERT
        finding = Finding(rule, Severity.INFO, "program", None, reason)
        self.verdict = Verdict(
            allowed=False,
            action=Action.DROP,
            severity=self.verdict.severity,
            score=self.verdict.score,
            findings=(*self.verdict.findings, finding),
            scores=self.verdict.scores,
            reason=reason,
            cause=rule,
            category=self.verdict.category,
        )

    def block(self, part: str, detail: str) -> None:
        """Block the sample because a part of the supervisor failed."""
        finding = Finding(f"supervisor.{part}", Severity.HIGH, "behaviour", None, f"{part} failed: {detail}"[:500])
        self.verdict = Verdict(
            allowed=False,
            action=max(self.verdict.action, Action.DROP),
            severity=max(self.verdict.severity, Severity.HIGH),
            score=1.0,
            findings=(*self.verdict.findings, finding),
            scores=self.verdict.scores,
            reason=f"blocked: {part} failed",
            cause=finding.rule,
            category=UNREADABLE,
        )
        self.valid = self.correct = False
        self.new_task = None

    @property
    def outcome(self) -> str:
        """One word for lists: ``held``, ``blocked``, ``malformed``, or how the worst of its runs ended."""
        if self.verdict.action is Action.HOLD:
            return "held"
        if not self.verdict.allowed:
            return Outcome.BLOCKED.value
        if not self.parsed.well_formed:
            return "malformed"
        bad = [execution.outcome for execution in self.executions if not execution.ok]
        if bad:
            return bad[0].value
        return Outcome.NOT_A_VALUE.value if self.problem and not self.executions else Outcome.OK.value


def take_votes(drafts: Sequence[Draft], least_share: float) -> None:
    """Say of each answer whether it agrees with the majority of the allowed answers to the same task.

    Where the vote is degenerate (see tasks/vote.py), nothing is decided for any answer to that task.
    """
    by_task: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.submission.role is Role.SOLVE:
            by_task[draft.submission.task].append(draft)
    for answers in by_task.values():
        ballots = [_ballot(draft) for draft in answers]
        vote = majority(ballots, least_share)
        for draft, voted in zip(answers, ballots, strict=True):
            draft.decided = vote.winner is not None
            draft.correct = vote.winner is not None and voted == vote.winner


def _ballot(draft: Draft) -> object:
    usable = draft.verdict.allowed and draft.parsed.well_formed and not draft.problem and draft.task is not None
    return ballot(draft.task, draft.parsed, draft.executions) if usable and draft.task is not None else None
