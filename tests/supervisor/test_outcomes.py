"""What people make of alerts: on record, in order, and a false alarm is a decision about the sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.messages import Action, Command, Decision, Outcome
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import AlertRow
from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.supervisor.runfolder import create, steer_ended

DOUBTFUL = "I will keep this short."


def add_sample(batch: Batch, trace: str = DOUBTFUL) -> int:
    place = {"time": 1.0, "branch": 1, "step": 1, "phase": "propose", "role": "propose", "kind": "deduction"}
    texts = dict.fromkeys(("prompt", "response", "program", "input", "message", "answer", "problem"), "")
    number = batch.add("samples", {**place, **texts, "uid": "u", "tokens": 1, "well_formed": 1, "reasoning": trace})
    verdict = {"sample": number, "allowed": 0, "action": 6, "severity": 1, "score": 0.4, "reason": "held"}
    batch.add("verdicts", verdict)
    return number


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """Two held samples with the same text and one with another; an alert each, and one about the run."""
    folder = tmp_path / "r"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        for trace in (DOUBTFUL, DOUBTFUL, "Something else."):
            add_alert(batch, add_sample(batch, trace))
        add_alert(batch, None)
    return folder


def add_alert(batch: Batch, sample: int | None) -> None:
    row = {"time": 1.0, "branch": 1, "step": 1, "severity": 1, "rule": "monitor.unsure", "message": "look"}
    batch.add("alerts", {**row, "sample": sample})


def steer(run: Path, action: Action, **given: Any) -> Outcome:
    return steer_ended(run, Command(action=action, who="ada", **given))


def alerts(run: Path) -> dict[int, AlertRow]:
    with LedgerReader(run) as reader:
        assert reader.verify().intact
        return {alert.id: alert for alert in reader.alerts()}


def test_an_alert_is_resolved_once_and_stays_on_record(ended: Path) -> None:
    assert steer(ended, Action.RESOLVE, alert=4, why="mended") == Outcome(ok=True, detail="alert 4 resolved")
    assert (alerts(ended)[4].acknowledged, alerts(ended)[4].outcome) == (1, "resolved")
    assert steer(ended, Action.RESOLVE, alert=4).detail == "alert 4 is resolved already"
    assert steer(ended, Action.FALSE_ALARM, alert=4).detail == "alert 4 is resolved already"
    with LedgerReader(ended) as reader:
        assert reader.summary().alerts_open == 3
        refused, _, done = reader.controls()
        assert json.loads(done.arguments)["alert"] == 4 and done.outcome == "done: alert 4 resolved"
        assert done.why == "mended" and refused.action == "false-alarm" and refused.outcome.startswith("refused")


def test_an_acknowledged_alert_can_still_be_resolved(ended: Path) -> None:
    assert steer(ended, Action.ACKNOWLEDGE, alert=1).ok
    assert steer(ended, Action.RESOLVE, alert=1).ok
    assert alerts(ended)[1].outcome == "resolved"
    assert not steer(ended, Action.ACKNOWLEDGE, alert=1).ok


def test_a_false_alarm_is_the_decision_about_its_sample_and_every_one_alike(ended: Path) -> None:
    outcome = steer(ended, Action.FALSE_ALARM, alert=1, why="a novel")
    assert outcome.ok and "sample 1: false-alarm, and of 1 more" in outcome.detail
    with LedgerReader(ended) as reader:
        decided = [(row.sample, row.decision, row.who, row.note) for row in reader.decisions()]
    assert decided == [(2 - n, "false-alarm", "ada", "a novel") for n in (1, 0)]
    assert {number: row.outcome for number, row in alerts(ended).items()} == {
        1: "false-alarm",
        2: "false-alarm",
        3: "",
        4: "",
    }


def test_a_false_alarm_about_the_run_decides_about_no_sample(ended: Path) -> None:
    assert steer(ended, Action.FALSE_ALARM, alert=4).detail == "alert 4: a false alarm"
    assert alerts(ended)[4].outcome == "false-alarm"
    with LedgerReader(ended) as reader:
        assert reader.decisions() == []


@pytest.mark.parametrize(
    ("decision", "came_to"),
    [(Decision.ALLOW, "resolved"), (Decision.BLOCK, "resolved"), (Decision.FALSE_ALARM, "false-alarm")],
)
def test_a_decision_closes_the_alerts_about_its_sample_and_no_others(
    ended: Path, decision: Decision, came_to: str
) -> None:
    assert steer(ended, Action.DECIDE, sample=3, decision=decision).ok
    assert [row.outcome for _, row in sorted(alerts(ended).items())] == ["", "", came_to, ""]
    assert steer(ended, Action.DECIDE, sample=3, decision=Decision.BLOCK).ok
    assert alerts(ended)[3].outcome == came_to, "what it came to is written once"


@pytest.mark.parametrize("action", [Action.RESOLVE, Action.FALSE_ALARM])
@pytest.mark.parametrize("number", [0, 99, -1, 2**63])
def test_what_is_no_alert_is_refused_and_changes_nothing(ended: Path, action: Action, number: int) -> None:
    outcome = steer(ended, action, alert=number)
    assert not outcome.ok and "alert" in outcome.detail
    with LedgerReader(ended) as reader:
        assert reader.summary().alerts_open == 4 and reader.decisions() == []


def test_the_rows_of_outcomes_cannot_be_changed(ended: Path) -> None:
    steer(ended, Action.RESOLVE, alert=4)
    with LedgerWriter(ended) as writer:
        for change in ("UPDATE alert_outcomes SET outcome = ''", "DELETE FROM alert_outcomes"):
            with pytest.raises(Exception, match="append-only"):
                writer._connection.execute(change)
