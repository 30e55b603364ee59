"""What is asked of the jail and what came of it. A timeout, a crash or an attack is data here, not an error."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How one run of ``f(<input>)`` ended."""

    OK = "ok"
    """A value came out, and (when verified) every run agreed on it."""
    ERROR = "error"
    """The program raised; ``detail`` is ``TypeName: message``, or ``TypeName`` alone."""
    TIMEOUT = "timeout"
    """Wall-clock limit."""
    CPU = "cpu"
    """CPU-time limit."""
    MEMORY = "memory"
    """Address-space limit (a ``MemoryError``) or the kernel's out-of-memory kill."""
    OUTPUT_LIMIT = "output_limit"
    """The value, written as a literal, is larger than allowed."""
    POLICY_VIOLATION = "policy_violation"
    """A system call outside the seccomp policy; the kernel killed the program."""
    CRASH = "crash"
    """The interpreter died (a signal, ``os._exit``) or withheld its result, or a jail failed twice."""
    NOT_A_VALUE = "not_a_value"
    """The result is not built from exact builtin literal types."""
    NONDETERMINISTIC = "nondeterministic"
    """Runs under different hash seeds, addresses, pids or dates disagreed."""
    INVALID_PROGRAM = "invalid_program"
    """Does not compile, is too large, or defines no callable ``f``."""
    INVALID_INPUT = "invalid_input"
    """Is not the text between the parentheses of a single call ``f(...)``."""
    BLOCKED = "blocked"
    """Refused before anything ran (set by whoever reviews, never by the jail)."""


class Request(msgspec.Struct, frozen=True):
    """One program and the inputs to call it with.

    ``inputs`` holds the text between the parentheses of ``f(...)``; it may be any argument expressions, which
    are compiled and evaluated inside the jail only. Each input runs in a process of its own, so one call's
    side effects cannot reach another. With ``verify`` each successful run is repeated under other hash seeds,
    addresses, pids and dates, and the values must agree.

    With ``together`` the inputs of the program share one process, which costs a fraction: the program is executed
    afresh for each input, and the verifying run takes them in the opposite order. Whatever does not come out as
    a value on which all runs agree is run again, each input by itself, and only that counts. The limits are then
    on all inputs together. Use it where a call that remembers an earlier one could gain nothing.

    With ``verify_errors`` a run that raises is verified as well: every run must raise an exception of the same type.
    What it says may differ.
    """

    program: str
    inputs: tuple[str, ...]
    verify: bool = True
    together: bool = False
    verify_errors: bool = False


class Execution(msgspec.Struct, frozen=True):
    """The end of one run.

    ``value`` is canonical literal text when ``outcome`` is ``ok`` and None otherwise. ``detail`` is printable
    and bounded. CPU and wall time are milliseconds, memory is peak resident KiB; all three are measured by
    the zygote on the first (unverified) run, never reported by the program. Of inputs run together, each is
    charged an equal share of the time.
    """

    outcome: Outcome
    value: str | None = None
    detail: str = ""
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    memory_kb: int = 0

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def raised(self) -> str:
        """The name of the exception's type, as the program would print it; empty where none was raised."""
        return self.detail.partition(":")[0] if self.outcome is Outcome.ERROR else ""
