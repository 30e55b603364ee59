"""A policy that people change while its run goes on: what they ask, put on record, and in force from the next step.

```
policy set RUN, the dashboard ─► amend ─► the ledger's policies ─► take_up ─► Standing ─► verdicts, metric rules
```
The record comes first: what is in force is read from it, so that no change is in force which is not on it. As a
decision does (see decisions.py), a change counts from the step after the last that had begun to be judged, also when
that step is done again after a crash; after a rollback every change made before it counts at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from azr_monitor.amend import Change, amended, change_of
from azr_monitor.audit import Auditor
from azr_monitor.policy import Policy, PolicyError
from azr_monitor.records import Subject, Verdict
from azr_platform.channel.messages import Command, Outcome
from azr_platform.ledger.policies import changes, settings_of, with_changes
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import PolicyRow
from azr_platform.ledger.writer import LedgerWriter
from azr_sandbox.execution import Execution

_KEPT: Final = 4
"""Auditors at hand: the newest one's, and those of steps that are done again."""


class Standing:
    """The run's monitor: it judges each step by the policy as it stands there. A `Judge` of the gate's."""

    def __init__(self, run: Path, auditor: Auditor) -> None:
        """``auditor`` is the one of the policy that the run is taken up with."""
        self._run = run
        self._base = auditor.policy
        self._auditors: dict[tuple[int, ...], Auditor] = {(): auditor}
        self._rows: tuple[PolicyRow, ...] = ()
        self._rolled_back = 0
        self._now = auditor

    def begin(self, writer: LedgerWriter, branch: int, step: int) -> list[str]:
        """Put the policy that the run is taken up with on record; a line that names it, and one for each change that
        means nothing in it."""
        with LedgerReader(self._run) as reader:
            name = begin(reader, writer, self._base, branch, step)
        changed = f", with {len(self._rows)} changes by hand" if self._rows else ""
        return [f"policy {name}{changed}", *with_changes(self._base, self._rows)[1]]

    def take_up(self) -> None:
        """Keep to the changes that are on record, and to no other."""
        with LedgerReader(self._run) as reader:
            rows = tuple(changes(reader.policies()))
            branches = [branch.id for branch in reader.branches() if branch.reason == "rollback"]
        self._rows, self._rolled_back = rows, max(branches, default=0)

    def amend(self, writer: LedgerWriter, command: Command, branch: int, step: int) -> Outcome:
        """Put a change on record, and keep to it."""
        with LedgerReader(self._run) as reader:
            outcome = amend(reader, writer, command, self._base, branch, step)
        self.take_up()
        return outcome

    def inspect(self, subjects: Sequence[Subject], step: int | None = None) -> list[Verdict]:
        """As `Auditor.inspect`; without a step by all changes."""
        self._now = self._auditor(self._counting(step))
        return self._now.inspect(subjects, step)

    def conclude(self, subject: Subject, verdict: Verdict, executions: Sequence[Execution]) -> Verdict:
        """As `Auditor.conclude`, by the policy that the subject was inspected by."""
        return self._now.conclude(subject, verdict, executions)

    def at(self, step: int) -> Policy:
        """The policy as it stands at a step."""
        return with_changes(self._base, self._counting(step))[0]

    def _counting(self, step: int | None) -> tuple[PolicyRow, ...]:
        return tuple(row for row in self._rows if step is None or row.branch < self._rolled_back or row.step < step)

    def _auditor(self, rows: tuple[PolicyRow, ...]) -> Auditor:
        """The auditor under these changes; the classifiers are loaded once."""
        wanted = tuple(row.id for row in rows)
        if wanted not in self._auditors:
            under = self._auditors[()].under(with_changes(self._base, rows)[0])
            while len(self._auditors) >= _KEPT:
                del self._auditors[next(key for key in self._auditors if key)]
            self._auditors[wanted] = under
        return self._auditors[wanted]


# -- putting it on record ----------------------------------------------------------------------------------


def begin(reader: LedgerReader, writer: LedgerWriter, policy: Policy, branch: int, step: int) -> str:
    """Put the policy that a run is taken up with on record, unless it is the one that is there; its name and the
    fingerprint of it with the changes."""
    rows = reader.policies()
    fingerprint, settings = with_changes(policy, changes(rows))[0].fingerprint(), settings_of(policy)
    known = [row.settings for row in rows if not row.rule]
    if not known or known[-1] != settings or rows[-1].fingerprint != fingerprint:
        _add(writer, policy.name, fingerprint, branch, step, settings=settings)
    return f"{policy.name} {fingerprint}"


def amend(
    reader: LedgerReader, writer: LedgerWriter, command: Command, policy: Policy, branch: int, step: int
) -> Outcome:
    """Put a change of a policy on record; ``policy`` is without the changes so far. ``step`` is the last that has begun
    to be judged."""
    if command.amendment is None:
        return Outcome(ok=False, detail="say what is to be changed: a rule, and one thing of it")
    if not command.why.strip():
        return Outcome(ok=False, detail="say why the policy is to be changed; the reason goes on record")
    now, _ = with_changes(policy, changes(reader.policies()))
    try:
        change = change_of(now, command.amendment)
        after = amended(now, command.amendment)
        fingerprint = after.fingerprint()
    except PolicyError as error:
        return Outcome(ok=False, detail=str(error))
    rule = command.amendment.rule
    given = {"rule": rule, "setting": change.setting, "before": change.before, "after": change.after}
    _add(writer, policy.name, fingerprint, branch, step, who=command.who, why=command.why, **given)
    return Outcome(ok=True, detail=_said(rule, change, step, fingerprint))


def _add(writer: LedgerWriter, name: str, fingerprint: str, branch: int, step: int, **given: str) -> None:
    empty = dict.fromkeys(("settings", "rule", "setting", "before", "after", "who", "why"), "")
    place = {"time": time.time(), "branch": branch, "step": step, "name": name, "fingerprint": fingerprint}
    writer.append("policies", {**empty, **place, **given})


def _said(rule: str, change: Change, step: int, fingerprint: str) -> str:
    note = f" ({change.note})" if change.note else ""
    return f"{rule}: {change.setting} {change.before} -> {change.after} after step {step}; policy {fingerprint}{note}"
