"""The terminal's end of the dashboard: Textual's driver, that is quicker to see that an esc was meant as one."""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder
from typing import Final

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

_PATIENCE: Final = 0.1
"""Seconds until it is seen that the dashboard was left."""


class TerminalDriver(LinuxDriver):
    """Textual's own looks ten times a second whether an esc stands alone, however short ESCDELAY is."""

    def run_input_thread(self) -> None:
        """Hand over what is typed until the dashboard leaves or the terminal is gone."""
        parser, decode = XTermParser(self._debug), getincrementaldecoder("utf-8")("replace").decode
        patience = _PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                text = ""
                if selector.select(patience):
                    if not (typed := os.read(self.fileno, 4096)):
                        return
                    text = decode(typed)  # nothing where a character has only begun, which to a parser is the end
                for event in parser.feed(text) if text else parser.tick():
                    self.process_message(event)
                patience = min(_PATIENCE, constants.ESCAPE_DELAY) if text else _PATIENCE
