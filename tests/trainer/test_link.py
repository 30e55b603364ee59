"""The trainer's side of the channel: orders, receipts, and replies that do not fit the question."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from azr_platform.channel.messages import (
    Beat,
    Crashed,
    Finished,
    FromTrainer,
    Go,
    Halt,
    Hello,
    Judgement,
    Noted,
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
from azr_platform.records import Kind, Phase, Role
from azr_platform.trainer.link import HaltRequested, Link, RollBackRequested, SupervisorLied

SAMPLES = [
    Submission(uid=str(n), role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="p", response="r", tokens=1) for n in range(3)
]
JUDGEMENTS = [Judgement(uid=str(n), sample=n + 1, allowed=True, well_formed=True) for n in range(3)]


class Supervisor:
    """The other end of the socket pair: answers with what the test says, and keeps what it was told."""

    def __init__(self, sock: socket.socket) -> None:
        self.wire: Wire[Any] = Wire(sock, FromTrainer)
        self.heard: list[Any] = []

    def answer(self, *replies: Any) -> threading.Thread:
        """Answer the next messages (beats aside) in a thread of its own."""

        def run() -> None:
            for reply in replies:
                while isinstance(message := self.wire.receive(), Beat):
                    pass
                self.heard.append(message)
                self.wire.send(reply)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


@pytest.fixture
def ends() -> Iterator[tuple[Link, Supervisor]]:
    a, b = socket.socketpair()
    for sock in (a, b):
        sock.settimeout(60)
    link, supervisor = Link(Wire(a, ToTrainer), beat_seconds=0.02), Supervisor(b)
    yield link, supervisor
    link.close()
    supervisor.wire.close()


Ends = tuple[Link, Supervisor]


def _exchange(ends: Ends, reply: Any, call: Callable[[Link], Any]) -> Any:
    link, supervisor = ends
    thread = supervisor.answer(reply)
    try:
        return call(link)
    finally:
        thread.join()


def test_a_greeting_starts_the_pulse_that_tells_what_is_being_done(ends: Ends) -> None:
    link, supervisor = ends
    welcome = Welcome(branch=3, checkpoint="checkpoints/step-000004")
    assert _exchange(ends, welcome, Link.hello) == welcome
    assert supervisor.heard == [Hello(peer="trainer", pid=os.getpid())]
    link.step = 7
    link.at("solve: sampling")
    link.on_progress(3, 9)
    while (beat := supervisor.wire.receive()) != Beat(step=7, where="solve: sampling", done=3, total=9):
        assert isinstance(beat, Beat)
    link.at("update")
    while (beat := supervisor.wire.receive()) != Beat(step=7, where="update"):
        assert isinstance(beat, Beat)


def test_a_change_of_phase_needs_no_pulse_to_be_told(ends: Ends) -> None:
    link, supervisor = ends
    link._beat_seconds = 3600.0
    _exchange(ends, Welcome(), Link.hello)
    link.step = 2
    link.at("update")
    assert supervisor.wire.receive() == Beat(step=2, where="update")


def test_what_goes_on_beside_a_phase_is_told_with_it(ends: Ends) -> None:
    link, supervisor = ends
    link.beside = "the update of step 4"
    link.at("solve: sampling")
    heard = supervisor.wire.receive()
    assert isinstance(heard, Beat)
    assert heard.where == "solve: sampling, beside the update of step 4"


def test_no_beat_of_an_older_phase_comes_after_one_of_a_newer() -> None:
    """The pulse is held up between taking a beat and sending it, while the phase changes."""
    taken, overtaken = threading.Event(), threading.Event()

    class HeldUp(Wire[ToTrainer]):
        def send(self, message: Any) -> None:
            if isinstance(message, Beat) and threading.current_thread().name == "pulse" and not taken.is_set():
                taken.set()
                overtaken.wait(0.3)  # in vain, when nothing can overtake it
            super().send(message)
            if isinstance(message, Beat) and message.where == "newer":
                overtaken.set()

    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.settimeout(60)
    link, supervisor = Link(HeldUp(ours, ToTrainer), beat_seconds=0.01), Supervisor(theirs)
    link.where = "older"
    _exchange((link, supervisor), Welcome(), Link.hello)
    assert taken.wait(60)
    link.at("newer")
    while supervisor.wire.receive().where != "newer":
        pass
    beats = [supervisor.wire.receive().where for _ in range(3)]
    link.close()
    supervisor.wire.close()
    assert beats == ["newer"] * 3


def test_judgements_come_back_in_the_samples_order(ends: Ends) -> None:
    found = _exchange(ends, Reviewed(judgements=JUDGEMENTS), lambda link: link.review(Phase.SOLVE, SAMPLES))
    assert found == JUDGEMENTS
    assert ends[1].heard == [Review(step=0, phase=Phase.SOLVE, samples=SAMPLES)]


def test_nothing_to_review_is_not_asked(ends: Ends) -> None:
    assert ends[0].review(Phase.SOLVE, []) == []
    ends[1].wire._socket.setblocking(False)
    with pytest.raises(Disconnected):
        ends[1].wire.receive()


@pytest.mark.parametrize(
    "judgements",
    [[], JUDGEMENTS[:2], JUDGEMENTS[::-1], [*JUDGEMENTS, JUDGEMENTS[0]], [JUDGEMENTS[0]] * 3],
    ids=["none", "too few", "another order", "too many", "repeated"],
)
def test_judgements_of_other_samples_are_not_trusted(judgements: list[Judgement], ends: Ends) -> None:
    with pytest.raises(SupervisorLied, match="not of the samples sent"):
        _exchange(ends, Reviewed(judgements=judgements), lambda link: link.review(Phase.SOLVE, SAMPLES))


def test_a_safe_point_goes_on_halts_or_rolls_back_as_ordered(ends: Ends) -> None:
    assert _exchange(ends, Go(), lambda link: link.safe_point("here")) is None
    assert ends[1].heard == [SafePoint(step=0, where="here")]
    for save in (True, False):
        with pytest.raises(HaltRequested) as halt:
            _exchange(ends, Halt(save=save), lambda link: link.safe_point("here"))
        assert halt.value.save is save
    order = RollBack(checkpoint="c", step=2, branch=5)
    with pytest.raises(RollBackRequested, match="step 2") as request:
        _exchange(ends, order, lambda link: link.safe_point("here"))
    assert request.value.order == order


def test_reports_wait_for_their_receipt(ends: Ends) -> None:
    link, supervisor = ends
    link.step = 4
    _exchange(ends, Noted(), lambda link: link.saved("checkpoints/step-000004", "d"))
    _exchange(ends, Noted(), Link.finished)
    _exchange(ends, Noted(), lambda link: link.crashed("why"))
    _exchange(ends, Noted(), lambda link: link.step_done(1.0, {"loss": 0.5}, []))
    assert supervisor.heard[:3] == [
        Saved(step=4, path="checkpoints/step-000004", digest="d"),
        Finished(step=4),
        Crashed(step=4, error="why"),
    ]
    assert isinstance(supervisor.heard[3], StepDone)
    assert supervisor.heard[3].metrics == {"loss": 0.5}


@pytest.mark.parametrize(
    ("reply", "call"),
    [
        (Go(), Link.hello),
        (Go(), lambda link: link.review(Phase.SOLVE, SAMPLES)),
        (Noted(), lambda link: link.safe_point("here")),
        (Go(), Link.finished),
        (Welcome(), lambda link: link.saved("p", "d")),
    ],
)
def test_a_reply_that_does_not_fit_the_question_is_not_trusted(
    reply: Any, call: Callable[[Link], Any], ends: Ends
) -> None:
    with pytest.raises(SupervisorLied):
        _exchange(ends, reply, call)


def test_a_trainer_without_a_supervisor_ends_itself() -> None:
    """Whatever it is doing at the time: here, a long sleep."""
    code = (
        "import socket, sys, time\n"
        "from azr_platform.channel.messages import ToTrainer\n"
        "from azr_platform.channel.wire import Wire\n"
        "from azr_platform.trainer.link import Link\n"
        "link = Link(Wire(socket.socket(fileno=int(sys.argv[1])), ToTrainer), beat_seconds=0.02)\n"
        "link.hello()\n"
        "time.sleep(600)\n"
    )
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(60)
        arguments = [sys.executable, "-c", code, str(theirs.fileno())]
        with subprocess.Popen(arguments, pass_fds=[theirs.fileno()]) as trainer:
            theirs.close()
            wire: Wire[Any] = Wire(ours, FromTrainer)
            assert isinstance(wire.receive(), Hello)
            wire.send(Welcome())
            assert isinstance(wire.receive(), Beat)
            ours.close()
            assert trainer.wait(timeout=60) == 3
