"""How the command line and the dashboard speak to a live supervisor."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from azr_platform import __version__
from azr_platform.channel.messages import (
    OBSERVER,
    PROTOCOL,
    Ask,
    Command,
    Hello,
    Outcome,
    Refused,
    Status,
    ToClient,
    Welcome,
)
from azr_platform.channel.wire import Disconnected, Wire, WireError

SOCKET = "control.sock"


class NotSupervised(Exception):
    """No supervisor answers for this run; the text says what to do."""


class ControlClient:
    """One short connection to ``RUN/control.sock``; ``read_only`` ones are refused every command.

    Raises:
        NotSupervised: nobody listens there, it is another user's, or the peer speaks another protocol version.
    """

    def __init__(self, run: Path, timeout: float = 30.0, *, read_only: bool = False) -> None:
        self._run = run
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            connect_unix(sock, run / SOCKET)
        except PermissionError as error:
            sock.close()
            raise NotSupervised(f"{run}: only the user who runs it, or root, may speak to its supervisor") from error
        except OSError as error:
            sock.close()
            raise NotSupervised(
                f"{run}: no supervisor is running this run. Continue it with `azr-platform train --resume {run}`."
            ) from error
        self._wire: Wire[ToClient] = Wire(sock, ToClient)
        try:
            reply = self._ask(Hello(peer=OBSERVER if read_only else "client", pid=os.getpid()))
        except NotSupervised:
            self.close()
            raise
        if not isinstance(reply, Welcome):
            self.close()
            raise NotSupervised(f"{run}: the supervisor refused: {getattr(reply, 'reason', reply)}")

    def command(self, command: Command) -> Outcome:
        """Carry out one act; waits until the supervisor says what became of it.

        Raises:
            NotSupervised: the supervisor went away, or did not say.
        """
        reply = self._ask(command)
        if isinstance(reply, Refused):
            return Outcome(ok=False, detail=reply.reason)
        if not isinstance(reply, Outcome):
            raise NotSupervised(f"{self._run}: the supervisor did not say what became of it")
        return reply

    def status(self) -> Status:
        """What the supervisor and its trainer do right now.

        Raises:
            NotSupervised: the supervisor went away, or gave no status.
        """
        reply = self._ask(Ask())
        if not isinstance(reply, Status):
            raise NotSupervised(f"{self._run}: the supervisor gave no status")
        return reply

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, message: Hello | Command | Ask) -> ToClient:
        try:
            return self._wire.ask(message)
        except Disconnected as error:
            raise NotSupervised(f"{self._run}: the supervisor did not answer ({error})") from error
        except WireError as error:
            mine = f"this is azr-platform {__version__}, protocol {PROTOCOL}"
            raise NotSupervised(
                f"{self._run}: the supervisor did not answer in a way known here ({error}); {mine}"
            ) from error


def connect_unix(sock: socket.socket, path: Path) -> None:
    """Connect to a Unix socket whose path may be longer than the 107 bytes that the kernel allows."""
    with short_path(path) as short:
        sock.connect(short)


class short_path:  # noqa: N801 used like a function
    """A name for a socket path that fits ``sun_path``: through a descriptor of its folder when it is long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1

    def __enter__(self) -> str:
        plain = str(self._path)
        if len(os.fsencode(plain)) < 108:
            return plain
        self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)
