"""The outer jail: where the benchmark's baselines run, which isolate nothing themselves.

Namespaces, no network and no writable file but a small /dev/shm for the pool's locks: enough that a program under
measurement cannot reach the machine. No system-call filter and no limit for a single program, so what a program
costs in there is what it costs without a jail.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from importlib import resources
from types import TracebackType
from typing import Any, NamedTuple, Self

from azr_sandbox import nsjail
from azr_sandbox.rootfs import PYTHON, python_root

Pair = tuple[str, str]
"""A program, and the text between the parentheses of ``f(...)``."""
START_S = 30.0
BATCH_S = 900.0
"""Seconds one batch may take: far more than any honest one."""
_LARGEST = 64 << 20  # bytes of one answer


class BaselineFailed(Exception):
    """A baseline died or did not answer; it isolates nothing, so any program can do that to it."""


class Ran(NamedTuple):
    """What became of a batch: how many pairs gave a value, and milliseconds each took."""

    values: int
    latencies_ms: list[float]


class OuterJail:
    """A baseline (``fork``, ``forks`` or ``pool``, see guest/unconfined.py), warm once entered.

    ``bare`` runs it without the outer jail, for programs of our own alone: that is how the outer jail's own cost
    is measured. Raises JailUnavailable or BaselineFailed on entry when it cannot be had.
    """

    def __init__(self, way: str, *, bare: bool = False) -> None:
        self._way = way
        self._connection, theirs = socket.socketpair()
        python = [sys.executable] if bare else [*_argv(theirs.fileno()), PYTHON]
        flags = ["-s", "-S", "-P", "-B", "-W", "ignore", "-X", "utf8", "-c"]
        source = (resources.files("azr_sandbox") / "guest" / "unconfined.py").read_text("utf-8")
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [*python, *flags, source, str(theirs.fileno()), way],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env={"PYTHONHASHSEED": "0"},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self._receive(START_S)
        except BaselineFailed:
            log = self.close()
            if "[E]" in log or "[F]" in log:  # nsjail's own words
                raise nsjail.explain_failure(log) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, pairs: list[Pair]) -> None:
        """Hand over a batch, so that reading it is no part of what `run` costs."""
        self._send(pairs)
        self._receive(BATCH_S)

    def run(self) -> Ran:
        """Run what was loaded. Raises BaselineFailed."""
        self._send("go")
        match self._receive(BATCH_S):
            case {"values": int(values), "latencies_ms": [*latencies]}:
                return Ran(values, [float(latency) for latency in latencies if isinstance(latency, int | float)])
        raise BaselineFailed(f"the baseline {self._way} answered out of protocol")

    def close(self) -> str:
        """Hang up, and end everything in the jail; what it wrote to its standard error."""
        self._connection.close()
        try:
            _, log = self._process.communicate(timeout=2.0)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            _, log = self._process.communicate()
        return log.decode("utf-8", "replace")

    def _send(self, message: object) -> None:
        data = json.dumps(message).encode()
        try:
            self._connection.sendall(len(data).to_bytes(8, "little") + data)
        except OSError as error:
            raise BaselineFailed(f"the baseline {self._way} has ended ({error.strerror})") from error

    def _receive(self, timeout_s: float) -> Any:
        size = int.from_bytes(self._exactly(8, timeout_s), "little")
        if size > _LARGEST:
            raise BaselineFailed(f"the baseline {self._way} answered out of protocol")
        try:
            return json.loads(self._exactly(size, timeout_s))
        except (ValueError, RecursionError) as error:
            raise BaselineFailed(f"the baseline {self._way} answered out of protocol") from error

    def _exactly(self, size: int, timeout_s: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not select.select([self._connection], [], [], timeout_s)[0]:
                raise BaselineFailed(f"the baseline {self._way} did not answer in {timeout_s:.0f} s")
            try:
                piece = self._connection.recv(size - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise BaselineFailed(f"the baseline {self._way} has ended: a program may have ended it")
            data += piece
        return bytes(data)


def _argv(descriptor: int) -> list[str]:
    """nsjail with what keeps a program from the machine, and nothing that keeps it from other programs."""
    confined = nsjail.command(nsjail.find_nsjail(), python_root(), "", descriptor, 2, 0, "")
    argv = confined[: confined.index("--")]
    unfiltered = argv.index("--seccomp_string")
    del argv[unfiltered : unfiltered + 2]
    wider = ["--rlimit_fsize", "64", "--rlimit_nofile", "256", "--rlimit_nproc", "256"]
    return [*argv, *wider, "--tmpfsmount", "/dev/shm", "--"]  # noqa: S108  # the jail's own
