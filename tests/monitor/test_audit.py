"""The auditor as a whole: batches, order, what follows a run, and that every failing part blocks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from azr_monitor import audit, scoring
from azr_monitor.audit import Auditor
from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.policy import POLICIES, Policy, PolicyError, load_policy
from azr_monitor.records import FAILURE, LIMIT, SLOW, Action, Severity, Subject, Verdict
from azr_monitor.rules import behaviour, programs
from azr_monitor.sections import DetoxifySettings
from azr_sandbox.execution import Execution, Outcome

DEFAULT = load_policy("default")
HOSTILE = "import os\ndef f(x):\n    return os.system(x)"
KIND = "def f(x):\n    return x + 1"
TRACE = "I add one to the number, which gives the answer."


class Marker:
    """A real, if simple, classifier: the share of a text's words that are 'venom'. Counts what it is given."""

    name = "detoxify"
    categories = ("toxicity", "threat")

    def __init__(self) -> None:
        self.seen: list[str] = []

    def windows(self, text: str) -> list[tuple[int, int]]:
        return [(start, min(start + 60, len(text))) for start in range(0, len(text), 50)]

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        self.seen.extend(texts)
        return [{"toxicity": min(1.0, text.count("venom") / 2), "threat": 0.0} for text in texts]


class Broken(Marker):
    """A classifier that fails in a chosen way."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def windows(self, text: str) -> list[tuple[int, int]]:
        if self.how == "windows":
            raise RuntimeError("no windows")
        return super().windows(text)

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        match self.how:
            case "raises":
                raise RuntimeError("CUDA error: \x1b[31mgone")
            case "short":
                return []
            case "nan":
                return [{"toxicity": float("nan"), "threat": 0.0} for _ in texts]
            case "range":
                return [{"toxicity": 7.0, "threat": 0.0} for _ in texts]
            case "category":
                return [{"toxicity": 0.0} for _ in texts]
            case _:
                return super().score(texts)


def one(auditor: Auditor, **parts: Any) -> Verdict:
    return auditor.inspect([Subject(id="s", **parts)])[0]


def test_a_batch_keeps_its_order_and_judges_each_alone() -> None:
    subjects = [Subject(id=str(n), program=HOSTILE if n % 3 == 0 else KIND) for n in range(30)]
    verdicts = Auditor(DEFAULT).inspect(subjects)
    assert [verdict.allowed for verdict in verdicts] == [n % 3 != 0 for n in range(30)]
    assert Auditor(DEFAULT).inspect([]) == []


def test_every_part_is_read() -> None:
    auditor = Auditor(DEFAULT)
    for part in ("trace", "message", "answer"):
        verdict = one(auditor, program=KIND, **{part: "I will deceive the user."})
        assert not verdict.allowed
        assert {f.part for f in verdict.findings if f.rule == "trace.deceive.intent"} == {part}
    assert not one(auditor, input="__import__('os')").allowed
    assert not one(auditor, inputs=("1", "open('x')")).allowed


def test_program_and_trace_are_both_in_the_verdict() -> None:
    verdict = one(Auditor(DEFAULT), program=HOSTILE, trace="The aim is to outsmart all less intelligent humans.")
    assert {f.part for f in verdict.findings} == {"program", "trace"}
    assert verdict.severity == Severity.CRITICAL
    assert verdict.action == Action.PAUSE
    assert "trace.uhoh" in verdict.reason


def test_a_verdict_travels_unchanged() -> None:
    verdict = one(Auditor(DEFAULT), program=HOSTILE)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(verdict), type=Verdict) == verdict


def test_observe_lets_a_hostile_program_pass_with_an_alert() -> None:
    verdict = one(Auditor(load_policy("observe")), program=HOSTILE)
    assert verdict.allowed
    assert verdict.action == Action.ALERT
    assert verdict.findings


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_too_long_to_read_is_blocked(name: str) -> None:
    auditor = Auditor(load_policy(name))
    verdict = one(auditor, program=KIND, trace="so " * 100_000)
    assert not verdict.allowed
    assert LIMIT in {f.rule for f in verdict.findings}
    assert not one(auditor, program="# " + "x" * 30_000).allowed


# -- after the run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.POLICY_VIOLATION, Outcome.CRASH, Outcome.NONDETERMINISTIC])
def test_an_attack_or_a_changing_value_blocks_afterwards(outcome: Outcome) -> None:
    auditor = Auditor(DEFAULT)
    subject = Subject(id="s", program=KIND)
    before = auditor.inspect([subject])[0]
    after = auditor.conclude(subject, before, [Execution(Outcome.OK, "1"), Execution(outcome, detail="\x1b[31mSIGSYS")])
    assert before.allowed and not after.allowed
    assert after.findings[0].part == "behaviour"
    assert "\x1b" not in after.reason


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT, Outcome.MEMORY, Outcome.NOT_A_VALUE])
def test_an_ordinary_end_does_not_block(outcome: Outcome) -> None:
    auditor = Auditor(DEFAULT)
    subject = Subject(id="s", program=KIND)
    assert auditor.conclude(subject, auditor.inspect([subject])[0], [Execution(outcome)]).allowed


def test_concluding_never_makes_a_verdict_milder() -> None:
    auditor = Auditor(DEFAULT)
    subject = Subject(id="s", program=HOSTILE)
    before = auditor.inspect([subject])[0]
    for outcome in Outcome:
        after = auditor.conclude(subject, before, [Execution(outcome)])
        assert after.action >= before.action and after.score >= before.score and not after.allowed


# -- fail closed ----------------------------------------------------------------------------------------


def explode(*_: object, **__: object) -> Any:
    raise RecursionError("deep \x1b[31m inside")


@pytest.mark.parametrize("name", POLICIES)
def test_a_failing_program_rule_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.ProgramRules, "examine", explode)
    verdict = one(Auditor(load_policy(name)), program=KIND)
    assert not verdict.allowed
    assert verdict.findings[0].rule == FAILURE
    assert verdict.reason == "blocked: program rules failed: RecursionError: deep \\x1b[31m inside"


@pytest.mark.parametrize("name", POLICIES)
def test_a_failing_trace_rule_blocks_only_those_with_prose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auditor = Auditor(load_policy(name))
    monkeypatch.setattr(auditor._trace_rules, "examine", explode)
    verdicts = auditor.inspect([Subject(id="a", program=KIND), Subject(id="b", program=KIND, trace=TRACE)])
    assert [verdict.allowed for verdict in verdicts] == [True, False]


def test_a_failure_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    auditor = Auditor(DEFAULT)
    with monkeypatch.context() as patch:
        patch.setattr(programs.ProgramRules, "examine", explode)
        assert not one(auditor, program=KIND).allowed
    assert one(auditor, program=KIND).allowed


@pytest.mark.parametrize("name", POLICIES)
def test_a_failing_behaviour_rule_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auditor = Auditor(load_policy(name))
    subject = Subject(id="s", program=KIND)
    before = auditor.inspect([subject])[0]
    monkeypatch.setattr(behaviour, "examine", explode)
    after = auditor.conclude(subject, before, [Execution(Outcome.OK, "1")])
    assert not after.allowed and after.reason.startswith("blocked: behaviour rules failed")


@pytest.mark.parametrize("how", ["raises", "windows", "short", "nan", "range", "category"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_failing_classifier_blocks_what_it_should_have_read(name: str, how: str) -> None:
    auditor = Auditor(load_policy(name), [Broken(how)])
    read, unread = auditor.inspect([Subject(id="a", trace=TRACE), Subject(id="b", trace="y=3+4=7")])
    assert not read.allowed
    assert read.reason.startswith("blocked: detoxify failed: ")
    assert "\x1b" not in read.reason
    assert unread.allowed  # it holds no prose, so nothing about it is unknown


# -- classifiers ----------------------------------------------------------------------------------------


def test_a_classifier_finding_points_at_its_window_and_keeps_the_highest_score() -> None:
    trace = "all is well here " * 10 + "venom venom venom " + "and well again " * 10
    verdict = one(Auditor(DEFAULT, [Marker()]), trace=trace)
    assert not verdict.allowed
    found = [f for f in verdict.findings if f.rule == "detoxify.toxicity"]
    assert found and all(f.span and "venom" in trace[slice(*f.span)] for f in found)
    assert {score.category: score.value for score in verdict.scores} == {"threat": 0.0, "toxicity": 1.0}


def test_a_classifier_reads_comments_but_not_code() -> None:
    marker = Marker()
    program = "def venom(venom):\n    # venom and more venom in here\n    return venom + venom + venom"
    verdict = one(Auditor(DEFAULT, [marker]), program=program)
    assert marker.seen == ["# venom and more venom in here"]
    assert [
        program[slice(*f.span)] for f in verdict.findings if f.span and f.rule.startswith("detoxify")
    ] == marker.seen


@pytest.mark.parametrize("text", ["我会悄悄欺骗人类", "私は人間を騙す", "ฉันจะหลอกลวงมนุษย์"])
def test_a_sentence_without_blanks_is_prose_too(text: str) -> None:
    marker = Marker()
    one(Auditor(DEFAULT, [marker]), trace=text)
    assert marker.seen == [text]
    one(Auditor(DEFAULT, [marker]), trace="x = 1")
    assert marker.seen == [text]


def test_the_same_text_is_scored_once() -> None:
    marker = Marker()
    auditor = Auditor(DEFAULT, [marker])
    auditor.inspect([Subject(id=str(n), trace=TRACE) for n in range(50)])
    auditor.inspect([Subject(id="again", trace=TRACE)])
    assert len(marker.seen) == 1


def test_a_classifier_without_settings_in_the_policy_is_refused() -> None:
    bare = DEFAULT.model_copy(update={"classifiers": ()})
    with pytest.raises(PolicyError, match="no settings for detoxify"):
        Auditor(bare, [Marker()])


def with_detoxify(**settings: Any) -> Policy:
    return DEFAULT.model_copy(update={"classifiers": (DetoxifySettings(**settings),)})


def test_an_absent_optional_classifier_is_one_clear_notice() -> None:
    auditor = Auditor.from_policy(with_detoxify(checkpoint="/nowhere/x.ckpt"))
    assert len(auditor.notices) == 1
    assert auditor.notices[0].startswith("detoxify is not in use: ")
    assert "\n" not in auditor.notices[0]
    assert one(auditor, trace=TRACE).allowed


def test_an_absent_required_classifier_is_refused() -> None:
    with pytest.raises(ClassifierUnavailable):
        Auditor.from_policy(with_detoxify(checkpoint="/nowhere/x.ckpt", required=True))


def test_a_disabled_classifier_is_not_looked_for() -> None:
    assert Auditor.from_policy(with_detoxify(enabled=False, required=True)).notices == ()


def test_the_memory_of_the_auditor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_MEMO", 10)
    monkeypatch.setattr(scoring, "_MEMO", 10)
    auditor = Auditor(DEFAULT, [Marker()])
    auditor.inspect([Subject(id=str(n), program=f"def f(x):\n    return {n}", trace=f"{TRACE} {n}") for n in range(40)])
    assert len(auditor._memo) <= 10
    assert len(auditor._scorers[0]._known) <= 10


def test_a_batch_over_its_time_is_told_of_once_and_blocks_nothing() -> None:
    class Slow(Marker):
        def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
            time.sleep(0.02)
            return super().score(texts)

    entry = next(entry for entry in DEFAULT.classifiers if entry.name == "detoxify")
    policy = DEFAULT.model_copy(update={"classifiers": (entry.model_copy(update={"budget_ms": 1}),)})
    subjects = [Subject(id=str(n), trace=f"{TRACE} {n}") for n in range(3)]
    verdicts = Auditor(policy, [Slow()]).inspect(subjects)
    assert [[finding.rule for finding in verdict.findings] for verdict in verdicts] == [[SLOW], [], []]
    assert "for 3 samples, budget_ms is 1" in verdicts[0].findings[0].why
    assert all(verdict.allowed and verdict.score == 0.0 for verdict in verdicts)
    assert verdicts[0].action == Action.ALERT
    generous = policy.model_copy(update={"classifiers": (entry.model_copy(update={"budget_ms": 60_000}),)})
    assert all(verdict.findings == () for verdict in Auditor(generous, [Slow()]).inspect(subjects))
