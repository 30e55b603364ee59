"""The feed: answers what was asked, reads only when something was committed, and never holds the writer up."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from textual.message import Message

from azr_monitor.records import Severity
from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Role
from azr_tui.feed import ALERTS_ON_HAND, Feed, Finder, PulseTaker, giving_way
from azr_tui.messages import LedgerTrouble, Pulse, SearchTrouble, SnapshotTaken
from azr_tui.questions import AskSample, AskSamples, SampleRead, SamplesRead
from azr_tui.view import View

DEADLINE = 120.0


class Inbox:
    """Collects what the threads post."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def post(self, message: Message) -> bool:
        self.messages.append(message)
        return True

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    def wait(self, kind: type[Any], count: int = 1) -> Any:
        """The ``count``-th message of a kind, once it is there."""
        deadline = time.monotonic() + DEADLINE
        while len(self.of(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind.__name__} number {count}: {self.messages}"
            time.sleep(0.01)
        return self.of(kind)[count - 1]


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[Feed, Inbox]]]:
    """Starts feeds in threads and ends them."""
    running: list[tuple[Feed, threading.Thread]] = []

    def start(run: Path, poll: float = 0.05) -> tuple[Feed, Inbox]:
        inbox = Inbox()
        feed = Feed(run, inbox.post, poll)
        thread = threading.Thread(target=feed.work)
        thread.start()
        running.append((feed, thread))
        return feed, inbox

    yield start
    for feed, thread in running:
        feed.stop()
        thread.join(60)
        assert not thread.is_alive()


def looked_again(feed: Feed) -> None:
    """Wait until it has looked at the ledger a few times more."""
    looks, look = [0], feed._take_snapshot

    def count() -> None:
        looks[0] += 1
        look()

    feed._take_snapshot = count  # type: ignore[method-assign]
    deadline = time.monotonic() + DEADLINE
    while looks[0] < 3:
        assert time.monotonic() < deadline, "the feed looks no more"
        time.sleep(0.01)


def test_nothing_is_read_again_until_something_was_committed(full_run: Any, started: Any) -> None:
    folder, run = full_run
    feed, inbox = started(folder)
    inbox.wait(SnapshotTaken)
    deadline = time.monotonic() + DEADLINE
    while not feed._curves.complete:  # a busy machine reads the curves in several goes, with a snapshot each
        assert time.monotonic() < deadline
        time.sleep(0.01)
    looked_again(feed)
    taken = len(inbox.of(SnapshotTaken))
    looked_again(feed)
    assert len(inbox.of(SnapshotTaken)) == taken
    run.step(43)
    assert inbox.wait(SnapshotTaken, taken + 1).snapshot.summary.step == 43


def test_the_end_of_the_supervisor_is_noticed_without_a_commit(full_run: Any, started: Any) -> None:
    folder, run = full_run
    _, inbox = started(folder)
    assert inbox.wait(SnapshotTaken).snapshot.summary.supervised
    run.writer.close()
    snapshot = inbox.wait(SnapshotTaken, 2).snapshot
    assert snapshot.state.state == "interrupted" and not snapshot.summary.supervised


def test_a_snapshot_is_whole(full_run: Any, started: Any) -> None:
    _, inbox = started(full_run[0])
    snapshot = inbox.wait(SnapshotTaken).snapshot
    assert len(snapshot.series("loss").steps) == 42 and not snapshot.series("never heard of").values
    assert [alert.id for alert in snapshot.alerts] == [4, 3, 2, 1]
    assert [row.step for row in snapshot.checkpoints] == [10, 20, 30, 40]
    assert snapshot.step_seconds[-1] == 12.5 and snapshot.notices and snapshot.controls


