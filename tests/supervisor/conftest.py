"""A real supervisor, ledger and control socket; only the trainer is a short script that speaks the protocol."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Action, Command, Outcome, Status
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Task
from azr_platform.supervisor.amendments import Standing
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.observer import Observer
from azr_platform.supervisor.process import Supervisor
from azr_platform.supervisor.runfolder import create, reopen
from azr_platform.supervisor.warden import Stance
from azr_sandbox.execution import Execution, Request
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

DEADLINE = 120.0

PRELUDE = """
import os, signal, socket, sys, time
from hashlib import blake2b
from pathlib import Path
from azr_platform.channel.messages import Notice, Submission, ToTrainer
from azr_platform.channel.wire import Wire, frame
from azr_platform.records import Kind, Phase, Role
from azr_platform.trainer.link import HaltRequested, Link, RollBackRequested

run = Path(sys.argv[sys.argv.index("--run") + 1])
sock = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
link = Link(Wire(sock, ToTrainer), beat_seconds=0.05)

def wait(name):
    while not (run / name).exists():
        time.sleep(0.005)

def checkpoint(step, branch=1):
    link.step = step
    folder = run / "checkpoints" / f"step-{step}-branch-{branch}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text("{}")
    link.saved(str(folder.relative_to(run)), blake2b(b"{}", digest_size=32).hexdigest())

def answer(text, kind=Kind.DEDUCTION, block="output", task="seed-deduction"):
    response = f"<think>so</think>\\n<answer>\\n```{block}\\n{text}\\n```\\n</answer>"
    return Submission(uid="u", role=Role.SOLVE, kind=kind, prompt="p", response=response, tokens=3, task=task)

def done():
    link.step_done(0.5, {"samples": 1.0}, [])

"""


class NoJail:
    """These samples need no jail; one that does is blocked, since this one fails."""

    def run(self, requests: Any) -> list[tuple[Execution, ...]]:
        assert all(isinstance(request, Request) for request in requests)
        raise OSError("no jail in this test")


class Live:
    """What a test does beside a live supervisor."""

    def __init__(self, run: Path, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self.run = run
        self.supervisor = supervisor
        self.loop = loop
        self.ended = threading.Event()

    def say(self, name: str) -> None:
        """Let the trainer's ``wait(name)`` return."""
        (self.run / name).touch()

    def until(self, condition: Callable[[Status], bool]) -> Status:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                with ControlClient(self.run) as client:
                    status = client.status()
            except NotSupervised:
                assert not self.ended.is_set(), "the condition did not hold before the run ended"
                continue
            if condition(status):
                return status
            time.sleep(0.01)
        raise AssertionError("the condition never held")

    def until_seen(self, name: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not (self.run / name).exists():
            assert time.monotonic() < deadline and not self.ended.is_set(), f"the trainer never came to {name}"
            time.sleep(0.005)

    def order(self, action: Action, step: int | None = None, why: str = "") -> Outcome:
        with ControlClient(self.run) as client:
            return client.command(Command(action=action, who="test", why=why, step=step))

    def in_loop(self, call: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(call)


class Ended(NamedTuple):
    """A run after its end."""

    status: int
    run: Path

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.run / "ledger.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    @property
    def states(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT state FROM states ORDER BY id")]

    @property
    def controls(self) -> list[tuple[str, str, str]]:
        return self.rows("SELECT who, action, outcome FROM controls ORDER BY id")  # type: ignore[return-value]


Supervise = Callable[..., Ended]


@pytest.fixture(scope="module")
def jail() -> Iterator[JailPool]:
    """A real one, patient enough for a busy machine."""
    with JailPool(Limits(wall_s=60.0, cpu_s=20), workers=1) as pool:
        yield pool


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LedgerWriter]:
    """The ledger of a run in the test's own folder."""
    with LedgerWriter(tmp_path) as opened:
        opened.append("run", {"name": "test", "steps": 1})
        yield opened


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a test's run is, or will be."""
    return tmp_path / "run"


@pytest.fixture
def created(run: Path) -> Iterator[LedgerWriter]:
    """The ledger of a run that was just made, as `train` makes it."""
    with create(run, load("nano")) as opened:
        yield opened


@pytest.fixture(scope="session")
def prelude() -> str:
    """What each trainer's script begins with."""
    return PRELUDE


@pytest.fixture(scope="session")
def quick_auditor() -> Auditor:
    """The default policy's rules, without classifiers and without rates."""
    return Auditor(load_policy("default").model_copy(update={"classifiers": (), "rates": ()}))


@pytest.fixture
def supervise(tmp_path: Path, quick_auditor: Auditor) -> Supervise:
    """Supervise a trainer that does what ``body`` says, while ``meanwhile(live)`` runs beside it. ``standing``: its
    policy may be changed."""

    def run_to_end(
        body: str,
        meanwhile: Callable[[Live], None] | None = None,
        *settings: str,
        judge: Any = None,
        stance: Stance | None = None,
        observer: Observer | None = None,
        problems: Sequence[Task] = (),
        jail: Any = None,
        standing: bool = False,
    ) -> Ended:
        run = tmp_path / "run"
        script = tmp_path / "trainer.py"
        script.write_text(PRELUDE + body)
        writer, config = (
            reopen(run)
            if (run / "ledger.db").exists()
            else (create(run, made := load("nano", overrides=["run.steps=3", *settings]), problems), made)
        )
        trouble: list[BaseException] = []
        with writer:
            with LedgerReader(run) as reader:
                tasks = list(reader.tasks())
            stands = Standing(run, judge or quick_auditor) if standing else None
            gate = Gate.of_run(config, stands or judge or quick_auditor, jail or NoJail(), tasks)

            async def serve() -> int:
                supervisor = Supervisor(
                    run,
                    config,
                    writer,
                    gate,
                    stance=stance,
                    standing=stands,
                    observer=observer,
                    trainer=(sys.executable, str(script)),
                )
                live = Live(run, supervisor, asyncio.get_running_loop())

                def beside() -> None:
                    try:
                        assert meanwhile is not None
                        meanwhile(live)
                    except BaseException as error:
                        trouble.append(error)
                        live.in_loop(lambda: live.supervisor.interrupt("test", "the test failed"))
                        live.in_loop(live.supervisor.kill_trainer)

                thread = threading.Thread(target=beside, daemon=True)
                if meanwhile is not None:
                    thread.start()
                try:
                    return await asyncio.wait_for(supervisor.run(), 2 * DEADLINE)
                finally:
                    live.ended.set()
                    if meanwhile is not None:
                        await asyncio.to_thread(thread.join)

            status = asyncio.run(serve())
        if trouble:
            raise trouble[0]
        return Ended(status, run)

    return run_to_end
