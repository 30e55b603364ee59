"""The other end of a trainer's channel where no jail can be had, or none is meant: it judges by what was written.

Nothing is run, monitored or recorded: for measuring and checking the trainer alone.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from azr_platform.channel.messages import (
    Beat,
    Crashed,
    Draw,
    Drawn,
    FromTrainer,
    Go,
    Hello,
    Judgement,
    Noted,
    Notice,
    Problem,
    Review,
    Reviewed,
    RollBack,
    SafePoint,
    Saved,
    StepDone,
    Submission,
    ToTrainer,
    Welcome,
)
from azr_platform.channel.wire import Disconnected, Wire
from azr_platform.config.load import dump
from azr_platform.config.schema import Config
from azr_platform.trainer.link import Link
from azr_platform.trainer.session import Session

Judge = Callable[[Submission, int], Judgement]
"""A sample and the number of its row, were there a ledger, to its judgement."""


class StandIn(threading.Thread):
    """Answers one trainer; ``orders`` are given at the safe points they name, once each."""

    def __init__(
        self,
        sock: socket.socket,
        judge: Judge,
        problems: Sequence[Problem] = (),
        orders: dict[str, RollBack] | None = None,
    ) -> None:
        super().__init__(name="stand-in", daemon=True)
        self._wire: Wire[Any] = Wire(sock, FromTrainer)
        self._judge = judge
        self._problems = list(problems)
        self._orders = dict(orders or {})
        self._samples = 0
        self.steps: list[StepDone] = []
        self.saved: list[Saved] = []

    def run(self) -> None:
        try:
            while True:
                reply = self._answer(self._wire.receive())
                if reply is not None:
                    self._wire.send(reply)
        except Disconnected:
            self._wire.close()

    def _answer(self, message: Any) -> Any:
        match message:
            case Beat() | Notice():
                return None
            case Hello():
                return Welcome()
            case Draw():
                return Drawn(problems=self._problems)
            case Review():
                first = self._samples + 1
                self._samples += len(message.samples)
                return Reviewed(judgements=[self._judge(one, n) for n, one in enumerate(message.samples, first)])
            case SafePoint():
                return self._orders.pop(message.where, None) or Go()
            case StepDone():
                self.steps.append(message)
            case Saved():
                self.saved.append(message)
            case Crashed():
                raise RuntimeError(message.error)
        return Noted()


def train(
    run: Path, config: Config, judge: Judge, problems: Sequence[Problem] = (), orders: dict[str, RollBack] | None = None
) -> StandIn:
    """A trainer's whole life in this process, with a stand-in for its supervisor."""
    run.mkdir(parents=True)
    (run / "run.toml").write_text(dump(config), "utf-8")
    ours, theirs = socket.socketpair()
    supervisor = StandIn(theirs, judge, problems, orders)
    supervisor.start()
    link = Link(Wire(ours, ToTrainer))
    try:
        Session(run, link).run(link.hello())
    finally:
        link.close()
        supervisor.join()
    return supervisor
