"""A person's word on samples: put on record, and kept when the same text comes again.

```
review RUN, the dashboard ─► decide ─► the ledger's decisions ─► Decisions.of(subject, step) ─► heed ─► verdict
```
A decision is an input of the run, as a command is. It counts from the step after the last that had begun to be judged,
also when that step is done again after a crash, so that a recovered run is the one that it would have been. After a
rollback every decision made before it counts at once.
"""

from __future__ import annotations

import ast
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from azr_monitor.records import Action, Finding, Severity, Subject, Verdict, printable
from azr_monitor.scopes import UNREAD
from azr_platform.channel.messages import Command, Decision, Outcome
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import DecisionRow, SampleDetail
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind
from azr_platform.supervisor.outcomes import close_those_of

RULE = "review."
"""What the findings begin with that say whose word decided; after it comes the decision."""
_NOBODY_MAY_ALLOW = (*UNREAD, "supervisor.")
_BLANKS = re.compile(r"[ \t\r\n]+")
_MOST_ALIKE = 1000
"""Of the waiting samples, so many of the newest are looked through for the same text."""


class Decisions(NamedTuple):
    """Every decision of a run by the digest of the text, oldest first, with the last rollback's branch (0: none)."""

    by_digest: dict[str, list[DecisionRow]]
    rolled_back: int

    @classmethod
    def of_run(cls, reader: LedgerReader) -> Decisions:
        """Those on record."""
        by_digest = defaultdict(list)
        for row in reader.decisions():
            by_digest[row.digest].append(row)
        branches = [branch.id for branch in reader.branches() if branch.reason == "rollback"]
        return cls(dict(by_digest), max(branches, default=0))

    def of(self, subject: Subject, step: int) -> DecisionRow | None:
        """The newest decision about this text that counts at a step."""
        if not self.by_digest:
            return None
        rows = self.by_digest.get(digest(subject), [])
        return next((row for row in reversed(rows) if row.branch < self.rolled_back or row.step < step), None)


NOTHING_DECIDED = Decisions({}, 0)


