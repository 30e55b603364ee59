"""Metric rules in a run: planted numbers raise alerts, on record with the step, and the policy acts on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.metrics import MetricRule
from azr_monitor.policy import load_policy, shipped_metric_rules
from azr_monitor.records import Action as Act
from azr_monitor.records import Severity
from azr_monitor.sections import Leave
from azr_platform.channel.messages import Action, StepDone
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.warden import Stance
from azr_platform.supervisor.watch import MetricWatch, Recorded

Supervise = Callable[..., Any]
DEFAULT = load_policy("default")


@pytest.fixture
def writer(created: LedgerWriter) -> LedgerWriter:
    return created


def settled(name: str, **change: Any) -> MetricRule:
    (rule,) = [rule for rule in DEFAULT.metric_rules() if rule.name == name]
    return rule.model_copy(update=change)


class Steps:
    """Steps of a run, one after another, under rules."""

    def __init__(self, run: Path, writer: LedgerWriter, *rules: MetricRule) -> None:
        self.run, self.writer, self.rules = run, writer, rules
        self.step = 0
        self.again()

    def again(self) -> None:
        """As a supervisor does that has just been started."""
        self.watch = MetricWatch(self.rules)
        with LedgerReader(self.run) as reader:
            self.watch.begin(reader)

    def next(self, **metrics: float) -> Recorded:
        self.step += 1
        done = StepDone(step=self.step, started_at=0.0, seconds=1.0, metrics=metrics, rewards=[])
        with LedgerReader(self.run) as reader:
            return self.watch.record(done, self.writer, reader, 1)

    def heard(self, *values: float, metric: str = "approx_kl") -> list[int]:
        """Steps with an alert."""
        return [self.step for value in values if self.next(**{metric: value}).alerts]


TOLD = [rule for rule in shipped_metric_rules() if not rule.metric.startswith("oversight/")]


@pytest.mark.parametrize("rule", TOLD, ids=lambda rule: rule.name)
def test_each_shipped_rule_finds_its_trouble_planted_in_a_run(
    rule: MetricRule, run: Path, writer: LedgerWriter
) -> None:
    """The trouble of its own example, as a trainer would report it; what a supervisor counts is planted below."""
    steps = Steps(run, writer, *DEFAULT.metric_rules())
    name = rule.metric.replace("*", "any")
    values = [float("nan") if value is None else value for value in rule.catch[0]]
    found = [alert for value in values for alert in steps.next(**{name: value}).alerts]
    (alert,) = [alert for alert in found if alert.rule == rule.name]
    assert (alert.step, alert.began) == (len(values), len(values) - rule.for_steps + 1)
    with LedgerReader(run) as reader:
        (row,) = [row for row in reader.alerts() if row.rule == rule.name]
    assert (row.step, row.sample, row.message) == (alert.step, None, alert.message)
    assert rule.why in row.message


def plant(writer: LedgerWriter, step: int, samples: int, *, blocked: int = 0, violating: int = 0) -> None:
    """Samples as the gate records them, of which some were blocked and some broke the jail's rules."""
    with writer.batch() as batch:
        for place in range(samples):
            row = {"branch": 1, "step": step, "phase": "solve", "role": "solve", "kind": "deduction", "uid": "u"}
            number = batch.add("samples", row)
            batch.add("verdicts", {"sample": number, "allowed": place >= blocked})
            outcomes = ["ok", "policy_violation", "policy_violation"] if place < violating else ["ok", "ok"]
            for position, outcome in enumerate(outcomes):
                batch.add("executions", {"sample": number, "position": position, "outcome": outcome})


def test_what_was_blocked_is_counted_by_the_supervisor_itself(run: Path, writer: LedgerWriter) -> None:
    steps = Steps(run, writer, settled("metric.blocked"))
    plant(writer, 1, 10, blocked=3)
    plant(writer, 2, 10, blocked=9)
    plant(writer, 3, 10, blocked=8)
    lied = {"oversight/blocked": 0.0}
    assert not steps.next(**lied).alerts
    assert not steps.next(**lied).alerts
    recorded = steps.next(**lied)
    assert recorded.metrics["oversight/blocked"] == 0.8
    assert "oversight/blocked is 0.8, above 0.4 for 2 steps" in recorded.alerts[0].message
    assert recorded.alerts[0].action is Act.PAUSE


