"""Attack our own jail before trusting it. Each attack would succeed in an unprotected interpreter.

An attack counts as contained only when it ends the way it should, with the evidence it should leave; anything
else, a crash of ours included, counts as a leak. Controls run honest programs, so that a jail in which nothing
works cannot pass either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import Jail, JailLeaks


class ProbeResult(NamedTuple):
    """One attack and whether it was contained; ``detail`` says what happened."""

    name: str
    contained: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Attack:
    """A program and the only ends that show it was contained.

    ``value`` is the exact literal an ``ok`` end must carry, ``detail`` a text the end's detail must contain.
    """

    name: str
    program: str
    outcomes: frozenset[Outcome]
    value: str | None = None
    detail: str = ""
    verify: bool = False

    def contained(self, execution: Execution) -> bool:
        return (
            execution.outcome in self.outcomes
            and (self.value is None or execution.value == self.value)
            and self.detail in execution.detail
        )


def _attack(
    name: str, program: str, *outcomes: Outcome, value: str | None = None, detail: str = "", verify: bool = False
) -> Attack:
    return Attack(name, program, frozenset(outcomes), value, detail, verify)


def _syscall(name: str, number: int, arguments: str = "0, 0, 0, 0, 0") -> Attack:
    program = f"import ctypes\ndef f(x):\n    return ctypes.CDLL(None, use_errno=True).syscall({number}, {arguments})"
    return _attack(f"call {name} through ctypes", program, Outcome.POLICY_VIOLATION)


_DENIED, _ERROR, _OK = Outcome.POLICY_VIOLATION, Outcome.ERROR, Outcome.OK

_FILES = (
    _attack("read /etc/passwd", "def f(x):\n    return open('/etc/passwd').read()", _ERROR, detail="FileNotFound"),
    _attack("read /proc", "import os\ndef f(x):\n    return os.listdir('/proc')", _ERROR, detail="FileNotFound"),
    _attack("read /dev", "import os\ndef f(x):\n    return os.listdir('/dev')", _ERROR, detail="FileNotFound"),
    _attack(
        "see the host's root directory",
        "import os\ndef f(x):\n    return sorted(set(os.listdir('/')) - {'py', 'lib', 'lib64', 'usr'})",
        _OK,
        value="[]",
    ),
    _attack("write a file", "def f(x):\n    return open('/x', 'w').write('x')", _DENIED),
    _attack("make a directory", "import os\ndef f(x):\n    return os.mkdir('/x')", _DENIED),
    _attack("delete a file", "import os\ndef f(x):\n    return os.unlink('/py/bin/python3')", _DENIED),
)

_NETWORK = (
    _attack("open a TCP socket", "import socket\ndef f(x):\n    return socket.socket().fileno()", _DENIED),
    _attack(
        "open a Unix socket",
        "import socket\ndef f(x):\n    return socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')",
        _DENIED,
    ),
    _attack("know the host's name", "import os\ndef f(x):\n    return os.uname().nodename", _OK, value="'jail'"),
)

_PROCESSES = (
    _attack("fork", "import os\ndef f(x):\n    return os.fork()", _DENIED),
    _attack(
        "start a thread",
        "import threading\ndef f(x):\n    threading.Thread(target=print).start()\n    return 1",
        _DENIED,
    ),
    _attack("execute a program", "import os\ndef f(x):\n    os.execv('/py/bin/python3', ['p'])", _DENIED),
    _attack("kill the zygote", "import os\ndef f(x):\n    return os.kill(1, 9)", _DENIED),
    _attack(
        "raise its own limits",
        "import resource\ndef f(x):\n    return resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
        _DENIED,
    ),
)

_KERNEL = (
    _syscall("ptrace", 101),
    _syscall("mount", 165),
    _syscall("keyctl", 250),
    _syscall("unshare", 272, "0x10000000"),
    _syscall("perf_event_open", 298),
    _syscall("setns", 308),
    _syscall("process_vm_readv", 310, "1, 0, 0, 0, 0, 0"),
    _syscall("memfd_create", 319),
    _syscall("bpf", 321),
    _syscall("userfaultfd", 323),
    _syscall("io_uring_setup", 425),
    _syscall("the x32 form of getpid", 0x40000000 | 39),
)

_TIME = (
    _attack("sleep for ever", "import time\ndef f(x):\n    time.sleep(9999)", Outcome.TIMEOUT),
    _attack(
        "loop for ever, ignoring the signal",
        "import signal\ndef f(x):\n    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while 1: pass",
        Outcome.CPU,
    ),
    _attack("loop for ever", "def f(x):\n    while 1: pass", Outcome.CPU),
)

_RESOURCES = (
    _attack("take all memory", "def f(x):\n    return len(bytes(10**10))", Outcome.MEMORY),
    _attack(
        "take all memory bit by bit",
        "def f(x):\n    a = []\n    while 1:\n        a.append(bytes(10**6))",
        Outcome.MEMORY,
    ),
    _attack("return a huge value", "def f(x):\n    return 'x' * 10**7", Outcome.OUTPUT_LIMIT),
    _attack(
        "flood every open descriptor",
        "import os\n"
        "def f(x):\n"
        "    while 1:\n"
        "        for fd in range(3, 32):\n"
        "            try: os.write(fd, b'x' * 65536)\n"
        "            except OSError: pass",
        Outcome.OUTPUT_LIMIT,
    ),
)

_HARNESS = (
    _attack("read the environment", "import os\ndef f(x):\n    return dict(os.environ)", _OK, value="{}"),
    _attack(
        "find the supervisor's socket",
        "import os, stat\n"
        "def f(x):\n"
        "    found = []\n"
        "    for fd in range(0, 64):\n"
        "        try: mode = os.fstat(fd).st_mode\n"
        "        except OSError: continue\n"
        "        if stat.S_ISSOCK(mode) or stat.S_ISDIR(mode) or stat.S_ISREG(mode): found.append(fd)\n"
        "    return found",
        _OK,
        value="[]",
    ),
    _attack("leave quietly", "import os\ndef f(x):\n    os._exit(0)", Outcome.CRASH),
    _attack("crash the interpreter", "import ctypes\ndef f(x):\n    ctypes.string_at(0)", Outcome.CRASH),
    _attack("depend on the hash seed", "def f(x):\n    return hash('a string')", Outcome.NONDETERMINISTIC, verify=True),
)

_SET_RESIDUE = Request("import builtins\nbuiltins.residue = 1\ndef f(x):\n    return 1", ("0",), verify=False)
_FIND_RESIDUE = _attack(
    "find what an earlier program left",
    "import builtins\ndef f(x):\n    return hasattr(builtins, 'residue')",
    _OK,
    value="False",
)
_CONTROLS = (
    _attack("control: an honest program runs", "def f(x):\n    return [x, x + 1]", _OK, value="[0, 1]", verify=True),
    _attack(
        "control: ctypes works, so the calls above were made",
        "import ctypes\ndef f(x):\n    return ctypes.CDLL(None).syscall(39) > 0",
        _OK,
        value="True",
    ),
)

# Those that only a limit on time ends come first: the others run while they wait for it.
ATTACKS = (*_TIME, *_FILES, *_NETWORK, *_PROCESSES, *_KERNEL, *_RESOURCES, *_HARNESS, _FIND_RESIDUE, *_CONTROLS)


def probe(pool: Jail) -> list[ProbeResult]:
    """Run every attack in the pool (default limits assumed); about three seconds, mostly waiting for limits.

    An attack that a limit on time stopped before it could be tried, on a machine too busy for it, is tried again.
    """
    pool.run([_SET_RESIDUE] * 4)
    ends = _run(pool, ATTACKS)
    for again in range(len(ATTACKS)):
        late = ends[again][0].outcome in (Outcome.CPU, Outcome.TIMEOUT)
        if late and not ATTACKS[again].contained(ends[again][0]):
            (ends[again],) = _run(pool, ATTACKS[again : again + 1])
    return [
        ProbeResult(
            attack.name,
            attack.contained(end),
            f"{end.outcome.value}: {end.value if end.value is not None else end.detail}"[:200],
        )
        for attack, (end,) in zip(ATTACKS, ends, strict=True)
    ]


def _run(pool: Jail, attacks: Sequence[Attack]) -> list[tuple[Execution, ...]]:
    return pool.run([Request(attack.program, ("0",), attack.verify) for attack in attacks])


def require_contained(pool: Jail) -> list[ProbeResult]:
    """The probe's results when everything was contained; raises JailLeaks naming what was not."""
    results = probe(pool)
    leaks = [f"{result.name} ({result.detail})" for result in results if not result.contained]
    if leaks:
        raise JailLeaks(leaks)
    return results
