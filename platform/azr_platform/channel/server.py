"""The supervisor's Unix socket: only this user and root may connect, some only to watch, and one supervisor listens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from azr_platform import __version__
from azr_platform.channel.client import SOCKET, connect_unix, short_path
from azr_platform.channel.messages import (
    OBSERVER,
    PROTOCOL,
    Ask,
    Command,
    FromClient,
    Hello,
    Outcome,
    Refused,
    Status,
    Welcome,
)
from azr_platform.channel.peer import Peer, peer_of
from azr_platform.channel.wire import AsyncWire, Disconnected, WireError

# A client that says nothing for so long has hung, or is none of ours.
HELLO_SECONDS = 10.0
BACKLOG = 100
# What clients say is short, and those that say nothing are few: neither may fill the memory.
MAX_CLIENT_FRAME = 256 * 1024
MAX_CLIENTS = 200
SPOKEN = f"this supervisor is azr-platform {__version__} and speaks protocol {PROTOCOL}"
# How long to take no client when no descriptor is left for one.
FULL_SECONDS = 1.0


class SocketOccupied(Exception):
    """Another process listens on this run's control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: occupied, another supervisor answers there. "
            f"Watch it with `azr-platform tui {path.parent}` or end it with `azr-platform stop {path.parent}`."
        )


class ControlServer:
    """Listens on ``RUN/control.sock`` (mode 0600) and hands commands and questions to two callbacks.

    It takes its clients itself: asyncio's server can be closed with one half taken, who then waits in vain.
    """

    def __init__(
        self,
        run: Path,
        on_command: Callable[[Command, Peer], Awaitable[Outcome]],
        on_ask: Callable[[], Status],
    ) -> None:
        self._path = run / SOCKET
        self._on_command = on_command
        self._on_ask = on_ask
        self._socket: socket.socket | None = None
        self._full: asyncio.TimerHandle | None = None
        self._connections: dict[asyncio.Task[None], socket.socket] = {}

    async def start(self) -> None:
        """Bind; a stale socket file of a dead supervisor is replaced.

        Raises:
            SocketOccupied: somebody answers on the socket.
        """
        if self._path.exists():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    connect_unix(probe, self._path)
                except OSError:
                    self._path.unlink()
                else:
                    raise SocketOccupied(self._path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            with short_path(self._path) as short:
                sock.bind(short)
        finally:
            os.umask(mask)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        self._socket = sock
        self._listen(sock)

    async def close(self) -> None:
        """Hang up on every client, those included that have only just connected, and remove the socket."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._full is not None:
            self._full.cancel()
        self._socket.close()
        self._socket = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for client in self._connections.values():  # whose tasks had not yet begun
            client.close()
        self._connections.clear()
        self._path.unlink(missing_ok=True)

    def _listen(self, sock: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            client, _ = sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it went away again
        except OSError:  # the socket stays readable, and the loop would spin
            loop.remove_reader(sock)
            self._full = loop.call_later(FULL_SECONDS, self._listen, sock)
            return
        if len(self._connections) >= MAX_CLIENTS:
            client.close()
            return
        self._connections[loop.create_task(self._serve(client))] = client

    async def _serve(self, client: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            peer = peer_of(client)
            reader, writer = await asyncio.open_unix_connection(sock=client)
            await self._talk(AsyncWire(reader, writer, FromClient, MAX_CLIENT_FRAME), peer)
        finally:
            client.close()
            del self._connections[task]

    async def _talk(self, wire: AsyncWire[FromClient], peer: Peer) -> None:
        greeted = False
        try:
            hello = await asyncio.wait_for(wire.receive(), HELLO_SECONDS)
            if refusal := _refusal(hello, peer):
                await wire.send(Refused(reason=refusal))
                return
            assert isinstance(hello, Hello)
            await wire.send(Welcome())
            greeted = True
            while True:
                message = await wire.receive()
                if isinstance(message, Command):
                    if hello.peer == OBSERVER:
                        await wire.send(Refused(reason="who came to watch gives no commands; connect to steer"))
                        return
                    await wire.send(await self._on_command(message, peer))
                elif isinstance(message, Ask):
                    await wire.send(self._on_ask())
                else:
                    await wire.send(Refused(reason="say Hello only once"))
                    return
        except WireError as error:
            # Before the greeting it may be another version's.
            await _try_refuse(wire, str(error) if greeted else f"{SPOKEN}; this was not understood: {error}")
        except TimeoutError:
            await _try_refuse(wire, "say Hello first")
        except (Disconnected, asyncio.CancelledError):
            pass
        except Exception as error:  # a bug of ours ends this connection and no other
            report = {"message": "a client of the control socket could not be served", "exception": error}
            asyncio.get_running_loop().call_exception_handler(report)
        finally:
            await wire.close()


def _refusal(hello: FromClient, peer: Peer) -> str:
    """Why nothing is to be had for a client that begins so; empty when all is well."""
    if not peer.may_steer:
        return f"this run is another user's (uid {os.geteuid()}, you are {peer.uid})"
    if not isinstance(hello, Hello):
        return f"{SPOKEN}; say Hello first"
    if hello.protocol != PROTOCOL:
        return f"{SPOKEN}, not {hello.protocol}; use that version for this run, or resume the run with yours"
    return ""


async def _try_refuse(wire: AsyncWire[FromClient], reason: str) -> None:
    with contextlib.suppress(Disconnected):
        await wire.send(Refused(reason=reason))