def digest(subject: Subject) -> str:
    """The same for the same texts in the same places.

    Prose is the same however its words are set apart by plain blanks and line ends. Code is the same only as it is
    written: a blank or a line end more can lie in a string, and some that people take for line ends begin no line.
    """
    code = [text.strip("\n") for text in (subject.program, subject.text("input"), subject.answer)]
    prose = [" ".join(_BLANKS.split(text.strip(" \t\r\n"))) for text in (subject.trace, subject.message)]
    content = json.dumps([subject.role, subject.kind, code, prose])
    return blake2b(content.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def subject_of(detail: SampleDetail) -> Subject:
    """The subject as the gate built it: the ledger keeps the same texts."""
    return Subject(
        id=detail.sample.uid,
        program=detail.program,
        trace=detail.reasoning,
        inputs=_inputs(detail),
        message=detail.message,
        answer=detail.answer,
        role=detail.sample.role,
        kind=detail.sample.kind,
        phase=detail.sample.phase,
    )


def _inputs(detail: SampleDetail) -> tuple[str, ...]:
    """The inputs of a sample: an induction has several, as programs in other trainers' logs may, which the ledger keeps
    as lines.

    Where a line by itself is no input, they cannot be told apart and count as one.
    """
    lines = detail.input.split("\n")
    return (
        tuple(lines) if detail.sample.kind in (Kind.INDUCTION, "") and all(map(_is_input, lines)) else (detail.input,)
    )


def _is_input(text: str) -> bool:
    try:
        ast.parse(f"f({text}\n)", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# -- what a decision does ----------------------------------------------------------------------------------


def heed(verdict: Verdict, subject: Subject, decision: DecisionRow) -> Verdict:
    """The verdict on a text that a person has decided about, before it runs.

    ``block`` blocks. The others lift what the monitor made of the text; where it could not read the text, or a part of
    the supervisor failed, nobody can say what is lifted, and nothing is.
    """
    said = f"{printable(decision.who, 60)} said {decision.decision} of this text at sample {decision.sample}"
    rule = RULE + decision.decision
    note = f"{said}: {printable(decision.note, 200)}" if decision.note else said
    finding = Finding(rule, Severity.INFO, "trace" if subject.trace else "program", None, note)
    findings = (*verdict.findings, finding)
    if decision.decision == Decision.BLOCK:
        if not verdict.allowed:
            return msgspec.structs.replace(verdict, findings=findings)
        reason = f"blocked: {said}"
        return msgspec.structs.replace(
            verdict, allowed=False, action=Action.DROP, findings=findings, reason=reason, cause=rule
        )
    if verdict.action is Action.RECORD or not may_be_lifted(verdict.findings):
        return verdict
    return msgspec.structs.replace(
        verdict, allowed=True, action=Action.RECORD, findings=findings, reason=f"allowed: {said}", cause=rule
    )


def may_be_lifted(findings: Iterable[Finding]) -> bool:
    """Whether these findings speak of the text alone."""
    return not any(finding.rule.startswith(_NOBODY_MAY_ALLOW) for finding in findings)


def with_behaviour(lifted: Verdict, ran: Verdict) -> Verdict:
    """A lifted verdict with that on how the program behaved: a person spoke of the text, the jail speaks for itself."""
    return Verdict(
        allowed=ran.allowed,
        action=ran.action,
        severity=max(lifted.severity, ran.severity),
        score=max(lifted.score, ran.score),
        findings=(*lifted.findings, *ran.findings),
        scores=lifted.scores,
        reason=lifted.reason if ran.action is Action.RECORD else ran.reason,
        cause=lifted.cause if ran.action is Action.RECORD else ran.cause,
        category=lifted.category if ran.action is Action.RECORD else ran.category,
    )


# -- putting it on record ----------------------------------------------------------------------------------


def decide(reader: LedgerReader, writer: LedgerWriter, command: Command, branch: int, step: int) -> Outcome:
    """Put what a person decided on record, for the sample and for every waiting one with the same text.

    Their alerts are closed with it. ``step`` is the last that has begun to be judged.
    """
    detail = reader.sample(command.sample)
    if detail is None:
        return Outcome(ok=False, detail=f"there is no sample {command.sample}")
    if command.decision is None:
        return Outcome(ok=False, detail=f"say what of sample {command.sample}: {', '.join(Decision)}")
    subject = subject_of(detail)
    same = digest(subject)
    row = {"time": time.time(), "branch": branch, "step": step, "decision": command.decision.value, "digest": same}
    alike = [number for number in _waiting_alike(reader, detail, same) if number != command.sample]
    with writer.batch() as batch:
        for number in (command.sample, *alike):
            batch.add("decisions", {**row, "sample": number, "who": command.who, "note": command.why})
        close_those_of(batch, reader, (command.sample, *alike), command)
    others = f", and of {len(alike)} more with the same text" if alike else ""
    effect = "blocks" if command.decision is Decision.BLOCK else "lets pass"
    return Outcome(
        ok=True,
        detail=f"sample {command.sample}: {command.decision.value}{others}; it {effect} the same text after step {step}"
        + _powerless(detail, command.decision),
    )


def _waiting_alike(reader: LedgerReader, detail: SampleDetail, same: str) -> list[int]:
    rows = reader.samples(limit=_MOST_ALIKE, role=detail.sample.role, kind=detail.sample.kind, waiting_only=True)
    details = (reader.sample(row.id) for row in rows)
    return [found.sample.id for found in details if found is not None and digest(subject_of(found)) == same]


def _powerless(detail: SampleDetail, decision: Decision) -> str:
    """What a person's word does not change, said at once."""
    rules = [finding.rule for finding in detail.findings]
    if decision is Decision.BLOCK or not any(rule.startswith(_NOBODY_MAY_ALLOW) for rule in rules):
        return ""
    return " (where a monitor cannot read it, or a part fails, it is blocked all the same)"
