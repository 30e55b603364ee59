"""Attacks in the real jail, each named for what it tries; every one of them works in a bare interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from azr_sandbox.execution import Execution, Outcome

Run = Callable[..., Execution]
DENIED, ERROR, CRASH = Outcome.POLICY_VIOLATION, Outcome.ERROR, Outcome.CRASH


class Case(NamedTuple):
    name: str
    body: str
    outcome: Outcome
    detail: str = ""


def cases(*rows: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", rows, ids=[row.name for row in rows])


def check(run: Run, case: Case) -> None:
    execution = run(case.body, verify=False)
    assert (execution.outcome, execution.value) == (case.outcome, None), execution
    assert case.detail in execution.detail


def imported(*lines: str) -> str:
    return "import os, sys\ndef f(x):\n" + "\n".join(f"    {line}" for line in lines)


@cases(
    Case("read passwords", imported("return open('/etc/shadow').read()"), ERROR, "FileNotFoundError"),
    Case("read its own image", imported("return open('/proc/self/exe', 'rb').read(4)"), ERROR, "FileNotFound"),
    Case("read its memory map", imported("return open('/proc/self/maps').read()"), ERROR, "FileNotFoundError"),
    Case("read the kernel's settings", imported("return os.listdir('/sys')"), ERROR, "FileNotFoundError"),
    Case("list homes", imported("return os.listdir('/root') + os.listdir('/home')"), ERROR, "FileNotFound"),
    Case("climb out by dots", imported("return open('../../../../../../etc/hostname').read()"), ERROR, "FileNot"),
    Case("write beside Python", imported("open('/py/lib/x', 'w')"), DENIED),
    Case("append to a module", imported("open(os.__file__, 'a')"), DENIED),
    Case("write through os.open", imported("os.open('/x', os.O_CREAT | os.O_RDWR)"), DENIED),
    Case("make an unnamed file", imported("os.open('/', os.O_TMPFILE | os.O_RDWR)"), DENIED),
    Case("make a temporary file", "import tempfile\ndef f(x):\n    return tempfile.mkstemp()", DENIED),
    Case("rename", imported("os.rename('/py', '/q')"), DENIED),
    Case("link", imported("os.symlink('/', '/x')"), DENIED),
    Case("change modes", imported("os.chmod('/py', 0o777)"), DENIED),
    Case("truncate", imported("os.truncate('/py/bin/python3', 0)"), DENIED),
    Case("make a device", imported("os.mknod('/x', 0o20666, 0x103)"), DENIED),
    Case("change the root", imported("os.chroot('/py')"), DENIED),
)
def test_files_stay_out_of_reach(run: Run, case: Case) -> None:
    check(run, case)


def test_nothing_of_the_host_is_in_sight(run: Run) -> None:
    seen = run(imported("return sorted(set(os.listdir('/')) - {'py', 'lib', 'lib64', 'usr'})"))
    assert (seen.outcome, seen.value) == (Outcome.OK, "[]")


@cases(
    Case("internet socket", "import socket\ndef f(x):\n    socket.create_connection(('1.1.1.1', 53))", DENIED),
    Case("datagram", "import socket\ndef f(x):\n    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", DENIED),
    Case("raw netlink", "import socket\ndef f(x):\n    socket.socket(16, 3, 0)", DENIED),
    Case("abstract socket", "import socket\ndef f(x):\n    socket.socket(socket.AF_UNIX).bind('\\0a')", DENIED),
    Case("socket pair", "import socket\ndef f(x):\n    socket.socketpair()", DENIED),
    Case("fetch a page", "import urllib.request\ndef f(x):\n    urllib.request.urlopen('http://1.1.1.1')", DENIED),
    Case("look up a name", "import socket\ndef f(x):\n    return socket.gethostbyname('example.org')", DENIED),
    Case("event loop", "import asyncio\ndef f(x):\n    return asyncio.run(asyncio.sleep(0))", DENIED),
)
def test_there_is_no_network(run: Run, case: Case) -> None:
    check(run, case)


@cases(
    Case("fork", imported("os.fork()"), DENIED),
    Case("fork through ctypes", "import ctypes\ndef f(x):\n    ctypes.CDLL(None).fork()", DENIED),
    Case("clone by number", "import ctypes\ndef f(x):\n    ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0)", DENIED),
    Case("vfork by number", "import ctypes\ndef f(x):\n    ctypes.CDLL(None).syscall(58)", DENIED),
    Case("thread", "import threading\ndef f(x):\n    threading.Thread(target=print).start()", DENIED),
    Case("shell", imported("return os.system('id')"), DENIED),
    Case("subprocess", "import subprocess\ndef f(x):\n    subprocess.run(['/py/bin/python3'])", DENIED),
    Case("spawn", imported("os.posix_spawn('/py/bin/python3', ['p'], {})"), DENIED),
    Case("exec", imported("os.execv('/py/bin/python3', ['p', '-c', 'print(1)'])"), DENIED),
    Case("pool", "import multiprocessing\ndef f(x):\n    multiprocessing.Pool(2)", DENIED),
    Case("kill everything", imported("os.kill(-1, 9)"), DENIED),
    Case("kill its parent", imported("os.kill(os.getppid(), 9)"), DENIED),
    Case("stop itself", imported("os.kill(os.getpid(), 19)"), DENIED),
    Case("wait for others", imported("os.wait()"), DENIED),
    Case("pipe", imported("os.pipe()"), DENIED),
    Case("leave its session", imported("os.setsid()"), DENIED),
    Case("change priority", imported("os.nice(-5)"), DENIED),
    Case("become root", imported("os.setuid(0)"), DENIED),
)
def test_processes_can_neither_be_made_nor_touched(run: Run, case: Case) -> None:
    check(run, case)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ptrace", 101),
        ("arch_prctl", 158),
        ("prctl", 157),
        ("pivot_root", 155),
        ("mount", 165),
        ("reboot", 169),
        ("init_module", 175),
        ("keyctl", 250),
        ("unshare", 272),
        ("splice", 275),
        ("perf_event_open", 298),
        ("name_to_handle_at", 303),
        ("setns", 308),
        ("process_vm_readv", 310),
        ("finit_module", 313),
        ("seccomp", 317),
        ("memfd_create", 319),
        ("bpf", 321),
        ("userfaultfd", 323),
        ("io_uring_setup", 425),
        ("pidfd_open", 434),
        ("open_tree", 428),
        ("landlock_create_ruleset", 444),
        ("x32 write", 0x40000001),
        ("number from nowhere", 9999),
    ],
)
def test_the_kernel_refuses(run: Run, name: str, number: int) -> None:
    program = f"import ctypes\ndef f(x):\n    return ctypes.CDLL(None, use_errno=True).syscall({number}, 0, 0, 0, 0, 0)"
    assert run(program, verify=False).outcome is DENIED, name


def test_the_old_open_call_cannot_write_either(run: Run) -> None:
    program = "import ctypes\ndef f(x):\n    return ctypes.CDLL(None).syscall(2, b'/x', 0o101, 0o644)"
    assert run(program, verify=False).outcome is DENIED


@pytest.mark.parametrize("number", [435, 437, 291], ids=["clone3", "openat2", "epoll_create1"])
def test_calls_with_hidden_flags_do_not_exist(run: Run, number: int) -> None:
    program = (
        "import ctypes\n"
        "def f(x):\n"
        "    libc = ctypes.CDLL(None, use_errno=True)\n"
        f"    return libc.syscall({number}, 0, 0, 0, 0), ctypes.get_errno()"
    )
    assert run(program, verify=False).value == "(-1, 38)"


def test_32_bit_system_calls_are_killed_too(run: Run) -> None:
    # int 0x80 with eax=20 (getpid in the i386 table), from memory made executable
    program = (
        "import ctypes, mmap\n"
        "def f(x):\n"
        "    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "    page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))\n"
        "    address = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()"
    )
    assert run(program, verify=False).outcome in (DENIED, CRASH)


@cases(
    Case("one huge object", "def f(x):\n    return len(bytearray(10**11))", Outcome.MEMORY),
    Case("many objects", "def f(x):\n    a = []\n    while 1: a.append(' ' * 10**6)", Outcome.MEMORY),
    Case("a huge power", "def f(x):\n    return 10 ** 10 ** 10", Outcome.CPU),
    Case("a loop", "def f(x):\n    while 1: pass", Outcome.CPU),
    Case("a loop at import", "while 1: pass\ndef f(x): return 1", Outcome.CPU),
    Case(
        "a loop that swallows",
        "def f(x):\n    while 1:\n        try:\n            while 1: pass\n        except BaseException: pass",
        Outcome.CPU,
    ),
    Case(
        "a loop that ignores the signal",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f(x):\n    while 1: pass",
        Outcome.CPU,
    ),
    Case("a slow regular expression", "import re\ndef f(x):\n    re.match('(a+)+$', 'a' * 40 + 'b')", Outcome.CPU),
    Case("a sleep", "import time\ndef f(x):\n    time.sleep(60)", Outcome.TIMEOUT),
    Case(
        "a lock nobody opens",
        "import threading\ndef f(x):\n    l = threading.Lock(); l.acquire(); l.acquire()",
        Outcome.TIMEOUT,
    ),
    Case("deep recursion", "def f(x):\n    return f(x)", ERROR, "RecursionError"),
    Case(
        "recursion past the C stack",
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class A:\n    def __repr__(self): return repr(self)\ndef f(x):\n    return repr(A())",
        CRASH,
    ),
    Case("a long text", "def f(x):\n    return 'a' * 70_000", Outcome.OUTPUT_LIMIT),
    Case("a long list", "def f(x):\n    return [0] * 10**6", Outcome.OUTPUT_LIMIT),
    Case(
        "a shared giant",
        "def f(x):\n    a = [0]\n    for _ in range(40): a = [a, a]\n    return a",
        Outcome.OUTPUT_LIMIT,
    ),
    Case("a long integer", "def f(x):\n    return 10 ** 5000", Outcome.OUTPUT_LIMIT),
    Case("its own limits", "import resource\ndef f(x):\n    resource.setrlimit(7, (64, 64))", DENIED),
)
def test_resources_are_bounded_and_the_reason_is_told(run: Run, case: Case) -> None:
    check(run, case)


def test_printing_without_end_costs_only_time(run: Run) -> None:
    assert run("def f(x):\n    while 1: print('a' * 1000)", verify=False).outcome is Outcome.CPU


def test_a_program_that_handles_the_cpu_signal_and_returns_is_still_over_the_limit(run: Run) -> None:
    program = (
        "import signal, time\n"
        "def f(x):\n"
        "    done = []\n"
        "    signal.signal(signal.SIGXCPU, lambda *a: done.append(1))\n"
        "    while not done: pass\n"
        "    end = time.process_time() + 0.6\n"
        "    while time.process_time() < end: pass\n"
        "    return 7"
    )
    assert run(program, verify=False).outcome is Outcome.CPU


def test_descriptors_run_out_early(run: Run) -> None:
    program = imported(
        "files = []",
        "try:",
        "    while 1: files.append(open('/py/bin/python3', 'rb'))",
        "except OSError:",
        "    return len(files)",
    )
    execution = run(program)
    assert execution.ok
    assert int(execution.value or 0) <= 32


@cases(
    Case("leaves with success", imported("os._exit(0)"), CRASH),
    Case("leaves with failure", imported("os._exit(3)"), CRASH, "status 3"),
    Case("reads address zero", "import ctypes\ndef f(x):\n    ctypes.string_at(0)", CRASH, "SIGSEGV"),
    Case("raises SystemExit", "import sys\ndef f(x):\n    sys.exit(0)", ERROR, "SystemExit"),
    Case("raises KeyboardInterrupt", "def f(x):\n    raise KeyboardInterrupt", ERROR, "KeyboardInterrupt"),
    Case("reads input", "def f(x):\n    return input()", ERROR, "RuntimeError"),
    Case(
        "a broken code object",
        "def f(x):\n    g = lambda: 0\n    g.__code__ = g.__code__.replace(co_code=b'\\xff' * 64)\n    return g()",
        CRASH,
    ),
    Case("imports what is not there", "import numpy\ndef f(x):\n    return 1", ERROR, "ModuleNotFoundError"),
    Case(
        "closes every descriptor and stays",
        imported("for fd in range(3, 64):", "    try: os.close(fd)", "    except OSError: pass", "while 1: pass"),
        CRASH,
    ),
    Case(
        "closes every descriptor and returns",
        imported("for fd in range(3, 64):", "    try: os.close(fd)", "    except OSError: pass", "return 7"),
        CRASH,
    ),
    Case(
        "an error whose text lies",
        "class E(Exception):\n    def __str__(self): raise self\ndef f(x):\n    raise E()",
        ERROR,
        "E",
    ),
    Case(
        "an error whose text never ends",
        "class E(Exception):\n    def __str__(self):\n        while 1: pass\ndef f(x):\n    raise E()",
        Outcome.CPU,
    ),
    Case(
        "an error with a terminal sequence",
        "def f(x):\n    raise ValueError('\\x1b[2J\\r\\n')",
        ERROR,
        "ValueError: \\x1b[2J\\r\\n",
    ),
    Case("an error without end", "def f(x):\n    raise ValueError('a' * 10**6)", ERROR, "ValueError: aaa"),
)
def test_the_interpreter_is_the_programs_own_problem(run: Run, case: Case) -> None:
    check(run, case)


def test_details_are_bounded_and_printable(run: Run) -> None:
    detail = run("def f(x):\n    raise ValueError('\\x00\\u202e\\ud800' * 10**5)").detail
    assert detail.isprintable()
    assert len(detail) < 4000


def test_the_environment_is_empty_even_to_c(run: Run) -> None:
    assert run(imported("return dict(os.environ), sys.argv")).value == "({}, [''])"
    program = (
        "import ctypes\n"
        "def f(x):\n"
        "    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n"
        "    found, i = [], 0\n"
        "    while environ and environ[i]:\n"
        "        found.append(environ[i].split(b'=')[0]); i += 1\n"
        "    return found"
    )
    assert run(program, verify=False).value == "[]"


def test_the_supervisors_socket_is_closed(run: Run) -> None:
    program = (
        "import os, stat\n"
        "def f(x):\n"
        "    kinds = []\n"
        "    for fd in range(64):\n"
        "        try: mode = os.fstat(fd).st_mode\n"
        "        except OSError: continue\n"
        "        kinds.append(stat.S_ISCHR(mode) and 'device' or stat.S_ISFIFO(mode) and 'pipe' or oct(mode))\n"
        "    return kinds"
    )
    assert run(program).value == "['device', 'device', 'device', 'pipe']"


def test_the_result_pipe_cannot_be_read(run: Run) -> None:
    program = imported("return [fd for fd in range(3, 64) if can_read(fd)]") + (
        "\ndef can_read(fd):\n    try: os.read(fd, 1)\n    except OSError: return False\n    return True"
    )
    assert run(program, verify=False).value == "[]"
