"""The trainer's side of the channel: each call blocks until the supervisor has answered, but for ``submit``, whose
answer is waited for when it is needed."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from azr_platform.channel.messages import (
    Beat,
    Crashed,
    Draw,
    Drawn,
    Finished,
    Go,
    Halt,
    Hello,
    Judgement,
    Noted,
    Notice,
    Problem,
    Review,
    Reviewed,
    Reward,
    RollBack,
    SafePoint,
    Saved,
    StepDone,
    Submission,
    ToTrainer,
    Welcome,
)
from azr_platform.channel.wire import Disconnected, Wire
from azr_platform.records import Phase


class HaltRequested(Exception):
    """The supervisor wants the trainer to end here."""

    def __init__(self, save: bool) -> None:
        super().__init__("halt")
        self.save = save


class RollBackRequested(Exception):
    """The supervisor wants the trainer to go back to a checkpoint."""

    def __init__(self, order: RollBack) -> None:
        super().__init__(f"roll back to step {order.step}")
        self.order = order


class SupervisorLied(Exception):
    """The supervisor's reply does not fit the question. Nothing can be trusted after that."""


class Pending:
    """Samples under review. The supervisor answers in the order it was asked."""

    def __init__(self, link: Link, uids: Sequence[str]) -> None:
        self._link = link
        self._uids = uids
        self._reviewed: Reviewed | None = None

    def reviewed(self) -> Reviewed:
        """Wait for the verdicts, in the samples' order; their rows are committed when this returns.

        Raises:
            SupervisorLied: they are not of the samples sent.
        """
        while self._reviewed is None:
            self._link.settle_one()
        return self._reviewed

    def settle(self, reply: ToTrainer) -> None:
        """Take the supervisor's answer."""
        if not isinstance(reply, Reviewed):
            raise SupervisorLied(f"expected judgements, got {type(reply).__name__}")
        if [judgement.uid for judgement in reply.judgements] != list(self._uids):
            raise SupervisorLied("the judgements are not of the samples sent")
        self._reviewed = reply


class Link:
    """Questions to the supervisor, and beats that say what the trainer is doing: at each change of phase, and in a
    background pulse between them."""

    def __init__(self, wire: Wire[ToTrainer], beat_seconds: float = 1.0) -> None:
        self._wire = wire
        self._beat_seconds = beat_seconds
        self._stop = threading.Event()
        self._beating = threading.Lock()
        self._pending: deque[Pending] = deque()
        self.step = 0
        self.where = "starting"
        self.progress = (0, 0)
        self.beside = ""
        """What goes on beside it in another thread; told with it."""

    def hello(self) -> Welcome:
        reply = self._ask(Hello(peer="trainer", pid=os.getpid()))
        if not isinstance(reply, Welcome):
            raise SupervisorLied(f"expected a welcome, got {reply!r}")
        threading.Thread(target=self._pulse, name="pulse", daemon=True).start()
        return reply

    def at(self, where: str) -> None:
        """Tell what begins now."""
        self.where, self.progress = where, (0, 0)
        self._beat()

    def on_progress(self, done: int, total: int) -> None:
        """Note how far it is; the next pulse tells it."""
        self.progress = (done, total)

    def draw(self) -> list[Problem]:
        """The given problems of this step."""
        reply = self._ask(Draw(step=self.step))
        if not isinstance(reply, Drawn):
            raise SupervisorLied(f"expected problems, got {type(reply).__name__}")
        return reply.problems

    def submit(self, phase: Phase, samples: Sequence[Submission]) -> Pending:
        """Send samples to review and go on."""
        self._wire.send(Review(step=self.step, phase=phase, samples=list(samples)))
        self._pending.append(Pending(self, [sample.uid for sample in samples]))
        return self._pending[-1]

    def review(self, phase: Phase, samples: Sequence[Submission]) -> list[Judgement]:
        """Verdicts on a batch, in its order; their rows are committed when this returns."""
        return self.submit(phase, samples).reviewed().judgements if samples else []

    def settle_one(self) -> None:
        """Wait for the answer that comes next."""
        self._pending.popleft().settle(self._wire.receive())

    def safe_point(self, where: str, *, writes: int = 0, trouble: str = "") -> None:
        """Wait here while the run is paused, or while a checkpoint of ``writes`` bytes has no room.

        Raises:
            HaltRequested: stop now.
            RollBackRequested: load a checkpoint and go on from there.
        """
        reply = self._ask(SafePoint(step=self.step, where=where, writes=writes, trouble=trouble))
        if isinstance(reply, Halt):
            raise HaltRequested(reply.save)
        if isinstance(reply, RollBack):
            raise RollBackRequested(reply)
        if not isinstance(reply, Go):
            raise SupervisorLied(f"expected an order, got {type(reply).__name__}")

    def step_done(self, seconds: float, metrics: dict[str, float], rewards: list[Reward]) -> None:
        """``seconds``: how long it took by a clock that nobody sets."""
        started_at = time.time() - seconds
        self._note(StepDone(step=self.step, started_at=started_at, seconds=seconds, metrics=metrics, rewards=rewards))

    def saved(self, path: str, digest: str) -> None:
        self._note(Saved(step=self.step, path=path, digest=digest))

    def finished(self) -> None:
        self._note(Finished(step=self.step))

    def crashed(self, error: str) -> None:
        self._note(Crashed(step=self.step, error=error))

    def notice(self, message: str) -> None:
        self._wire.send(Notice(message=message))

    def close(self) -> None:
        self._stop.set()
        self._wire.close()

    def _ask(self, message: msgspec.Struct) -> ToTrainer:
        while self._pending:  # answers come in the questions' order
            self.settle_one()
        return self._wire.ask(message)

    def _note(self, message: StepDone | Saved | Finished | Crashed) -> None:
        reply = self._ask(message)
        if not isinstance(reply, Noted):
            raise SupervisorLied(f"expected a receipt, got {type(reply).__name__}")

    def _beat(self) -> None:
        with self._beating:  # taken and sent in one go: no beat of an older phase comes after one of a newer
            done, total = self.progress
            where = f"{self.where}, beside {beside}" if (beside := self.beside) else self.where
            self._wire.send(Beat(step=self.step, where=where, done=done, total=total))

    def _pulse(self) -> None:
        while not self._stop.wait(self._beat_seconds):
            try:
                self._beat()
            except Disconnected:
                if not self._stop.is_set():
                    # Without a supervisor nothing is recorded, so nothing may go on.
                    os._exit(3)
                return
