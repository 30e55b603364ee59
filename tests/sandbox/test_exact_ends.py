"""Ends that are easy to confuse: each program here looked like another kind of end, or passed for a value."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.lanes import MAIN, VERIFIERS, verifiers
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from azr_sandbox.rootfs import preferred_cache
from azr_sandbox.verdict import judge
from azr_sandbox.warmjail import DONE, FLOOD, TIMEOUT, Report

Run = Callable[..., Execution]

METACLASS_EQUAL = """
import collections
class Meta(type):
    def __hash__(cls): return hash(collections.Counter)
    def __eq__(cls, other): return True
class Forged(dict, metaclass=Meta): pass
def f(x): return Forged(a=1)
"""
METACLASS_RAISES = """
class Meta(type):
    def __hash__(cls): raise SystemExit
class Forged(list, metaclass=Meta): pass
def f(x): return Forged()
"""
NAMELESS_ERROR = """
class Meta(type):
    __name__ = property(lambda cls: 1 / 0)
class E(Exception, metaclass=Meta): pass
def f(x): raise E('why')
"""
HOSTILE_MESSAGE = """
class S(str):
    def __format__(self, spec): raise RuntimeError
    def __len__(self): raise RuntimeError
class E(Exception):
    def __str__(self): return S('why')
def f(x): raise E
"""


@pytest.mark.parametrize("program", [METACLASS_EQUAL, METACLASS_RAISES], ids=["equal", "raises"])
def test_a_class_that_claims_to_be_a_builtin_one_is_not_a_value(run: Run, program: str) -> None:
    assert run(program).outcome is Outcome.NOT_A_VALUE


@pytest.mark.parametrize("program", [NAMELESS_ERROR, HOSTILE_MESSAGE], ids=["name", "message"])
def test_an_error_that_hinders_its_own_description_is_still_an_error(run: Run, program: str) -> None:
    execution = run(program)
    assert (execution.outcome, execution.detail) == (Outcome.ERROR, "E: why")


@pytest.mark.parametrize("line", ["os.abort()", "ctypes.pythonapi.Py_FatalError(b'x')"])
def test_an_abort_is_a_crash_and_no_policy_violation(run: Run, line: str) -> None:
    assert run(f"import os, ctypes\ndef f(x):\n    {line}", verify=False).outcome is Outcome.CRASH


def test_builtins_are_those_of_a_script(run: Run) -> None:
    program = "import builtins\nbuiltins.extra = 5\ndef f(x):\n    return extra, __builtins__.len([1])"
    assert run(program).value == "(5, 1)"


@pytest.mark.parametrize(
    ("imports", "reading"),
    [
        ("datetime", "datetime.date.today().weekday()"),
        ("datetime", "datetime.datetime.now().hour"),
        ("time", "time.asctime()[:3]"),
        ("time", "int(time.monotonic()) // 3600"),
        ("time", "int(time.perf_counter()) // 3600"),
        ("time", "int(time.clock_gettime(time.CLOCK_BOOTTIME)) // 3600"),
        ("os", "int(os.times().elapsed) // 3600"),
        ("datetime", "datetime.datetime.utcnow().year"),
        ("datetime", "datetime.datetime.now(datetime.timezone.utc).hour"),
        ("datetime", "type('D', (datetime.datetime,), {}).now().year"),
    ],
)
def test_no_coarse_reading_of_a_clock_verifies(run: Run, imports: str, reading: str) -> None:
    assert run(f"import {imports}\ndef f(x):\n    return {reading}").outcome is Outcome.NONDETERMINISTIC


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        ("datetime.date(2024, 2, 30)", "'day is out of range for month'"),
        ("datetime.datetime(2024, 13, 1)", "'month must be in 1..12'"),
        ("datetime.datetime.now(1)", "\"tzinfo argument must be None or of a tzinfo subclass, not type 'int'\""),
        ("datetime.datetime.now(datetime.timezone.utc).tzinfo == datetime.timezone.utc", "True"),
        ("type('D', (datetime.datetime,), {}).now().__class__.__name__", "'D'"),
    ],
)
def test_dates_without_a_clock_are_the_same_everywhere(run: Run, reading: str, value: str) -> None:
    """A program that returns what a refused date says is honest; another `datetime` would word it differently."""
    program = f"import datetime\ndef f(x):\n    try: return {reading}\n    except Exception as error: return str(error)"
    assert (run(program).outcome, run(program).value) == (Outcome.OK, value)


def test_every_part_of_the_calendar_differs_on_the_first_verifier_whatever_the_date() -> None:
    shift = timedelta(seconds=VERIFIERS[0].clock_shift_s)
    start = datetime(2026, 1, 1)
    for hours in range(0, 8 * 366 * 24, 7):
        now = start + timedelta(hours=hours)
        then = now + shift
        for part in ("year", "month", "day", "hour", "minute", "second"):
            assert getattr(now, part) != getattr(then, part), (now, part)
        assert now.weekday() != then.weekday(), now


def test_a_coin_does_not_pass_for_a_constant(pool: JailPool) -> None:
    """Not even one that nearly always falls the same way: verifiers load the dice, each in its own way."""
    draws = (
        "random.choice([0, 1])",
        "random.random() < 1e-6",
        "random.random() > 1 - 1e-6",
        "random.Random().randint(0, 5) == 0",
        "random.getrandbits(8) == 255",
        "random.shuffle(a := [1, 2]) or a",
        "random.sample(range(9), 2)[0] == 0",
        "random.SystemRandom().random() < 0.005",
        "secrets.randbelow(2)",
        "secrets.token_bytes(1)[0] == 255",
        "os.urandom(1)[0] == 0",
        "uuid.uuid4().hex[0] == '0'",
    )
    program = "import os, random, secrets, uuid\ndef f(x):\n    return "
    ends = pool.run([Request(program + draw, ("0",)) for draw in draws])
    assert {draw: end.outcome for draw, (end,) in zip(draws, ends, strict=True) if end.outcome is Outcome.OK} == {}


def test_what_does_not_depend_on_how_the_dice_fall_verifies(pool: JailPool) -> None:
    lines = (
        "random.shuffle(x) or sorted(x)",
        "random.seed(7) or random.random()",
        "random.Random(7).choice(x)",
        "sum(random.normalvariate() < 99 for _ in x)",
        "len(random.sample(x, 2))",
        "all(0 <= secrets.randbelow(n) < n for n in range(1, 70))",
        "len({os.urandom(8) for _ in range(99)})",
        "uuid.uuid4() != uuid.uuid4()",
        "random.random() != random.random()",
        "random.Random().random() != random.Random().random()",
        "math.log(random.random()) < 0 < random.expovariate(1)",
        "2 in iter(lambda: secrets.randbelow(4), None)",
        "6 in iter(lambda: random.randint(1, 6), None)",
    )
    program = "import math, os, random, secrets, uuid\ndef f(x):\n    return "
    ends = pool.run([Request(program + line, ("[3, 1, 2]",)) for line in lines])
    assert {line: end for line, (end,) in zip(lines, ends, strict=True) if not end.ok} == {}


OBJECTS = {
    "of a class": "class A: pass\ndef make(): return A()",
    "with slots": "class A:\n    __slots__ = ()\ndef make(): return A()",
    "bare": "def make(): return object()",
    "functions": "def make(): return lambda: 0",
    "classes": "def make(): return type('A', (), {})",
    "errors": "def make(): return ValueError()",
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_a_set_of_objects_has_no_order_to_rely_on(pool: JailPool, make: str) -> None:
    """Their addresses differ by whole pages alone where the heaps are alike, and the order of a few then agrees.

    Of four, it would agree in all the verifying runs by chance, too: in one of 24 to the third.
    """
    program = "def f(x):\n    a = [make() for _ in range(x)]\n    return [a.index(b) for b in set(a)]"
    (ends,) = pool.run([Request(f"{make}\n{program}", ("5", "6", "7", "8"))])
    assert {end.outcome for end in ends} == {Outcome.NONDETERMINISTIC}


def test_the_hosts_uptime_and_memory_are_not_told(run: Run) -> None:
    program = (
        "import ctypes\ndef f(x):\n    seen = (ctypes.c_long * 20)()\n"
        "    return ctypes.CDLL(None).sysinfo(seen), any(seen)"
    )
    assert run(program).value == "(-1, False)"


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *a: done.append(1)", "lambda *a: 1 / 0"])
def test_the_cpu_limit_is_no_signal_to_be_caught(run: Run, handler: str) -> None:
    program = (
        "import signal\ndone = []\ndef f(x):\n"
        f"    signal.signal(signal.SIGXCPU, {handler})\n    while not done: pass\n    return 7"
    )
    assert run(program, verify=False).outcome is Outcome.CPU


def test_a_mapping_that_does_not_fit_is_want_of_memory(run: Run) -> None:
    assert run("import mmap\ndef f(x):\n    return len(mmap.mmap(-1, 10**10))").outcome is Outcome.MEMORY
    assert run("def f(x):\n    return open('/nothing')").outcome is Outcome.ERROR


def test_a_pause_of_a_virtual_machine_is_not_a_programs_cpu_time() -> None:
    """The kernel charges it to whoever was running; what is over its limit was killed before it could answer."""
    report = Report(DONE, 0, cpu_ms=1_900.0, wall_ms=1_910.0, memory_kb=10_120, payload=b"v\1\0\0\0" + b"7")
    assert judge(report, Limits()).value == "7"


def test_a_kill_after_much_computing_is_the_cpu_limit_however_the_kernel_counts() -> None:
    """By ticks a program on a busy machine was seen to reach its second after 0.77 s of processor."""
    killed = Report(DONE, 9, cpu_ms=770.0, wall_ms=3_579.0, memory_kb=10_120, payload=b"")
    assert judge(killed, Limits()).outcome is Outcome.CPU
    early = Report(DONE, 9, cpu_ms=5.0, wall_ms=7.0, memory_kb=10_120, payload=b"")
    assert judge(early, Limits()).outcome is Outcome.CRASH


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


@pytest.mark.slow
def test_a_program_is_not_late_when_the_whole_machine_was() -> None:
    """The zygote and its child are stopped past the deadline, as under a machine that is itself not run."""
    program = "import time\ndef f(x):\n    time.sleep(0.5)\n    return 7"
    with JailPool(Limits(wall_s=2.0), workers=1) as pool:
        (zygote,) = children(next(jail.process.pid for jail in pool.jails if jail.lane is MAIN))
        future = pool.submit(Request(program, ("0",), verify=False))
        while not (running := children(zygote)):
            assert not future.done()
        for pid in (zygote, *running):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)
        for pid in (zygote, *running):
            os.kill(pid, signal.SIGCONT)
        ((end),) = future.result()
    assert (end.outcome, end.value) == (Outcome.OK, "7")


def test_a_loop_on_a_busy_machine_is_over_its_cpu_limit_not_late() -> None:
    late = Report(TIMEOUT, 9, cpu_ms=1_200.0, wall_ms=10_000.0, memory_kb=9_000, payload=b"")
    assert judge(late, Limits()).outcome is Outcome.CPU
    asleep = Report(TIMEOUT, 9, cpu_ms=3.0, wall_ms=2_000.0, memory_kb=9_000, payload=b"")
    assert judge(asleep, Limits()).outcome is Outcome.TIMEOUT
    flood = Report(FLOOD, 9, cpu_ms=1_200.0, wall_ms=2_000.0, memory_kb=9_000, payload=b"")
    assert judge(flood, Limits()).outcome is Outcome.OUTPUT_LIMIT


def test_a_user_without_a_home_has_a_place_for_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/none")
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", place)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                status = 0 if preferred_cache().parent == Path(place) else 2
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(ended) == 0


@pytest.mark.parametrize(
    "program",
    [
        "import os\ndef f(x): return os.getpid() % 2",
        "import time\ndef f(x): return int(time.time() * 10**6) % 2",
        "from time import perf_counter as p\ndef f(x): return int(p() * 10**7) % 2",
        "import os\ndef f(x): return getattr(os, 'urand' + 'om')(1)[0] % 2",
        "def f(x): return __import__('ran' + 'dom').choice('ab')",
        "def f(x): return eval('__imp' + 'ort__(\"ran' + 'dom\").choice(\"ab\")')",
        "import ｏｓ\ndef f(x): return ｏｓ.ｕｒａｎｄｏｍ(1)[0] % 2",
        "import _random\ndef f(x): return _random.Random().getrandbits(1)",
        "import ssl\ndef f(x): return ssl.RAND_bytes(1)[0] % 2",
        "from statistics import NormalDist\ndef f(x): return NormalDist().samples(1)[0] > 0",
        "import sched\ndef f(x): return int(sched.scheduler().timefunc() * 10**6) % 2",
        "import timeit\ndef f(x): return int(timeit.default_timer() * 10**6) % 2",
        "import logging\ndef f(x): return logging.makeLogRecord({}).process % 2",
        "import multiprocessing as m\ndef f(x): return m.current_process().pid % 2",
        "import sqlite3\ndef f(x): return sqlite3.connect('').execute('select randomblob(1)').fetchone()[0] < b'a'",
        "from operator import attrgetter\nimport os\ndef f(x): return attrgetter('urand' + 'om')(os)(1)[0] % 2",
    ],
)
def test_a_coin_is_tossed_often_however_it_is_named(program: str) -> None:
    assert verifiers(program) == VERIFIERS * 3


def test_one_long_text_does_not_hold_up_the_pool() -> None:
    """The choice of verifiers is made in the thread that serves everybody; it must not look at every bracket."""
    assert verifiers("{'a': [] }" + "()" * 32_000) == VERIFIERS
    assert verifiers("[]" * 32_000) == VERIFIERS[:1]
