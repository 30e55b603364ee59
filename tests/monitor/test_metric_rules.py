"""Rules on metrics: each fires on what it says it catches, spares the rest, and is refused where it makes no sense."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.checks import remarks
from azr_monitor.metrics import MetricRule, describe, fires
from azr_monitor.policy import POLICIES, PolicyError, load_policy, shipped_metric_rules
from azr_monitor.records import Action, Severity

TODAY = date(2026, 5, 1)
MINIMAL = "name: mine\nactions: {info: record, low: record, medium: drop, high: drop, critical: stop}\n"
RULE = (
    "{name: metric.mine, metric: loss, why: the loss is too large, severity: high, above: 2, "
    "catch: [[3]], spare: [[1]]}"
)
FALLING = {"falls_to": 0.5, "window": 4, "for_steps": 2}


def rule(**condition: object) -> MetricRule:
    given = {"name": "metric.test", "metric": "m", "why": "for a test of it", "severity": "high", **condition}
    return MetricRule.model_validate({"catch": [[1.0]], "spare": [[1.0]], **given})


def written(tmp_path: Path, *rules: str, more: str = "") -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "metrics:\n" + "".join(f"  - {text}\n" for text in rules) + more)
    return path


# -- conditions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "series", "expected"),
    [
        ({"above": 1.0}, [2.0], True),
        ({"above": 1.0}, [2.0, 1.0], False),
        ({"above": 1.0}, [None], False),
        ({"above": 1.0, "for_steps": 2}, [2.0], False),
        ({"above": 1.0, "for_steps": 2}, [0.0, 2.0, 2.0], True),
        ({"above": 1.0, "for_steps": 2}, [2.0, None], False),
        ({"below": 0.0}, [-0.1], True),
        ({"below": 0.0}, [0.0], False),
        ({"not_finite": True}, [1.0, None], True),
        ({"not_finite": True}, [None, 1.0], False),
        ({"not_finite": True, "for_steps": 2}, [1.0, None], False),
        (FALLING, [4.0, 4.0, 4.0, 4.0, 1.9, 1.9], True),
        (FALLING, [4.0, 4.0, 4.0, 4.0, 1.9, 2.1], False),
        (FALLING, [4.0, 4.0, 4.0, 1.9, 1.9], False),  # too short to say what was usual
        (FALLING, [4.0, 4.0, None, 4.0, 1.9, 1.9], False),
        (FALLING, [0.0, 0.0, 0.0, 0.0, -1.0, -1.0], False),  # a share of nothing is nothing
        ({"rises_to": 3.0, "window": 2}, [1.0, 1.0, 3.1], True),
        ({"rises_to": 3.0, "window": 2}, [9.0, 1.0, 1.0, 2.9], False),
        ({"rises_to": 3.0, "window": 2}, [-1.0, -1.0, 5.0], False),
    ],
)
def test_a_condition_holds_at_the_end_of_a_series(
    condition: dict[str, object], series: list[float | None], expected: bool
) -> None:
    assert fires(rule(**condition), series) is expected


values = st.one_of(st.none(), st.floats(-1e6, 1e6))
conditions = st.one_of(
    st.builds(lambda x: {"above": x}, st.floats(-10, 10)),
    st.builds(lambda x: {"below": x}, st.floats(-10, 10)),
    st.builds(lambda x: {"rises_to": x}, st.floats(1.1, 10)),
    st.builds(lambda x: {"falls_to": x}, st.floats(0.1, 0.9)),
    st.just({"not_finite": True}),
)


@given(conditions, st.integers(1, 4), st.integers(1, 5), st.lists(values, max_size=20), st.lists(values, max_size=5))
def test_only_the_newest_values_count_and_what_fires_is_described(
    condition: dict[str, object], for_steps: int, window: int, series: list[float | None], before: list[float | None]
) -> None:
    asked = rule(**condition, for_steps=for_steps, window=window)
    fired = fires(asked, series)
    if len(series) >= asked.depth:
        assert fires(asked, [*before, *series]) is fired
        assert fires(asked, series[-asked.depth :]) is fired
    if fired:
        assert len(series) >= asked.depth
        assert describe(asked, "m", series).startswith("m is ")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), conditions, st.integers(1, 3))
def test_for_longer_never_fires_sooner(series: list[float], condition: dict[str, object], steps: int) -> None:
    if "rises_to" in condition or "falls_to" in condition:
        return  # what was usual is then something else
    if fires(rule(**condition, for_steps=steps + 1), series):
        assert fires(rule(**condition, for_steps=steps), series)


@given(st.lists(st.floats(0.3, 0.5), min_size=1, max_size=60))
def test_a_steady_series_of_any_metric_fires_no_shipped_rule_that_compares(series: list[float]) -> None:
    for shipped in shipped_metric_rules():
        if shipped.rises_to is not None or shipped.falls_to is not None:
            assert not fires(shipped, series)


def test_a_name_that_a_model_made_up_is_printed_safely() -> None:
    assert "\x1b" not in describe(rule(above=1.0), "health/values/\x1b[2J", [2.0])


# -- shipped ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shipped", shipped_metric_rules(), ids=lambda shipped: shipped.name)
def test_a_shipped_rule_catches_and_spares_what_it_says(shipped: MetricRule) -> None:
    assert [fires(shipped, series) for series in shipped.catch] == [True] * len(shipped.catch)
    assert [fires(shipped, series) for series in shipped.spare] == [False] * len(shipped.spare)
    assert any(len(series) >= shipped.depth for series in shipped.spare), "spared for being short proves nothing"


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_has_the_shipped_rules(name: str) -> None:
    rules = load_policy(name).metric_rules()
    assert {rule.name for rule in rules} == {rule.name for rule in shipped_metric_rules()}
    strongest = max(rule.action or Action.RECORD for rule in rules)
    assert strongest == {"default": Action.PAUSE, "strict": Action.STOP, "observe": Action.ALERT}[name]
    assert all(rule.action is not Action.DROP for rule in rules)


# -- in a policy -----------------------------------------------------------------------------------------


def test_a_policy_s_own_rule_stands_beside_the_shipped_ones_or_in_the_place_of_one(tmp_path: Path) -> None:
    kl = RULE.replace("metric.mine", "metric.kl")
    rules = {rule.name: rule for rule in load_policy(written(tmp_path, RULE, kl)).metric_rules()}
    assert len(rules) == len(shipped_metric_rules()) + 1
    assert rules["metric.mine"].action is Action.ALERT  # high is dropped under this policy, and there is no sample
    assert rules["metric.kl"].metric == "loss"


def test_metric_rules_are_disabled_and_reweighed_like_all_others(tmp_path: Path) -> None:
    more = (
        "rules:\n  disabled: ['metric.entropy*']\n"
        "  severities: {metric.kl: critical}\n  actions: {metric.mine: pause, metric.ratio: record}\n"
    )
    path = written(tmp_path, RULE, more=more)
    rules = {rule.name: rule for rule in load_policy(path).metric_rules()}
    assert not any(name.startswith("metric.entropy") for name in rules)
    assert (rules["metric.kl"].severity, rules["metric.kl"].action) == (Severity.CRITICAL, Action.STOP)
    assert rules["metric.mine"].action is Action.PAUSE
    assert rules["metric.ratio"].action is Action.RECORD
    assert remarks(load_policy(path), TODAY) == ["rules.disabled: metric.entropy* turns off 2 rules"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RULE.replace(", above: 2", ""), r"mine\.yaml:4: metrics\.0: metric\.mine: give one of .*above.*not none"),
        (RULE.replace("above: 2", "above: 2, below: 1"), r"metrics\.0: .*not above and below"),
        (RULE.replace("above: 2", "abov: 2"), r"metrics\.0\.abov: unknown key \(did you mean 'above'\?\)"),
        (RULE.replace("above: 2", "above: .nan"), r"metrics\.0\.above"),
        (RULE.replace("above: 2", "falls_to: 1.5"), r"metrics\.0\.falls_to: .*less than 1"),
        (RULE.replace("catch: [[3]]", "catch: []"), r"metrics\.0\.catch"),
        (RULE.replace(", spare: [[1]]", ""), r"metrics\.0\.spare: is missing"),
        (RULE.replace("severity: high", "severity: high, action: drop"), r"metrics\.0: .*no sample to drop"),
        (RULE.replace("metric.mine", "mine"), r"metrics\.0\.name"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(written(tmp_path, text))


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"metric\.mine is given twice"):
        load_policy(written(tmp_path, RULE, RULE))


@pytest.mark.parametrize("to", ["last", "0 steps before", "-1 steps before", "5 steps", "last cleanish"])
def test_where_to_roll_back_to_is_one_of_two_forms(tmp_path: Path, to: str) -> None:
    with pytest.raises(PolicyError, match=r"rollback\.to"):
        load_policy(written(tmp_path, RULE, more=f"rollback: {{to: {to}}}\n"))


def test_a_policy_gives_no_leave_to_roll_back_unless_it_says_so(tmp_path: Path) -> None:
    calls = "rates: [{severity: high, count: 3, within_steps: 5, action: rollback}]\n"
    path = written(tmp_path, RULE, more=calls)
    assert not load_policy(path).rollback.allowed
    assert remarks(load_policy(path), TODAY) == ["rates: rollback without rollback.allowed: true is a pause"]
    path = written(tmp_path, RULE, more=calls + "rollback: {allowed: true, to: 1 step before}\n")
    assert load_policy(path).rollback.steps_before == 1
    assert remarks(load_policy(path), TODAY) == []
