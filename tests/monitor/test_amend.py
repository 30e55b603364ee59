"""Changes to a policy in force: what they do to a verdict, and what nobody may change."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from azr_monitor.amend import amended, categories, change_of
from azr_monitor.audit import Auditor
from azr_monitor.policy import Policy, PolicyError, load_policy
from azr_monitor.records import FAILURE, LIMIT, Action, Amendment, Severity, Subject

SHELL = "import subprocess\ndef f(x):\n    return subprocess.run(x)"


@pytest.fixture(scope="module")
def default() -> Policy:
    return load_policy("default")


def verdict(policy: Policy, **parts: Any) -> Any:
    return Auditor(policy.model_copy(update={"classifiers": ()})).inspect([Subject("s", **parts)])[0]


def causes(policy: Policy) -> set[str]:
    return {finding.rule for finding in verdict(policy, program=SHELL).findings}


def test_a_rule_is_turned_off_and_on_again(default: Policy) -> None:
    rule = "program.import.process"
    assert rule in causes(default)
    off = amended(default, Amendment(rule=rule, enabled=False))
    assert not off.applies(rule) and rule not in causes(off)
    assert change_of(default, Amendment(rule=rule, enabled=False))[:3] == ("enabled", "true", "false")
    on = amended(off, Amendment(rule=rule, enabled=True))
    assert rule in causes(on) and on == default and on.fingerprint() == default.fingerprint() != off.fingerprint()


def test_a_rule_that_a_pattern_turns_off_is_turned_on_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: default\nrules: {disabled: [program.import.*]}\n")
    mine = load_policy(path)
    on = amended(mine, Amendment(rule="program.import.process", enabled=True))
    assert on.applies("program.import.process") and not on.applies("program.import.network")
    assert amended(on, Amendment(rule="program.import.process", enabled=False)).rules.enabled == ()


def test_an_action_is_changed_whatever_pattern_said_before(default: Policy) -> None:
    milder = amended(default, Amendment(rule="program.import.process", action="alert"))
    assert milder.action_for("program.import.process", Severity.CRITICAL) is Action.ALERT
    pattern = default.rules.model_copy(update={"actions": {"program.*": Action.STOP}})
    patterned = default.model_copy(update={"rules": pattern})
    changed = amended(patterned, Amendment(rule="program.exec", action="hold"))
    assert changed.action_for("program.exec", Severity.LOW) is Action.HOLD
    assert changed.action_for("program.clock", Severity.LOW) is Action.STOP


def test_a_threshold_is_changed_and_the_others_of_its_category_stay(default: Policy) -> None:
    change = change_of(default, Amendment(rule="embedded.harm", thresholds={"medium": 0.9}))
    assert json.loads(change.before)["medium"] == 0.82 and json.loads(change.after)["medium"] == 0.9
    after = amended(default, Amendment(rule="embedded.harm", thresholds={"medium": 0.9}))
    (entry, *_), (before, *_) = after.classifiers, default.classifiers
    assert entry.thresholds["harm"] == {**before.thresholds["harm"], Severity.MEDIUM: 0.9}
    assert entry.thresholds["power"] == before.thresholds["power"]
    assert after.curves["embedded.harm"] != default.curves["embedded.harm"], "the score follows"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rule": "trace.harm.crim", "enabled": False}, "did you mean 'trace.harm.crime'"),
        ({"rule": "trace.harm.*", "enabled": False}, "no rule 'trace.harm.*'"),
        ({"rule": "", "enabled": False}, "no rule ''"),
        ({"rule": "\x1b[2J", "enabled": False}, r"no rule '\\x1b[2J'"),
        ({"rule": "program.exec"}, "say one thing of it"),
        ({"rule": "program.exec", "enabled": False, "action": "stop"}, "say one thing of it"),
        ({"rule": "program.exec", "enabled": True}, "enabled is true already"),
        ({"rule": "program.exec", "action": "drp"}, "did you mean 'drop'"),
        ({"rule": "program.exec", "thresholds": {"low": 0.1}}, "only a classifier's categories have"),
        ({"rule": "embedded.harm", "thresholds": {"medium": 0.95}}, "rise with severity"),
        ({"rule": "embedded.harm", "thresholds": {"medium": 1.5}}, "lie in 0..1"),
        ({"rule": "embedded.harm", "thresholds": {"medium": float("nan")}}, "lie in 0..1"),
        ({"rule": "embedded.harm", "thresholds": {"medum": 0.9}}, "did you mean 'medium'"),
        ({"rule": "embedded.harm", "thresholds": {"medium": 0.82}}, "already"),
        ({"rule": "embedded.nothing", "thresholds": {"medium": 0.9}}, "no rule"),
    ],
)
def test_what_means_nothing_is_refused_with_the_remedy(default: Policy, given: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(words)):
        change_of(default, Amendment(**given))


@pytest.mark.parametrize("rule", [FAILURE, LIMIT, "program.too-complex", "policy.allow", "supervisor.held-out"])
@pytest.mark.parametrize("change", [{"enabled": False}, {"action": "record"}, {"action": "stop"}])
def test_nobody_changes_what_blocks_under_every_policy(default: Policy, rule: str, change: Any) -> None:
    with pytest.raises(PolicyError, match=re.escape(f"{rule} cannot be changed")):
        amended(default, Amendment(rule=rule, **change))


def test_what_the_monitor_says_of_its_own_work_is_not_turned_off(default: Policy) -> None:
    with pytest.raises(PolicyError, match=r"monitor\.slow cannot be turned off"):
        amended(default, Amendment(rule="monitor.slow", enabled=False))
    assert amended(default, Amendment(rule="monitor.slow", action="record")) != default


def test_a_failing_part_blocks_whatever_was_changed(default: Policy) -> None:
    """Every rule off, one after the other, and every threshold out of reach."""
    from azr_monitor.policy import rule_ids

    bare = default
    for rule in [*rule_ids(default), *categories(default)]:
        try:
            bare = amended(bare, Amendment(rule=rule, enabled=False))
        except PolicyError:
            continue
    assert bare.program_rules() == () and bare.trace_rules() == ()
    auditor = Auditor(bare.model_copy(update={"classifiers": ()}))
    assert auditor.inspect([Subject("s", program=SHELL)])[0].allowed
    long = auditor.inspect([Subject("s", program="x" * 30_000)])[0]
    assert not long.allowed and long.cause == LIMIT
    auditor._read_program = lambda text: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    assert not auditor.inspect([Subject("s", program="def f(x): return 2")])[0].allowed


def test_a_scope_that_says_otherwise_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: default\nscopes: [{roles: [propose], actions: {program.exec: alert}}]\n")
    assert "a scope" in change_of(load_policy(path), Amendment(rule="program.exec", action="stop")).note
    assert not change_of(load_policy(path), Amendment(rule="program.clock", action="stop")).note


def test_changes_make_a_policy_in_any_order(default: Policy) -> None:
    """A step that is done again after a crash is judged with some changes and not with others."""
    changes = [
        Amendment(rule="embedded.harm", thresholds={"low": 0.3, "medium": 0.4, "high": 0.5}),
        Amendment(rule="embedded.harm", thresholds={"low": 0.6, "medium": 0.7, "high": 0.8}),
        Amendment(rule="program.exec", enabled=False),
        Amendment(rule="program.exec", action="stop"),
    ]
    for order in itertools.permutations(changes):
        policy = default
        for change in order:
            policy = amended(policy, change)
        assert not policy.applies("program.exec") and policy.rules.actions["program.exec"] is Action.STOP


def test_an_amendment_with_a_field_too_many_is_refused_whole() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rule": "program.exec", "enabled": False, "also": "trace.*"}, Amendment)
