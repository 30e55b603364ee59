"""Inputs that share one process: the same executions as apart, for a fraction of the work."""

from __future__ import annotations

import pytest

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.job import MOST_TOGETHER
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

INPUTS = ("3", "1", "4", "1", "5")
SQUARE = "def f(x):\n    return x * x"


def together(pool: JailPool, program: str, inputs: tuple[str, ...] = INPUTS, verify: bool = True) -> list[Execution]:
    (row,) = pool.run([Request(program, inputs, verify, together=True)])
    return list(row)


def apart(pool: JailPool, program: str, inputs: tuple[str, ...] = INPUTS, verify: bool = True) -> list[Execution]:
    (row,) = pool.run([Request(program, inputs, verify)])
    return list(row)


def ends(executions: list[Execution]) -> list[tuple[Outcome, str | None]]:
    return [(execution.outcome, execution.value) for execution in executions]


def test_values_come_in_the_order_of_the_inputs(pool: JailPool) -> None:
    assert [execution.value for execution in together(pool, SQUARE)] == ["9", "1", "16", "1", "25"]
    many = tuple(map(str, range(3 * MOST_TOGETHER + 1)))
    assert [execution.value for execution in together(pool, "def f(x): return x", many)] == list(many)


def test_one_process_runs_them_all(pool: JailPool) -> None:
    program = "import os\ndef f(x):\n    return id(os) % 2, os.times() is None, __import__('time').process_time_ns()"
    clocks = [int(str(e.value).strip("()").split(",")[2]) for e in together(pool, program, verify=False)]
    assert clocks == sorted(clocks), "the processor time of one process only grows"
    assert len(set(clocks)) == len(clocks)


REMEMBERS = {
    "a global": "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)",
    "a default argument": "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
    "a builtin": "import builtins\ndef f(x):\n    builtins.n = getattr(builtins, 'n', 0) + 1\n    return builtins.n",
    "a module": "import math\ndef f(x):\n    math.n = getattr(math, 'n', 0) + 1\n    return math.n",
    "a cache": "import functools, re\ndef f(x):\n    re.n = getattr(re, 'n', []) + [x]\n    return re.n",
    "a patched function": "import math\ndef f(x):\n    y = math.floor(x)\n    math.floor = lambda z: -1\n    return y",
}


@pytest.mark.parametrize("program", REMEMBERS.values(), ids=REMEMBERS)
def test_a_call_learns_nothing_from_an_earlier_one(pool: JailPool, program: str) -> None:
    assert ends(together(pool, program)) == ends(apart(pool, program))


ENDS = {
    "raises on one": "def f(x):\n    if x == 4: raise ValueError(x)\n    return x",
    "dies on one": "import os\ndef f(x):\n    if x == 4: os._exit(0)\n    return x",
    "is killed on one": "import ctypes\ndef f(x):\n    if x == 4: ctypes.string_at(0)\n    return x",
    "loops on one": "def f(x):\n    while x == 4: pass\n    return x",
    "sleeps on one": "import time\ndef f(x):\n    if x == 4: time.sleep(9)\n    return x",
    "eats memory on one": "def f(x):\n    return len(bytearray(2 << 30)) if x == 4 else x",
    "too much from one": "def f(x):\n    return 'a' * (1 << 17) if x == 4 else x",
    "too much only from all": "def f(x):\n    return 'a' * 40_000 + str(x)",
    "no value from one": "def f(x):\n    return object() if x == 4 else x",
    "forbidden on one": "import os\ndef f(x):\n    if x == 4: os.fork()\n    return x",
    "does not compile": "def f(x:",
    "no f": "def g(x):\n    return x",
    "by chance": "import random\ndef f(x):\n    return random.random()",
    "by the order of a set": "def f(x):\n    return list({'a', 'b', 'c', 'd', 'e', 'f', str(x)})",
    "by the process": "import os\ndef f(x):\n    return os.getpid()",
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_every_end_is_as_exact_as_apart(pool: JailPool, program: str) -> None:
    joint, single = together(pool, program), apart(pool, program)
    assert [(e.outcome, None if e.outcome is Outcome.NONDETERMINISTIC else e.value) for e in joint] == ends(single)


def test_an_input_that_is_none_spoils_no_other(pool: JailPool) -> None:
    inputs = ("1", "2) or f(3", "\ud800", "1 +", "'a' * 3", "4")
    joint = together(pool, "def f(x): return x * 2", inputs)
    assert ends(joint) == ends(apart(pool, "def f(x): return x * 2", inputs))
    assert [execution.value for execution in joint] == ["2", None, None, None, "'aaaaaa'", "8"]


FIND_FD = "for FD in range(3, 64):\n    try: os.fstat(FD)\n    except OSError: continue\n    break"


@pytest.mark.parametrize("frames", [0, 1, 4, 5, 6])
def test_frames_that_a_program_writes_itself_are_believed_only_when_they_are_whole(pool: JailPool, frames: int) -> None:
    one = b"v" + (1).to_bytes(4, "little") + b"7"
    program = f"import os\ndef f(x):\n    os.write(FD, {one * frames!r})\n    os._exit(0)\n{FIND_FD}"
    outcomes = {execution.outcome for execution in together(pool, program)}
    # Five frames for five inputs: no more than returning 7 five times. Alone, one frame is one answer.
    assert outcomes == {Outcome.OK} if frames in (1, 5) else {Outcome.CRASH}


def test_each_is_charged_its_share(pool: JailPool) -> None:
    program = "def f(x):\n    return sum(i * i for i in range(50_000))"
    joint = together(pool, program, ("1",) * 10)
    assert len({execution.cpu_ms for execution in joint}) == 1
    assert sum(e.cpu_ms for e in joint) > 2 * max(e.cpu_ms for e in joint)
    assert all(execution.memory_kb > 1000 for execution in joint)


def test_the_limits_are_each_input_s_own_when_it_matters() -> None:
    """Ten inputs that take 0.3 s each pass a limit of 1 s, although together they do not."""
    with JailPool(Limits(wall_s=1.0), workers=2) as pool:
        program = "import time\ndef f(x):\n    time.sleep(0.3)\n    return x"
        row = together(pool, program, tuple("0123456789"), verify=False)
    assert [execution.value for execution in row] == list("0123456789")
