"""The warm process, pid 1 of the jail: forks one child per request and reports how it ended.

```
supervisor ══ header, program, inputs ═► socket ──► zygote reads the header, forks
                                            └─────► the child reads the rest, closes the socket, runs
supervisor ◄══ header, payload ═════════ socket ◄── zygote ◄── the child's own pipe
```

The zygote never sees a program's text: the child reads it after the fork, so no later child can find it in
memory. Status, CPU, memory and time come from here, and the relay buffer is zeroed after every use. When the
supervisor goes away the socket reports it and the zygote exits, which kills everything in the jail.
"""

import collections  # noqa: F401  # preloaded for programs, as are the five below
import functools  # noqa: F401
import gc
import itertools  # noqa: F401
import math  # noqa: F401
import os
import re  # noqa: F401
import select
import struct
import sys
import time
import typing  # noqa: F401
from typing import Any

from azr_sandbox.guest import child, clock, confine, vary, warm

MAGIC = b"AZR1"
REQUEST = struct.Struct("<4sQdII")  # magic, id, wall seconds, bytes of program, bytes of inputs
REPLY = struct.Struct("<4sQBiQQQI")  # magic, id, end, wait status, cpu us, wall us, peak KiB, payload bytes
DONE, TIMEOUT, FLOOD = 0, 1, 2
_PAYLOAD_SLACK = 4096
_KILL = 9
_GRACE_MS = 50
_STARVED_SHARE = 0.02  # of a window; a program that waits uses next to nothing
_LATE_S = 0.02  # and no less than this: late by that share of a window, we were starved ourselves
_EXTENSIONS = 4  # the host allows for wall_s * (1 + this); see warmjail.py


class Zygote:
    """Serves requests from one socket, one at a time, until it closes."""

    def __init__(self, socket_fd: int, settings: dict[str, Any]) -> None:
        self.socket_fd = socket_fd
        self.room: int = settings["output_bytes"]
        self.confinement = confine.Confinement(settings["cpu_s"], settings["memory_mb"], settings["open_files"])
        size = self.room + _PAYLOAD_SLACK
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)
        self.zeros = bytes(size)

    def serve(self) -> None:
        self.send(REPLY.pack(MAGIC, 0, DONE, 0, 0, 0, 0, 0))  # ready
        while True:
            header = child.receive(self.socket_fd, REQUEST.size)
            magic, request_id, wall_s, *sizes = REQUEST.unpack(header)
            if magic != MAGIC:
                os._exit(3)  # out of step with the supervisor: start over
            self.run_one(request_id, wall_s, (sizes[0], sizes[1]))

    def run_one(self, request_id: int, wall_s: float, sizes: tuple[int, int]) -> None:
        read_fd, write_fd = os.pipe()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.close(read_fd)
            child.live(self.socket_fd, write_fd, sizes, self.confinement, self.room)
        os.close(write_fd)
        end, length = self.collect(read_fd, pid, wall_s)
        os.close(read_fd)
        status, usage = self.reap(pid, patient=end == DONE)
        wall_us = int((time.monotonic() - started) * 1e6)
        cpu_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
        relayed = length if end == DONE else 0
        self.send(REPLY.pack(MAGIC, request_id, end, status, cpu_us, wall_us, usage.ru_maxrss, relayed), relayed)
        self.view[:length] = self.zeros[:length]

    def collect(self, read_fd: int, pid: int, wall_s: float) -> tuple[int, int]:
        """Read the child's pipe to its end, the deadline or the size limit: (how it ended, bytes held).

        A child that is still computing at its deadline is short of processor, not waiting: its deadline moves,
        a bounded number of times, so that a loop ends by its CPU limit however busy the machine is. So it does
        when we woke up late ourselves: then nobody can tell what the child would have done.
        """
        length = 0
        deadline = time.monotonic() + wall_s
        extensions, cpu_before = 0, 0.0
        poll = select.poll()
        poll.register(read_fd, select.POLLIN)
        poll.register(self.socket_fd, 0)  # hang-ups only
        while True:
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                now, cpu, share = time.monotonic(), cpu_seconds(pid), wall_s * _STARVED_SHARE
                starved = cpu - cpu_before >= share or now - deadline >= max(share, _LATE_S)
                if extensions == _EXTENSIONS or not starved:
                    return TIMEOUT, length
                extensions, cpu_before, deadline = extensions + 1, cpu, now + wall_s
                continue
            if any(fd == self.socket_fd for fd, _ in ready):
                os._exit(0)  # the supervisor is gone; pid 1 leaving kills the child
            count = os.readv(read_fd, [self.view[length:]])
            if count == 0:
                return DONE, length
            length += count
            if length == len(self.view):
                return FLOOD, length

    def reap(self, pid: int, patient: bool) -> tuple[int, Any]:
        """Make sure nothing of the child is left, and say how it ended.

        A child that closed its pipe is usually ending by itself; give it a moment, so that its own status and
        not our signal is what is reported.
        """
        if patient:
            ended = os.pidfd_open(pid)
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            exited = bool(poll.poll(_GRACE_MS))
            os.close(ended)
            if exited:
                _, status, usage = os.wait4(pid, 0)
                return status, usage
        os.kill(pid, _KILL)
        _, status, usage = os.wait4(pid, 0)
        return status, usage

    def send(self, header: bytes, payload_bytes: int = 0) -> None:
        while header:
            header = header[os.write(self.socket_fd, header) :]
        sent = 0
        while sent < payload_bytes:
            sent += os.write(self.socket_fd, self.view[sent:payload_bytes])


def cpu_seconds(pid: int) -> float:
    """CPU time another process has used so far; its clock id is that of clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def shift_pids(count: int) -> None:
    """Use up process ids, so that a program returning its own does not verify."""
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)


def main(socket_fd: int, settings: dict[str, Any]) -> None:
    """Prepare, warm up, freeze, serve."""
    os.environ.clear()
    if settings["clock_shift_s"]:
        clock.shift(settings["clock_shift_s"])
    if settings["first_draws"] is not None:
        vary.load_dice(settings["first_draws"])
    shift_pids(settings["pid_shift"])
    sys.stdout = sys.stderr = child.Silence()
    sys.stdin = None
    sys.argv[:] = [""]
    zygote = Zygote(socket_fd, settings)
    warm.rehearse()
    gc.collect()
    if settings["scatter"]:
        vary.scatter(settings["scatter"])
    gc.freeze()
    gc.disable()
    try:
        zygote.serve()
    finally:
        os._exit(1)  # only reached by an error of ours; the supervisor starts another jail
