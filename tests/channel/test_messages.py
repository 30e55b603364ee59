"""Messages and frames: everything comes back as it was sent, and what is no message is refused whole."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.records import Amendment
from azr_platform.channel import messages
from azr_platform.channel.messages import (
    Action,
    Ask,
    Beat,
    Changes,
    Command,
    Crashed,
    Draw,
    Drawn,
    Finished,
    FromClient,
    FromTrainer,
    Go,
    Halt,
    Hello,
    Judgement,
    Noted,
    Notice,
    Outcome,
    Problem,
    Refused,
    Review,
    Reviewed,
    Reward,
    RollBack,
    SafePoint,
    Saved,
    Status,
    StepDone,
    Submission,
    ToClient,
    ToTrainer,
    Welcome,
)
from azr_platform.channel.wire import MAX_FRAME, Disconnected, Wire, WireError, frame
from azr_platform.records import Kind, Phase, Role, Task

HOSTILE_TEXT = "\x00\x1b[2J</answer>\u202e🐍 {0.__class__} %s"
TASK = Task(id="t", kind=Kind.INDUCTION, program=HOSTILE_TEXT, inputs=("1", "2"), outputs=("'a'", "None"), shown=1)
SUBMISSION = Submission(
    uid="1-0", role=Role.SOLVE, kind=Kind.ABDUCTION, prompt="p", response=HOSTILE_TEXT, tokens=3, task="t"
)
JUDGEMENT = Judgement(uid="1-0", sample=7, allowed=True, well_formed=True, valid=True, task=TASK, problem="p")

FROM_TRAINER: list[Any] = [
    Hello(peer="trainer", pid=5),
    Draw(step=3),
    Review(step=3, phase=Phase.LEARNABILITY, samples=[SUBMISSION, SUBMISSION]),
    StepDone(step=1, started_at=1.5, seconds=0.25, metrics={"loss": -0.5}, rewards=[Reward(1, 0.5, -1.0, True)]),
    Saved(step=2, path="checkpoints/step-000002", digest="00"),
    SafePoint(step=0, where="seeding"),
    Beat(step=4, where="solve: sampling", done=5, total=9),
    Notice(message=HOSTILE_TEXT),
    Finished(step=9),
    Crashed(step=2, error="NotFinite: nan"),
]
TO_TRAINER: list[Any] = [
    Welcome(branch=2, checkpoint="checkpoints/step-000002"),
    Drawn(problems=[Problem(task="problem-000001", kind=Kind.QUESTION, prompt="?")]),
    Reviewed(judgements=[JUDGEMENT, Judgement(uid="", sample=0, allowed=False, well_formed=False)]),
    Noted(),
    Go(),
    RollBack(checkpoint="c", step=1, branch=3),
    RollBack(checkpoint="c", step=1, branch=3, changes=Changes(seed=4, tasks=frozenset("ab"), programs=frozenset("k"))),
    Halt(save=False),
    Refused(reason="no"),
]
FROM_CLIENT: list[Any] = [
    Hello(peer="client", pid=1),
    Command(action=Action.ROLLBACK, who="me", why=HOSTILE_TEXT, step=5),
    Command(action=Action.AMEND, who="me", why="w", amendment=Amendment(rule="r", thresholds={"low": 0.5})),
    Ask(),
]
TO_CLIENT: list[Any] = [
    Welcome(),
    Outcome(ok=False, detail="already paused"),
    Status(
        state="running",
        reason="",
        step=1,
        steps=9,
        branch=1,
        where="update",
        done=0,
        total=0,
        beat_age=0.5,
        trainer_pid=9,
        restarts=0,
    ),
    Refused(reason="no"),
]
DIRECTIONS = [
    (FromTrainer, FROM_TRAINER),
    (ToTrainer, TO_TRAINER),
    (FromClient, FROM_CLIENT),
    (ToClient, TO_CLIENT),
]
CASES = [(direction, message) for direction, sent in DIRECTIONS for message in sent]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    a.settimeout(60)
    b.settimeout(60)
    with a, b:
        yield a, b


@pytest.mark.parametrize(("direction", "message"), CASES, ids=lambda value: type(value).__name__)
def test_every_message_comes_back_as_it_was_sent(
    direction: Any, message: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    wire: Wire[Any] = Wire(pair[0], direction)
    other: Wire[Any] = Wire(pair[1], direction)
    wire.send(message)
    received = other.receive()
    assert received == message
    assert type(received) is type(message)


@pytest.mark.parametrize(("direction", "examples"), DIRECTIONS)
def test_every_message_of_a_direction_is_tested(direction: Any, examples: list[Any]) -> None:
    assert {type(message) for message in examples} == set(get_args(direction))


def test_every_message_belongs_to_a_direction() -> None:
    sent = {kind for direction, _ in DIRECTIONS for kind in get_args(direction)}
    defined = {
        value
        for value in vars(messages).values()
        if isinstance(value, type) and issubclass(value, messages.Message) and value is not messages.Message
    }
    assert defined == sent


def _send(sock: socket.socket, fields: object) -> None:
    body = msgspec.msgpack.encode(fields)
    sock.sendall(struct.pack("<I", len(body)) + body)


@pytest.mark.parametrize(("direction", "message"), CASES, ids=lambda value: type(value).__name__)
def test_an_unknown_field_or_tag_or_a_missing_field_or_a_wrong_type_refuses_the_whole_message(
    direction: Any, message: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    wire: Wire[Any] = Wire(pair[1], direction)
    good = msgspec.to_builtins(message)
    bad: list[dict[str, Any]] = [{**good, "extra": 1}, {**good, "type": "Nothing"}, {**good, "type": 5}]
    bad += [{name: value for name, value in good.items() if name != "type"}]
    bad += [{**good, name: {"a": {"b": 1}}} for name in good]
    for field in msgspec.structs.fields(message):
        if field.required:
            bad.append({name: value for name, value in good.items() if name != field.name})
    for fields in bad:
        _send(pair[0], fields)
        with pytest.raises(WireError, match="not a message of this protocol"):
            wire.receive()
    _send(pair[0], good)  # the wire is at a frame's end each time
    assert wire.receive() == message


def test_an_unknown_field_deep_inside_refuses_the_whole_message(pair: tuple[socket.socket, socket.socket]) -> None:
    wire: Wire[Any] = Wire(pair[1], FromTrainer)
    review = msgspec.to_builtins(next(message for message in FROM_TRAINER if isinstance(message, Review)))
    review["samples"][1]["verdict"] = "allowed"
    _send(pair[0], review)
    with pytest.raises(WireError, match="unknown field `verdict`"):
        wire.receive()


@pytest.mark.parametrize(
    ("sender", "receiver"), [(ToTrainer, FromTrainer), (FromTrainer, ToTrainer), (FromTrainer, FromClient)]
)
def test_a_message_of_another_direction_is_refused(
    sender: Any, receiver: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    wire: Wire[Any] = Wire(pair[1], receiver)
    for direction, message in CASES:
        if direction is sender and type(message) not in get_args(receiver):
            pair[0].sendall(frame(message))
            with pytest.raises(WireError):
                wire.receive()


def test_an_oversized_length_is_refused_without_waiting_for_its_bytes(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].sendall(struct.pack("<I", MAX_FRAME + 1))
    with pytest.raises(WireError, match="over the limit"):
        Wire(pair[1], FromClient).receive()


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, 20])
def test_a_truncated_frame_is_a_disconnection(cut: int, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(frame(FROM_CLIENT[1])[:cut])
    pair[0].shutdown(socket.SHUT_WR)
    with pytest.raises(Disconnected, match="closed the connection"):
        Wire(pair[1], FromClient).receive()


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x91" * 100_000, b"\x81" * 100_000, b"\xdf\xff\xff\xff\xff", b"\xa3abc"]
)
def test_a_frame_that_is_no_msgpack_message_is_refused(body: bytes, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(struct.pack("<I", len(body)) + body)
    with pytest.raises(WireError, match="not a message of this protocol"):
        Wire(pair[1], FromClient).receive()


@pytest.mark.parametrize(
    "message", [Notice(message="lone \ud800"), Finished(step=2**64), Command(action=Action.STOP, who="\udcff")]
)
def test_what_has_no_encoding_is_refused_before_it_is_sent(
    message: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    with pytest.raises(WireError, match="cannot be sent"):
        Wire(pair[0], ToClient).send(message)
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


def test_a_peer_that_is_gone_is_a_disconnection_for_sender_and_receiver() -> None:
    a, b = socket.socketpair()
    with a:
        b.close()
        wire: Wire[Any] = Wire(a, ToClient)
        with pytest.raises(Disconnected):
            wire.receive()
        with pytest.raises(Disconnected):
            for _ in range(100):
                wire.send(Ask())


@given(st.binary(max_size=300))
def test_no_bytes_decode_to_anything_but_a_message_or_a_refusal(body: bytes) -> None:
    a, b = socket.socketpair()
    with a, b:
        a.sendall(struct.pack("<I", len(body)) + body)
        try:
            received = Wire(b, FromTrainer).receive()
        except WireError:
            return
        assert isinstance(received, get_args(FromTrainer))


numbers = st.floats(allow_nan=False)
submissions = st.builds(
    Submission,
    uid=st.text(),
    role=...,
    kind=...,
    prompt=st.text(),
    response=st.text(),
    tokens=st.integers(0, 10**6),
    task=st.text(),
)
rewards = st.builds(Reward, st.integers(0, 2**40), numbers, numbers, st.booleans())


@given(
    st.lists(submissions, max_size=4),
    st.dictionaries(st.text(max_size=8), numbers, max_size=4),
    st.lists(rewards, max_size=4),
)
def test_reviews_and_steps_of_any_content_round_trip(
    samples: list[Submission], metrics: dict[str, float], rewards: list[Reward]
) -> None:
    decoder = msgspec.msgpack.Decoder(FromTrainer)
    for message in (
        Review(step=1, phase=Phase.SOLVE, samples=samples),
        StepDone(step=1, started_at=0.0, seconds=1.0, metrics=metrics, rewards=rewards),
    ):
        data = frame(message)
        assert struct.unpack("<I", data[:4]) == (len(data) - 4,)
        assert decoder.decode(data[4:]) == message
