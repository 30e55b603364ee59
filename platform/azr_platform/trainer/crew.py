"""The processes that share an update with the trainer: started, told what to do, watched, and ended.

```
trainer (rank 0)                        worker (ranks 1 …)
  tell ─ Begin, Learn, State ─ socket ──► does its part
  does its own part ◄── collectives ────► (torch.distributed: sharded.py)
  watch ◄──── Failed, or the socket's end ─── dies
```
A worker ends when its socket does, whatever it is doing: none outlives the trainer. A trainer whose worker is gone
ends too, and the supervisor starts it again from the last checkpoint.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from azr_platform.channel.wire import Disconnected, Wire, WireError
from azr_platform.trainer.ranks import Failed, FromWorker, Order, Ready

WORKER = (sys.executable, "-P", "-m", "azr_platform.trainer.worker")
BLAME_SECONDS = 5.0
"""How long a failed collective waits for word of a worker that may be why."""
GRACE_SECONDS = 30.0
"""A trainer that has not noticed by itself, so long after a worker's end, is ended: on GPUs it may wait forever."""


class WorkerDied(Exception):
    """A process that shares the update ended or failed; the text says which, and what it said."""


class Crew:
    """The processes of ranks 1 to ``processes`` - 1. Their output goes where the trainer's goes.

    ``silence`` are the seconds to wait for their start, and ``last_words`` hears why this process is ended, where its
    main thread does not come to it.

    Raises:
        WorkerDied: one did not start.
    """

    def __init__(
        self,
        run: Path,
        processes: int,
        *,
        silence: float,
        last_words: Callable[[str], None],
        command: Sequence[str] = WORKER,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._last_words, self._grace = last_words, grace
        self._folder = TemporaryDirectory(prefix="azr-ranks-")
        self.store = Path(self._folder.name) / "store"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sockets: list[socket.socket] = []
        self._wires: list[Wire[FromWorker]] = []
        self._deaths: list[str] = []
        self._died, self._closing = threading.Event(), threading.Event()
        try:
            for rank in range(1, processes):
                self._start(run, rank, command)
            for rank in range(1, processes):
                self._await(rank, silence)
        except BaseException:
            self.close()
            raise
        for rank, wire in enumerate(self._wires, 1):
            threading.Thread(target=self._watch, args=(rank, wire), name=f"rank {rank}", daemon=True).start()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    @contextmanager
    def together(self, orders: Sequence[Order]) -> Iterator[None]:
        """Tell each worker its order, or all the only one, and do one's own part of it inside.

        Raises:
            WorkerDied: instead of what the part fails with when a worker is gone.
        """
        try:
            told = [*orders] * len(self._wires) if len(orders) == 1 else orders
            for wire, order in zip(self._wires, told, strict=True):
                wire.send(order)
            yield
        except (Disconnected, RuntimeError) as error:  # torch's own errors are RuntimeErrors
            if self._died.wait(BLAME_SECONDS):
                raise WorkerDied("; ".join(self._deaths)) from error
            raise

    def close(self) -> None:
        """End them all."""
        self._closing.set()
        for process in self._processes:
            process.kill()
            process.wait()
        for wire in self._wires:
            wire.close()
        self._folder.cleanup()

    def _start(self, run: Path, rank: int, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sockets.append(ours)
        self._wires.append(Wire(ours, FromWorker))
        with theirs:
            options = {"run": run, "fd": theirs.fileno(), "rank": rank, "store": self.store}
            argv = [*command, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
            process = subprocess.Popen(  # noqa: S603 our own program
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._processes.append(process)

    def _await(self, rank: int, silence: float) -> None:
        self._sockets[rank - 1].settimeout(silence)
        try:
            said = self._wires[rank - 1].receive()
        except (Disconnected, WireError) as error:
            raise WorkerDied(f"the trainer's process of rank {rank} did not start: {self._how(rank, error)}") from error
        self._sockets[rank - 1].settimeout(None)
        if not isinstance(said, Ready):
            raise WorkerDied(f"the trainer's process of rank {rank} failed: {said.error}")

    def _watch(self, rank: int, wire: Wire[FromWorker]) -> None:
        try:
            said = wire.receive()
            why = f"failed: {said.error}" if isinstance(said, Failed) else "said what nobody asked"
        except (Disconnected, WireError) as error:
            if self._closing.is_set():
                return
            why = self._how(rank, error)
        text = f"the trainer's process of rank {rank} {why}"
        self._deaths.append(text)
        self._died.set()
        if not self._closing.wait(self._grace):
            sys.stderr.write(text + "\n")
            with suppress(Disconnected):
                self._last_words(text)
            os._exit(1)

    def _how(self, rank: int, error: Exception) -> str:
        if isinstance(error.__cause__, TimeoutError):
            return "said nothing for too long"
        try:
            status = self._processes[rank - 1].wait(BLAME_SECONDS)
        except subprocess.TimeoutExpired:
            return f"hung up ({error})"
        return f"was killed (signal {-status})" if status < 0 else f"ended with status {status}"
