"""Commands to the supervisor. Each is sent from a thread of its own, so that a slow answer never stops the screen.

The threads are daemons: leaving the dashboard does not wait for an answer, and the supervisor carries out and
records what it was told either way.
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Command, Outcome
from azr_tui.messages import CommandDone


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
    except (NotSupervised, OSError) as error:
        return Outcome(ok=False, detail=str(error))
