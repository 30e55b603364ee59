"""The dashboard's end of a session: Textual's web driver, which also leaves when nobody holds the other end."""

from __future__ import annotations

import os
import threading

from textual import messages
from textual.drivers.web_driver import WebDriver

_PATIENCE = 5.0


class PageDriver(WebDriver):
    """The end of standard input is the end of the server, even of one that was killed: the dashboard leaves."""

    def run_input_thread(self) -> None:
        """Read packets until the input ends or the dashboard leaves."""
        super().run_input_thread()
        if self.exit_event.is_set():
            return
        # For a dashboard that is too stuck to leave, for instance in a write that nobody reads.
        last_resort = threading.Timer(_PATIENCE, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        self._app.call_from_thread(self._app.post_message, messages.ExitApp())
