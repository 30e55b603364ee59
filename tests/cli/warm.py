"""A process that has done the imports of commands, and forks one for each command that a test gives (conftest.py).

Each runs in a process of its own, with its own streams, environment and exit status; only the second that most of them
need to import and to read the rules is spent once.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

ROOM = 1 << 20


def commands(listener: socket.socket) -> None:
    """Serve until whoever asks is gone; returns in a process that is to become a command, with its ``sys.argv``."""
    while True:
        asking, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return command(asking)
        asking.close()


def command(asking: socket.socket) -> None:
    """Become the command that is asked for, and have a process wait for its end and tell its exit status."""
    order, streams, *_ = socket.recv_fds(asking, ROOM, 3)
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        asking.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os._exit(0)
    asking.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    arguments, environment, folder = json.loads(order)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["azr-platform", *arguments]


def warm() -> None:
    """Import what commands import, and read the shipped rules and classifiers once."""
    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_monitor.records import Subject
    from azr_platform.cli import judging, main  # noqa: F401

    said = Subject(id="warm", program="def f(x):\n    return x", trace="I add one to each of them.")
    Auditor.from_policy(load_policy("default")).inspect([said])


def ended() -> int:
    """Run the command and give its exit status. To take the interpreter apart would take longer than most commands."""
    status: object = 0
    try:
        runpy.run_module("azr_platform", run_name="__main__", alter_sys=True)
    except SystemExit as left:
        status = left.code
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    warm()
    gc.collect()
    gc.freeze()  # what is never looked at again is never copied
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for commands
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(sys.argv[1])
        listening.listen()
        Path(sys.argv[1] + ".open").touch()
        commands(listening)
    os._exit(ended())
