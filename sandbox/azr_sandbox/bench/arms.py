"""The ways to run a program that are measured side by side."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple, Protocol

from azr_sandbox import nsjail
from azr_sandbox.bench.outer import OuterJail, Pair, Ran
from azr_sandbox.execution import Execution, Request
from azr_sandbox.pool import JailPool
from azr_sandbox.rootfs import python_root

FORK, FORKS, IN_PROCESS, EACH = "plain fork", "plain fork, twice", "in-process pool", "nsjail each"
JAIL, VERIFIED, TWO = "jail", "jail, verified", "jail, two workers"
TOGETHER, TOGETHER_ONCE = "jail, together", "jail, together, once"
_EACH_SHARE = 20
_ONCE_S = 30.0
_LATENCY_SAMPLE = 50


class Program(NamedTuple):
    """A program and the texts of its inputs."""

    text: str
    inputs: tuple[str, ...]


def pairs(programs: Sequence[Program]) -> list[Pair]:
    """Every program with each of its inputs."""
    return [(program.text, text) for program in programs for text in program.inputs]


class Arm(Protocol):
    """One way. ``load`` is not measured, ``run`` is."""

    name: str

    def load(self, programs: Sequence[Program]) -> int:
        """Take the programs of a round; how many pairs of them will be run."""
        ...

    def run(self) -> Ran:
        """Run them: how many gave a value, and the milliseconds each took where they were run one by one."""
        ...

    def alone_ms(self) -> list[float]:
        """Milliseconds of some of them handed over one by one, where `run` cannot tell."""
        ...


class BaselineArm:
    """Every pair in a baseline without isolation, one after the other."""

    def __init__(self, name: str, jail: OuterJail) -> None:
        self.name = name
        self._jail = jail

    def load(self, programs: Sequence[Program]) -> int:
        batch = pairs(programs)
        self._jail.load(batch)
        return len(batch)

    def run(self) -> Ran:
        return self._jail.run()

    def alone_ms(self) -> list[float]:
        return []


class NsjailArm:
    """nsjail started for every pair: the usual way to jail a program. A twentieth of the pairs, it is that slow."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._batch: list[Pair] = []
        self._source = (resources.files("azr_sandbox") / "guest" / "once.py").read_text("utf-8")
        self._settings = nsjail.find_nsjail(), python_root(), nsjail.seccomp_policy()

    def load(self, programs: Sequence[Program]) -> int:
        self._batch = pairs(programs)[::_EACH_SHARE]
        return len(self._batch)

    def run(self) -> Ran:
        values, latencies_ms = 0, []
        for program, arguments in self._batch:
            started = time.perf_counter()
            values += bool(self._once(program, arguments))
            latencies_ms.append(1000 * (time.perf_counter() - started))
        return Ran(values, latencies_ms)

    def alone_ms(self) -> list[float]:
        return []

    def _once(self, program: str, arguments: str) -> bytes:
        binary, root, policy = self._settings
        ours, theirs = socket.socketpair()
        with ours, theirs:
            argv = nsjail.command(binary, root, self._source, theirs.fileno(), 2, 0, policy)
            process = subprocess.Popen(  # noqa: S603
                argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), env={}
            )
            theirs.close()
            ours.settimeout(_ONCE_S)
            try:
                ours.sendall(f"{program}\0{arguments}".encode("utf-8", "replace"))
                ours.shutdown(socket.SHUT_WR)
                return ours.recv(65_536)
            except OSError:  # it died, or hangs
                return b""
            finally:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it end by itself: an nsjail that is killed takes the CPU time of what it jailed with it, uncounted."""
    try:
        process.wait(_ONCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class PoolArm:
    """Our pool; ``requests`` says what is asked of it for a program."""

    name: str
    pool: JailPool
    requests: Callable[[Program], list[Request]]

    def load(self, programs: Sequence[Program]) -> int:
        self._requests = [request for program in programs for request in self.requests(program)]
        return sum(len(request.inputs) for request in self._requests)

    def run(self) -> Ran:
        return Ran(sum(execution.ok for row in self.pool.run(self._requests) for execution in row), [])

    def alone_ms(self) -> list[float]:
        latencies_ms = []
        for request in self._requests[:: -(-len(self._requests) // _LATENCY_SAMPLE)]:
            started = time.perf_counter()
            self.pool.run([request])
            latencies_ms.append(1000 * (time.perf_counter() - started))
        return latencies_ms


def screen(programs: Sequence[Program], pool: JailPool) -> list[Program]:
    """The programs with those inputs that give a value, so that every way has the same work to do."""
    results = pool.run([Request(program.text, program.inputs) for program in programs])
    kept = [Program(program.text, _giving(program, row)) for program, row in zip(programs, results, strict=True)]
    return [program for program in kept if program.inputs]


def _giving(program: Program, executions: Sequence[Execution]) -> tuple[str, ...]:
    return tuple(text for text, execution in zip(program.inputs, executions, strict=True) if execution.ok)


def start(stack: ExitStack) -> tuple[JailPool, list[Arm]]:
    """Everything warm, to be ended by ``stack``: a pool to screen with, and the arms.

    Raises:
        JailUnavailable: no jail can be had.
        BaselineFailed: a baseline did not start.
    """
    one, two = stack.enter_context(JailPool(workers=1)), stack.enter_context(JailPool(workers=2))
    ways = {FORK: "fork", FORKS: "forks", IN_PROCESS: "pool"}
    baselines = [BaselineArm(name, stack.enter_context(OuterJail(way))) for name, way in ways.items()]
    return one, [
        *baselines,
        NsjailArm(EACH),
        PoolArm(JAIL, one, lambda program: [Request(program.text, (i,), verify=False) for i in program.inputs]),
        PoolArm(VERIFIED, one, lambda program: [Request(program.text, (i,)) for i in program.inputs]),
        PoolArm(TOGETHER, one, lambda program: [Request(program.text, program.inputs, together=True)]),
        PoolArm(
            TOGETHER_ONCE, one, lambda program: [Request(program.text, program.inputs, verify=False, together=True)]
        ),
        PoolArm(TWO, two, lambda program: [Request(program.text, (i,)) for i in program.inputs]),
    ]
