"""What `azr-platform policy check`, `test` and `diff` do.

They say what in a policy is probably not meant, try its rules, and say in what two policies differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, NamedTuple

from azr_monitor.categories import category_of
from azr_monitor.engines.trials import doubts, try_examples
from azr_monitor.evidence import certainty
from azr_monitor.metrics import fires
from azr_monitor.policy import Policy, rule_ids
from azr_monitor.records import Action
from azr_monitor.rules import behaviour, programs
from azr_monitor.rules.traces import TraceRules
from azr_monitor.rules.tree import Program
from azr_monitor.scopes import means
from azr_sandbox.execution import Execution


def faults(policy: Policy) -> list[str]:
    """What must be mended before the policy is relied on, each with its place and the remedy."""
    failed = [result for result in test_policy(policy) if not result.passed]
    return [
        *(
            f"{result.place}{': ' if result.place else ''}{result.rule} does not {result.expected} its example "
            f"{result.text!r}; mend the rule or the example"
            for result in failed
        ),
        *doubts(policy),
    ]


def remarks(policy: Policy, today: date) -> list[str]:
    """What in the policy is probably not meant; an empty list means nothing."""
    warnings: list[str] = []
    if not any(action.blocks for action in policy.actions.values()):
        warnings.append("no severity is dropped: findings are recorded, and only a failing part blocks")
    for pattern in policy.rules.disabled:
        off = [rule for rule in rule_ids(policy) if means(pattern, rule)]
        warnings.append(f"rules.disabled: {pattern} turns off {len(off)} rule{'s' if len(off) != 1 else ''}")
    for entry in policy.classifiers:
        if entry.enabled and not entry.thresholds:
            warnings.append(
                f"classifiers: {entry.kind} has no thresholds, so its scores are recorded and decide nothing"
            )
    if not policy.rollback.allowed and (calls := _calls_for_rollback(policy)):
        warnings.append(f"{calls}: rollback without rollback.allowed: true is a pause")
    for exemption in policy.rules.allow:
        if exemption.expired(today):
            warnings.append(f"rules.allow: {exemption.rule} holds no longer: it ended on {exemption.until}; remove it")
    sure = certainty(policy.unsure.at_least)
    if policy.unsure.action > policy.actions[sure]:
        milder = policy.actions[sure].label
        warnings.append(f"unsure: {policy.unsure.action.label} is {milder}, all that a {sure.label} finding calls for")
    for rate in policy.rates:
        if rate.count == 1 and policy.actions[rate.severity] >= rate.action:
            warnings.append(f"rates: 1 {rate.severity.label} -> {rate.action.label} adds nothing to actions")
    return warnings


def _calls_for_rollback(policy: Policy) -> str:
    """The first setting that calls for a rollback; empty when none does."""
    places = {
        "actions": policy.actions.values(),
        "rules.actions": policy.rules.actions.values(),
        "rates": [rate.action for rate in policy.rates],
        "metrics": [rule.action for rule in policy.metrics],
    }
    return next((place for place, actions in places.items() if Action.ROLLBACK in actions), "")


class RuleTest(NamedTuple):
    """One text tried against the rule it belongs to."""

    rule: str
    expected: Literal["catch", "spare"]
    text: str
    passed: bool
    place: str = ""
    """``file:line`` of the rule, where it is the policy's own."""


def test_policy(policy: Policy) -> list[RuleTest]:
    """Try every rule in force on its own examples, texts or series of numbers: each must catch what it says it catches
    and spare the rest."""
    results: list[RuleTest] = []
    for rule in policy.program_rules():
        for expected, texts in (("catch", rule.catch), ("spare", rule.spare)):
            for text in texts:
                found = bool(rule.examine(Program(text), programs.EXAMPLE_IMPORTS))
                results.append(_result(rule.id, expected, text, found))
    rules = policy.trace_rules()
    reader = TraceRules(rules)
    for trace_rule in rules:
        for expected, texts in (("catch", trace_rule.catch), ("spare", trace_rule.spare)):
            for text in texts:
                found = any(finding.rule == trace_rule.id for finding in reader.examine(text, "trace"))
                results.append(_result(trace_rule.id, expected, text, found, policy.place_of(trace_rule.id)))
    results.extend(RuleTest(t.rule.id, t.expected, t.text, t.passed, t.rule.place) for t in try_examples(policy))
    for behaviour_rule in policy.behaviour_rules():
        for expected, outcomes in (("catch", behaviour_rule.catch), ("spare", behaviour_rule.spare)):
            for outcome in outcomes:
                found = bool(behaviour.examine([Execution(outcome)], [behaviour_rule]))
                results.append(_result(behaviour_rule.id, expected, outcome.value, found))
    for metric_rule in policy.metric_rules():
        for expected, examples in (("catch", metric_rule.catch), ("spare", metric_rule.spare)):
            for series in examples:
                results.append(_result(metric_rule.name, expected, str(list(series)), fires(metric_rule, series)))
    return results


test_policy.__test__ = False  # type: ignore[attr-defined]  # a command, not a test for pytest to collect


def understood(policy: Policy) -> dict[str, Any]:
    """A policy as it is understood: every setting, defaults included, and the rules that its engines bring."""
    engines = [
        {"name": rule.id, "severity": rule.severity.label, "why": rule.why, "category": category_of(rule.id)}
        for rule in policy.engine_rules()
    ]
    return {**policy.model_dump(mode="json"), "engine_rules": engines}


class Listed(NamedTuple):
    """One rule in force, with the severity it has under a policy."""

    rule: str
    severity: str
    category: str
    why: str


def rules_of(policy: Policy) -> list[Listed]:
    """Every rule in force, by name; what scopes say for some samples only is left aside."""
    rules = [
        *((rule.id, rule.severity, rule.why) for rule in policy.program_rules()),
        *((rule.id, rule.severity, rule.why) for rule in policy.trace_rules()),
        *((rule.id, rule.severity, rule.why) for rule in policy.behaviour_rules()),
        *((rule.id, rule.severity, rule.why) for rule in policy.engine_rules()),
        *((rule.name, rule.severity, rule.why) for rule in policy.metric_rules()),
    ]
    return [
        Listed(name, policy.severity_of(name, own).label, category_of(name), why) for name, own, why in sorted(rules)
    ]


class Change(NamedTuple):
    """One setting in which two policies differ; None where one does not have it."""

    setting: str
    before: object
    after: object


def compare(before: Policy, after: Policy) -> list[Change]:
    """Every setting in which ``after`` differs from ``before``, defaults filled in, in the order of the policy.

    Lists of words are compared as sets: each word that came or went is a change of its own.
    """
    old, new = (dict(_settings("", understood(policy))) for policy in (before, after))
    return [
        Change(setting, old.get(setting), new.get(setting))
        for setting in dict.fromkeys((*old, *new))
        if old.get(setting) != new.get(setting)
    ]


def _settings(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Each leaf of a policy by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _settings(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        for at, entry in enumerate(value):
            rest = {key: inner for key, inner in entry.items() if key != "name"}
            yield from _settings(f"{path}[{entry.get('name', at)}]", rest)
    elif isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        for entry in value:
            yield f"{path}: {entry}", True
    else:
        yield path, value


def _result(rule: str, expected: str, text: str, found: bool, place: str = "") -> RuleTest:
    if expected == "catch":
        return RuleTest(rule, "catch", text, found, place)
    return RuleTest(rule, "spare", text, not found, place)
