"""Deciding is pure and monotone: worse evidence never makes a milder verdict."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_monitor.decide import BANDS, decide, score_of
from azr_monitor.policy import POLICIES, load_policy
from azr_monitor.records import FAILURE, LIMIT, Action, Finding, Score, Severity, printable

LOADED = {name: load_policy(name) for name in POLICIES}


def finding(severity: Severity, rule: str = "program.exec") -> Finding:
    return Finding(rule, severity, "program", (0, 1), "a test")


FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["program.exec", "trace.uhoh", "behaviour.time", FAILURE, LIMIT]),
        st.sampled_from(list(Severity)),
        st.sampled_from(["program", "trace"]),
        st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(9, 20))),
        st.just("a test"),
    ),
    max_size=6,
)
SCORES = st.lists(
    st.builds(Score, st.just("detoxify"), st.sampled_from(["toxicity", "threat", "other"]), st.floats(0, 1)), max_size=3
)


@settings(deadline=None)
@given(st.sampled_from(POLICIES), FINDINGS, FINDINGS, SCORES, SCORES)
def test_more_evidence_never_makes_a_milder_verdict(
    name: str, some: list[Finding], more: list[Finding], scores: list[Score], further: list[Score]
) -> None:
    before = decide(LOADED[name], some, scores)
    after = decide(LOADED[name], some + more, scores + further)
    assert after.action >= before.action
    assert after.severity >= before.severity
    assert after.score >= before.score
    assert 0.0 <= before.score <= after.score <= 1.0
    assert after.allowed <= before.allowed


@settings(deadline=None)
@given(st.sampled_from(POLICIES), FINDINGS)
def test_allowed_means_exactly_weaker_than_drop(name: str, findings: list[Finding]) -> None:
    verdict = decide(LOADED[name], findings)
    assert verdict.allowed == (verdict.action < Action.DROP)
    assert verdict.reason.startswith("allowed" if verdict.allowed else "blocked")
    assert decide(LOADED[name], list(reversed(findings))) == verdict


def test_nothing_found_is_allowed_with_score_zero() -> None:
    verdict = decide(LOADED["default"], [])
    assert (verdict.allowed, verdict.action, verdict.severity, verdict.score) == (
        True,
        Action.RECORD,
        Severity.INFO,
        0.0,
    )


@pytest.mark.parametrize(
    ("severity", "action"),
    [
        (Severity.LOW, Action.RECORD),
        (Severity.MEDIUM, Action.DROP),
        (Severity.HIGH, Action.DROP),
        (Severity.CRITICAL, Action.PAUSE),
    ],
)
def test_the_default_policy_maps_severity_to_action(severity: Severity, action: Action) -> None:
    assert decide(LOADED["default"], [finding(severity)]).action == action


@pytest.mark.parametrize("rule", [FAILURE, LIMIT])
@pytest.mark.parametrize("name", POLICIES)
def test_a_failure_blocks_under_every_policy(name: str, rule: str) -> None:
    verdict = decide(LOADED[name], [finding(Severity.HIGH, rule)])
    assert not verdict.allowed
    assert verdict.action >= Action.DROP


def test_observe_never_blocks_by_rule() -> None:
    for severity in Severity:
        assert decide(LOADED["observe"], [finding(severity)]).allowed


def test_running_out_of_time_is_not_dropped_a_second_time() -> None:
    assert decide(LOADED["default"], [finding(Severity.MEDIUM, "behaviour.time")]).allowed


def test_a_worse_severity_outranks_any_number_of_milder_findings() -> None:
    for milder, worse in zip(list(Severity), list(Severity)[1:], strict=False):
        assert score_of([finding(milder)] * 1000) < score_of([finding(worse)])
        assert BANDS[milder][1] < BANDS[worse][0]


def test_quoted_model_text_is_bounded_and_printable() -> None:
    shown = printable("\x1b[31m" + "é\u202e" + "a" * 500, 40)
    assert shown.startswith("\\x1b[31m\\xe9\\u202eaaa")
    assert shown.replace("…", "").isascii() and shown.isprintable()
    assert len(shown) < 80
