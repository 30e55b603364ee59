"""From findings and scores to a verdict: pure, and monotone in both.

The verdict's severity is that of the worst finding; its score, which puts samples in order, is what all evidence comes
to (see evidence.py). Its action is the strongest that any finding calls for or, where much speaks against a sample and
no finding says more, the one that the policy has for doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from azr_monitor.evidence import Sign, backing, by_category, certainty, combined, rule_of, signs
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
    kept = tuple(sorted(dict.fromkeys(findings), key=lambda f: (-f.severity, f.rule, f.part, f.span or (-1, -1))))
    action, cause, why = _called_for(policy, kept)
    excused = {lifted_rule(finding) for finding in kept if finding.rule == LIFTED}
    counted = [score for score in scores if rule_of(score) not in excused]
    evidence = signs(kept, counted, policy.curves)
    share = backing(counted, policy.curves)
    score = whole = combined(evidence)
    if share < 1.0 and kept:
        score = combined(signs(kept, counted, policy.curves, share))
    # Most samples end here: what is doubtful is never more than all of it.
    if whole >= policy.unsure.at_least and (wanted := _on_doubt(policy)) > action:
        doubts = _undecided(policy, kept, counted)
        if (doubt := combined(doubts)) >= policy.unsure.at_least:
            action, cause, why = wanted, UNSURE, f"unsure, {doubt:.2f} of 1: {_heaviest(doubts)}"
    return Verdict(
        allowed=not action.blocks,
        action=action,
        severity=kept[0].severity if kept else Severity.INFO,
        score=score,
        findings=kept,
        scores=tuple(scores),
        reason=_reason(action, why, len(kept)),
        cause=cause,
        category=next(iter(by_category(evidence)), ""),
    )


def _called_for(policy: Policy, findings: Iterable[Finding]) -> tuple[Action, str, str]:
    """(the strongest action that a finding calls for, its rule, why), of several the first."""
    action, cause, why = Action.RECORD, "", ""
    for finding in findings:
        wanted = policy.action_for(finding.rule, finding.severity, finding.part)
        if finding.rule in _BLOCKING_ALWAYS:
            wanted = max(wanted, Action.DROP)
        if wanted > action:
            action, cause = wanted, finding.rule
            why = finding.why if finding.rule == FAILURE else f"{finding.rule} in {finding.part}: {finding.why}"
    return action, cause, why


def _undecided(policy: Policy, findings: Iterable[Finding], scores: Iterable[Score]) -> list[Sign]:
    """The signs that the policy has not said by name what they come to."""
    return signs(
        [finding for finding in findings if not policy.names(finding.rule, finding.part)],
        [score for score in scores if not policy.names(rule_of(score))],
        policy.curves,
    )


def _on_doubt(policy: Policy) -> Action:
    """What doubt calls for: never more than the mildest finding that by itself is as weighty."""
    return min(policy.unsure.action, policy.actions[certainty(policy.unsure.at_least)])


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
