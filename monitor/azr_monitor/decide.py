"""From findings and scores to a verdict: pure, and monotone in both.

The verdict's severity is that of the worst finding; its score is what all evidence comes to (see evidence.py). Its
action is the strongest that any finding calls for or, where the score is high and no finding says more, the one that
the policy has for doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from azr_monitor.evidence import WEIGHTS, Sign, by_category, combined, rule_of, signs
from azr_monitor.policy import Policy
from azr_monitor.records import FAILURE, LIMIT, Action, Finding, Score, Severity, Verdict
from azr_monitor.scopes import LIFTED, lifted_rule

UNSURE = "monitor.unsure"
"""What a verdict names as its cause when doubt decided it; there is no finding of this name."""
_BLOCKING_ALWAYS = frozenset({FAILURE, LIMIT})


def decide(policy: Policy, findings: Sequence[Finding], scores: Sequence[Score] = ()) -> Verdict:
    """The verdict on a subject with these findings and classifier scores.

    A finding that a part failed or that a text was not read blocks under every policy.
    """
    kept = tuple(sorted(set(findings), key=lambda f: (-f.severity, f.rule, f.part, f.span or (-1, -1))))
    action, cause, why = Action.RECORD, "", ""
    for finding in kept:
        wanted = policy.action_for(finding.rule, finding.severity, finding.part)
        if finding.rule in _BLOCKING_ALWAYS:
            wanted = max(wanted, Action.DROP)
        if wanted > action:
            action, cause = wanted, finding.rule
            why = finding.why if finding.rule == FAILURE else f"{finding.rule} in {finding.part}: {finding.why}"
    excused = {lifted_rule(finding) for finding in kept if finding.rule == LIFTED}
    weighty = [score for score in scores if rule_of(score) not in excused]
    evidence = signs(kept, weighty, policy.curves)
    # Of rules that the policy names an action for it has said what they come to: no doubt is left.
    doubts = signs(
        [finding for finding in kept if not policy.names(finding.rule, finding.part)],
        [score for score in weighty if not policy.names(rule_of(score))],
        policy.curves,
    )
    doubt = combined(doubts)
    if doubt >= policy.unsure.at_least and (wanted := _on_doubt(policy)) > action:
        action, cause, why = wanted, UNSURE, f"unsure, {doubt:.2f} of 1: {_heaviest(doubts)}"
    return Verdict(
        allowed=not action.blocks,
        action=action,
        severity=kept[0].severity if kept else Severity.INFO,
        score=combined(evidence),
        findings=kept,
        scores=tuple(scores),
        reason=_reason(action, why, len(kept)),
        cause=cause,
        category=next(iter(by_category(evidence)), ""),
    )


def _on_doubt(policy: Policy) -> Action:
    """What doubt calls for: never more than the mildest finding that by itself is as weighty."""
    certain = next((s for s in Severity if WEIGHTS[s] >= policy.unsure.at_least), Severity.CRITICAL)
    return min(policy.unsure.action, policy.actions[certain])


def _heaviest(evidence: Iterable[Sign]) -> str:
    """The three weightiest signs, in words."""
    weights: dict[str, float] = {}
    for sign in evidence:
        weights[sign.rule] = max(sign.weight, weights.get(sign.rule, 0.0))
    heaviest = sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))[:3]
    return ", ".join(f"{rule} ({weight:.2f})" for rule, weight in heaviest)


_WORDS = {Action.RECORD: "allowed", Action.ALERT: "allowed with an alert", Action.HOLD: "held for a person"}


def _reason(action: Action, why: str, count: int) -> str:
    """One line: what was decided, and what decided it."""
    if not why:
        return "allowed" if not count else f"allowed with {count} note{'s' if count != 1 else ''}"
    return f"{_WORDS.get(action, 'blocked')}: {why}"
