"""What a report vouches for: the record that it rests on, what judged, which samples, and what nobody judged.

A report is signed with nothing but facts that others can check against the record: there is no key in it.
"""

from __future__ import annotations

import json
import platform
import time
from collections import Counter
from hashlib import sha256
from typing import Any, Final

import msgspec

from azr_platform import __version__
from azr_platform.ledger.chain import Verification
from azr_platform.ledger.heads import FILE, read
from azr_platform.ledger.judgements import IN_PART, LIVE, OF_LOG, AuditRow
from azr_platform.ledger.policies import changes
from azr_platform.ledger.reader import LedgerReader
from azr_platform.logs.records import Reason

NO_VERDICT: Final = "no verdict on record: used for nothing"
NOT_REACHED: Final = "not reached: the audit was not finished"
NOT_READ_ON: Final = "the rest of the log: it was not read to its end"
_READING: Final = 100
LATER: Final = "on record since the audit"
NOT_SELECTED: Final = "not selected"
_HARMLESS: Final = {NO_VERDICT, NOT_SELECTED, *(reason.value for reason in Reason if not reason.unread)}


class Chain(msgspec.Struct, frozen=True):
    """The record as it was when the report was made: ``rows`` that are as they were written, and the digest of the last
    of them. ``noted``: how many heads, noted outside of it, it was held against; ``unread``: lines there that are none.
    """

    intact: bool
    rows: int
    head: str
    problem: str
    noted: int
    unread: int


class Judges(msgspec.Struct, frozen=True):
    """What judged. ``settings`` is the SHA-256 of the policy's settings as they are on record; empty where none are.
    ``changes``: how often people changed it while the run went on. ``versions``: of this package, by what they did."""

    policy: str
    fingerprint: str
    settings: str
    changes: int
    classifiers: list[str]
    versions: dict[str, str]


class Coverage(msgspec.Struct, frozen=True):
    """What was judged of what is on record, and why not all. ``unkept``: what a log that was kept as a ledger held
    besides. ``in_part``: judged, but not read wholly (by the rule
    that says so), or not by everything that the policy names."""

    on_record: int
    judged: int
    not_judged: dict[str, int]
    unkept: dict[str, int]
    in_part: dict[str, int]

    @property
    def unread(self) -> dict[str, int]:
        """What nobody has looked at although nobody chose to leave it out, by the reason: it might hold anything."""
        left_out = Counter(self.not_judged) + Counter(self.unkept)
        return {why: count for why, count in left_out.most_common() if why not in _HARMLESS}


class SignOff(msgspec.Struct, frozen=True):
    """Who made the report when, over what. ``begun_at`` and ``ended_at`` are the audit's, None for the run's own
    verdicts, ``at_head`` and ``at_rows`` the chain's as they were verified before it began. ``reading``: how a log that
    was kept as a ledger was read, file by file, with the first place of whatever was left out."""

    made_at: str
    who: str
    audit: str
    begun_at: float | None
    ended_at: float | None
    at_head: str
    at_rows: int
    selection: str
    chain: Chain
    judges: Judges
    coverage: Coverage
    reading: list[str]


def verified(reader: LedgerReader, expected_head: str = "") -> Chain:
    """Walk the chain, and hold it against the heads that lie beside it."""
    try:
        noted, unread = read(reader.run_folder / FILE)
    except FileNotFoundError:
        noted, unread = [], 0
    found: Verification = reader.verify(expected_head, noted)
    return Chain(found.intact, found.rows, found.head, found.problem, len(noted), unread)


def sign(
    reader: LedgerReader,
    audit: str,
    selection: str,
    who: str,
    chain: Chain,
    coverage: Coverage,
    now: float | None = None,
) -> SignOff:
    """Everything that a report vouches for."""
    row = None if audit == LIVE else reader.audit(audit)
    return SignOff(
        made_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        who=who,
        audit=audit,
        begun_at=row.started_at if row else None,
        ended_at=row.ended_at if row else None,
        at_head=row.head if row else "",
        at_rows=row.rows if row else 0,
        selection="; ".join(words for words in (row.selection if row else "", selection) if words),
        chain=chain,
        judges=_judges(reader, row),
        coverage=coverage,
        reading=[row.message for row in reader.notices_page(source=OF_LOG, limit=_READING, oldest_first=True)],
    )


def coverage(reader: LedgerReader, audit: str, selected: bool, judged: int, in_part: dict[str, int]) -> Coverage:
    """What was judged of what is on record, and why not all. ``selected``: whether the report is of a selection."""
    on_record = reader.summary().samples
    row = None if audit == LIVE else reader.audit(audit)
    log = reader.left_out(LIVE)
    if log is None and reader.kept_log():
        log = {NOT_READ_ON: 1}
    unkept = {why: count for why, count in (log or {}).items() if not why.startswith(IN_PART)}
    told = (log or {}) if row is None else row.not_judged
    whys = Counter({} if row is None else {why: n for why, n in told.items() if not why.startswith(IN_PART)})
    in_part = in_part | {why.removeprefix(IN_PART): n for why, n in told.items() if why.startswith(IN_PART)}
    if missing := max(0, on_record - judged - whys.total()):
        whys[_why_missing(row, selected)] += missing
    return Coverage(on_record, judged, dict(whys.most_common()), unkept, in_part)


def _why_missing(row: AuditRow | None, selected: bool) -> str:
    """Of an audit that was not finished nobody knows which samples it would have left out."""
    if row is not None and row.ended_at is None:
        return NOT_REACHED
    if selected or (row is not None and row.selection):
        return NOT_SELECTED
    return NO_VERDICT if row is None else LATER


def _judges(reader: LedgerReader, row: AuditRow | None) -> Judges:
    versions = {"report": __version__, "Python": platform.python_version()}
    if row is not None:
        versions["audit"] = row.version or "not on record"
        settings, amended = row.settings, 0
        name, fingerprint = row.policy, row.fingerprint
    else:
        versions["run"] = reader.run().version
        settings, amended = _of_run(reader)
        name, _, fingerprint = reader.policy_name().rpartition(" ")
    digest = sha256(settings.encode()).hexdigest() if settings else ""
    return Judges(name, fingerprint, digest, amended, classifiers(settings), versions)


def _of_run(reader: LedgerReader) -> tuple[str, int]:
    """(the settings of the policy that a run was last taken up with, how often people changed it).

    They are read and not understood: a policy names files, and a ledger that a stranger handed over may name any.
    """
    rows = reader.policies()
    taken_up = [row.settings for row in rows if not row.rule]
    return taken_up[-1] if taken_up else "", len(changes(rows))


def classifiers(settings: str) -> list[str]:
    """The classifiers that a policy's settings name, those that are off left out; with what tells which one it is.
    One that is not required may have been missing."""
    try:
        entries: Any = json.loads(settings).get("classifiers", []) if settings else []
    except (ValueError, AttributeError):
        return []
    named = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("enabled", True):
            words = [entry.get(key) for key in ("kind", "name", "model", "hub", "revision")]
            name = " ".join(dict.fromkeys(str(word) for word in words if word))
            named.append(name if entry.get("required") else f"{name} (where it could be loaded)")
    return named
