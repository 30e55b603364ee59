"""Typed rows of audits: each audit on record, and what one of them, or the run itself, made of each sample."""

from __future__ import annotations

from typing import Final

import msgspec

from azr_monitor.records import Severity
from azr_platform.ledger.records import FindingRow

LIVE: Final = ""
"""The name of what was judged while the run went on; audits have names of their own."""
OF_LOG: Final = "log"
"""The source under which notices say how a log was read that is kept as a ledger, and what was left out."""
IN_PART: Final = "in part: "
"""How a reason begins that says why samples were judged, but not by everything that the policy names."""


def nearest(severity: int) -> Severity:
    """The severity of a number; of one beyond those there are, which only another's ledger can hold, the nearest."""
    return Severity(max(0, min(severity, Severity.CRITICAL)))


class AuditRow(msgspec.Struct, frozen=True):
    """An audit on record. ``ended_at`` is None while it is not finished. ``selection`` says in words of the command
    line which samples it was asked for (empty: all). ``head`` and ``rows`` are of the chain as it was verified before
    the audit began. ``left_out`` counts samples that were not judged, or ``IN_PART``, by reason, as
    JSON."""

    name: str
    started_at: float
    ended_at: float | None
    policy: str
    fingerprint: str
    settings: str = ""
    selection: str = ""
    version: str = ""
    head: str = ""
    rows: int = 0
    who: str = ""
    left_out: str = "{}"
    judged: int = 0
    blocked: int = 0

    @property
    def not_judged(self) -> dict[str, int]:
        """How many samples were left out, by the reason; the reader has made sure that it can be read."""
        return msgspec.json.decode(self.left_out, type=dict[str, int])


class Judgement(msgspec.Struct, frozen=True):
    """What was made of one sample. ``severity`` means something only where something was found; ``reward`` is None and
    ``trained`` false for what no update used."""

    sample: int
    branch: int
    step: int
    phase: str
    role: str
    kind: str
    task: str | None
    reward: float | None
    trained: bool
    allowed: bool
    severity: int
    score: float
    reason: str
    findings: tuple[FindingRow, ...]

    @property
    def word(self) -> str:
        """``allow``, ``flag``, ``hold`` or ``block``, told by how the reason begins (azr_monitor/decide.py)."""
        if not self.allowed:
            return "hold" if self.reason.startswith("held") else "block"
        return "flag" if self.reason.startswith("allowed with an alert") else "allow"
