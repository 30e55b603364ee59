"""Processes forked from one that has imported everything, so that a life does not cost its imports.

    python benchmarks/nursery.py FOLDER     # serves trainers to whoever runs trainer(FOLDER), until its input ends

What a supervisor starts is a stand-in: a process of its own that hands its end of the wire on and ends as the trainer
does. When the stand-in is killed, so is the trainer.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

LIFE_SECONDS = 300.0

STAND_IN = """
import os, socket, sys
run, fd = (sys.argv[sys.argv.index(name) + 1] for name in ("--run", "--fd"))
nursery = socket.socket(socket.AF_UNIX)
nursery.connect(sys.argv[1])
socket.send_fds(nursery, [run.encode()], [int(fd)])
os.close(int(fd))
status = int(nursery.recv(16) or b"-9")
os.kill(os.getpid(), -status) if status < 0 else sys.exit(status)
"""


def trainer(folder: Path) -> tuple[str, ...]:
    """The command that a supervisor starts for a trainer, where the nursery of ``folder`` is open."""
    return (sys.executable, "-I", "-S", "-c", STAND_IN, str(folder / "nursery"))


class Nursery:
    """Forks supervisors, and the trainers that they ask for."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "nursery"))
        self._listener.listen()
        self.trainer = trainer(folder)
        self._trainers: dict[int, socket.socket] = {}

    def live(self, act: Callable[[], int]) -> int:
        """Run ``act`` in a process of its own, and the trainers it asks for; how it ended (negative: by a signal)."""
        child = self._fork(act, None)
        deadline = time.monotonic() + LIFE_SECONDS
        while True:
            self._turn(None)
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == child:
                return os.waitstatus_to_exitcode(status)
            self._told(ended, status)
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                raise TimeoutError(f"a supervisor did not end within {LIFE_SECONDS:.0f} s")

    def serve(self, until: int) -> None:
        """Fork trainers until the file ``until`` ends."""
        while not self._turn(until):
            with suppress(ChildProcessError):
                self._told(*os.waitpid(-1, os.WNOHANG))

    def close(self) -> None:
        self._listener.close()
        for pid, stand_in in self._trainers.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            stand_in.close()

    def _turn(self, until: int | None) -> bool:
        """Deal with who asks for a trainer, and with stand-ins that were killed; whether ``until`` ended."""
        others = [] if until is None else [until]
        ready = select.select([self._listener, *self._trainers.values(), *others], [], [], 0.01)[0]
        for each in ready:
            if each is self._listener:
                self._bear()
            elif each is not until:  # a stand-in says nothing: it was killed, and its trainer is to be
                self._end(each)
        return until is not None and until in ready

    def _told(self, ended: int, status: int) -> None:
        """Tell a trainer's stand-in how it ended."""
        if ended in self._trainers:
            with closing(self._trainers.pop(ended)) as stand_in, suppress(OSError):
                stand_in.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _bear(self) -> None:
        from azr_platform.trainer.process import train

        stand_in, _ = self._listener.accept()
        path, (fd, *_), *_ = socket.recv_fds(stand_in, 4096, 1)
        run, wire = Path(path.decode()), socket.socket(fileno=fd)
        self._trainers[self._fork(lambda: train(run, wire), run / "logs" / "trainer.log")] = stand_in
        wire.close()

    def _end(self, stand_in: socket.socket) -> None:
        pid = next(pid for pid, theirs in self._trainers.items() if theirs is stand_in)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._trainers.pop(pid).close()

    def _fork(self, act: Callable[[], int], log: Path | None) -> int:
        if pid := os.fork():
            return pid
        status = 1
        try:
            self._listener.close()
            for stand_in in self._trainers.values():
                stand_in.close()
            if log is not None:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 1)
                os.dup2(1, 2)
                os.setsid()
            status = act()
        finally:
            sys.stdout.flush()
            os._exit(status)


def main() -> None:
    # Before anything imports torch; a process with threads cannot be forked.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    import azr_platform.trainer.session  # noqa: F401 for those that are forked
    from azr_platform.config.load import load
    from azr_platform.trainer.model import load_policy

    load_policy(load("nano").model)  # what this imports and computes, no life has to
    with closing(Nursery(Path(sys.argv[1]))) as nursery:
        print("open", flush=True)
        nursery.serve(sys.stdin.fileno())


if __name__ == "__main__":
    main()
