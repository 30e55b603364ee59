"""A message handed to a program of the user's: JSON on its standard input, no shell in between."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from azr_platform.alerts.courier import Undelivered, Way
from azr_platform.alerts.told import Told, as_json


class Program(Way):
    """Runs ``command`` for each message; what it prints goes to ``log``. A status but 0 is a failure.

    It has ``timeout`` seconds, after which it is killed with everything in its process group.
    """

    def __init__(self, command: Sequence[str], log: Path, timeout: float) -> None:
        self._command = list(command)
        self._log = log
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def deliver(self, told: Told) -> None:
        try:
            self._log.parent.mkdir(exist_ok=True)
            with self._log.open("ab") as log:
                # A session of its own: signals of the terminal are for the supervisor.
                self._process = process = subprocess.Popen(  # noqa: S603 the user's own command
                    self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            raise Undelivered(f"it cannot be started ({os.strerror(error.errno or 0)})") from None
        try:
            process.communicate(as_json(told) + b"\n", timeout=self._timeout)
        except subprocess.TimeoutExpired:
            self.abandon()
            process.communicate()
            raise Undelivered(f"killed after {self._timeout:g} s") from None
        finally:
            self._process = None
        if process.returncode:
            raise Undelivered(f"it ended with status {process.returncode}; see logs/{self._log.name}")

    def abandon(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
