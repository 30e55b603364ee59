"""Commands to the supervisor. Each is sent from a thread of its own, so that a slow answer never stops the screen.

The threads are daemons: leaving the dashboard does not wait for an answer, and the supervisor carries out and
records what it was told either way.

Of a run that nobody supervises any more samples can still be decided about: as the dashboard writes no record,
``azr-platform review`` does it, in a process of its own.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Action, Command, Outcome
from azr_tui.messages import CommandDone

_ONE = threading.Lock()


def me() -> str:
    """Who gives the commands, for the ledger: ``NAME (dashboard)``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = "unknown user"
    return f"{name} (dashboard)"


def send(run: Path, command: Command, post: Callable[[Message], object], timeout: float = 30.0) -> threading.Thread:
    """Give a command; its outcome is posted as ``CommandDone``, a failure to deliver it as an outcome too."""

    def work() -> None:
        post(CommandDone(command, deliver(run, command, timeout)))

    thread = threading.Thread(target=work, name=f"command-{command.action.value}", daemon=True)
    thread.start()
    return thread


def deliver(run: Path, command: Command, timeout: float) -> Outcome:
    """Send one command and wait for its outcome; never raises for a supervisor that is gone or silent."""
    try:
        with ControlClient(run, timeout=timeout) as client:
            return client.command(command)
    except NotSupervised as error:
        decided = command.action is Action.DECIDE and command.decision is not None
        return _review(run, command, timeout) if decided else Outcome(ok=False, detail=str(error))
    except OSError as error:
        return Outcome(ok=False, detail=str(error))


def _review(run: Path, command: Command, timeout: float) -> Outcome:
    """Decide about a sample of a run that nobody supervises. A supervisor that starts meanwhile keeps the record."""
    given = [f"--sample={command.sample}", f"--decide={command.decision}", f"--note={command.why}", "--json"]
    words = [sys.executable, "-P", "-m", "azr_platform", "review", str(run.absolute()), *given]
    try:
        with _ONE:  # one process at a time writes a record, and keys are pressed faster than one starts
            ended = subprocess.run(  # noqa: S603 our own program
                words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Outcome(ok=False, detail=f"azr-platform review: {error}")
    try:
        told = json.loads(ended.stdout)
        return Outcome(ok=told["ok"] is True, detail=str(told["detail"]))
    except (ValueError, KeyError, TypeError):
        said = ended.stderr.strip().splitlines()
        return Outcome(ok=False, detail=said[-1] if said else f"azr-platform review ended with {ended.returncode}")
