"""Deciding is pure and monotone: worse evidence never makes a milder verdict, and doubt is somebody's to settle."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_monitor.decide import UNSURE, decide
from azr_monitor.evidence import ALONE, WEIGHTS, curve, rule_of
from azr_monitor.policy import POLICIES, Policy, load_policy
from azr_monitor.records import FAILURE, LIMIT, SLOW, Action, Finding, Score, Severity, Verdict, printable
from azr_monitor.scopes import LIFTED

LOADED = {name: load_policy(name) for name in POLICIES}


def finding(severity: Severity, rule: str = "program.exec") -> Finding:
    return Finding(rule, severity, "program", (0, 1), "a test")


FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["program.exec", "trace.uhoh", "behaviour.time", "detoxify.threat", FAILURE, LIMIT]),
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


def policy(actions: str = "", **given: object) -> Policy:
    """A policy with one classifier; ``actions`` for info, low, medium, high and critical, by default the default's."""
    words = (actions or "record record drop drop pause").split()
    steps = {"low": 0.3, "medium": 0.6, "high": 0.9}
    classifier = {
        "kind": "transformer",
        "name": "minds",
        "path": "x",
        "thresholds": {"deception": steps, "harm": steps},
    }
    return Policy.model_validate(
        {
            "name": "mine",
            "actions": dict(zip(["info", "low", "medium", "high", "critical"], words, strict=True)),
            "unsure": {"at_least": 0.35, "action": "hold"},
            "classifiers": [classifier],
            **given,
        }
    )


def minds(value: float, category: str = "deception") -> Score:
    return Score("minds", category, value)


def lows(count: int) -> list[Finding]:
    return [finding(Severity.LOW, f"trace.mine.{number}") for number in range(count)]


ANY_POLICY = st.builds(
    lambda ranks, unsure, least, own: policy(
        " ".join(sorted(ranks, key=lambda word: Action[word.upper()])),
        unsure={"at_least": least, "action": unsure},
        rules={"actions": own},
    ),
    st.lists(st.sampled_from([action.label for action in Action]), min_size=5, max_size=5),
    st.sampled_from([action.label for action in Action]),
    st.floats(0.01, 1.0),
    st.dictionaries(
        st.sampled_from(["program.exec", "minds.harm", "trace.*"]), st.sampled_from(["record", "hold", "stop"])
    ),
)
MINDS = st.lists(st.builds(minds, st.floats(0, 1), st.sampled_from(["deception", "harm", "other"])), max_size=4)


@settings(deadline=None)
@given(st.sampled_from(POLICIES), FINDINGS, FINDINGS, SCORES, SCORES)
def test_more_evidence_never_makes_a_milder_verdict(
    name: str, some: list[Finding], more: list[Finding], scores: list[Score], further: list[Score]
) -> None:
    before = decide(LOADED[name], some, scores)
    after = decide(LOADED[name], some + more, scores + further)
    assert after.action >= before.action
    assert after.severity >= before.severity
    assert 0.0 <= before.score <= decide(LOADED[name], some + more, scores).score <= 1.0
    assert after.allowed <= before.allowed


@settings(deadline=None)
@given(st.sampled_from(POLICIES), FINDINGS)
def test_allowed_means_exactly_weaker_than_hold(name: str, findings: list[Finding]) -> None:
    verdict = decide(LOADED[name], findings)
    assert verdict.allowed == (verdict.action < Action.HOLD)
    assert verdict.reason.startswith("allowed" if verdict.allowed else ("blocked", "held"))
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


@settings(deadline=None)
@given(ANY_POLICY, FINDINGS, FINDINGS, MINDS, MINDS)
def test_no_policy_makes_more_evidence_milder(
    any_policy: Policy, some: list[Finding], more: list[Finding], scores: list[Score], further: list[Score]
) -> None:
    """Also not one in which doubt is to be blocked and certainty to be recorded."""
    before = decide(any_policy, some, scores)
    after = decide(any_policy, some + more, scores + further)
    assert after.action >= before.action
    assert decide(any_policy, some + more, scores).score >= before.score
    if any(rule_of(score) in any_policy.curves for score in scores):  # the first that reads a text may think less of it
        assert after.score >= before.score


# -- the score ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", list(Severity))
def test_the_worst_finding_is_a_floor(severity: Severity) -> None:
    assert decide(policy(), [finding(severity)]).score == WEIGHTS[severity]
    assert decide(policy(), [finding(severity), *lows(2)], [minds(0.3)]).score > WEIGHTS[severity]
    assert decide(policy(), [finding(severity)], [minds(0.0)]).score == pytest.approx(ALONE * WEIGHTS[severity])


