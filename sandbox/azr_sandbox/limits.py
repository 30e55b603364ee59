"""What one program may use. Every limit is enforced by the kernel or by the zygote, never by the program."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one run of one input; raises ValueError naming the field when a bound makes no sense."""

    wall_s: float = 2.0
    """Seconds of wall clock from fork to result, after which the program is killed (``timeout``).

    A program still computing then, on a machine too busy to give it its CPU time, may go on for up to five times
    as long; one that waits may not."""
    cpu_s: int = 1
    """Whole seconds of CPU time (RLIMIT_CPU; ``cpu``). Keep it below ``wall_s`` to tell a loop from a sleep."""
    memory_mb: int = 512
    """MiB of address space (RLIMIT_AS; ``memory``), of which the interpreter itself takes about 40."""
    output_bytes: int = 64 * 1024
    """Bytes of the result written as a literal in UTF-8 (``output_limit``); at most 64 KiB."""
    program_bytes: int = 64 * 1024
    """Bytes of program text (``invalid_program``)."""
    input_bytes: int = 64 * 1024
    """Bytes of one input's text (``invalid_input``)."""
    open_files: int = 32
    """File descriptors (RLIMIT_NOFILE)."""

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "wall_s": (0.01, 3600.0),
            "cpu_s": (1, 3600),
            "memory_mb": (64, 1 << 20),
            "output_bytes": (16, 64 * 1024),
            "program_bytes": (16, 16 << 20),
            "input_bytes": (16, 16 << 20),
            "open_files": (8, 4096),
        }
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), bounds[field.name]
            kinds = (int, float) if field.name == "wall_s" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
                raise ValueError(f"limit {field.name}: expected a finite number, got {value!r}")
            if not low <= value <= high:
                raise ValueError(f"limit {field.name}: {value!r} is outside {low:g}..{high:g}")
