"""Engines in a process of their own: they are native code without a time limit of their own, on hostile texts.

    auditor                                        child (engines/child.py)
      Begin: the rules     ──> framed socket ──>     compiles them
      Read: one text       ──>               ──>     a timer of CPU time, then every engine
      Hits, or Failed      <──               <──

A text that takes too long ends the child, by its own timer and whatever else the machine does meanwhile. That text is
a failure, which blocks; the next one begins with a new child.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import weakref
from contextlib import suppress
from threading import Lock
from typing import TypeVar

import msgspec

from azr_monitor.engines.base import Hit, Source

CHILD = (sys.executable, "-P", "-m", "azr_monitor.engines.child")
_HEADER = struct.Struct("<I")
_Message = TypeVar("_Message")
_PATIENCE = 20.0
"""How many times its CPU time a text may take by the clock: a busy machine is no fault of the text's."""
_START_S = 60.0
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG")
"""What the child gets of the environment: keys of other services are none of its business."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first message to the child: every rule, and the CPU time a text may take."""

    yara: tuple[Source, ...]
    ast_grep: tuple[Source, ...]
    seconds: float


class Read(msgspec.Struct, frozen=True, tag=True):
    """A text to read: a ``program``, the arguments of a ``call``, or ``prose``."""

    kind: str
    text: str


class Hits(msgspec.Struct, frozen=True, tag=True):
    """Where the rules match; each hit with the number of its engine. The answer to ``Begin`` has none."""

    hits: tuple[tuple[int, Hit], ...] = ()


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An engine raised."""

    why: str


class EngineFailed(RuntimeError):
    """A text could not be read."""


class EngineProcess:
    """Reads texts with compiled rules in a child, which is started when it is first needed, and again when it ended."""

    def __init__(self, yara: tuple[Source, ...], ast_grep: tuple[Source, ...], seconds: float) -> None:
        self._begin = Begin(yara, ast_grep, seconds)
        self._seconds = seconds
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._end: weakref.finalize[..., EngineProcess] | None = None

    def read(self, kind: str, text: str) -> tuple[tuple[int, Hit], ...]:
        """Where the rules match ``text``.

        Raises:
            EngineFailed: it took too long, or an engine failed on it.
        """
        # Lone surrogates cannot be sent, and match nothing anyway.
        message = Read(kind, text.encode(errors="replace").decode())
        with self._lock:
            if self._socket is None:
                self._start()
            return self._ask(message, self._seconds * _PATIENCE)

    def close(self) -> None:
        """End the child."""
        if self._end is not None:
            self._end()
        self._socket = self._end = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 our own program
                CHILD,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,  # signals of the terminal are for whoever audits
            )
        self._process, self._socket = process, ours
        self._end = weakref.finalize(self, _ended, process, ours)
        try:
            self._ask(self._begin, _START_S)
        except EngineFailed:
            self.close()
            raise

    def _ask(self, message: Begin | Read, patience: float) -> tuple[tuple[int, Hit], ...]:
        assert self._socket is not None
        self._socket.settimeout(patience)
        try:
            send(self._socket, message)
            answer: Hits | Failed = receive(self._socket, Hits | Failed)  # type: ignore[arg-type]
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            process = self._process
            self.close()
            if process.returncode == -signal.SIGPROF:
                raise EngineFailed(f"took more than {self._seconds:g} s of CPU time") from error
            raise EngineFailed(f"the engines' process gave no answer ({type(error).__name__})") from error
        if isinstance(answer, Failed):
            raise EngineFailed(answer.why)
        return answer.hits


def _ended(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    ours.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.kill()
    process.wait()


def send(to: socket.socket, message: msgspec.Struct) -> None:
    """Send one message."""
    data = msgspec.msgpack.encode(message)
    to.sendall(_HEADER.pack(len(data)) + data)


def receive(of: socket.socket, kind: type[_Message]) -> _Message:
    """Receive one message.

    Raises:
        EOFError: the other end is gone.
    """
    (length,) = _HEADER.unpack(_exactly(of, _HEADER.size))
    return msgspec.msgpack.decode(_exactly(of, length), type=kind)


def _exactly(of: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        block = of.recv(min(length - len(data), 1 << 20))
        if not block:
            raise EOFError("the other end is gone")
        data += block
    return bytes(data)