@given(st.sampled_from(list(Severity)), st.floats(0, 1), st.floats(0, 1))
def test_a_finding_weighs_more_the_more_a_classifier_thinks_of_the_text(
    severity: Severity, one: float, other: float
) -> None:
    low, high = sorted([one, other])
    mild, grave = (decide(policy(), [finding(severity)], [minds(value)]) for value in (low, high))
    assert ALONE * WEIGHTS[severity] <= mild.score + 1e-6 and mild.score <= grave.score
    assert mild.action >= decide(policy(), [finding(severity)]).action


@pytest.mark.parametrize("fact", [finding(Severity.MEDIUM, FAILURE), finding(Severity.MEDIUM, "behaviour.time")])
def test_what_happened_weighs_as_much_whatever_a_classifier_thinks(fact: Finding) -> None:
    fact = msgspec.structs.replace(fact, part="behaviour") if fact.rule != FAILURE else fact
    assert decide(policy(), [fact], [minds(0.0)]).score == WEIGHTS[Severity.MEDIUM]


def test_what_a_classifier_thinks_little_of_is_held_as_before() -> None:
    before, after = decide(policy(), lows(3)), decide(policy(), lows(3), [minds(0.0)])
    assert before.action is after.action is Action.HOLD and after.score < before.score
    assert after.reason == before.reason


def test_weak_findings_of_different_rules_add_up_and_repeats_of_one_do_not() -> None:
    scores = [decide(policy(), lows(count)).score for count in range(1, 6)]
    assert scores == sorted(set(scores))
    assert decide(policy(), [finding(Severity.LOW), finding(Severity.LOW)] * 3).score == scores[0]


