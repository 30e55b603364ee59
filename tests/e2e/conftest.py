"""The whole circle with its real parts: trainer process, jail, monitor, ledger. Only the model is small."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Action
from azr_platform.channel.client import ControlClient
from azr_platform.channel.messages import Action as Order
from azr_platform.channel.messages import Command, Outcome, Status, ToTrainer
from azr_platform.config.load import load
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.records import Task
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.process import Supervisor
from azr_platform.supervisor.runfolder import create, reopen
from azr_platform.supervisor.warden import Stance
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

Act = Callable[[], None]
NURSERY = Path(__file__).resolve().parents[2] / "benchmarks/nursery.py"

SMALL = [
    "selfplay.proposals=3",
    "selfplay.rollouts=2",
    "selfplay.seed_factor=1",
    "selfplay.seed_rounds=1",
    "model.max_response_tokens=16",
    "run.checkpoint_every=1",
    "jail.cpu_seconds=1",  # each start of the command waits for what loops in the jail for ever
]


@pytest.fixture(scope="session")
def jail() -> Iterator[JailPool]:
    with JailPool(Limits(wall_s=60.0, cpu_s=20), workers=2) as pool:
        yield pool


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's architecture and tokenizer with random weights."""
    from azr_platform.nano.model import new_model
    from azr_platform.nano.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("tiny-model")
    tokenizer = build_tokenizer()
    new_model(len(tokenizer), seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def auditor() -> Auditor:
    """The default policy without its classifiers, whose weights are no part of the repository, and without
    its pauses, so that a script runs to its end."""
    policy = load_policy("default")
    actions = {severity: min(action, Action.DROP) for severity, action in policy.actions.items()}
    return Auditor(policy.model_copy(update={"classifiers": (), "rates": (), "metrics": (), "actions": actions}))


class Moments:
    """What a test does to a live run, at moments that no machine is too fast or too slow for.

    The trainer stands still while it waits for an answer, and a paused run stays paused: acts happen only then, in a
    thread, so that the supervisor answers their commands meanwhile. An act that fails ends the run and fails the test.
    """

    def __init__(self, run: Path, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self._run = run
        self._acts: list[tuple[type[Any], int, Act]] = []
        self._paused: list[Act] = []
        self._beside: list[asyncio.Task[None]] = []
        self._trouble: list[Exception] = []
        self._answer, self._set_state = supervisor._answer, supervisor._set_state
        supervisor._answer = self._act_and_answer  # type: ignore[method-assign]
        supervisor._set_state = self._set_state_and_act  # type: ignore[method-assign]

    def before(self, question: type[Any], step: int, act: Act) -> None:
        """Act once: when the trainer first sends such a message at a step, before it is answered."""
        self._acts.append((question, step, act))

    def when_paused(self, act: Act) -> None:
        """Act once: as soon as the run has paused."""
        self._paused.append(act)

    def order(self, action: Order, step: int | None = None, why: str = "") -> Outcome:
        """Give a command the way the command line does."""
        with ControlClient(self._run) as client:
            return client.command(Command(action=action, who="test", why=why, step=step))

    def status(self) -> Status:
        """Ask for the live status the way the command line does."""
        with ControlClient(self._run) as client:
            return client.status()

    def kill_trainer(self) -> None:
        os.kill(self.supervisor.status().trainer_pid, signal.SIGKILL)

    async def end(self) -> None:
        """Raise what an act raised, and for an act whose moment never came."""
        await asyncio.gather(*self._beside)
        if self._trouble:
            raise self._trouble[0]
        assert not self._acts, f"the trainer never came to {self._acts}"
        assert not self._paused, "the run never paused"

    async def _act_and_answer(self, message: Any) -> ToTrainer | None:
        for due in [entry for entry in self._acts if isinstance(message, entry[0]) and message.step == entry[1]]:
            self._acts.remove(due)
            await self._do(due[2])
        return await self._answer(message)

    async def _set_state_and_act(self, state: str, where: str, reason: str) -> None:
        await self._set_state(state, where, reason)
        if state == "paused":
            self._beside += [asyncio.create_task(self._do(act)) for act in self._paused]
            self._paused.clear()

    async def _do(self, act: Act) -> None:
        try:
            await asyncio.to_thread(act)
        except Exception as error:
            self._trouble.append(error)
            self.supervisor.interrupt("test", "the test failed")
            self.supervisor.kill_trainer()


Supervise = Callable[..., int]


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The command of a trainer that is forked from a process with all imports done, four of five seconds of a start."""
    folder = tmp_path_factory.mktemp("nursery")
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(NURSERY), str(folder)], **pipes) as nursery:
        assert nursery.stdout.readline() == b"open\n"
        yield runpy.run_path(str(NURSERY))["trainer"](folder)
        nursery.stdin.close()


@pytest.fixture(scope="session")
def supervise(jail: JailPool, auditor: Auditor, forked: tuple[str, ...]) -> Supervise:
    """Run a supervisor to its end; ``arrange(moments)`` says beforehand what is done to it on the way. The trainer does
    what the real command's does; ``trainer=TRAINER`` is that command."""

    def run_to_end(
        run: Path,
        config: Config | None = None,
        arrange: Callable[[Moments], None] | None = None,
        judge: Auditor | None = None,
        problems: Sequence[Task] = (),
        trainer: Sequence[str] = forked,
    ) -> int:
        writer, settings = (create(run, config, problems), config) if config is not None else reopen(run)
        judge = judge or auditor
        with writer:
            with LedgerReader(run) as reader:
                tasks = list(reader.tasks())
            gate = Gate.of_run(settings, judge, jail, tasks)

            async def serve() -> int:
                supervisor = Supervisor(run, settings, writer, gate, stance=Stance.of(judge.policy), trainer=trainer)
                moments = Moments(run, supervisor)
                if arrange is not None:
                    arrange(moments)
                status = await supervisor.run()
                await moments.end()
                return status

            return asyncio.run(serve())

    return run_to_end


@pytest.fixture(scope="session")
def small_config(tiny_model: Path) -> Callable[..., Config]:
    """The nano preset on random weights, small enough for seconds."""

    def make(*overrides: str, model: Path = tiny_model) -> Config:
        return load("nano", overrides=[*SMALL, f"model.path={json.dumps(str(model))}", *overrides])

    return make


class Say:
    """Well-formed responses, for scripts."""

    @staticmethod
    def proposal(program: str, given: str, reasoning: str = "a new task") -> str:
        blocks = f"```python\n{program}\n```\n```input\n{given}\n```\n"
        return f"<think>{reasoning}</think>\n<answer>\n{blocks}</answer>"

    @staticmethod
    def inputs(texts: list[str], message: str = "what it does") -> str:
        blocks = "".join(f"```input\n{text}\n```\n" for text in texts)
        return f"<think>inputs</think>\n<answer>\n{blocks}```message\n{message}\n```\n</answer>"

    @staticmethod
    def answer(block: str, content: str, reasoning: str = "so it is") -> str:
        return f"<think>{reasoning}</think>\n<answer>\n```{block}\n{content}\n```\n</answer>"


@pytest.fixture(scope="session")
def say() -> type[Say]:
    return Say


def rows(run: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(run / "ledger.db")
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


@pytest.fixture(scope="session")
def query() -> Callable[..., list[tuple[Any, ...]]]:
    """Ask a run's ledger in plain SQL."""
    return rows
