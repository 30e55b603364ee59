"""One warm jail: an nsjail process, the zygote in it, and the socket between us. No scheduling here.

States: *starting* (until the zygote says it is ready) → *idle* ⇄ *busy* (exactly one run in flight) → *closed*.
All input and output is non-blocking; the pool calls `on_writable` and `on_readable` when the socket is ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from azr_sandbox import cgroup, nsjail
from azr_sandbox.limits import Limits

_MAGIC = b"AZR1"
_REQUEST = struct.Struct("<4sQdII")  # the zygote's REQUEST and REPLY, see guest/zygote.py
_REPLY = struct.Struct("<4sQBiQQQI")
_PAYLOAD_SLACK = 4096
_EXTENSIONS = 4
_PAGE = os.sysconf("SC_PAGE_SIZE")
DONE, TIMEOUT, FLOOD = 0, 1, 2
START_S = 30.0
"""Seconds a jail may take to become ready (about 0.1 on an idle machine)."""
GRACE_S = 5.0
"""Seconds past a run's last possible deadline after which its jail counts as wedged."""
_GUEST_MODULES = ("encode", "confine", "clock", "vary", "child", "warm", "zygote")  # in order of import


class JailBroken(Exception):
    """A jail died or broke the protocol; it must be closed and its work given to another."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What makes zygotes differ.

    The hash seed; seconds the calendar is ahead; pids used up at start; what chance begins with and how the heap is
    scattered, where they are (see guest/vary.py).
    """

    name: str
    hash_seed: int
    clock_shift_s: int = 0
    pid_shift: int = 0
    first_draws: int | None = None
    scatter: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What the zygote says about one run. ``payload`` came from the program's process: never trust it."""

    end: int
    status: int
    cpu_ms: float
    wall_ms: float
    memory_kb: int
    payload: bytes


@cache
def _boot_source() -> str:
    return (resources.files("azr_sandbox") / "guest" / "boot.py").read_text("utf-8")


@cache
def _guest_sources() -> list[tuple[str, str]]:
    guest = resources.files("azr_sandbox") / "guest"
    packages = [(name, "") for name in ("azr_sandbox", "azr_sandbox.guest")]
    modules = [(f"azr_sandbox.guest.{n}", (guest / f"{n}.py").read_text("utf-8")) for n in _GUEST_MODULES]
    return packages + modules


