"""When the dashboard's garbage is collected: in a moment without keys, since all of it takes several frames."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

_YOUNG: Final = (2000, 20)
"""As often as this the young are collected, which takes no time: objects more than before, and times of that."""
_NEVER: Final = 2**30
_DUE: Final = 10
"""Collections of the young after which Python would collect everything on its own."""
_QUIET: Final = 1.0
"""Seconds without a key."""


class Tidy:
    """Collects everything as often as Python would, but not while keys are pressed."""

    def __init__(self) -> None:
        self._pressed = monotonic()

    def pressed(self) -> None:
        """A key was pressed."""
        self._pressed = monotonic()

    def look(self) -> bool:
        """Collect if it is due and the moment is right; whether that was so."""
        if gc.get_count()[2] < _DUE or monotonic() - self._pressed < _QUIET:
            return False
        gc.collect()
        return True

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """In here Python collects the young alone: ``look`` does the rest."""
        before = gc.get_threshold()
        gc.set_threshold(*_YOUNG, _NEVER)
        try:
            yield
        finally:
            gc.set_threshold(*before)
