"""Every rule as people look at it: those that are off too, and a classifier's categories."""

from __future__ import annotations

from azr_monitor.amend import amended, categories
from azr_monitor.catalogue import entries
from azr_monitor.policy import load_policy
from azr_monitor.records import Action, Amendment, Severity


def test_every_rule_is_listed_once_with_what_it_calls_for() -> None:
    policy = load_policy("default")
    listed = {entry.rule: entry for entry in entries(policy)}
    assert len(listed) == len(entries(policy)) and set(categories(policy)) < set(listed)
    assert {rule.id for rule in policy.trace_rules()} < set(listed)
    assert listed["behaviour.time"].action is Action.RECORD, "the policy's word, not the severity's"
    assert listed["embedded.harm"].thresholds == {"low": 0.6, "medium": 0.82, "high": 0.92}
    assert listed["program.exec"].catch and listed["program.exec"].spare and listed["program.exec"].why


def test_a_rule_that_is_off_is_listed_as_such() -> None:
    policy = load_policy("default")
    for rule in ("program.exec", "metric.kl", "trace.harm.crime", "embedded.harm"):
        off = {entry.rule: entry for entry in entries(amended(policy, Amendment(rule=rule, enabled=False)))}
        assert not off[rule].enabled and off["program.clock"].enabled
    worse = amended(policy, Amendment(rule="program.exec", action="stop"))
    (entry,) = [entry for entry in entries(worse) if entry.rule == "program.exec"]
    assert entry.action is Action.STOP and entry.severity is Severity.HIGH