def test_a_spike_of_blocked_samples_is_found(run: Path, writer: LedgerWriter) -> None:
    steps = Steps(run, writer, settled("metric.blocked-spike", window=3))
    for step, blocked in enumerate([1, 1, 1, 20, 18, 19], 1):
        plant(writer, step, 60, blocked=blocked)
    assert steps.heard(*[0.0] * 6) == [6]


def test_violations_of_the_jail_are_counted_by_samples(run: Path, writer: LedgerWriter) -> None:
    steps = Steps(run, writer, settled("metric.violations"))
    plant(writer, 1, 9, violating=4)
    plant(writer, 2, 9, violating=5)
    assert steps.heard(0.0, 0.0) == [2]


def test_one_rule_on_many_metrics_raises_one_alert_that_names_some(run: Path, writer: LedgerWriter) -> None:
    steps = Steps(run, writer, settled("metric.not-finite"))
    (alert,) = steps.next(a=1.0, **{f"m{n}": float("inf") for n in range(5)}).alerts
    assert "m0 is not finite; m1 is not finite; m2 is not finite; and 2 more" in alert.message
    with LedgerReader(run) as reader:
        assert reader.metric_tail("m0", 5) == [None]


def test_trouble_that_goes_on_is_heard_of_now_and_then_and_trouble_that_is_back_at_once(
    run: Path, writer: LedgerWriter
) -> None:
    steps = Steps(run, writer, settled("metric.kl", for_steps=1, again_after=3))
    assert steps.heard(0.0, 1.0, 1.0, 1.0, 1.0, 1.0) == [2, 5]
    assert steps.heard(0.0, 1.0) == [8]
    assert Steps(run, writer, settled("metric.kl", for_steps=1, again_after=0)).heard(1.0, 1.0, 1.0) == []


def test_a_supervisor_started_anew_goes_on_where_the_last_one_was(run: Path, writer: LedgerWriter) -> None:
    steps = Steps(run, writer, settled("metric.kl", for_steps=3), settled("metric.length", for_steps=1, window=4))
    for value in (0.0, 1.0, 1.0):
        assert not steps.next(approx_kl=value, **{"response_length/mean": 80.0}).alerts
    steps.again()
    (alert,) = steps.next(approx_kl=1.0, **{"response_length/mean": 80.0}).alerts
    assert alert.rule == "metric.kl"
    steps.again()
    (alert,) = steps.next(approx_kl=1.0, **{"response_length/mean": 5.0}).alerts
    assert alert.rule == "metric.length", "and of what was heard of before nothing is heard"


def test_a_rule_that_only_records_raises_nothing(run: Path, writer: LedgerWriter) -> None:
    steps = Steps(run, writer, settled("metric.kl", for_steps=1, action=Act.RECORD))
    assert steps.heard(1.0) == []
    with LedgerReader(run) as reader:
        assert reader.metric("approx_kl") == ([1], [1.0])


# -- a run -----------------------------------------------------------------------------------------------

PLANTED = """
welcome = link.hello()
start, branch = (int(welcome.checkpoint.split("-")[1]) if welcome.checkpoint else -1), welcome.branch
while True:
    try:
        for step in range(start + 1, 7):
            link.step = step
            link.safe_point("between steps")
            if step:
                link.step_done(0.5, {"approx_kl": 9.0 if step in TROUBLE(branch) else 0.001}, [])
            checkpoint(step, branch)
        link.safe_point("after the last step")
        link.finished()
        break
    except HaltRequested:
        break
    except RollBackRequested as request:
        start, branch = request.order.step, request.order.branch
        (run / f"seed-{branch}").write_text(str(request.order.changes.seed))
"""


def acts(ended: Any) -> list[tuple[str, str, dict[str, Any]]]:
    rows = ended.rows("SELECT action, outcome, arguments FROM controls WHERE who = 'policy' ORDER BY id")
    return [(action, outcome.split(":")[0], json.loads(arguments)) for action, outcome, arguments in rows]


