"""What a policy says of some samples only: scopes, which judge them otherwise, and exemptions, which carry a reason.

    finding ─► in force here? ─► severity here ─► exempted? ─► decide
                  no: gone                        yes: an info finding that says what was lifted and why

What a monitor could not read, or failed on, is never exempted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from azr_monitor.categories import category_of
from azr_monitor.fields import ActionName, Model, SeverityName
from azr_monitor.records import FAILURE, LIMIT, Finding, Part, Severity, Subject

CATEGORY: Final = "category:"
LIFTED: Final = "policy.allow"
"""The rule that an exempted finding is recorded under."""
UNREAD: Final = frozenset({FAILURE, LIMIT, "program.too-complex"})
"""Findings that say a text was not read."""

Thresholds = dict[str, dict[SeverityName, float]]
"""Category -> severity -> the value from which the category has that severity."""


def rising(thresholds: Thresholds) -> Thresholds:
    """``thresholds``, if every value lies in 0..1 and a worse severity never begins at a lower one."""
    for category, steps in thresholds.items():
        values = [steps[severity] for severity in sorted(steps)]
        if any(not 0.0 <= value <= 1.0 for value in values) or values != sorted(values):
            raise ValueError(f"thresholds.{category}: values must lie in 0..1 and rise with severity")
    return thresholds


def means(pattern: str, rule: str) -> bool:
    """Whether ``pattern`` in a policy means ``rule``: its id, a pattern such as ``trace.harm.*``, or its category, as
    in ``category:harm``."""
    if pattern.startswith(CATEGORY):
        return category_of(rule) == pattern.removeprefix(CATEGORY)
    return fnmatchcase(rule, pattern)


def lookup(table: Mapping[str, Any], rule: str) -> Any:
    """What a table of rule ids and patterns says of ``rule``: the id itself first, then the first pattern."""
    if rule in table:
        return table[rule]
    return next((value for pattern, value in table.items() if means(pattern, rule)), None)


class Where(Model):
    """Which samples, and which of their parts; what is not given is any."""

    roles: tuple[Literal["propose", "solve"], ...] = Field(default=(), description="who wrote the sample")
    kinds: tuple[Literal["deduction", "abduction", "induction", "question", "error"], ...] = Field(
        default=(), description="the kind of task"
    )
    parts: tuple[Part, ...] = Field(default=(), description="the part that a finding is about")

    def covers(self, role: str, kind: str) -> bool:
        """Whether samples of this role and kind are meant."""
        return (not self.roles or role in self.roles) and (not self.kinds or kind in self.kinds)

    def reaches(self, part: Part | None) -> bool:
        """Whether a finding on this part is meant; with None, whether every part is."""
        return not self.parts or part in self.parts


class Scope(Where):
    """What holds for some samples, over what the rest of the policy says. Of two scopes the later one holds."""

    only: tuple[str, ...] = Field(default=(), description="rules that apply nowhere but here: ids, or patterns")
    disabled: tuple[str, ...] = Field(default=(), description="rules that do not apply here")
    severities: dict[str, SeverityName] = Field(default={}, description="as rules.severities")
    actions: dict[str, ActionName] = Field(default={}, description="as rules.actions")
    thresholds: dict[str, Thresholds] = Field(default={}, description="classifier -> category -> severity -> value")

    @model_validator(mode="after")
    def _says_something(self) -> Scope:
        if not (self.roles or self.kinds or self.parts):
            raise ValueError("say for which samples: roles, kinds or parts; what holds for all belongs under rules")
        if not (self.only or self.disabled or self.severities or self.actions or self.thresholds):
            raise ValueError("say what holds here: only, disabled, severities, actions or thresholds")
        for steps in self.thresholds.values():
            rising(steps)
        return self

    def names(self, rule: str) -> bool:
        """Whether ``rule`` applies nowhere but in scopes such as this one."""
        return any(means(pattern, rule) for pattern in self.only)


class Allow(Where):
    """An exemption: findings of a rule that somebody looked at and lets pass, with the reason."""

    rule: str = Field(min_length=1, description="a rule id, or a pattern such as program.import.*")
    why: str = Field(min_length=10, description="the reason; it stands in the record of every finding that is lifted")
    text: str = Field(default="", description="only where the finding lies within these words as they are written here")
    digest: str = Field(
        default="", pattern=r"^(sha256:[0-9a-f]{64})?$", description="only in a part whose whole text has this digest"
    )
    until: date | None = Field(default=None, description="the last day (UTC) on which it holds")

    @model_validator(mode="after")
    def _narrow(self) -> Allow:
        if self.rule.startswith("*") and not (self.text or self.digest):
            raise ValueError("rule: a pattern for every rule needs text: or digest:; name the rule or its family")
        return self

    def lifts(self, finding: Finding, subject: Subject, today: date) -> bool:
        """Whether this finding passes."""
        if not self.covers(subject.role, subject.kind) or not self.reaches(finding.part):
            return False
        if not means(self.rule, finding.rule) or self.expired(today):
            return False
        whole = subject.text(finding.part)
        if self.digest and self.digest != digest(whole):
            return False
        return not self.text or (finding.span is not None and _within(finding.span, self.text, whole))

    def expired(self, today: date) -> bool:
        """Whether it no longer holds."""
        return self.until is not None and today > self.until


def digest(text: str) -> str:
    """The digest of a part's text, as ``digest:`` of an exemption takes it."""
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def _within(span: tuple[int, int], words: str, whole: str) -> bool:
    """Whether some occurrence of ``words`` in ``whole`` holds all of ``span``."""
    at = whole.find(words, max(0, span[1] - len(words)))
    return 0 <= at <= span[0]


def lift(findings: Iterable[Finding], entries: Iterable[Allow], subject: Subject, today: date) -> list[Finding]:
    """The findings, those that an exemption lifts replaced by a note of it."""
    standing = tuple(entries)
    settled = []
    for finding in findings:
        entry = None
        if finding.rule not in UNREAD:
            entry = next((entry for entry in standing if entry.lifts(finding, subject, today)), None)
        if entry is None:
            settled.append(finding)
        else:
            why = f"{finding.rule} ({finding.severity.label}) is let pass: {entry.why}"
            settled.append(Finding(LIFTED, Severity.INFO, finding.part, finding.span, why))
    return settled


def lifted_rule(finding: Finding) -> str:
    """The rule whose finding an exemption lifted, of the note that `lift` leaves of it."""
    return finding.why.partition(" ")[0]
