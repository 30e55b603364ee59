"""The interface the rest of the platform sees, and the ways a jail can fail as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # so that what only raises from here needs nothing but Python
    from azr_sandbox.execution import Execution, Request


class Jail(Protocol):
    """Anything that can run requests in isolation. `azr_sandbox.pool.JailPool` is the real one."""

    def run(self, requests: Sequence[Request]) -> list[tuple[Execution, ...]]:
        """Run every input of every request; order is kept, one Execution per input.

        Raises JailUnavailable when no jail can be started; a misbehaving program never raises.
        """
        ...


class JailUnavailable(Exception):
    """No jail can be had on this machine. ``reason`` says what is missing, ``remedy`` what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


class JailLeaks(Exception):
    """The jail failed an attack on itself; nothing may be run in it. ``leaks`` names the attacks."""

    def __init__(self, leaks: Sequence[str]) -> None:
        super().__init__("the jail does not contain: " + "; ".join(leaks))
        self.leaks = tuple(leaks)
