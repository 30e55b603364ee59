"""How much of the machine the jail costs: CPU per program, beside the cheapest conceivable execution.

    python benchmarks/jail.py [--programs N] [--rounds R]

Four ways to run the same programs, interleaved in rounds so that a busy machine hurts all alike:

- plain fork:   a warmed Python forks, compiles, runs and prints; no isolation, no limits, nothing verified.
                What isolation is compared with: no design that gives each program a process can beat it.
- jail:         JailPool, one run each.
- jail, verified: JailPool, every value confirmed under another hash seed, clock and address layout.
- nsjail each:  nsjail started for every program (a twentieth of them, it is that slow).

CPU time is user + system of everything involved, this process included, from /proc and getrusage.
"""

from __future__ import annotations

import collections
import functools
import gc
import itertools
import json
import math
import os
import re
import resource
import sys
import time
from typing import TYPE_CHECKING

# Nothing more at the top: the plain fork runs from this file too, and what it imports its forks pay for. These
# are what the zygote preloads.
PRELOADED = (collections, functools, itertools, math, re)

if TYPE_CHECKING:
    from collections.abc import Callable

    from azr_sandbox.pool import JailPool

# Ours, because the plain fork runs them without a jail; of the sizes and kinds a small model proposes.
PROGRAMS = [
    ("def f(x):\n    return [i * x for i in range(5)]", "3"),
    ("def f(s: str) -> str:\n    return ''.join(sorted(s.lower()))", "'Hello'"),
    ("def f(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a", "30"),
    ("import re\ndef f(s):\n    return re.findall(r'[a-z]+', s)", "'one 2 three'"),
    (
        "from collections import Counter\ndef f(words):\n    counts = Counter(words)\n"
        "    return sorted(counts.items(), key=lambda p: (-p[1], p[0]))[:2]",
        "['a', 'b', 'a', 'c', 'b', 'a']",
    ),
    (
        "class Stack:\n    def __init__(self):\n        self.items = []\n    def push(self, x):\n"
        "        self.items.append(x)\n    def pop(self):\n        return self.items.pop()\n"
        "def f(text):\n    stack = Stack()\n    for token in text.split():\n"
        "        if token in '+-*':\n            b, a = stack.pop(), stack.pop()\n"
        "            stack.push(a + b if token == '+' else a - b if token == '-' else a * b)\n"
        "        else:\n            stack.push(int(token))\n    return stack.pop()",
        "'3 4 + 2 * 7 -'",
    ),
    (
        "def f(limit):\n    sieve = [True] * (limit + 1)\n    primes = []\n    for n in range(2, limit + 1):\n"
        "        if sieve[n]:\n            primes.append(n)\n            for m in range(n * n, limit + 1, n):\n"
        "                sieve[m] = False\n    return primes",
        "200",
    ),
    ("def f(d):\n    return {v: k.upper() for k, v in d.items() if v > 1}", "{'a': 1, 'b': 2, 'c': 3}"),
    ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)", "12"),
    ("def f(x, y):\n    if y == 0:\n        raise ValueError('division')\n    return x // y", "7, 0"),
]
TICK = os.sysconf("SC_CLK_TCK")


def programs(count: int) -> list[tuple[str, str]]:
    return [PROGRAMS[i % len(PROGRAMS)] for i in range(count)]


def descendants_cpu(pids: list[int]) -> float:
    """CPU seconds of processes and of all their children, reaped or alive."""
    from pathlib import Path

    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        total += sum(map(int, fields[11:15])) / TICK
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        total += descendants_cpu([int(child) for child in children])
    return total


def own_cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def execute(program: str, arguments: str) -> str:
    try:
        namespace: dict[str, object] = {"__name__": "__main__"}
        exec(compile(program, "<program>", "exec"), namespace)
        return repr(eval(compile(f"f({arguments}\n)", "<input>", "eval"), namespace))
    except Exception as error:
        return repr(error)


def plain_fork(batch: list[tuple[str, str]]) -> None:
    """The ceiling: fork, compile, run, repr through a pipe, wait."""
    for program, arguments in batch:
        read_fd, write_fd = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write_fd, execute(program, arguments).encode()[:4000])
            os._exit(0)
        os.close(write_fd)
        while os.read(read_fd, 65536):
            pass
        os.close(read_fd)
        os.waitpid(pid, 0)


def nsjail_each(batch: list[tuple[str, str]]) -> None:
    import subprocess

    from azr_sandbox import nsjail
    from azr_sandbox.rootfs import python_root

    root, binary, policy = python_root(), nsjail.find_nsjail(), nsjail.seccomp_policy()
    for program, arguments in batch:
        code = f"{program}\nrepr(f({arguments}\n))"
        null = os.open(os.devnull, os.O_RDWR)
        argv = nsjail.command(binary, root, code, null, null, 0, policy)
        subprocess.run(
            argv,
            pass_fds=(null,),
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        os.close(null)


def measure(work: Callable[[], object], pool: JailPool) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of the work, jails included."""
    cpu, wall = own_cpu() + descendants_cpu(pool.process_ids), time.perf_counter()
    work()
    return own_cpu() + descendants_cpu(pool.process_ids) - cpu, time.perf_counter() - wall


def measure_plain_fork(batch: list[tuple[str, str]]) -> tuple[float, float]:
    """The same for `plain_fork`, in a clean interpreter that measures itself once it is warm."""
    import subprocess

    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", __file__, "--plain-fork-from-stdin"],
        input=json.dumps(batch),
        text=True,
        check=True,
        capture_output=True,
        env={},
    ).stdout
    cpu, wall = json.loads(answer)
    return cpu, wall


def serve_plain_fork() -> None:
    """The other end of `measure_plain_fork`."""
    batch = json.load(sys.stdin)
    for program, arguments in PROGRAMS * 2:
        execute(program, arguments)  # settles memory: page faults are what a fork costs
    plain_fork(batch[:20])
    gc.collect()
    gc.freeze()
    cpu, wall = own_cpu(), time.perf_counter()
    plain_fork(batch)
    print(json.dumps([own_cpu() - cpu, time.perf_counter() - wall]))


def main() -> None:
    import argparse
    import statistics

    from azr_sandbox.execution import Request
    from azr_sandbox.pool import JailPool

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=300, help="programs a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    batch = programs(options.programs)
    few = batch[:: max(1, len(batch) // 20)]
    with JailPool() as pool:
        single = [Request(program, (text,), verify=False) for program, text in batch]
        verified = [Request(program, (text,), verify=True) for program, text in batch]
        pool.run(verified[:50])
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "plain fork": (lambda: None, len(batch)),
            "jail": (lambda: pool.run(single), len(batch)),
            "jail, verified": (lambda: pool.run(verified), len(batch)),
            "nsjail each": (lambda: nsjail_each(few), len(few)),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, (work, count) in ways.items():
                cpu, wall = measure_plain_fork(batch) if name == "plain fork" else measure(work, pool)
                taken[name].append((1000 * cpu / count, count / wall))
    ceiling = [cpu for cpu, _ in taken["plain fork"]]
    print(f"{'':16}{'CPU ms/program':>15}{'per CPU-second':>16}{'programs/s':>12}{'of plain fork':>15}")
    for name, rows in taken.items():
        cpu = statistics.median(row[0] for row in rows)
        rate = statistics.median(row[1] for row in rows)
        share = statistics.median(top / row[0] for top, row in zip(ceiling, rows, strict=True))
        print(f"{name:16}{cpu:15.2f}{1000 / cpu:16.0f}{rate:12.0f}{share:14.0%}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--plain-fork-from-stdin"]:
        serve_plain_fork()
    else:
        main()
