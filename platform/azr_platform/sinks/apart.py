"""A sink in a process of its own, for libraries that talk to networks, print, hook the interpreter's end, or hang.

```
supervisor                                         child (sinks/child.py)
  Begin, then events ──────> framed socket ──────>   the library
  why it failed      <──────               <──────   what it prints goes to RUN/logs/sinks.log
```
The child ends by itself when its supervisor is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from azr_platform.channel.wire import Disconnected, Wire, WireError
from azr_platform.config.schema import SinksConfig
from azr_platform.sinks.base import Event, Sink, SinkFailed, Stream

CHILD = (sys.executable, "-P", "-m", "azr_platform.sinks.child")


class Begin(msgspec.Struct, frozen=True):
    """The first message to the child."""

    stream: Stream
    settings: dict[str, Any]


class Failed(msgspec.Struct, frozen=True):
    """The only message of the child's, and its last."""

    why: str


class Apart(Sink):
    """Starts the child with ``command`` and the sink's name; its standard input is the socket.

    Raises:
        OSError: it cannot be started.
        SinkFailed: what the child said about it, or how it ended.
    """

    def __init__(self, name: str, stream: Stream, settings: SinksConfig, command: Sequence[str] = CHILD) -> None:
        logs = Path(stream.run) / "logs"
        logs.mkdir(exist_ok=True)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._wire: Wire[Failed] = Wire(self._socket, Failed)
        try:
            with theirs, (logs / "sinks.log").open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 our own program
                    [*command, name],
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    # Signals of the terminal are for the supervisor.
                    start_new_session=True,
                )
        except BaseException:
            self._socket.close()
            raise
        self._send(Begin(stream, settings.model_dump(mode="json")))

    def write(self, event: Event) -> None:
        self._send(event)

    def close(self) -> None:
        with suppress(OSError):  # it has hung up itself
            self._socket.shutdown(socket.SHUT_WR)
        try:
            said = self._wire.receive().why
        except (Disconnected, WireError):
            said = ""
        self._socket.close()
        if status := self._process.wait():
            raise SinkFailed(said or f"its process ended with status {status}; see logs/sinks.log")

    def abandon(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _send(self, message: Begin | Event) -> None:
        try:
            self._wire.send(message)
        except Disconnected:
            self.close()  # raises what the child said, if it said anything
            raise SinkFailed("its process ended early; see logs/sinks.log") from None
