"""Every rule, whatever its kind, catches the texts it says it catches and spares those it says it spares."""

from __future__ import annotations

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.checks import RuleTest
from azr_monitor.checks import test_policy as try_rules
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_monitor.rules import behaviour, programs
from azr_monitor.rules.traces import shipped_rules

POLICY = load_policy("default")
RESULTS = try_rules(POLICY)
EVERY_RULE = [*programs.RULES, *shipped_rules(), *behaviour.RULES]


@pytest.mark.parametrize("result", RESULTS, ids=[f"{r.rule}-{r.expected}-{n}" for n, r in enumerate(RESULTS)])
def test_a_rule_does_what_its_own_texts_say(result: RuleTest) -> None:
    assert result.passed, f"{result.rule} should {result.expected}: {result.text}"


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.id)
def test_every_rule_has_texts_to_catch_and_to_spare(rule: object) -> None:
    assert rule.catch and rule.spare  # type: ignore[attr-defined]
    assert len(rule.why) > 10  # type: ignore[attr-defined]


def test_rule_ids_are_unique() -> None:
    ids = [rule.id for rule in EVERY_RULE]
    assert len(ids) == len(set(ids))


SPARED = [(rule.id, text) for rule in programs.RULES for text in rule.spare]


@pytest.mark.parametrize(("rule", "text"), SPARED)
def test_programs_spared_by_a_rule_are_not_blocked_by_another(rule: str, text: str) -> None:
    verdict = Auditor(POLICY).inspect([Subject(id="s", program=text)])[0]
    assert verdict.allowed, verdict.reason


SPARED_TRACES = [(rule.id, text) for rule in shipped_rules() for text in rule.spare]


@pytest.mark.parametrize(("rule", "text"), SPARED_TRACES)
def test_traces_spared_by_a_rule_are_not_blocked_by_another(rule: str, text: str) -> None:
    verdict = Auditor(POLICY).inspect([Subject(id="s", trace=text)])[0]
    assert verdict.allowed, verdict.reason
