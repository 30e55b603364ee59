"""The benchmark's baselines: programs run with nothing between one and the next.

Passed to the interpreter with ``-c`` in one outer jail, see bench/outer.py; never part of a warm jail. Two ways:

- ``fork``: a warm process forks, and the child compiles, runs and answers through a pipe. No design that gives each
  program a process of its own can be cheaper.
- ``pool``: a pool of one worker process that executes one program after another in itself, under an alarm, and
  calls ``f`` twice to see whether the values agree: how the published Absolute-Zero trainer runs programs.

A message is eight bytes of length and JSON. The supervisor sends the programs, and once they are read, a go-ahead;
the answer is ``{"values", "latencies_ms"}``.
"""

import collections
import functools
import gc
import itertools
import json
import math
import os
import re
import signal
import sys
import time
import typing
from collections.abc import Callable
from typing import Any

# What the zygote preloads; nothing more, since a fork pays for every page of its parent.
PRELOADED = (collections, functools, itertools, math, re, typing)
_ALARM_S = 10  # the published trainer's limit
_WARM = (
    ("def f(a):\n    return sorted(x * 2 for x in a)", "[1, 2, 3]"),
    ("import re\ndef f(s):\n    return re.findall('[a-z]+', s), {c: s.count(c) for c in s}", "'one two'"),
    (
        "class A:\n    def __init__(self, x):\n        self.x = x\ndef f(n):\n    try:\n        [][n]\n"
        "    except IndexError:\n        pass\n    return A(n).x, sum(range(n)), f'{n:03d} {1.5!r}'",
        "9",
    ),
    ("def f(a):\n    raise ValueError(a)", "1"),
)


def evaluate(program: str, arguments: str) -> str:
    """The text of ``f(<arguments>)``. Raises whatever the program raises."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(program, "<program>", "exec"), namespace)  # noqa: S102  # inside the outer jail
    return repr(eval(compile(f"f({arguments}\n)", "<input>", "eval"), namespace))  # noqa: S307  # as above


def answer(program: str, arguments: str) -> bytes:
    """What a forked child writes: ``v`` and the value, or ``e``."""
    try:
        return b"v" + evaluate(program, arguments).encode("utf-8", "replace")
    except BaseException:
        return b"e"


def fork_once(program: str, arguments: str, inherited: int) -> bytes:
    """One program in a process of its own."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(inherited)
        text = answer(program, arguments)
        while text:
            text = text[os.write(write_fd, text) :]
        os._exit(0)
    os.close(write_fd)
    pieces = []
    while piece := os.read(read_fd, 65_536):
        pieces.append(piece)
    os.close(read_fd)
    os.waitpid(pid, 0)
    return b"".join(pieces)


def forks(times: int, inherited: int) -> Callable[[str, str], bool]:
    """Runs a program in ``times`` processes, one after the other; whether all gave one value."""

    def run(program: str, arguments: str) -> bool:
        answers = {fork_once(program, arguments, inherited) for _ in range(times)}
        return len(answers) == 1 and answers.pop().startswith(b"v")

    return run


def _alarm(number: int, frame: object) -> None:
    raise TimeoutError


def check(program: str, arguments: str) -> str:
    """In a pool's worker: run the program, call ``f`` twice, and give the value's text when both agree."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, _ALARM_S)
    try:
        text = f"{program}\nvalue = f({arguments}\n)\nif value != f({arguments}\n):\n    raise ValueError('differs')"
        exec(compile(text, "<program>", "exec"), namespace)  # noqa: S102  # inside the outer jail
        return repr(namespace["value"])
    except BaseException:
        return ""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Pool:
    """One worker that runs programs in itself; replaced when a program ends it or holds it up."""

    def __init__(self, inherited: int) -> None:
        self._inherited = inherited
        self._executor = self._start()

    def _start(self) -> Any:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        context = multiprocessing.get_context("fork")
        return ProcessPoolExecutor(1, mp_context=context, initializer=os.close, initargs=(self._inherited,))

    def run(self, program: str, arguments: str) -> bool:
        """One program, waited for before the next is handed over, as the published trainer does."""
        from concurrent.futures.process import BrokenProcessPool

        try:
            return bool(self._executor.submit(check, program, arguments).result(_ALARM_S + 1))
        except (TimeoutError, BrokenProcessPool):
            for process in list(self._executor._processes.values()):
                process.kill()
            self._executor.shutdown(wait=True)
            self._executor = self._start()
            return False


def receive(channel: int) -> Any:
    """One message; ends this process when the supervisor is gone."""

    def exactly(size: int) -> bytes:
        pieces = []
        while size:
            piece = os.read(channel, min(size, 1 << 20))
            if not piece:
                os._exit(0)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    return json.loads(exactly(int.from_bytes(exactly(8), "little")))


def send(channel: int, message: object) -> None:
    """One message."""
    data = json.dumps(message).encode()
    data = len(data).to_bytes(8, "little") + data
    while data:
        data = data[os.write(channel, data) :]


def main(channel: int, way: str) -> None:
    """Warm up, freeze, and serve batches until the supervisor hangs up. ``way`` is fork, forks or pool."""
    run = Pool(channel).run if way == "pool" else forks(2 if way == "forks" else 1, channel)
    for _ in range(2):
        for program, arguments in _WARM:
            answer(program, arguments)
    for program, arguments in _WARM * 5:
        run(program, arguments)
    gc.collect()
    gc.freeze()
    send(channel, "warm")
    while True:
        programs = receive(channel)
        send(channel, "ready")
        receive(channel)
        values, latencies_ms = 0, []
        for program, arguments in programs:
            started = time.perf_counter()
            values += run(program, arguments)
            latencies_ms.append(1000 * (time.perf_counter() - started))
        send(channel, {"values": values, "latencies_ms": latencies_ms})


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
