"""The control socket: private, unique, and alive whatever is thrown at it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import resource
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_platform.channel.client import SOCKET, ControlClient, NotSupervised, connect_unix, short_path
from azr_platform.channel.messages import PROTOCOL, Action, Ask, Command, Hello, Outcome, Refused, Status, Welcome
from azr_platform.channel.peer import Peer
from azr_platform.channel.server import MAX_CLIENT_FRAME, ControlServer, SocketOccupied
from azr_platform.channel.wire import Wire, frame

STATUS = Status(
    state="running",
    reason="",
    step=3,
    steps=9,
    branch=1,
    where="update",
    done=0,
    total=0,
    beat_age=0.5,
    trainer_pid=9,
    restarts=0,
)


class LiveServer:
    """A server in an event loop of its own, as the supervisor has one."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.commands: list[Command] = []
        self.peers: list[Peer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = ControlServer(run, self._on_command, lambda: STATUS)
        try:
            self._call(self._server.start())
        except BaseException:
            self._end()
            raise

    async def _on_command(self, command: Command, peer: Peer) -> Outcome:
        self.commands.append(command)
        self.peers.append(peer)
        await asyncio.sleep(0)
        if command.why == "raise":
            raise RuntimeError("a bug in the supervisor")
        return Outcome(ok=True, detail=f"{command.action.value} by {command.who}")

    def _call(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)  # type: ignore[arg-type]

    def full(self) -> object:
        """Whether it has ever found no descriptor for a client."""
        return self._server._full

    def close(self) -> None:
        self._call(self._server.close())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(asyncio.sleep(0))  # closing connections say good-bye
        self._loop.close()


@pytest.fixture
def server(run_folder: Path) -> Iterator[LiveServer]:
    live = LiveServer(run_folder)
    yield live
    live.close()


def _raw(run: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    connect_unix(sock, run / SOCKET)
    return sock


def _answers(run: Path) -> None:
    with ControlClient(run, timeout=60) as client:
        assert client.status() == STATUS


def test_commands_and_questions_are_answered(server: LiveServer) -> None:
    command = Command(action=Action.ROLLBACK, who="me", why="because", step=4)
    with ControlClient(server.run) as client:
        assert client.status() == STATUS
        assert client.command(command) == Outcome(ok=True, detail="rollback by me")
        assert client.status() == STATUS
    assert server.commands == [command]


def test_the_socket_is_this_user_s_alone_and_leaves_with_the_server(run_folder: Path) -> None:
    live = LiveServer(run_folder)
    try:
        mode = (run_folder / SOCKET).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    finally:
        live.close()
    assert not (run_folder / SOCKET).exists()
    with pytest.raises(NotSupervised, match="train --resume"):
        ControlClient(run_folder)


# -- who may steer ---------------------------------------------------------------------------------------


def test_who_gives_a_command_is_known_from_the_kernel_not_from_what_it_says(server: LiveServer) -> None:
    """A process of its own that says it is another."""
    code = (
        "import os, socket, sys\n"
        "from pathlib import Path\n"
        "from azr_platform.channel.client import connect_unix\n"
        "from azr_platform.channel.messages import Action, Command, Hello, ToClient\n"
        "from azr_platform.channel.wire import Wire\n"
        "sock = socket.socket(socket.AF_UNIX); connect_unix(sock, Path(sys.argv[1]))\n"
        "wire = Wire(sock, ToClient); wire.ask(Hello(peer='client', pid=1))\n"
        "print(wire.ask(Command(action=Action.PAUSE, who='root')).ok, os.getpid())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(server.run / SOCKET)], capture_output=True, text=True, check=True
    )
    ok, pid = ran.stdout.split()
    assert ok == "True"
    assert server.peers == [Peer(os.geteuid(), int(pid))]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_by_the_socket_and_where_that_is_open_by_the_server(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the test's own folder lies in one for its user alone
        run = Path(folder)
        run.chmod(0o755)
        live = LiveServer(run)
        try:
            said = _as_nobody(run)
            assert said == f"{run}: only the user who runs it, or root, may speak to its supervisor"
            (run / SOCKET).chmod(0o666)
            said = _as_nobody(run)
            assert said == f"{run}: the supervisor refused: this run is another user's (uid 0, you are 65534)"
            assert live.commands == []
            _answers(run)
        finally:
            live.close()


def _as_nobody(run: Path) -> str:
    """What a client of user 65534 is told; its modules are imported before it becomes that user."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from azr_platform.channel.client import ControlClient, NotSupervised\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n    ControlClient(Path(sys.argv[1])); print('let in')\n"
        "except NotSupervised as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_who_came_to_watch_is_answered_and_refused_every_command(server: LiveServer) -> None:
    with ControlClient(server.run, read_only=True) as client:
        assert client.status() == STATUS
        outcome = client.command(Command(action=Action.STOP, who="me"))
        assert not outcome.ok
        assert "came to watch" in outcome.detail
        with pytest.raises(NotSupervised):
            client.status()  # it was hung up on
    assert server.commands == []
    _answers(server.run)


def test_a_stale_socket_is_replaced(run_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead, short_path(run_folder / SOCKET) as path:
        dead.bind(path)
    with pytest.raises(NotSupervised):
        ControlClient(run_folder)
    live = LiveServer(run_folder)
    _answers(run_folder)
    live.close()


def test_an_occupied_socket_is_refused_and_its_owner_keeps_it(server: LiveServer) -> None:
    with pytest.raises(SocketOccupied, match="azr-platform stop"):
        LiveServer(server.run)
    _answers(server.run)


@pytest.mark.parametrize("length", [107, 108, 109, 300])
def test_a_path_longer_than_the_kernel_s_limit_works(length: int, tmp_path: Path) -> None:
    padding = length - len(str(tmp_path)) - 2 - len(SOCKET)
    run = tmp_path.joinpath(*["d" * min(200, padding)] + (["e" * (padding - 201)] if padding > 200 else []))
    if padding < 1:
        pytest.skip("the temporary folder's own path is already that long")
    run.mkdir(parents=True)
    assert len(str(run / SOCKET)) == length
    live = LiveServer(run)
    _answers(run)
    with pytest.raises(SocketOccupied):
        LiveServer(run)
    assert stat.S_IMODE((run / SOCKET).stat().st_mode) == 0o600
    live.close()
    assert not (run / SOCKET).exists()


@pytest.mark.parametrize("first", [Hello(protocol=PROTOCOL + 1, peer="client", pid=1), Ask()])
def test_another_protocol_or_no_greeting_is_refused_and_hung_up_on(first: object, server: LiveServer) -> None:
    with _raw(server.run) as sock:
        wire: Wire[Welcome | Refused] = Wire(sock, Welcome | Refused)
        wire.send(first)  # type: ignore[arg-type]
        reply = wire.receive()
        assert isinstance(reply, Refused)
        assert f"protocol {PROTOCOL}" in reply.reason
        assert sock.recv(1) == b""
    _answers(server.run)


def test_a_client_of_another_protocol_is_told_so(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azr_platform.channel.server.PROTOCOL", PROTOCOL + 1)
    with pytest.raises(NotSupervised, match=f"not {PROTOCOL}; use that version for this run, or resume the run with"):
        ControlClient(server.run)


def test_a_greeting_of_a_later_version_is_told_which_this_one_is(server: LiveServer) -> None:
    """One with a field that is not known here yet."""
    with _raw(server.run) as sock:
        greeting = {"type": "Hello", "protocol": PROTOCOL + 1, "peer": "client", "pid": 1, "token": "x"}
        sock.sendall(_framed(msgspec.msgpack.encode(greeting)))
        reply = Wire[Refused](sock, Refused).receive()
        assert f"speaks protocol {PROTOCOL}; this was not understood" in reply.reason


def test_an_answer_of_a_later_version_is_told_which_this_one_is(run_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as later, short_path(run_folder / SOCKET) as path:
        later.bind(path)
        later.listen()

        def answer() -> None:
            with later.accept()[0] as client:
                client.recv(1000)
                client.sendall(_framed(msgspec.msgpack.encode({"type": "Welcome", "realm": 2})))

        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(answer)
            with pytest.raises(NotSupervised, match=rf"in a way known here .* protocol {PROTOCOL}"):
                ControlClient(run_folder)
            answered.result(60)


def test_a_second_greeting_is_refused(server: LiveServer) -> None:
    with _raw(server.run) as sock:
        wire: Wire[Welcome | Refused] = Wire(sock, Welcome | Refused)
        hello = Hello(peer="client", pid=1)
        assert isinstance(wire.ask(hello), Welcome)
        assert isinstance(wire.ask(hello), Refused)
        assert sock.recv(1) == b""


def _framed(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        _framed(b"\xc1"),
        _framed(b""),
        _framed(b"\x91" * 100_000),
        struct.pack("<I", 2**32 - 1),
        _framed(msgspec.msgpack.encode({"type": "Command", "action": "stop", "who": "x", "force": True})),
        _framed(msgspec.msgpack.encode({"type": "Command", "action": "delete", "who": "x"})),
        _framed(msgspec.msgpack.encode({"type": "Crashed", "step": 1, "error": "not yours to say"})),
    ],
    ids=["http", "garbage", "empty", "deep", "oversized", "unknown field", "unknown action", "trainer's message"],
)
@pytest.mark.parametrize("greeted", [False, True])
def test_garbage_is_refused_whole_and_the_server_lives_on(greeted: bool, garbage: bytes, server: LiveServer) -> None:
    with _raw(server.run) as sock:
        wire: Wire[Welcome | Refused] = Wire(sock, Welcome | Refused)
        if greeted:
            assert isinstance(wire.ask(Hello(peer="client", pid=1)), Welcome)
        sock.sendall(garbage)
        assert isinstance(wire.receive(), Refused)
        # Bytes it never read make the hang-up a reset.
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert server.commands == []
    _answers(server.run)


def test_a_client_that_goes_silent_midway_holds_nobody_up(server: LiveServer) -> None:
    with _raw(server.run) as sock, _raw(server.run):
        sock.sendall(frame(Hello(peer="client", pid=1))[:7])
        _answers(server.run)


def test_a_command_that_fails_inside_leaves_the_server_alive(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    with ControlClient(server.run) as client, pytest.raises(NotSupervised, match="did not answer"):
        client.command(Command(action=Action.STOP, who="me", why="raise"))
    _answers(server.run)
    assert "a bug in the supervisor" in caplog.text


def test_two_thousand_random_byte_strings_do_not_end_the_server(server: LiveServer) -> None:
    rng = random.Random(0)
    command = msgspec.msgpack.encode(Command(action=Action.PAUSE, who="fuzz"))
    for number in range(2000):
        body = bytearray(command)
        match number % 4:
            case 0:
                data = rng.randbytes(rng.randrange(80))
            case 1:
                data = _framed(rng.randbytes(rng.randrange(80)))
            case 2:  # a real command with a byte changed
                body[rng.randrange(len(body))] = rng.randrange(256)
                data = _framed(bytes(body))
            case _:  # cut short, and no end
                data = _framed(bytes(body))[: rng.randrange(4 + len(body))]
        if number % 3:
            data = frame(Hello(peer="client", pid=1)) + data
        with _raw(server.run) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not sock.recv(65536):
                        break
                except ConnectionResetError:
                    break
    _answers(server.run)
    # A changed byte may still spell a command; none of another action got through.
    assert all(command.action is Action.PAUSE for command in server.commands)


def test_many_clients_at_once_each_get_their_own_answer(server: LiveServer) -> None:
    def talk(number: int) -> bool:
        with ControlClient(server.run) as client:
            for _ in range(5):
                outcome = client.command(Command(action=Action.ACKNOWLEDGE, who=f"client {number}"))
                if outcome.detail != f"acknowledge by client {number}" or client.status() != STATUS:
                    return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(talk, range(32)))
    assert len(server.commands) == 160


def test_text_that_has_no_encoding_is_an_answer_not_a_crash(server: LiveServer) -> None:
    with ControlClient(server.run) as client:
        with pytest.raises(NotSupervised, match="cannot be sent"):
            client.command(Command(action=Action.STOP, who="\udcff"))
        assert client.status() == STATUS


@pytest.mark.parametrize("rounds", range(8))
def test_a_client_that_connects_while_the_server_closes_is_hung_up_on(rounds: int, run_folder: Path) -> None:
    """However far the server has come with taking it; one that is forgotten would wait for an answer for ever."""

    async def connect_and_close(client: socket.socket) -> None:
        server = ControlServer(run_folder, lambda *_: _never(), lambda: STATUS)
        await server.start()
        connect_unix(client, run_folder / SOCKET)
        for _ in range(rounds):
            await asyncio.sleep(0)
        await server.close()

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        asyncio.run(connect_and_close(client))
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    gc.collect()  # a transport or a socket left open would warn, and a warning is an error


async def _never() -> Outcome:
    raise AssertionError("nobody gave a command")


def test_without_a_free_descriptor_the_server_waits_for_one(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azr_platform.channel.server.FULL_SECONDS", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as client, short_path(server.run / SOCKET) as path:
        client.settimeout(60)
        free = os.dup(0)  # the lowest that is free
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            client.connect(path)
            client.sendall(frame(Hello(peer="client", pid=1)))
            while not server.full():
                time.sleep(0.001)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        wire: Wire[Welcome] = Wire(client, Welcome)
        assert isinstance(wire.receive(), Welcome)


# -- fuzzed ----------------------------------------------------------------------------------------------

COMMANDS = st.builds(Command, action=st.sampled_from(Action), who=st.text(max_size=20), why=st.text(max_size=20))
MESSAGES = st.one_of(
    COMMANDS, st.builds(Ask), st.builds(Hello, peer=st.sampled_from(["client", "observer", "trainer", ""]), pid=...)
)
WHOLE = MESSAGES.filter(lambda message: not isinstance(message, Hello) or abs(message.pid) < 2**63).map(frame)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A real frame with bytes changed, taken out or put in, its length changed with them or not."""
    data = bytearray(draw(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data) if draw(st.booleans()) else _framed(bytes(data[4:]))


CHUNKS = st.one_of(
    WHOLE,
    _mutated(),
    st.binary(max_size=60),
    st.binary(max_size=60).map(_framed),
    st.builds(lambda data, end: data[:end], WHOLE, st.integers(0, 40)),
    st.integers(0, 2**32 - 1).map(lambda length: struct.pack("<I", length)),
)
GREETING = frame(Hello(peer="client", pid=1))
ToClientWire = Wire[Welcome | Outcome | Status | Refused]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for all examples: whatever one leaves behind, the next would meet."""
    run = tmp_path_factory.mktemp("run")
    live = LiveServer(run)
    yield live
    live.close()


@settings(max_examples=400)
@given(st.booleans(), st.lists(CHUNKS, max_size=6))
def test_whatever_is_said_every_answer_is_one_of_ours_and_then_it_hangs_up(
    fuzzed: LiveServer, greets: bool, chunks: list[bytes]
) -> None:
    before = len(fuzzed.commands)
    data = (GREETING if greets else b"") + b"".join(chunks)
    with _raw(fuzzed.run) as sock:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it has hung up already
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        answers = b""
        with contextlib.suppress(ConnectionResetError):
            while got := sock.recv(1 << 16):
                answers += got
    decoder = msgspec.msgpack.Decoder(Welcome | Outcome | Status | Refused)
    kinds: list[type] = []
    while answers:  # whole frames, and messages of this protocol all of them
        (length,) = struct.unpack("<I", answers[:4])
        assert len(answers) >= 4 + length
        kinds.append(type(decoder.decode(answers[4 : 4 + length])))
        answers = answers[4 + length :]
    assert kinds.count(Welcome) <= 1 and kinds.count(Refused) <= 1
    assert Refused not in kinds[:-1], "after a refusal nothing more is said"
    if Welcome not in kinds:
        assert len(fuzzed.commands) == before, "nobody who was not welcomed gives commands"
    _answers(fuzzed.run)


def test_lengths_that_are_only_claimed_cost_no_memory(server: LiveServer) -> None:
    tracemalloc.start()
    try:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(_raw(server.run)) for _ in range(50)]
            for sock in socks:
                sock.sendall(GREETING + struct.pack("<I", MAX_CLIENT_FRAME) + b"x")
            for sock in socks:
                Wire[Welcome](sock, Welcome).receive()
            _answers(server.run)
            held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held <= peak < 50 * MAX_CLIENT_FRAME / 2


def test_a_length_over_the_clients_limit_is_refused_before_its_bytes_come(server: LiveServer) -> None:
    with _raw(server.run) as sock:
        sock.sendall(GREETING + struct.pack("<I", MAX_CLIENT_FRAME + 1))
        wire = ToClientWire(sock, Welcome | Refused)
        assert isinstance(wire.receive(), Welcome)
        reply = wire.receive()
        assert isinstance(reply, Refused) and "over the limit" in reply.reason


def test_more_clients_than_there_is_room_for_are_hung_up_on_and_room_comes_back(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azr_platform.channel.server.MAX_CLIENTS", 5)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            sock = stack.enter_context(_raw(server.run))
            sock.sendall(GREETING)
            assert isinstance(Wire[Welcome](sock, Welcome).receive(), Welcome)
        with _raw(server.run) as one_more:
            assert one_more.recv(1) == b""
    while True:  # until it has noticed that they are gone
        try:
            return _answers(server.run)
        except NotSupervised:
            time.sleep(0.01)
