"""The terminal that a run was started from: its bell, and a notification where it knows OSC 9."""

from __future__ import annotations

import os

from azr_platform.alerts.courier import Way
from azr_platform.alerts.told import Told, headline
from azr_tui.escape import visible_line

TTY = "/dev/tty"


class Terminal(Way):
    """Rings; ``notify`` also names what it rings for. Where no terminal is attached, or any more, nothing happens."""

    def __init__(self, *, notify: bool, tty: str = TTY) -> None:
        self._notify = notify
        self._tty = tty

    def deliver(self, told: Told) -> None:
        text = b"\x1b]9;" + visible_line(headline(told), 200).encode() + b"\x07" if self._notify else b""
        try:
            # Not waited for where Ctrl-S stopped it.
            terminal = os.open(self._tty, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            return
        try:
            os.write(terminal, b"\x07" + text)
        except OSError:
            pass
        finally:
            os.close(terminal)