class WarmJail:
    """Starts at once; use `socket` with a selector. Not thread-safe: the pool serialises access."""

    def __init__(self, binary: Path, root: Path, policy: str, limits: Limits, lane: Lane) -> None:
        self.lane = lane
        self.ready = False
        self.closed = False
        self.served = 0
        self.job_id: int | None = None
        self.started = time.monotonic()
        self.deadline = self.started + START_S
        self._warm_pages: int | None = None
        self.outgoing = bytearray(self._greeting(limits, lane))
        self._incoming = bytearray()
        self._largest = limits.output_bytes + _PAYLOAD_SLACK
        more = cgroup.flags(limits.memory_mb)
        with ExitStack() as theirs, ExitStack() as ours:  # ours only when this fails
            self.socket, other = socket.socketpair()
            ours.callback(self.socket.close)
            theirs.callback(other.close)
            self.socket.setblocking(False)
            self._log, log = os.pipe()
            ours.callback(os.close, self._log)
            theirs.callback(os.close, log)
            os.set_blocking(self._log, False)
            argv = nsjail.command(binary, root, _boot_source(), other.fileno(), log, lane.hash_seed, policy, more)
            # Its own session: a Ctrl-C meant for us must not reach the jails first.
            self.process = subprocess.Popen(  # noqa: S603
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=(other.fileno(), log),
                env={},
                start_new_session=True,
            )
            ours.callback(self.process.wait)
            ours.callback(self.process.kill)
            # Taken now: later there may be no descriptor left, or somebody may have waited for our child.
            self._ended = os.pidfd_open(self.process.pid)
            ours.pop_all()

    @staticmethod
    def _greeting(limits: Limits, lane: Lane) -> bytes:
        settings = {
            "cpu_s": limits.cpu_s,
            "memory_mb": limits.memory_mb,
            "open_files": limits.open_files,
            "output_bytes": limits.output_bytes,
            "clock_shift_s": lane.clock_shift_s,
            "pid_shift": lane.pid_shift,
            "first_draws": lane.first_draws,
            "scatter": lane.scatter,
        }
        package = json.dumps({"modules": _guest_sources(), "settings": settings}).encode()
        return len(package).to_bytes(8, "little") + package

    @property
    def name(self) -> str:
        """For reports: lane and process id."""
        return f"{self.lane.name} jail {self.process.pid}"

    @property
    def idle(self) -> bool:
        return self.ready and self.job_id is None

    def submit(self, job_id: int, wall_s: float, program: bytes, inputs: Sequence[bytes]) -> None:
        """Queue one run of some inputs; the jail must be idle. Call `on_writable` until ``outgoing`` is empty."""
        assert self.idle, "a jail runs one program at a time"
        self.job_id = job_id
        self.deadline = time.monotonic() + wall_s * (1 + _EXTENSIONS) + GRACE_S
        framed = b"".join(len(text).to_bytes(4, "little") + text for text in inputs)
        self.outgoing += _REQUEST.pack(_MAGIC, job_id, wall_s, len(program), len(framed))
        self.outgoing += program
        self.outgoing += framed
        self.on_writable()

    def on_writable(self) -> None:
        """Send what fits. Raises JailBroken when the other side is gone."""
        try:
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError as error:
            raise JailBroken(f"{self.name}: {error.strerror}") from error

    def on_readable(self) -> Report | None:
        """Take what has arrived: a Report when a run is complete, else None. Raises JailBroken."""
        try:
            while piece := self.socket.recv(1 << 18):
                self._incoming += piece
                if len(self._incoming) > _REPLY.size + self._largest:
                    raise JailBroken(f"{self.name}: more data than the protocol allows")
            raise JailBroken(f"{self.name}: the zygote ended")
        except BlockingIOError:
            pass
        except OSError as error:
            raise JailBroken(f"{self.name}: {error.strerror}") from error
        if len(self._incoming) < _REPLY.size:
            return None
        magic, job_id, end, status, cpu_us, wall_us, rss_kb, size = _REPLY.unpack_from(self._incoming)
        if magic != _MAGIC or size > self._largest or end not in (DONE, TIMEOUT, FLOOD):
            raise JailBroken(f"{self.name}: a reply out of protocol")
        if len(self._incoming) < _REPLY.size + size:
            return None
        payload = bytes(self._incoming[_REPLY.size : _REPLY.size + size])
        del self._incoming[: _REPLY.size + size]
        if self._incoming or job_id != (self.job_id if self.ready else 0):
            raise JailBroken(f"{self.name}: a reply to nothing that was asked")
        if not self.ready:
            self.ready = True
            self.deadline = float("inf")
            return None
        self.job_id = None
        self.deadline = float("inf")
        self.served += 1
        return Report(end, status, cpu_us / 1e3, wall_us / 1e3, rss_kb, payload)

    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def growth_mb(self) -> float:
        """MiB of resident memory that the zygote has gained since the first call; 0 where it cannot be read."""
        pid = self.process.pid
        try:
            zygote = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()[0]
            pages = int(Path(f"/proc/{zygote}/statm").read_text("ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        if self._warm_pages is None:
            self._warm_pages = pages
        return (pages - self._warm_pages) * _PAGE / (1 << 20)

    def log(self) -> str:
        """What nsjail wrote before it ended (it is silent otherwise)."""
        with contextlib.suppress(OSError):
            return os.read(self._log, 16_384).decode("utf-8", "replace")
        return ""

    def hang_up(self) -> None:
        """Close the socket; the zygote notices, exits, and with it everything in the jail."""
        self.socket.close()

    def close(self, patience_s: float = 1.0) -> None:
        """Hang up, then wait for nsjail to end, killing it if it does not. Leaves no process or descriptor."""
        if self.closed:
            return
        self.closed = True
        self.hang_up()
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        if not poll.poll(patience_s * 1000):
            self.process.kill()
        self.process.wait()
        os.close(self._ended)
        os.close(self._log)
