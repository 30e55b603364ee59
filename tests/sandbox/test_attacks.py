"""Attacks in the real jail, each named for what it tries; the table is in attacks.py, and test_users.py runs it too."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from azr_sandbox.probe import ATTACKS as START_UP
from azr_sandbox.probe import Attack

Run = Callable[..., Execution]
TABLE = runpy.run_path(str(Path(__file__).with_name("attacks.py")))
GROUPS: dict[str, tuple[Attack, ...]] = TABLE["GROUPS"]


def attacks(group: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", GROUPS[group], ids=[attack.name for attack in GROUPS[group]])


Check = Callable[[Attack], None]


@pytest.fixture(scope="module")
def pools() -> Iterator[Callable[[Limits], JailPool]]:
    """One pool for each set of limits that is asked for."""
    with ExitStack() as open_pools:
        yield cache(lambda limits: open_pools.enter_context(JailPool(limits, workers=2)))


@pytest.fixture
def patient(pools: Callable[[Limits], JailPool]) -> JailPool:
    return pools(TABLE["PATIENT"])


@pytest.fixture
def check(pools: Callable[[Limits], JailPool]) -> Check:
    """Run one attack where it belongs, and hold it to its end."""

    def one(attack: Attack) -> None:
        ((execution,),) = pools(TABLE["limits"](attack)).run([Request(attack.program, ("0",), attack.verify)])
        assert attack.contained(execution), execution

    return one


@attacks("files")
def test_files_stay_out_of_reach(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("network")
def test_there_is_no_network(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("processes")
def test_processes_can_neither_be_made_nor_touched(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("kernel")
def test_the_kernel_refuses(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("resources")
def test_resources_are_bounded_and_the_reason_is_told(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("interpreter")
def test_the_interpreter_is_the_programs_own_problem(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("forgery")
def test_a_forged_value_is_no_value_or_just_itself(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("nondeterminism")
def test_what_differs_between_runs_is_found_out(check: Check, attack: Attack) -> None:
    check(attack)


@attacks("residue")
def test_nothing_of_an_earlier_program_is_left(patient: JailPool, check: Check, attack: Attack) -> None:
    planted = patient.run([Request(TABLE["LEAVE_RESIDUE"].program, ("0",), verify=False)] * 6)
    assert all(end.ok for (end,) in planted), planted
    check(attack)


def test_the_table_is_large_and_its_names_are_distinct() -> None:
    names = [attack.name for group in GROUPS.values() for attack in group]
    assert len(set(names)) == len(names) >= 300
    programs = {attack.program for group in GROUPS.values() for attack in group} | {a.program for a in START_UP}
    assert len(programs) >= 350


# What a program may ask of the kernel; all else kills it. Changing this list is changing the jail.
ALLOWED = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "readv": 19, "writev": 20, "access": 21, "select": 23, "sched_yield": 24, "mremap": 25,
    "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "exit": 60, "uname": 63, "getcwd": 79, "readlink": 89,
    "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107,
    "getegid": 108, "getppid": 110, "getpgrp": 111, "sigaltstack": 131, "gettid": 186, "futex": 202,
    "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269,
    "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "prlimit64, reading": 302, "getrandom": 318,
    "membarrier": 324, "statx": 332, "rseq": 334, "close_range": 436, "faccessat2": 439,
}  # fmt: skip
ANSWERED_WITH_AN_ERROR = {"ioctl": 16, "sysinfo": 99, "epoll_create1": 291, "clone3": 435, "openat2": 437}
# Linux lets these past every filter (since 6.13 and 6.18). Called by anything but a probe's trampoline they fail.
UNFILTERED = {"uretprobe": 335, "uprobe": 336}


def test_every_other_system_call_there_is_kills_its_caller(patient: JailPool) -> None:
    open_to_programs = {*ALLOWED.values(), *ANSWERED_WITH_AN_ERROR.values(), *UNFILTERED.values()}
    numbers = [number for number in range(500) if number not in open_to_programs]
    numbers += [0x40000000 | number for number in range(550)]  # the x32 forms
    program = "import ctypes\ndef f(n):\n    return ctypes.CDLL(None).syscall(n, 0, 0, 0, 0, 0, 0)"
    ends = patient.run([Request(program, (str(number),), verify=False) for number in numbers])
    alive = {n: end for n, (end,) in zip(numbers, ends, strict=True) if end.outcome is not Outcome.POLICY_VIOLATION}
    assert not alive


@pytest.mark.parametrize("name", UNFILTERED)
def test_calls_that_no_filter_sees_do_nothing(patient: JailPool, name: str) -> None:
    program = f"import ctypes\ndef f(x):\n    return ctypes.CDLL(None).syscall({UNFILTERED[name]}, 0, 0, 0, 0, 0, 0)"
    ((end,),) = patient.run([Request(program, ("0",), verify=False)])
    assert end.outcome in (Outcome.POLICY_VIOLATION, Outcome.CRASH) or (end.outcome, end.value) == (Outcome.OK, "-1")


def test_details_are_bounded_and_printable(run: Run) -> None:
    detail = run("def f(x):\n    raise ValueError('\\x00\\u202e\\ud800' * 10**5)").detail
    assert detail.isprintable()
    assert len(detail) < 4000
