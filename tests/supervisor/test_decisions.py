"""A person's word on a sample: kept for the same text, and for nothing more than the text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import Policy, load_policy
from azr_monitor.records import FAILURE, LIMIT, Action, Finding, Severity, Subject, Verdict
from azr_platform.channel.client import ControlClient
from azr_platform.channel.messages import Action as Order
from azr_platform.channel.messages import Command, Decision, Judgement, Outcome, Review, Submission
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import DecisionRow
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Phase, Role
from azr_platform.supervisor.decisions import Decisions, decide, digest, heed, subject_of
from azr_platform.supervisor.gate import Gate, Judge
from azr_platform.supervisor.runfolder import steer_ended
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.pool import JailPool

DOUBTFUL = "I will deceive the users. Then I will escape the sandbox."
GOOD = "def f(x):\n    return x + 1"


def doubting() -> Policy:
    """The default one, under which a finding in a trace is a note, and two of different rules are a doubt."""
    default = load_policy("default")
    rules = default.rules.model_copy(update={"severities": {"trace.*": Severity.LOW}})
    unsure = default.unsure.model_copy(update={"at_least": 0.2})
    return default.model_copy(update={"classifiers": (), "rules": rules, "unsure": unsure, "rates": ()})


@pytest.fixture(scope="module")
def auditor() -> Auditor:
    return Auditor(doubting())


def proposal(thought: str = DOUBTFUL, program: str = GOOD) -> Submission:
    answer = f"```python\n{program}\n```\n```input\n1\n```"
    response = f"<think>{thought}</think>\n<answer>\n{answer}\n</answer>"
    return Submission(uid="u", role=Role.PROPOSE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=9)


class Scene:
    """A gate over a ledger, and people who decide."""

    def __init__(self, folder: Path, writer: LedgerWriter, judge: Judge, jail: JailPool) -> None:
        self.folder, self.writer = folder, writer
        self.gate = Gate(judge, jail, 6, seed_tasks(6))

    def review(self, *samples: Submission, step: int = 1) -> list[Judgement]:
        judged = self.gate.judge(Review(step=step, phase=Phase.PROPOSE, samples=list(samples)))
        return self.gate.record(judged, self.writer, 1)[0].judgements

    def decide(self, sample: int, decision: Decision, step: int = 1, why: str = "") -> Outcome:
        order = Command(action=Order.DECIDE, who="ada", why=why, sample=sample, decision=decision)
        with LedgerReader(self.folder) as reader:
            outcome = decide(reader, self.writer, order, 1, step)
            self.gate.heed(Decisions.of_run(reader))
        return outcome


@pytest.fixture
def scene(tmp_path: Path, writer: LedgerWriter, auditor: Auditor, jail: JailPool) -> Scene:
    return Scene(tmp_path, writer, auditor, jail)


# -- which text --------------------------------------------------------------------------------------------


def test_the_ledger_s_text_is_the_gate_s(scene: Scene) -> None:
    inputs = "".join(f"```input\n{number}\n```\n" for number in range(6))
    response = f"<think>x</think>\n<answer>\n{inputs}```message\nadd one\n```\n</answer>"
    sample = Submission(uid="u", role=Role.PROPOSE, kind=Kind.INDUCTION, prompt="p", response=response, tokens=9)
    seen: list[Subject] = []

    class Watching(Auditor):
        def inspect(self, subjects: Sequence[Subject], step: int | None = None) -> list[Verdict]:
            seen.extend(subjects)
            return super().inspect(subjects, step)

    scene.gate._judge = Watching(doubting())
    (judgement,) = scene.review(sample)
    with LedgerReader(scene.folder) as reader:
        detail = reader.sample(judgement.sample)
        assert detail is not None
        assert len(seen[0].calls) == 6 and digest(subject_of(detail)) == digest(seen[0])
        assert subject_of(detail).calls == seen[0].calls
        # Where the lines are no inputs by themselves, they are one, as they stand.
        folded = msgspec.structs.replace(detail, input="[1,\n2]\n3")
        assert subject_of(folded).calls == ("[1,\n2]\n3",)


@pytest.mark.parametrize(
    "same",
    [
        {"program": "\ndef f(x):\n    return x\n"},
        {"trace": "one\n two\tthree "},
    ],
)
def test_blanks_that_mean_nothing_do_not_make_another_text(same: dict[str, str]) -> None:
    text = {"program": "def f(x):\n    return x", "trace": "one two three", "role": "propose", "kind": "deduction"}
    assert digest(Subject("b", **{**text, **same})) == digest(Subject("a", **text))


@pytest.mark.parametrize(
    "other",
    [
        {"program": "def f(x):\n  return x"},
        {"program": "def f(x):\n    return  x"},
        {"program": "def f(x):\u2028    return x"},
        {"program": "def f(x):\x0c    return x"},
        {"program": "def f(x):\n\n    return x"},
        {"program": "def f(x): \n    return x"},
        {"trace": "one\u2003two three"},
        {"trace": "one two three\x1f"},
        {"trace": "one two"},
        {"trace": "", "message": "one two three"},
        {"role": "solve"},
        {"kind": "induction"},
        {"answer": "1"},
        {"input": "1"},
    ],
)
def test_anything_else_is_another_text(other: dict[str, str]) -> None:
    text = {"program": "def f(x):\n    return x", "trace": "one two three", "role": "propose", "kind": "deduction"}
    assert digest(Subject("a", **{**text, **other})) != digest(Subject("a", **text))


def test_what_was_a_comment_when_it_was_allowed_does_not_run_later() -> None:
    """A line separator ends no comment; to whoever takes it for a line end, the two programs are one."""
    seen = "def f(x):\n    # one\u2028    while x: x = eval(x)\n    return x"
    smuggled = seen.replace("\u2028", "\n")
    blanks = 'def f(x):\n    return """a\n\n\nb  \n""".count("\\n")'
    assert digest(Subject("a", program=seen)) != digest(Subject("b", program=smuggled))
    assert digest(Subject("a", program=blanks)) != digest(Subject("b", program=blanks.replace("\n\n\n", "\n")))


# -- what the word does ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [Decision.ALLOW, Decision.FALSE_ALARM])
def test_a_held_text_that_a_person_allowed_passes_from_the_next_step_on(scene: Scene, word: Decision) -> None:
    (held,) = scene.review(proposal())
    assert held.outcome == "held"
    assert scene.decide(held.sample, word, why="a story").ok
    assert scene.review(proposal())[0].outcome == "held", "the step that has begun is judged to its end as it began"
    (passed,) = scene.review(proposal(DOUBTFUL + "  "), step=2)
    assert passed.allowed and passed.valid and passed.decided
    assert passed.reason == f"allowed: ada said {word} of this text at sample {held.sample}"
    with LedgerReader(scene.folder) as reader:
        detail = reader.sample(passed.sample)
        assert detail is not None
        assert {finding.rule for finding in detail.findings} > {f"review.{word}"}
        assert not [alert for alert in reader.alerts() if alert.sample == passed.sample]
    (other,) = scene.review(proposal(DOUBTFUL, GOOD.replace("1", "2")), step=2)
    assert other.outcome == "held", "another program was not looked at"


def test_a_dropped_text_passes_too_and_a_blocked_one_does_not_come_again(scene: Scene) -> None:
    bad = proposal(
        "fine", "import subprocess\ndef f(x):\n    if x == 'never':\n        subprocess.run(x)\n    return x"
    )
    dropped, fine = scene.review(bad, proposal("fine"))
    assert not dropped.allowed and fine.allowed
    scene.decide(dropped.sample, Decision.FALSE_ALARM)
    scene.decide(fine.sample, Decision.BLOCK)
    passed, blocked = scene.review(bad, proposal("fine"), step=2)
    assert passed.allowed
    assert not blocked.allowed and blocked.reason.startswith("blocked: ada said block of this text")
    with LedgerReader(scene.folder) as reader:
        assert not [alert for alert in reader.alerts() if alert.sample == blocked.sample], "who said so knows"
        assert reader.samples(waiting_only=True) == []


def test_what_the_program_does_in_the_jail_is_not_lifted(scene: Scene) -> None:
    restless = proposal(DOUBTFUL, "def f(x):\n    return id(object())")
    (held,) = scene.review(restless)
    assert not held.allowed
    scene.decide(held.sample, Decision.ALLOW)
    (blocked,) = scene.review(restless, step=2)
    assert not blocked.allowed and "behaviour.nondeterministic" in blocked.reason
    with LedgerReader(scene.folder) as reader:
        detail = reader.sample(blocked.sample)
        assert detail is not None and detail.executions
        assert {"review.allow", "behaviour.nondeterministic"} < {finding.rule for finding in detail.findings}


@pytest.mark.parametrize("rule", [FAILURE, LIMIT, "program.too-complex", "supervisor.jail"])
@pytest.mark.parametrize("action", [Action.HOLD, Action.DROP, Action.PAUSE])
def test_nobody_lifts_what_was_not_read_or_not_judged(rule: str, action: Action) -> None:
    findings = (
        Finding("trace.uhoh", Severity.HIGH, "trace", None, "w"),
        Finding(rule, Severity.INFO, "trace", None, "w"),
    )
    verdict = Verdict(False, action, Severity.HIGH, 0.9, findings)
    row = DecisionRow(1, 0.0, 1, 1, 1, "allow", "ada", "", "d")
    assert heed(verdict, Subject("s", trace="t"), row) == verdict
    lifted = heed(Verdict(False, action, Severity.HIGH, 0.9, findings[:1]), Subject("s", trace="t"), row)
    assert lifted.allowed and lifted.action is Action.RECORD and lifted.score == 0.9


def test_a_monitor_that_fails_blocks_what_a_person_allowed(scene: Scene) -> None:
    (held,) = scene.review(proposal())
    scene.decide(held.sample, Decision.ALLOW)

    class Failing(Auditor):
        def inspect(self, subjects: Sequence[Subject], step: int | None = None) -> list[Verdict]:
            raise RuntimeError("the rules are on fire")

    scene.gate._judge = Failing(doubting())
    (blocked,) = scene.review(proposal(), step=2)
    assert blocked.reason == "blocked: monitor failed"


def test_the_last_word_counts(scene: Scene) -> None:
    (held,) = scene.review(proposal())
    scene.decide(held.sample, Decision.ALLOW, step=1)
    scene.decide(held.sample, Decision.BLOCK, step=3)
    assert scene.review(proposal(), step=3)[0].allowed, "a step done again is judged as it was"
    assert not scene.review(proposal(), step=4)[0].allowed


def test_one_word_is_for_every_waiting_sample_with_the_same_text(scene: Scene) -> None:
    first, second, other = scene.review(proposal(), proposal(), proposal(DOUBTFUL + " Now."))
    outcome = scene.decide(first.sample, Decision.ALLOW)
    assert "and of 1 more with the same text" in outcome.detail
    with LedgerReader(scene.folder) as reader:
        assert [row.sample for row in reader.decisions()] == [first.sample, second.sample]
        assert [row.id for row in reader.samples(waiting_only=True)] == [other.sample]
        assert reader.summary().held == 1
        assert reader.verify().intact


def test_what_nobody_can_allow_does_not_wait_for_anybody(scene: Scene, auditor: Auditor) -> None:
    long = proposal("word " * 50_000)
    restless = proposal("fine", "def f(x):\n    return object()")
    (limited, odd) = scene.review(long, restless)
    assert not limited.allowed and limited.reason.startswith("blocked: monitor.limit")
    with LedgerReader(scene.folder) as reader:
        assert not {row.id for row in reader.samples(waiting_only=True)} & {limited.sample, odd.sample}
    outcome = scene.decide(limited.sample, Decision.ALLOW)
    assert outcome.ok and "is blocked all the same" in outcome.detail


@pytest.mark.parametrize("number", [99, 0, -1, 2**63, 2**64 - 1])
def test_a_decision_about_nothing_is_refused(scene: Scene, number: int) -> None:
    assert scene.decide(number, Decision.ALLOW) == Outcome(ok=False, detail=f"there is no sample {number}")


# -- when it counts ----------------------------------------------------------------------------------------


def test_after_a_rollback_every_earlier_decision_counts_at_once(scene: Scene) -> None:
    (held,) = scene.review(proposal(), step=7)
    scene.decide(held.sample, Decision.ALLOW, step=7)
    assert scene.review(proposal(), step=4)[0].outcome == "held", "done again after a crash: as it was"
    row = {"created_at": 1.0, "parent": 1, "from_step": 3}
    scene.writer.append("branches", {**row, "parent": None, "from_step": 0, "reason": "start"})
    scene.writer.append("branches", {**row, "reason": "recovery: the trainer was killed"})
    with LedgerReader(scene.folder) as reader:
        scene.gate.heed(Decisions.of_run(reader))
    assert scene.review(proposal(), step=4)[0].outcome == "held"
    scene.writer.append("branches", {**row, "reason": "rollback"})
    with LedgerReader(scene.folder) as reader:
        scene.gate.heed(Decisions.of_run(reader))
    assert scene.review(proposal(), step=4)[0].allowed


TRAINER = """
def look(step):
    link.step = step
    response = "<think>THOUGHT</think>\\n<answer>\\n```output\\n1\\n```\\n</answer>"
    sample = Submission(uid="u", role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=3)
    (judgement,) = link.review(Phase.SOLVE, [sample])
    with (run / "seen").open("a") as seen:
        print(step, "ok" if judgement.allowed else judgement.outcome, file=seen)