def test_questions_are_answered_between_polls(full_run: Any, started: Any) -> None:
    feed, inbox = started(full_run[0], poll=30.0)
    inbox.wait(SnapshotTaken)
    feed.ask(AskSample(506), inbox.post)
    assert inbox.wait(SampleRead).dossier.detail.sample.id == 506
    feed.ask(AskSample(99_999), inbox.post)
    feed.ask(AskSamples(SampleFilter(role=Role.SOLVE, kind=Kind.INDUCTION), beyond=100, size=5), inbox.post)
    assert inbox.wait(SampleRead, 2).dossier is None
    page = inbox.wait(SamplesRead)
    assert page.more and len(page.rows) == 5
    assert all(row.id < 100 and (row.role, row.kind) == ("solve", "induction") for row in page.rows)


def test_what_a_widget_asks_again_is_answered_once_for_the_newest_question(full_run: Any) -> None:
    inbox, other = Inbox(), Inbox()
    feed = Feed(full_run[0], inbox.post, poll=30.0)
    for number in (1, 2, 3):
        feed.ask(AskSample(number), inbox.post)
        feed.ask(AskSample(number + 10), other.post)
    thread = threading.Thread(target=feed.work)
    thread.start()
    try:
        assert inbox.wait(SampleRead).question == AskSample(3)
        assert other.wait(SampleRead).question == AskSample(13)
    finally:
        feed.stop()
        thread.join(60)
    assert len(inbox.of(SampleRead)) == len(other.of(SampleRead)) == 1


def test_a_search_is_answered_from_what_is_indexed_and_again_when_all_of_it_is(
    full_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azr_platform.ledger.search.AT_ONCE", 100)
    inbox = Inbox()
    finder = Finder(full_run[0], inbox.post)
    thread = threading.Thread(target=finder.work)
    thread.start()
    try:
        time.sleep(0.1)
        assert not (full_run[0] / "search.db").exists(), "nobody has searched yet"
        finder.ask(AskSamples(SampleFilter(text="return"), None, 5), inbox.post)
        first = inbox.wait(SamplesRead)
        assert first.behind > 0
        last = inbox.wait(SamplesRead, 2)
        assert last.behind == 0 and last.more
        assert min(row.id for row in last.rows) > max(row.id for row in first.rows)
        for row in last.rows:
            text, spans = last.snippets[row.id]
            assert [text[start:end].lower() for start, end in spans] and "return" in text
    finally:
        finder.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_trouble_is_told_once_and_its_end_too(tmp_path: Path, open_run: Any, started: Any) -> None:
    feed, inbox = started(tmp_path / "late")
    assert "waiting for the run to begin" in inbox.wait(LedgerTrouble).text
    looked_again(feed)
    assert len(inbox.of(LedgerTrouble)) == 1
    _, run = open_run("late")
    run.begin()
    inbox.wait(SnapshotTaken)
    assert inbox.of(LedgerTrouble)[-1].text == ""


def test_the_writer_does_not_wait_for_the_feed(full_run: Any, started: Any) -> None:
    folder, run = full_run
    feed, inbox = started(folder, poll=0.0)
    inbox.wait(SnapshotTaken)
    for number in range(1, 200):
        feed.ask(AskSample(number), lambda answer: inbox.post(answer))  # each from a widget of its own
    for step in range(43, 53):
        run.step(step)  # the writer raises LedgerBroken if a reader locks it out
    assert inbox.wait(SampleRead, 199).dossier is not None


def test_the_pulse_is_none_without_a_supervisor_and_its_status_with_one(full_run: Any, supervise: Any) -> None:
    folder, _ = full_run
    inbox = Inbox()
    pulse = PulseTaker(folder, inbox.post, poll=0.05)
    thread = threading.Thread(target=pulse.work)
    thread.start()
    try:
        assert inbox.wait(Pulse).status is None
        supervise(folder)
        deadline = time.monotonic() + DEADLINE
        while inbox.of(Pulse)[-1].status is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert inbox.of(Pulse)[-1].status.where == "generate"
    finally:
        pulse.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_old_alerts_that_still_wait_are_on_hand_beside_the_newest(
    run_folder: Path, started: Callable[..., tuple[Feed, Inbox]]
) -> None:
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "steps": 1, "seed": 0, "config": "", "version": "", "created_at": 1.0})
        for number in range(1, 401):
            batch.add("alerts", {"time": 1.0, "branch": 1, "step": number, "severity": 3, "rule": "r", "message": "m"})
            if number not in (3, 5):
                batch.add("alert_acks", {"time": 2.0, "alert": number, "who": "me", "note": ""})
    _, inbox = started(run_folder)
    alerts = inbox.wait(SnapshotTaken).snapshot.alerts
    assert [alert.id for alert in alerts] == [*range(400, 200, -1), 5, 3]
    assert [alert.id for alert in alerts if not alert.acknowledged] == [5, 3]


