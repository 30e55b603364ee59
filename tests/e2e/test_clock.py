"""A clock that is set while a run goes on, by an hour in either direction: nothing but the times on record shows it.

Nobody may set the machine's clock in a test. The real command runs with all its processes, nsjail among them, under a
wall clock of the test's own (clock.c, loaded with LD_PRELOAD): each of them sees it jump, at the same moment.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Action, Command, Status
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.trainer.checkpoint import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Query = Callable[..., list[tuple[Any, ...]]]
HOUR = 3600
DEADLINE = 240.0


class Clock:
    """The wall clock of the processes that run under it."""

    def __init__(self, library: Path, file: Path) -> None:
        file.write_bytes(struct.pack("l", 0))
        with file.open("r+b") as opened:
            self._page = mmap.mmap(opened.fileno(), struct.calcsize("l"))
        self.environment = {"LD_PRELOAD": str(library), "AZR_TEST_CLOCK": str(file)}

    def set(self, ahead: int) -> None:
        self._page[:] = struct.pack("l", ahead)


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make the clock with")
    library = tmp_path / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    yield Clock(library, tmp_path / "clock")


class Live:
    """The real command on a run, and what a person does beside it."""

    def __init__(self, run: Path, clock: Clock, settings: list[str]) -> None:
        self._run = run
        given = [part for setting in settings for part in ("--set", setting)]
        arguments = ("train", "--preset", "nano", "--run", str(run), *given)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", **clock.environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "azr_platform", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, condition: Callable[[Status], bool]) -> Status:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[0]
            try:
                with ControlClient(self._run) as client:
                    status = client.status()
            except (NotSupervised, OSError):
                time.sleep(0.05)
                continue
            if condition(status):
                return status
            time.sleep(0.01)
        raise AssertionError("the condition never held")

    def order(self, action: Action) -> None:
        with ControlClient(self._run) as client:
            assert client.command(Command(action=action, who="test")).ok

    def end(self) -> str:
        output, _ = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0, output
        return output


@pytest.fixture
def settings(small_config: Callable[..., Config], tiny_model: Path) -> list[str]:
    """``small_config``'s, with something to learn (random weights earn no reward), and a policy that lets them be."""
    small = ["selfplay.proposals=3", "selfplay.rollouts=2", "selfplay.seed_factor=1", "selfplay.seed_rounds=1"]
    more = ["model.max_response_tokens=16", "run.checkpoint_every=1", "run.steps=8", "tasks.kinds=['deduction']"]
    more.append("jail.cpu_seconds=1")
    policy = ["update.entropy_coefficient=0.001", "supervisor.policy=observe", "supervisor.beat_timeout_seconds=60"]
    return [*small, *more, *policy, f"model.path={json.dumps(str(tiny_model))}"]


def final_files(run: Path) -> dict[str, str]:
    with LedgerReader(run) as reader:
        found = reader.verify()
        assert found.intact, found.problem
        last = reader.line_checkpoints()[-1]
    assert last.step == 8
    return verify(run / last.path, last.digest).files


def test_a_clock_set_by_an_hour_forwards_and_backwards_disturbs_nothing(
    tmp_path: Path, clock: Clock, settings: list[str], query: Query
) -> None:
    undisturbed = Live(tmp_path / "undisturbed", clock, settings)
    undisturbed.end()
    run = tmp_path / "run"
    live = Live(run, clock, settings)
    live.until(lambda status: status.step >= 1)
    clock.set(HOUR)  # while it works
    live.until(lambda status: status.step >= 2)
    live.order(Action.PAUSE)
    live.until(lambda status: status.state == "paused")
    clock.set(-HOUR)  # two hours back, while it waits
    live.order(Action.RESUME)
    live.until(lambda status: status.step >= 4)
    clock.set(0)
    live.end()

    times = [moment for (moment,) in query(run, "SELECT time FROM samples ORDER BY id")]
    jumps = [round((after - before) / HOUR) for before, after in pairwise(times)]
    assert [jump for jump in jumps if jump] == [1, -2, 1], "it was set"

    assert final_files(run) == final_files(tmp_path / "undisturbed")
    assert query(run, "SELECT message FROM alerts") == []
    assert query(run, "SELECT message FROM notices WHERE message LIKE '%restart%'") == []
    steps = query(run, "SELECT step, seconds FROM steps ORDER BY id")
    assert [step for step, _ in steps] == [*range(1, 9)]
    assert all(0 < seconds < HOUR / 2 for _, seconds in steps), "so the ETA holds"
    seconds = query(run, "SELECT name, value FROM metrics WHERE name LIKE 'seconds/%' OR name = 'idle'")
    assert all(0 <= value < HOUR / 2 for _, value in seconds)
    taken = query(run, "SELECT wall_ms, cpu_ms FROM executions")
    assert all(0 <= wall < 60_000 and 0 <= cpu < 60_000 for wall, cpu in taken)
    with LedgerReader(run) as reader:
        assert reader.state().state == "finished"
        assert [row.step for row in reader.line_checkpoints()] == [*range(9)]
