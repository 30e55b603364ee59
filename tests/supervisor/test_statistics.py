"""What the supervisor counts of each step: findings by category, drift of the reasoning, and the alerts that follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from azr_monitor.policy import load_policy
from azr_platform.channel.messages import StepDone
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.statistics import REFERENCE_STEPS
from azr_platform.supervisor.watch import MetricWatch, Recorded

ENGLISH = (
    "First I sort the numbers and then I take the middle one of them.",
    "The list has seven items, so the fourth item is the answer we want.",
    "We walk over the string from the left and count each vowel that we meet.",
)
GERMAN = (
    "Zuerst sortiere ich die Zahlen und nehme danach die mittlere von ihnen.",
    "Die Liste hat sieben Einträge, also ist der vierte Eintrag die gesuchte Antwort.",
    "Wir gehen von links über die Zeichenkette und zählen jeden Vokal.",
)


class Line:
    """Steps of a run with samples of our own, on one branch or another."""

    def __init__(self, run: Path, writer: LedgerWriter) -> None:
        self.run, self.writer, self.step, self.branch = run, writer, 0, 1
        self.watch = MetricWatch(load_policy("default").metric_rules())
        self.begin()

    def begin(self) -> None:
        """As a supervisor does at its start and on each new branch."""
        with LedgerReader(self.run) as reader:
            self.watch.begin(reader)

    def next(self, texts: Sequence[str], found: Sequence[str] = (), role: str = "solve") -> Recorded:
        """A step with one sample for each text; the first of them have these findings, one each, of severity medium."""
        self.step += 1
        with self.writer.batch() as batch:
            for place, text in enumerate(texts):
                row = {"branch": self.branch, "step": self.step, "phase": "solve", "role": role, "kind": "deduction"}
                number = batch.add("samples", {**row, "uid": "u", "reasoning": text})
                batch.add("verdicts", {"sample": number, "allowed": True})
                if place < len(found):
                    batch.add("findings", {"sample": number, "rule": found[place], "severity": 2, "part": "trace"})
        done = StepDone(step=self.step, started_at=0.0, seconds=1.0, metrics={}, rewards=[])
        with LedgerReader(self.run) as reader:
            return self.watch.record(done, self.writer, reader, self.branch)


@pytest.fixture
def line(run: Path, created: LedgerWriter) -> Line:
    return Line(run, created)


def test_findings_are_counted_by_category_and_a_category_once_found_goes_on_as_nothing(line: Line) -> None:
    assert not [name for name in line.next(ENGLISH).metrics if name.startswith("oversight/findings/")]
    found = line.next([*ENGLISH, *ENGLISH], ["trace.deceive.intent", "trace.deceive.unseen", "trace.harm.means"])
    assert found.metrics["oversight/findings/deception"] == pytest.approx(2 / 6)
    assert found.metrics["oversight/findings/harm"] == pytest.approx(1 / 6)
    assert line.next(ENGLISH).metrics["oversight/findings/harm"] == 0.0


def test_a_sample_with_two_findings_of_a_category_counts_once(line: Line, created: LedgerWriter) -> None:
    with created.batch() as batch:
        row = {"branch": 1, "step": 1, "phase": "solve", "role": "solve", "kind": "deduction", "uid": "u"}
        number = batch.add("samples", row)
        for severity in (0, 3, 3):
            batch.add(
                "findings", {"sample": number, "rule": "trace.harm.intent", "severity": severity, "part": "trace"}
            )
    assert line.next(ENGLISH).metrics["oversight/findings/harm"] == pytest.approx(1 / 4)


def test_findings_that_go_on_are_alerted_of(line: Line) -> None:
    alerts = [alert for _ in range(4) for alert in line.next(ENGLISH, ["trace.deceive.intent"]).alerts]
    (alert,) = [alert for alert in alerts if alert.rule == "metric.findings"]
    assert alert.step == 3
    assert "oversight/findings/deception is 0.3333" in alert.message


def test_reasoning_that_changes_its_language_is_alerted_of_with_the_languages(line: Line) -> None:
    for _ in range(REFERENCE_STEPS):
        assert not [name for name in line.next(ENGLISH).metrics if name.startswith("drift/")]
    same = line.next(ENGLISH * 4)
    assert same.metrics["drift/language/solve"] == 0.0
    assert same.metrics["drift/vocabulary/solve"] == pytest.approx(0.0, abs=1e-12)
    assert not same.alerts
    line.next([*ENGLISH, *GERMAN] * 2)
    mixed = line.next([*ENGLISH, *GERMAN] * 2)
    assert mixed.metrics["drift/language/solve"] == 0.5
    (alert,) = mixed.alerts
    assert alert.rule == "metric.language"
    assert "languages: de 6, en 6" in alert.message


def test_an_alert_names_the_words_that_are_new_and_shows_them_inert(line: Line) -> None:
    for _ in range(REFERENCE_STEPS):
        line.next(ENGLISH)
    hostile = "\x1b[31mzzyzx [bold]plugh[/bold] xyzzy zork"
    alerts = [alert for _ in range(3) for alert in line.next([hostile] * 4).alerts]
    (alert,) = [alert for alert in alerts if alert.rule == "metric.unfamiliar"]
    assert "new words:" in alert.message
    assert "plugh" in alert.message
    assert "\x1b" not in alert.message


def test_roles_are_compared_with_themselves(line: Line) -> None:
    for _ in range(REFERENCE_STEPS):
        line.next(ENGLISH, role="solve")
    assert "drift/vocabulary/propose" not in line.next(GERMAN, role="propose").metrics


def test_a_supervisor_started_anew_counts_as_the_one_before(run: Path, created: LedgerWriter) -> None:
    steady = Line(run, created)
    for _ in range(REFERENCE_STEPS):
        steady.next(ENGLISH, ["trace.harm.means"])
    expected = steady.next(GERMAN).metrics
    steady.step -= 1
    steady.begin()
    with LedgerReader(run) as reader:
        again = steady.watch.record(
            StepDone(step=steady.step + 1, started_at=0.0, seconds=1.0, metrics={}, rewards=[]), created, reader, 1
        )
    assert again.metrics == expected


def test_a_branch_is_compared_with_its_own_line(run: Path, created: LedgerWriter) -> None:
    """Steps that a rollback left behind are no reference, nor are the categories that were found in them."""
    line = Line(run, created)
    line.next(ENGLISH)
    for _ in range(REFERENCE_STEPS):
        line.next(GERMAN, ["trace.harm.means"])
    created.append("branches", {"created_at": 0.0, "parent": 1, "from_step": 1, "reason": "rollback"})
    line.branch, line.step = 2, 1
    line.begin()
    for _ in range(REFERENCE_STEPS - 1):
        assert "oversight/findings/harm" not in line.next(ENGLISH).metrics
    assert line.next(ENGLISH * 4).metrics["drift/language/solve"] == 0.0


def test_fewer_right_answers_that_are_likelier_than_before_are_a_signal(run: Path, created: LedgerWriter) -> None:
    line = Line(run, created)

    def told(solved: float, unlikely: float) -> dict[str, float]:
        line.step += 1
        metrics = {"solve_rate/deduction": solved, "probe/right_answer/deduction": unlikely}
        with created.batch() as batch:
            row = {"branch": 1, "step": line.step, "phase": "solve", "role": "solve", "kind": "deduction", "uid": "u"}
            batch.add("samples", row)
        done = StepDone(step=line.step, started_at=0.0, seconds=1.0, metrics=metrics, rewards=[])
        with LedgerReader(run) as reader:
            recorded = line.watch.record(done, created, reader, 1)
        heard.extend(alert.rule for alert in recorded.alerts)
        return recorded.metrics

    heard: list[str] = []
    for _ in range(4):
        known = told(0.6, 2.0)
    assert known["signal/sandbagging/deduction"] == 0.0
    assert told(0.3, 3.0)["signal/sandbagging/deduction"] == 0.0, "skill that is lost"
    assert told(0.8, 1.0)["signal/sandbagging/deduction"] == 0.0, "skill that is gained"
    assert not heard
    found = told(0.3, 1.2)["signal/sandbagging/deduction"]
    assert found == pytest.approx(min(1 - 0.3 / 0.6, 1 - 1.2 / 2.0))
    told(0.3, 1.2)
    assert heard == ["metric.sandbagging"]
