"""What a report vouches for, line by line, as people read it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from azr_platform.audits.report import AuditReport
from azr_platform.audits.signoff import Chain, Coverage, Judges


def facts(report: AuditReport) -> Iterator[tuple[str, str]]:
    """(what, as it is on record)."""
    signed = report.signed
    yield "made", f"{signed.made_at} by {signed.who}"
    yield "run", report.run
    if signed.begun_at is not None:
        ended = "NOT finished" if signed.ended_at is None else f"ended {_moment(signed.ended_at)}"
        yield "audit", f"{signed.audit}, begun {_moment(signed.begun_at)}, {ended}"
    yield "samples asked for", signed.selection or "all"
    yield from _chain(signed.chain)
    if signed.at_head:
        yield "chain before the audit", f"{signed.at_rows:,} rows, head {signed.at_head}"
    yield from _judges(signed.judges)
    yield from _coverage(signed.coverage)
    yield from (("how the log was read", line) for line in signed.reading)


def _chain(chain: Chain) -> Iterator[tuple[str, str]]:
    if chain.intact:
        yield "hash chain", f"intact: {chain.rows:,} rows up to head {chain.head}"
    else:
        yield "hash chain", f"NOT INTACT after {chain.rows:,} good rows: {chain.problem}"
    unread = f"; {chain.unread:,} lines there cannot be read" if chain.unread else ""
    held = "each on the chain in its place" if chain.intact else "the chain was held against them"
    yield "heads noted beside it", f"{chain.noted:,}, {held}{unread}" if chain.noted else f"none{unread}"


def _judges(judges: Judges) -> Iterator[tuple[str, str]]:
    changed = f", changed {judges.changes:,} times by hand" if judges.changes else ""
    yield "policy", f"{judges.policy or 'not on record'} {judges.fingerprint}{changed}"
    yield "its settings, SHA-256", judges.settings or "not on record"
    yield "classifiers that it names", "; ".join(judges.classifiers) or "none on record"
    yield "versions", ", ".join(f"{name} {version}" for name, version in judges.versions.items())


def _coverage(covered: Coverage) -> Iterator[tuple[str, str]]:
    yield "judged", f"{covered.judged:,} of {covered.on_record:,} samples on record"
    for title, whys in (
        ("not judged", covered.not_judged),
        ("of the log, not kept", covered.unkept),
        ("judged in part", covered.in_part),
    ):
        if whys:
            yield title, "; ".join(f"{count:,} {why}" for why, count in whys.items())


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return "at no time that there is"
