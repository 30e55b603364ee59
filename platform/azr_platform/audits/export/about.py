"""What every export says of where it comes from."""

from __future__ import annotations

import time

import msgspec

from azr_platform import __version__
from azr_platform.audits.selection import RUN, Selection
from azr_platform.ledger.reader import LedgerReader


class About(msgspec.Struct, frozen=True):
    """The run, the audit that judged, and the ledger's chain as it was verified: up to ``head``, after ``rows`` rows.
    ``problem`` is empty where every row is as it was written. ``log`` is where another trainer's log lay."""

    run: str
    audit: str
    policy: str
    selection: str
    redacted: bool
    head: str
    rows: int
    problem: str
    log: str
    version: str
    exported_at: float


def about(reader: LedgerReader, audit: str, selection: Selection, *, redacted: bool) -> About:
    """Look at the run, and walk its whole chain."""
    found, row = reader.verify(), reader.audit(audit)
    return About(
        run=reader.run().name,
        audit=audit or RUN,
        policy=f"{row.policy} {row.fingerprint}" if row is not None else reader.policy_name(),
        selection=selection.words,
        redacted=redacted,
        head=found.head,
        rows=found.rows,
        problem=found.problem,
        log=reader.kept_log(),
        version=__version__,
        exported_at=time.time(),
    )