def stance(action: Act = Act.ROLLBACK, leave: Leave | None = None, cooldown: int = 0) -> Stance:
    rule = settled("metric.kl", action=action)
    return Stance(metrics=[rule], rollback=leave or Leave(allowed=True), cooldown_steps=cooldown)


def stop_when_paused(live: Any) -> None:
    live.until(lambda status: status.state == "paused")
    assert live.order(Action.STOP).ok


def test_a_blow_up_rolls_the_run_back_to_before_it_began_with_another_seed(supervise: Supervise) -> None:
    ended = supervise("TROUBLE = lambda branch: (3, 4) if branch == 1 else ()\n" + PLANTED, stance=stance())
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert acts(ended) == [("rollback", "done", {"rule": "metric.kl", "at": 4, "step": 2})]
    assert ended.rows("SELECT parent, from_step FROM branches WHERE id > 1") == [(1, 2)]
    ((alert,),) = ended.rows("SELECT message FROM alerts")
    assert "approx_kl is 9, above 0.2 for 2 steps" in alert
    ((seed,),) = ended.rows("SELECT value FROM branch_changes WHERE what = 'seed' AND branch = 2")
    assert (ended.run / "seed-2").read_text() == seed != "0"


def test_trouble_that_comes_back_pauses_the_run_instead_of_rolling_it_back_for_ever(supervise: Supervise) -> None:
    ended = supervise("TROUBLE = lambda branch: (3, 4)\n" + PLANTED, stop_when_paused, stance=stance())
    assert acts(ended) == [
        ("rollback", "done", {"rule": "metric.kl", "at": 4, "step": 2}),
        ("rollback", "refused", {"rule": "metric.kl", "at": 4}),
    ]
    ((outcome,),) = ended.rows("SELECT outcome FROM controls WHERE outcome LIKE 'refused%'")
    assert "step 2 was rolled back to for this before, and it came again: pausing" in outcome


def test_what_the_policy_did_is_known_to_the_next_supervisor(supervise: Supervise) -> None:
    """Stopped after the first rollback, continued by another supervisor: it does not begin to count anew."""
    body = "TROUBLE = lambda branch: (3, 4)\n" + PLANTED
    stopping = body.replace(
        "        start, branch = request", "        if branch == 1: break\n        start, branch = request"
    )
    crashed = supervise(stopping, None, "supervisor.max_restarts=0", stance=stance())
    assert acts(crashed)[-1][:2] == ("rollback", "done")
    ended = supervise(body, stop_when_paused, stance=stance())
    assert [act[:2] for act in acts(ended)] == [("rollback", "done"), ("rollback", "refused")]


def test_without_leave_a_rollback_is_a_pause_and_the_record_says_why(supervise: Supervise) -> None:
    body = "TROUBLE = lambda branch: (3, 4)\n" + PLANTED
    ended = supervise(body, stop_when_paused, stance=stance(leave=Leave()))
    assert acts(ended) == [("rollback", "refused", {"rule": "metric.kl", "at": 4})]
    assert ended.rows("SELECT count(*) FROM branches") == [(1,)]
    assert any("rollback.allowed" in row[0] for row in ended.rows("SELECT outcome FROM controls"))


def test_a_resumed_run_is_not_paused_again_at_once_for_the_same(supervise: Supervise) -> None:
    """Trouble at steps 1 and 2, and again at 4 and 5, within the cool-down."""

    def resume(live: Any) -> None:
        live.until(lambda status: status.state == "paused")
        assert live.order(Action.RESUME).ok

    body = "TROUBLE = lambda branch: (1, 2, 4, 5)\n" + PLANTED
    ended = supervise(body, resume, stance=stance(Act.PAUSE, cooldown=5))
    assert ended.states[-1] == "finished"
    assert acts(ended) == [("pause", "done", {"rule": "metric.kl", "at": 2})]
    assert ended.rows("SELECT step, severity FROM alerts ORDER BY id") == [(2, Severity.HIGH), (5, Severity.HIGH)]
