"""From findings and scores to a verdict: pure, and monotone in both.

The verdict's severity is that of the worst finding, its action the strongest that any finding calls for. The score
orders verdicts: each severity owns a band of 0..1, more findings of that severity move it up inside the band, and
a classifier below its first threshold counts in proportion, so worse evidence never lowers the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from azr_monitor.policy import Policy
from azr_monitor.records import FAILURE, LIMIT, Action, Finding, Score, Severity, Verdict

BANDS: dict[Severity, tuple[float, float]] = {
    Severity.INFO: (0.02, 0.1),
    Severity.LOW: (0.2, 0.35),
    Severity.MEDIUM: (0.45, 0.6),
    Severity.HIGH: (0.7, 0.85),
    Severity.CRITICAL: (0.9, 1.0),
}
"""The score of one finding of a severity, and the limit many of them approach."""

_BLOCKING_ALWAYS = frozenset({FAILURE, LIMIT})


def decide(policy: Policy, findings: Sequence[Finding], scores: Sequence[Score] = ()) -> Verdict:
    """The verdict on a subject with these findings and classifier scores.

    A finding that a part failed or that a text was not read blocks under every policy.
    """
    kept = tuple(sorted(set(findings), key=lambda f: (-f.severity, f.rule, f.part, f.span or (-1, -1))))
    action, cause = Action.RECORD, None
    for finding in kept:
        wanted = policy.action_for(finding.rule, finding.severity, finding.part)
        if finding.rule in _BLOCKING_ALWAYS:
            wanted = max(wanted, Action.DROP)
        if wanted > action:
            action, cause = wanted, finding
    severity = kept[0].severity if kept else Severity.INFO
    allowed = action < Action.DROP
    return Verdict(
        allowed=allowed,
        action=action,
        severity=severity,
        score=score_of(kept, scores, _first_thresholds(policy)),
        findings=kept,
        scores=tuple(scores),
        reason=_reason(action, cause, len(kept)),
    )


def score_of(
    findings: Iterable[Finding], scores: Iterable[Score] = (), thresholds: dict[tuple[str, str], float] | None = None
) -> float:
    """One number in 0..1, higher is worse."""
    by_severity: dict[Severity, int] = {}
    for finding in findings:
        by_severity[finding.severity] = by_severity.get(finding.severity, 0) + 1
    best = 0.0
    for severity, count in by_severity.items():
        low, high = BANDS[severity]
        best = max(best, high - (high - low) * 0.7 ** (count - 1))
    for score in scores:
        threshold = (thresholds or {}).get((score.classifier, score.category))
        if threshold:
            best = max(best, BANDS[Severity.LOW][0] * min(1.0, score.value / threshold))
    return round(best, 4)


def _first_thresholds(policy: Policy) -> dict[tuple[str, str], float]:
    return {
        (entry.name, category): min(steps.values())
        for entry in policy.classifiers
        for category, steps in entry.thresholds.items()
        if steps
    }


def _reason(action: Action, cause: Finding | None, count: int) -> str:
    """One line: what was decided and the finding that decided it."""
    if cause is None:
        return "allowed" if not count else f"allowed with {count} note{'s' if count != 1 else ''}"
    word = "blocked" if action >= Action.DROP else "allowed with an alert"
    if cause.rule == FAILURE:
        return f"{word}: {cause.why}"
    return f"{word}: {cause.rule} in {cause.part}: {cause.why}"
