"""The supervisor's Unix socket: only this user may connect, and only one supervisor may listen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from azr_platform.channel.client import SOCKET, connect_unix, short_path
from azr_platform.channel.messages import (
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
from azr_platform.channel.wire import AsyncWire, Disconnected, WireError

# A client that says nothing for so long has hung, or is none of ours.
HELLO_SECONDS = 10.0


class SocketOccupied(Exception):
    """Another process listens on this run's control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: occupied, another supervisor answers there. "
            f"Watch it with `azr-platform tui {path.parent}` or end it with `azr-platform stop {path.parent}`."
        )


class ControlServer:
    """Listens on ``RUN/control.sock`` (mode 0600) and hands commands and questions to two callbacks."""

    def __init__(
        self,
        run: Path,
        on_command: Callable[[Command], Awaitable[Outcome]],
        on_ask: Callable[[], Status],
    ) -> None:
        self._path = run / SOCKET
        self._on_command = on_command
        self._on_ask = on_ask
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

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
        self._server = await asyncio.start_unix_server(self._serve, sock=sock)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        wire: AsyncWire[FromClient] = AsyncWire(reader, writer, FromClient)
        try:
            hello = await asyncio.wait_for(wire.receive(), HELLO_SECONDS)
            if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
                await wire.send(Refused(reason=f"this supervisor speaks protocol {PROTOCOL}; use the same version"))
                return
            await wire.send(Welcome())
            while True:
                message = await wire.receive()
                if isinstance(message, Command):
                    await wire.send(await self._on_command(message))
                elif isinstance(message, Ask):
                    await wire.send(self._on_ask())
                else:
                    await wire.send(Refused(reason="say Hello only once"))
                    return
        except WireError as error:
            await _try_refuse(wire, str(error))
        except TimeoutError:
            await _try_refuse(wire, "say Hello first")
        except (Disconnected, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            await wire.close()


async def _try_refuse(wire: AsyncWire[FromClient], reason: str) -> None:
    with contextlib.suppress(Disconnected):
        await wire.send(Refused(reason=reason))
