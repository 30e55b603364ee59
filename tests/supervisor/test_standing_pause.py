"""A pause outlives its supervisor, however that ended, until somebody lifts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Action, Command, Status
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create, standing_pause

Supervise = Callable[..., Any]

WAITS = """
link.hello()
try:
    while not (run / "enough").exists():
        link.safe_point("between steps")
        time.sleep(0.005)
    link.finished()
except HaltRequested:
    pass
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LedgerWriter]:
    with create(tmp_path / "run", load("nano")) as opened:
        yield opened


def record(writer: LedgerWriter, *rows: str) -> None:
    """Rows as a supervisor leaves them: ``state`` or ``who:action:outcome``, with a clock that goes back."""
    for number, row in enumerate(rows):
        when = 1e9 - number
        if ":" not in row:
            reason = "look" if row in ("pausing", "paused") else ""
            writer.append("states", {"time": when, "state": row, "where_at": "", "reason": reason})
            continue
        who, action, outcome = row.split(":")
        why = "look" if action == "pause" else ""
        writer.append("controls", {"time": when, "who": who, "action": action, "why": why, "outcome": f"{outcome}: x"})


@pytest.mark.parametrize(
    ("rows", "paused"),
    [
        ([], False),
        (["running"], False),
        (["running", "pausing"], True),
        (["running", "pausing", "me:pause:done"], True),
        (["running", "pausing", "me:pause:done", "paused"], True),
        (["running", "pausing", "paused"], True),  # the ledger failed, and nobody gave a command
        (["paused", "starting"], True),  # the trainer died while it waited, and then the supervisor
        (["me:pause:done"], True),  # before the trainer had started
        (["me:pause:refused"], False),
        (["paused", "me:pause:done", "me:resume:done"], False),  # killed before it ran on
        (["paused", "me:resume:refused"], True),
        (["paused", "me:resume:done", "running"], False),
        (["paused", "me:rollback:done"], False),
        (["paused", "policy:rollback:refused"], True),
        (["paused", "me:stop:done", "stopping", "stopped"], False),  # whoever continues it means to
        (["paused", "signal SIGTERM:stop:done", "stopping", "stopped"], True),  # the machine shut down
        (["paused", "stopping", "stopped"], True),
        (["paused", "failed"], True),
        (["running", "supervisor:pause:done", "paused", "me:resume:done", "running", "policy:pause:done"], True),
    ],
)
def test_what_is_on_record_says_whether_a_run_is_paused(rows: list[str], paused: bool, writer: LedgerWriter) -> None:
    record(writer, *rows)
    assert standing_pause(writer.path.parent) == ("look" if paused else "")


def test_a_pause_without_a_reason_stands_too(writer: LedgerWriter) -> None:
    writer.append("controls", {"time": 1.0, "who": "me", "action": "pause", "why": "", "outcome": "done: pausing"})
    assert standing_pause(writer.path.parent) == "asked by me"


@pytest.mark.parametrize("where", ["paused", "starting"])
def test_a_paused_run_comes_back_paused_and_a_resume_lets_it_go_on(where: str, supervise: Supervise) -> None:
    """The machine shuts down while the run is paused, or before its trainer has come back to where it waits."""

    def shut_down(live: Any) -> None:
        live.until(lambda status: status.state == "running")
        assert live.order(Action.PAUSE, why="look").ok
        live.until(lambda status: status.state == "paused")
        live.in_loop(lambda: live.supervisor.interrupt("signal SIGTERM", "interrupted"))

    assert supervise(WAITS, shut_down).states[-1] == "stopped"
    if where == "starting":
        body = 'wait("asked")\n' + WAITS

        def again(live: Any) -> None:
            live.until(lambda status: status.state == "starting")
            live.in_loop(lambda: live.supervisor.interrupt("signal SIGTERM", "interrupted"))
            live.until(lambda status: status.state == "stopping")
            live.say("asked")

        assert supervise(body, again).states[-1] == "stopped"

    def resume(live: Any) -> None:
        status = live.until(lambda status: status.state == "paused")
        assert status.reason == "look"
        live.say("enough")
        assert live.order(Action.RESUME).ok

    ended = supervise(WAITS, resume)
    assert ended.status == 0
    assert ended.states[-3:] == ["paused", "running", "finished"]
    assert any("still paused" in message for (message,) in ended.rows("SELECT message FROM notices"))


# A supervisor in a process of its own, which can be killed.
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_platform.config.load import load
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.process import Supervisor
from azr_platform.supervisor.runfolder import create

run, trainer = Path(sys.argv[1]), sys.argv[2]
config = load("nano", overrides=["run.steps=3"])
judge = Auditor(load_policy("default").model_copy(update={"classifiers": (), "rates": ()}))
with create(run, config) as writer:
    gate = Gate.of_run(config, judge, None, [])  # nothing is run here
    asyncio.run(Supervisor(run, config, writer, gate, trainer=(sys.executable, trainer)).run())
"""


def test_a_paused_run_whose_supervisor_and_trainer_are_killed_comes_back_paused(
    supervise: Supervise, prelude: str, tmp_path: Path
) -> None:
    run, trainer = tmp_path / "run", tmp_path / "first.py"
    trainer.write_text(prelude + WAITS)
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(run), str(trainer)]) as supervisor:
        try:
            status = until(run, "running")
            with ControlClient(run) as client:
                assert client.command(Command(action=Action.PAUSE, who="test", why="look")).ok
            status = until(run, "paused")
            os.kill(status.trainer_pid, signal.SIGKILL)
        finally:
            supervisor.kill()
    with LedgerReader(run) as reader:
        assert reader.state().state == "interrupted"

    def resume(live: Any) -> None:
        assert live.until(lambda status: status.state == "paused").reason == "look"
        live.say("enough")
        assert live.order(Action.RESUME).ok

    ended = supervise(WAITS, resume)
    assert ended.states[-3:] == ["paused", "running", "finished"]
    with LedgerReader(run) as reader:
        assert reader.verify().intact


def until(run: Path, state: str) -> Status:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(NotSupervised), ControlClient(run) as client:
            if (status := client.status()).state == state:
                return status
        time.sleep(0.01)
    raise AssertionError(f"the run was never {state}")


def test_a_run_that_a_person_stopped_while_it_was_paused_goes_on_when_it_is_continued(supervise: Supervise) -> None:
    def stop(live: Any) -> None:
        live.until(lambda status: status.state == "running")
        assert live.order(Action.PAUSE).ok
        live.until(lambda status: status.state == "paused")
        assert live.order(Action.STOP).ok

    assert supervise(WAITS, stop).states[-1] == "stopped"
    ended = supervise(WAITS, lambda live: live.say("enough"))
    assert ended.states[-2:] == ["running", "finished"]