@pytest.mark.parametrize("severity", [Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL])
def test_the_worst_alert_that_waits_is_on_hand_however_many_milder_ones_came_since(
    severity: Severity, run_folder: Path, started: Callable[..., tuple[Feed, Inbox]]
) -> None:
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "steps": 1, "seed": 0, "config": "", "version": "", "created_at": 1.0})
        for number in range(2 * ALERTS_ON_HAND):
            bad = severity - 1 if number else severity
            row = {"time": 1.0, "branch": 1, "step": number, "severity": bad, "rule": "r", "message": "m"}
            batch.add("alerts", row)
    _, inbox = started(run_folder)
    snapshot = inbox.wait(SnapshotTaken).snapshot
    assert max(alert.severity for alert in View(run_folder, 1.0, snapshot).open_alerts) == severity


def test_a_search_that_fails_is_told_once_and_is_no_trouble_of_the_ledger(full_run: Any) -> None:
    inbox = Inbox()
    finder = Finder(full_run[0], inbox.post)
    (full_run[0] / "search.db").mkdir()
    thread = threading.Thread(target=finder.work)
    thread.start()
    try:
        questions = [AskSamples(SampleFilter(text=text), None, 5) for text in ("return", "return", "items")]
        for question, told in zip(questions, (1, 1, 2), strict=True):
            finder.ask(question, inbox.post)
            deadline = time.monotonic() + DEADLINE
            while finder._failed is None or finder._failed[0] is not question:
                assert time.monotonic() < deadline, "it was not tried"
                time.sleep(0.01)
            assert len(inbox.of(SearchTrouble)) == told
        (full_run[0] / "search.db").rmdir()
        finder.ask(questions[0], inbox.post)
        inbox.wait(SamplesRead)
    finally:
        finder.stop()
        thread.join(60)
    assert "search.db" in inbox.of(SearchTrouble)[0].text and not inbox.of(LedgerTrouble)
    assert str(full_run[0]) not in inbox.of(SearchTrouble)[0].text


@pytest.mark.parametrize("version", ["older", "newer"])
def test_a_ledger_of_another_version_is_shown_or_said_to_be_newer(version: str, full_run: Any, started: Any) -> None:
    folder, run = full_run
    run.writer.close()
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        if version == "older":
            for table in ("branch_changes", "removals", "decisions"):
                ledger.execute(f"DROP TABLE {table}")
            ledger.execute("DELETE FROM _sqlite_migrations WHERE name >= 'm005'")
        else:
            ledger.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
                "SELECT migration_set, 'm999_omens', applied_at FROM _sqlite_migrations LIMIT 1"
            )
        ledger.commit()
    _, inbox = started(folder)
    if version == "older":
        assert [row.step for row in inbox.wait(SnapshotTaken).snapshot.checkpoints] == [10, 20, 30, 40]
    else:
        assert "a newer azr-platform wrote this ledger" in inbox.wait(LedgerTrouble).text
        assert not inbox.of(SnapshotTaken)


def test_threads_that_read_give_way_while_it_runs_and_not_longer() -> None:
    before = sys.getswitchinterval()
    with giving_way():
        assert sys.getswitchinterval() <= 0.001
    assert sys.getswitchinterval() == before
