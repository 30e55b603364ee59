"""Audits on record, and what each of them, or the run itself, made of the samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import msgspec

from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.judgements import LIVE, AuditRow, Judgement
from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import FindingRow

_SAMPLE: Final = (
    "s.id, s.branch, s.step, coalesce(s.phase, ''), coalesce(s.role, ''), coalesce(s.kind, ''), s.task, r.reward, "
    "coalesce(r.trained, 0) != 0"
)
_FIELDS: Final = Judgement.__struct_fields__[:-1]
_FINDING_FIELDS: Final = FindingRow.__struct_fields__
_AT_ONCE: Final = 4096
_FOUND: Final = msgspec.json.Decoder(list[tuple[str, int, str, tuple[int, int] | None, str]])


class AuditReads(RunReads):
    """Audits, whole ones and sample by sample."""

    def audits(self) -> list[AuditRow]:
        """Every audit on record, oldest first. One by a version that kept no beginnings has its rows alone."""
        judged = {
            name: (first, policy, count, blocked)
            for name, first, policy, count, blocked in self._query(
                "SELECT audit, min(time), min(policy), count(DISTINCT sample), "
                "count(DISTINCT CASE WHEN allowed = 0 THEN sample END) FROM audits GROUP BY audit"
            )
        }
        begun = self._query(
            "SELECT b.audit, b.time, e.time, b.policy, b.fingerprint, b.settings, b.selection, b.version, b.head, "
            "b.rows, b.who, coalesce(e.left_out, '{}') "
            "FROM audit_starts b LEFT JOIN audit_ends e ON e.audit = b.audit ORDER BY b.id",
        )
        known = {row[0]: row for row in begun}
        for name, (time, policy, *_) in judged.items():
            named, _, fingerprint = str(policy).rpartition(" ")
            known.setdefault(name, (name, time, time, named or str(policy), fingerprint if named else ""))
        rows = [self._audit_row(row, *judged.get(name, ("", "", 0, 0))[2:]) for name, row in known.items()]
        return sorted(rows, key=lambda row: row.started_at)

    def _audit_row(self, row: tuple[Any, ...], judged: int, blocked: int) -> AuditRow:
        fields = dict(zip(AuditRow.__struct_fields__, row, strict=False))
        fields = {name: value for name, value in fields.items() if value is not None or name == "ended_at"}
        try:
            audit = msgspec.convert({**fields, "judged": judged, "blocked": blocked}, AuditRow)
            audit.not_judged  # noqa: B018 whoever asks for it later finds it readable
        except msgspec.MsgspecError as error:
            raise LedgerBroken(self.path, f"what is on record of an audit cannot be read ({error})") from error
        return audit

    def audit(self, name: str) -> AuditRow | None:
        """The audit of that name."""
        return next((row for row in self.audits() if row.name == name), None)

    def left_out(self, audit: str = LIVE) -> dict[str, int] | None:
        """What an audit did not judge, by reason; of a kept log, what could not be read. None if it did not end."""
        row = self._first("SELECT left_out FROM audit_ends WHERE audit = ? ORDER BY id DESC LIMIT 1", audit)
        try:
            return None if row is None else msgspec.json.decode(row[0], type=dict[str, int])
        except (msgspec.MsgspecError, TypeError) as error:
            raise LedgerBroken(self.path, "what an audit left out cannot be read") from error

    def judged(self, audit: str) -> Iterator[int]:
        """The samples that an audit has judged, in order, some at a time: it may be judging more meanwhile."""
        beyond = 0
        query = "SELECT DISTINCT sample FROM audits WHERE audit = ? AND sample > ? ORDER BY sample LIMIT ?"
        while some := [number for (number,) in self._query(query, audit, beyond, _AT_ONCE)]:
            yield from some
            beyond = some[-1]

    def judgements(self, audit: str = LIVE, *, beyond: int = 0) -> Iterator[Judgement]:
        """What an audit, or the run itself, made of each sample above a number, in order, one at a time."""
        return self._of_run(beyond) if audit == LIVE else self._of_audit(audit, beyond)

    def _of_run(self, beyond: int) -> Iterator[Judgement]:
        found = groupby(
            self._query(
                "SELECT sample, rule, severity, part, span_start, span_end, coalesce(why, '') FROM findings "
                "WHERE sample > ? ORDER BY sample, id",
                beyond,
            ),
            key=lambda row: int(row[0]),
        )
        number, findings = next(found, (0, iter(())))
        for row in self._query(
            f"SELECT {_SAMPLE}, {_verdict('v')} FROM samples s "
            "JOIN verdicts v ON v.sample = s.id LEFT JOIN rewards r ON r.sample = s.id WHERE s.id > ? ORDER BY s.id",
            beyond,
        ):
            while number and number < row[0]:
                number, findings = next(found, (0, iter(())))
            yield self._judgement(row, [of[1:] for of in findings] if number == row[0] else [])

    def _of_audit(self, audit: str, beyond: int) -> Iterator[Judgement]:
        last: tuple[Any, ...] | None = None
        for row in self._query(
            f"SELECT {_SAMPLE}, {_verdict('a')}, a.findings FROM audits a "
            "JOIN samples s ON s.id = a.sample LEFT JOIN rewards r ON r.sample = s.id "
            "WHERE a.audit = ? AND a.sample > ? ORDER BY a.sample, a.id",
            audit,
            beyond,
        ):
            # Two processes may have taken up the same audit: the later row of a sample is the one that counts.
            if last is not None and last[0] != row[0]:
                yield self._judgement(last, self._findings_in(last))
            last = row
        if last is not None:
            yield self._judgement(last, self._findings_in(last))

    def _findings_in(self, row: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            rows = _FOUND.decode(row[-1])
        except (msgspec.MsgspecError, TypeError) as error:
            raise LedgerBroken(self.path, f"the findings of an audit in sample {row[0]} cannot be read") from error
        return [(rule, severity, part, *(span or (None, None)), why) for rule, severity, part, span, why in rows]

    def _judgement(self, row: tuple[Any, ...], findings: Iterable[tuple[Any, ...]]) -> Judgement:
        """A row as what it should be: SQLite keeps a value of any type in any column, and a ledger may be anybody's."""
        fields: dict[str, Any] = dict(zip(_FIELDS, row, strict=False))
        fields["findings"] = [dict(zip(_FINDING_FIELDS, finding, strict=True)) for finding in findings]
        try:
            return msgspec.convert(fields, Judgement, strict=False)  # SQLite's truth is 0 or 1
        except msgspec.ValidationError as error:
            raise LedgerBroken(self.path, f"what was made of sample {row[0]} cannot be read ({error})") from error


def _verdict(table: str) -> str:
    columns = (("allowed", "0) != 0"), ("severity", "0)"), ("score", "0.0)"), ("reason", "'')"))
    return ", ".join(f"coalesce({table}.{name}, {otherwise}" for name, otherwise in columns)
