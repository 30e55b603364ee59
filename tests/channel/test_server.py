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
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from azr_platform.channel.client import SOCKET, ControlClient, NotSupervised, connect_unix, short_path
from azr_platform.channel.messages import PROTOCOL, Action, Ask, Command, Hello, Outcome, Refused, Status, Welcome
from azr_platform.channel.server import ControlServer, SocketOccupied
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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = ControlServer(run, self._on_command, lambda: STATUS)
        try:
            self._call(self._server.start())
        except BaseException:
            self._end()
            raise

    async def _on_command(self, command: Command) -> Outcome:
        self.commands.append(command)
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
    with pytest.raises(NotSupervised, match=f"speaks protocol {PROTOCOL + 1}"):
        ControlClient(server.run)


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
        server = ControlServer(run_folder, lambda _: _never(), lambda: STATUS)
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