@given(st.floats(0, 1), st.floats(0, 1))
def test_items_without_findings_are_ordered_by_their_probability(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert decide(policy(), [], [minds(low)]).score <= decide(policy(), [], [minds(high)]).score
    if high - low > 1e-5:
        assert decide(policy(), [], [minds(low)]).score < decide(policy(), [], [minds(high)]).score


def test_a_probability_far_below_its_threshold_still_orders() -> None:
    values = [decide(policy(), [], [minds(value)]).score for value in (0.0, 0.001, 0.01, 0.1, 0.29)]
    assert values == sorted(set(values)) and values[0] == 0.0 and values[-1] < WEIGHTS[Severity.LOW]


def test_a_value_at_a_threshold_weighs_as_much_as_the_finding_it_makes() -> None:
    for severity, value in ((Severity.LOW, 0.3), (Severity.MEDIUM, 0.6), (Severity.HIGH, 0.9)):
        by_value = decide(policy(), [], [minds(value)])
        by_both = decide(policy(), [finding(severity, "minds.deception")], [minds(value)])
        assert by_value.score == pytest.approx(WEIGHTS[severity])
        assert by_both.score == by_value.score, "the same sign is not counted twice"


def test_the_categories_of_one_classifier_are_one_source_and_rules_are_others() -> None:
    both = decide(policy(), [], [minds(0.2), minds(0.2, "harm")]).score
    assert both == decide(policy(), [], [minds(0.2)]).score
    assert decide(policy(), [finding(Severity.LOW)], [minds(0.2)]).score > both + 0.1


def test_a_category_without_thresholds_says_nothing() -> None:
    assert decide(policy(), [], [minds(1.0, "joy")]).score == 0.0


def test_a_copy_of_a_policy_weighs_by_its_own_thresholds() -> None:
    original = policy()
    assert decide(original, [], [minds(0.5)]).score > 0
    assert decide(original.model_copy(update={"classifiers": ()}), [], [minds(0.5)]).score == 0


def test_a_curve_ends_at_the_weight_of_the_next_severity() -> None:
    assert curve("minds", {Severity.LOW: 0.5}).weigh(1.0) == WEIGHTS[Severity.MEDIUM]
    assert curve("minds", {Severity.CRITICAL: 0.5}).weigh(1.0) == 1.0
    assert curve("minds", {Severity.LOW: 1.0}).weigh(1.0) == WEIGHTS[Severity.LOW]
    assert curve("minds", {Severity.LOW: 0.0}).weigh(0.0) == WEIGHTS[Severity.LOW]


# -- doubt -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "action"), [("default", Action.HOLD), ("strict", Action.DROP)])
def test_what_nothing_decides_and_much_speaks_against_is_for_a_person_or_blocked(name: str, action: Action) -> None:
    scores = [Score("detoxify", "toxicity", {"default": 0.8, "strict": 0.29}[name])]
    verdict = decide(LOADED[name], [], scores)
    assert (verdict.action, verdict.allowed, verdict.cause) == (action, False, UNSURE)
    assert "detoxify.toxicity" in verdict.reason
    assert decide(LOADED["observe"], [], scores).action is Action.RECORD


def test_three_different_low_findings_make_a_doubt_and_two_do_not() -> None:
    assert decide(policy(), lows(2)).allowed
    held = decide(policy(), lows(3))
    assert held.action is Action.HOLD and held.reason.startswith("held for a person: unsure, 0.39 of 1: trace.mine.0")


def test_a_finding_that_decides_leaves_no_doubt() -> None:
    verdict = decide(policy(), [finding(Severity.MEDIUM), *lows(5)], [minds(0.55)])
    assert (verdict.action, verdict.cause) == (Action.DROP, "program.exec")


def test_doubt_never_does_more_than_certainty() -> None:
    """Whoever only wants alerts on medium findings does not want less than a medium finding held."""
    mild = policy("record record alert drop pause")
    assert decide(mild, [], [minds(0.5)]).action is Action.ALERT
    assert decide(mild, [finding(Severity.MEDIUM)]).action is Action.ALERT
    assert decide(policy("record record record record stop"), [], [minds(0.5)]).action is Action.RECORD


def test_what_the_policy_decided_of_a_rule_is_not_doubted_again() -> None:
    out_of_memory = [finding(Severity.MEDIUM, "behaviour.memory")]
    assert decide(LOADED["default"], out_of_memory).action is Action.ALERT
    assert decide(policy(), out_of_memory).action is Action.DROP


def test_what_was_let_pass_is_not_doubted_again() -> None:
    lifted = Finding(LIFTED, Severity.INFO, "trace", None, "minds.deception (high) is let pass: a chess bot's bluff")
    assert decide(policy(), [lifted], [minds(0.95)]).allowed
    assert decide(policy(), [lifted, Finding(SLOW, Severity.INFO, "trace", None, "late")]).score == 0
    assert decide(policy(), [lifted], [minds(0.95, "harm")]).action is Action.HOLD


def test_doubt_is_measured_by_the_thresholds_that_hold_for_the_sample() -> None:
    scope = {"roles": ["propose"], "thresholds": {"minds": {"deception": {"medium": 0.9}}}}
    scoped = policy(scopes=[scope])
    assert decide(scoped.within("solve", "deduction"), [], [minds(0.5)]).action is Action.HOLD
    assert decide(scoped.within("propose", "deduction"), [], [minds(0.5)]).allowed
    off = policy(scopes=[{"roles": ["propose"], "disabled": ["minds.deception"]}])
    assert decide(off.within("propose", "deduction"), [], [minds(1.0)]).score == 0


def test_actions_are_ordered_by_strength_and_keep_the_numbers_that_ledgers_hold() -> None:
    assert [action.label for action in sorted(Action)] == [
        "record",
        "alert",
        "hold",
        "drop",
        "pause",
        "rollback",
        "stop",
    ]
    assert {action.label: action.value for action in Action} == {
        "record": 0,
        "alert": 1,
        "drop": 2,
        "pause": 3,
        "rollback": 4,
        "stop": 5,
        "hold": 6,
    }
    assert [action.label for action in Action if action.blocks] == ["hold", "drop", "pause", "rollback", "stop"]


def test_the_category_is_what_most_evidence_speaks_of() -> None:
    def spoken_of(*findings: Finding) -> Verdict:
        return decide(policy(), list(findings), [minds(0.2, "harm")])

    assert spoken_of().category == "harm"
    assert spoken_of(finding(Severity.LOW, "trace.tamper.grader")).category == "tampering"
    both = [finding(Severity.LOW, f"trace.escape.{name}") for name in ("one", "other")]
    assert spoken_of(finding(Severity.LOW, "trace.tamper.grader"), *both).category == "escape"
    assert decide(policy(), []).category == ""


def test_that_something_is_the_matter_is_a_category_only_where_nothing_says_what() -> None:
    vague = finding(Severity.HIGH, "minds.any")
    assert decide(policy(), [vague]).category == "other"
    assert decide(policy(), [vague], [minds(0.2, "harm")]).category == "harm"


def test_quoted_model_text_is_bounded_and_printable() -> None:
    shown = printable("\x1b[31m" + "é\u202e" + "a" * 500, 40)
    assert shown.startswith("\\x1b[31m\\xe9\\u202eaaa")
    assert shown.replace("…", "").isascii() and shown.isprintable()
    assert len(shown) < 80