""".replace("THOUGHT", DOUBTFUL)


def test_a_decision_in_a_live_run_counts_from_the_next_step_survives_a_crash_and_a_restart(
    run: Path, supervise: Callable[..., Any], auditor: Auditor
) -> None:
    """The trainer dies in step 2, after the decision: that step is judged again as it was, and the next one is not."""
    first = (
        TRAINER
        + """
welcome = link.hello()
again = welcome.checkpoint != ""
if not again:
    checkpoint(0)
    look(1)
    checkpoint(1)
    look(2)
    (run / "held").touch()
    wait("decided")
    look(2)
    os.kill(os.getpid(), signal.SIGKILL)
look(2)
look(3)
try:
    while True:
        link.safe_point("between steps")
        time.sleep(0.01)
except HaltRequested:
    pass
"""
    )

    def meanwhile(live: Any) -> None:
        live.until_seen("held")
        order = Command(action=Order.DECIDE, who="ada", sample=1, decision=Decision.FALSE_ALARM, why="a novel")
        with ControlClient(live.run) as client:
            outcome = client.command(order)
        assert outcome.ok and "after step 2" in outcome.detail
        live.say("decided")
        live.until(lambda status: status.restarts == 1 and status.step == 3)
        live.order(Order.STOP, why="enough")

    ended = supervise(first, meanwhile, judge=auditor)
    assert (run / "seen").read_text().split("\n") == ["1 held", "2 held", "2 held", "2 held", "3 ok", ""]
    rows = ended.rows("SELECT branch, step, sample, decision, who, note FROM decisions")
    assert rows == [(1, 2, 1, "false-alarm", "ada", "a novel"), (1, 2, 2, "false-alarm", "ada", "a novel")]
    ((action, arguments, outcome),) = ended.rows("SELECT action, arguments, outcome FROM controls WHERE who = 'ada'")
    given = json.loads(arguments)
    assert (action, given["sample"], given["decision"]) == ("decide", 1, "false-alarm")
    assert {"uid", "pid"} < given.keys() and outcome.startswith("done: ")

    supervise(TRAINER + "link.hello()\nlook(4)\nlink.finished()\n", judge=auditor)
    assert (run / "seen").read_text().endswith("3 ok\n4 ok\n")


def test_a_run_that_nobody_supervises_takes_decisions_too(
    run: Path, supervise: Callable[..., Any], auditor: Auditor
) -> None:
    supervise(TRAINER + "link.hello()\nlook(1)\nlink.finished()\n", judge=auditor)
    order = Command(action=Order.DECIDE, who="ada", sample=1, decision=Decision.ALLOW)
    outcome = steer_ended(run, order)
    assert outcome.ok and "after step 1" in outcome.detail
    with LedgerReader(run) as reader:
        (row,) = reader.decisions()
        assert (row.branch, row.step, row.who) == (1, 1, "ada")
        assert json.loads(reader.controls()[0].arguments)["sample"] == 1
        assert reader.verify().intact


def test_an_alert_called_a_false_alarm_in_a_live_run_lets_its_text_pass_from_the_next_step_on(
    run: Path, supervise: Callable[..., Any], auditor: Auditor
) -> None:
    script = """
link.hello()
look(1)
(run / "held").touch()
wait("called")
look(2)
link.finished()
"""

    def meanwhile(live: Any) -> None:
        live.until_seen("held")
        with ControlClient(live.run) as client:
            refused = client.command(Command(action=Order.RESOLVE, who="ada", alert=99))
            outcome = client.command(Command(action=Order.FALSE_ALARM, who="ada", alert=1, why="a novel"))
        assert refused == Outcome(ok=False, detail="there is no alert 99")
        assert outcome.ok and outcome.detail.startswith("sample 1: false-alarm")
        live.say("called")

    ended = supervise(TRAINER + script, meanwhile, judge=auditor)
    assert (run / "seen").read_text() == "1 held\n2 ok\n"
    assert ended.rows("SELECT sample, decision, who, note FROM decisions") == [(1, "false-alarm", "ada", "a novel")]
    assert ended.rows("SELECT alert, outcome, who, note FROM alert_outcomes") == [(1, "false-alarm", "ada", "a novel")]
    ((action, arguments),) = ended.rows("SELECT action, arguments FROM controls WHERE outcome LIKE 'done%'")
    assert action == "false-alarm" and json.loads(arguments)["alert"] == 1
