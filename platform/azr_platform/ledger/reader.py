"""Everyone's read-only view of a ledger: the dashboard, status, reports and audits query here and nowhere else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from azr_platform.ledger import chain
from azr_platform.ledger.errors import LedgerBroken, LedgerError, LedgerNewer, UnknownRun
from azr_platform.ledger.heads import Head
from azr_platform.ledger.reads.alerts import AlertReads
from azr_platform.ledger.reads.audits import AuditReads
from azr_platform.ledger.reads.checkpoints import CheckpointReads
from azr_platform.ledger.reads.control import ControlReads
from azr_platform.ledger.reads.metrics import MetricReads
from azr_platform.ledger.reads.oversight import Findings, OversightReads
from azr_platform.ledger.reads.policies import PolicyReads
from azr_platform.ledger.reads.tasks import TaskReads
from azr_platform.ledger.reads.totals import StepTotals, Totals
from azr_platform.ledger.records import Summary
from azr_platform.ledger.schema import complete, connect, indexes, newer_than_this

_HELD = "FROM verdicts v WHERE v.action = 6 AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.sample = v.sample)"


class LedgerReader(
    MetricReads, TaskReads, AlertReads, OversightReads, AuditReads, CheckpointReads, PolicyReads, ControlReads
):
    """Reads ``RUN/ledger.db`` without ever writing; safe beside a live supervisor.

    Raises:
        UnknownRun: no ledger in the folder.
        LedgerBroken: the file is no ledger.
        LedgerNewer: a later version of this package wrote it.
    """

    def __init__(self, run: Path) -> None:
        self.run_folder = run
        self.path = run / "ledger.db"
        self._totals = Totals()
        self._step_totals = StepTotals()
        self._findings = Findings()
        self._metric_totals = {}
        self._tried = None
        if not self.path.is_file():
            raise UnknownRun(run)
        try:
            self._connection = connect(str(self.path), read_only=True)
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error
        self._file = _file(self.path)
        try:
            self._first("SELECT 1 FROM run LIMIT 1")
            self._fit_to_version()
        except LedgerError:
            self.close()
            raise

    def _fit_to_version(self) -> None:
        """An older ledger lacks tables that came later, and they are empty; a newer one may mean other things."""
        try:
            if unknown := newer_than_this(self._connection):
                raise LedgerNewer(self.path, unknown)
            complete(self._connection)
            self._indexes = indexes(self._connection)
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error

    def in_place(self) -> bool:
        """Whether its path still leads to the file that was opened: a run may be moved, removed or begun anew."""
        return _file(self.path) == self._file

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> LedgerReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def revision(self) -> int:
        """A number that changes whenever somebody commits to the ledger: whoever polls asks this first."""
        return int(self._value("PRAGMA data_version"))

    def origin(self) -> bytes:
        """The first digest of the chain: what tells this ledger from every other."""
        row = self._first("SELECT substr(digest, 1, 32) FROM chain ORDER BY id LIMIT 1")
        return bytes(row[0]) if row and isinstance(row[0], bytes) else b""

    def summary(self) -> Summary:
        """What ``azr-platform status`` prints."""
        with self.one_moment():
            run, state, changes, counted = self.run(), self.state(), self.changes(), self._counted()
            return Summary(
                run=run.name,
                state=state.state,
                where=state.where_at,
                reason=state.reason,
                step=self.step(),
                steps=run.steps,
                branch=self.branch(),
                samples=counted.samples,
                blocked=counted.blocked,
                alerts_open=len(counted.open_alerts),
                supervised=self.supervisor_alive(),
                metrics=self.last_metrics(),
                held=int(self._value(f"SELECT count(*) {_HELD}")),
                quarantined_tasks=len({row.value for row in changes if row.what == "task"}),
                quarantined_programs=len({row.value for row in changes if row.what == "program"}),
                checkpoints=sorted({row.step for row in self.line_checkpoints()}),
                branches=self.branches(),
                checkpoints_removed=int(self._value("SELECT count(*) FROM removals")),
                policy=self.policy_name(),
                policy_changes=int(self._value("SELECT count(*) FROM policies WHERE rule != ''")),
            )

    def verify(self, expected_head: str = "", noted: Iterable[Head] = ()) -> chain.Verification:
        """Walk the hash chain; see chain.py for what it can and cannot prove without a head noted earlier."""
        return chain.verify(self._connection, expected_head, noted)


def _file(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to; None where it leads to none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
