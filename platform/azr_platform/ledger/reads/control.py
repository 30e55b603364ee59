"""What was done to the run: checkpoints, commands, policies, notices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import BranchFacts, CheckpointFacts, CheckpointRow, ControlRow, NoticeRow, PolicyRow

_CONTROL = "SELECT id, time, who, action, arguments, why, outcome FROM controls"
_NOTICE = "SELECT time, source, message, id FROM notices"

_BySteps = dict[int, dict[int, int]]
"""Counts by branch and step."""


class ControlReads(RunReads):
    """Checkpoints, controls and notices."""

    def controls(self, limit: int = 200) -> list[ControlRow]:
        return self._rows(ControlRow, f"{_CONTROL} ORDER BY id DESC LIMIT ?", limit)

    def controls_page(
        self, *, limit: int = 200, beyond: int | None = None, who: str | None = None, oldest_first: bool = False
    ) -> list[ControlRow]:
        """A page of what was asked of the run; pass the last id as ``beyond`` for the next page."""
        rest, values = _paged("who", who, beyond, oldest_first)
        return self._rows(ControlRow, f"{_CONTROL} {rest}", *values, limit)

    def notices(self, limit: int = 200) -> list[NoticeRow]:
        """The newest, oldest of them first."""
        return self._rows(NoticeRow, f"{_NOTICE} ORDER BY id DESC LIMIT ?", limit)[::-1]

    def notices_page(
        self, *, limit: int = 200, beyond: int | None = None, source: str | None = None, oldest_first: bool = False
    ) -> list[NoticeRow]:
        """A page of what the run had to say; pass the last id as ``beyond`` for the next page."""
        rest, values = _paged("source", source, beyond, oldest_first)
        return self._rows(NoticeRow, f"{_NOTICE} {rest}", *values, limit)

    def policies(self) -> list[PolicyRow]:
        """The policies that the run was taken up with and the changes to them, oldest first."""
        return self._rows(
            PolicyRow,
            "SELECT id, time, branch, step, name, fingerprint, settings, rule, setting, before, after, who, why "
            "FROM policies ORDER BY id",
        )

    def policy_name(self) -> str:
        """The newest policy's name and fingerprint; empty where none is on record."""
        row = self._first("SELECT name || ' ' || fingerprint FROM policies ORDER BY id DESC LIMIT 1")
        return str(row[0]) if row is not None else ""

    def checkpoints(self) -> list[CheckpointRow]:
        """Every checkpoint ever recorded, also those that were removed, oldest first."""
        return self._rows(
            CheckpointRow,
            "SELECT c.id, c.time, c.branch, c.step, c.path, c.digest, r.reason FROM checkpoints c LEFT JOIN "
            "(SELECT checkpoint, max(reason) AS reason FROM removals GROUP BY checkpoint) r ON r.checkpoint = c.id "
            "ORDER BY c.id",
        )

    def line_checkpoints(self) -> list[CheckpointRow]:
        """Checkpoints kept on the current line, oldest first: what can be resumed from or rolled back to."""
        line = self.lineage()
        return [
            row
            for row in self.checkpoints()
            if row.removed is None and any(row.branch == branch and row.step <= last for branch, last in line)
        ]

    def checkpoint_facts(self, metrics: Sequence[str] = ()) -> list[CheckpointFacts]:
        """Every checkpoint with the values of some metrics at its step, and what was recorded after it, oldest first.

        After it: on the present line for a checkpoint that lies on it, on its own branch for another.
        """
        line = self.lineage()
        alerts, blocked = self._alerts_by_step(), self._blocked_by_step()
        found = []
        for row in self.checkpoints():
            on_line = any(row.branch == branch and row.step <= last for branch, last in line)
            after = line if on_line else [(row.branch, 2**62)]
            at = {name: self._metric_at(name, row.branch, row.step) for name in metrics}
            found.append(
                CheckpointFacts(row, on_line, at, _later(alerts, after, row.step), _later(blocked, after, row.step))
            )
        return found

    def branch_facts(self) -> list[BranchFacts]:
        """Every branch with its extent and what it holds, oldest first: the tree of the run."""
        line = {branch for branch, _ in self.lineage()}
        alerts, blocked = self._alerts_by_step(), self._blocked_by_step()
        steps = {row[0]: row[1:] for row in self._query("SELECT branch, max(step), count(*) FROM steps GROUP BY 1")}
        samples = dict(self._query("SELECT branch, count(*) FROM samples GROUP BY branch"))
        found = []
        for row in self.branches():
            last, done = steps.get(row.id, (row.from_step, 0))
            everything = [(row.id, 2**62)]
            found.append(
                BranchFacts(
                    row,
                    row.id in line,
                    last,
                    done,
                    samples.get(row.id, 0),
                    _later(blocked, everything, -1),
                    _later(alerts, everything, -1),
                )
            )
        return found

    def _alerts_by_step(self) -> _BySteps:
        return _nested(self._query("SELECT branch, step, count(*) FROM alerts WHERE branch IS NOT NULL GROUP BY 1, 2"))

    def _blocked_by_step(self) -> _BySteps:
        return _nested(
            self._query(
                "SELECT s.branch, s.step, count(*) FROM verdicts v "
                f"CROSS JOIN samples s {self._through('samples_narrow')} ON s.id = v.sample "
                "WHERE v.allowed = 0 GROUP BY 1, 2"
            )
        )

    def _metric_at(self, name: str, branch: int, step: int) -> float | None:
        """Its newest value up to a step; that of the step itself where there is one."""
        for part, last in reversed(self.lineage(branch)):
            query = "SELECT value FROM metrics WHERE name = ? AND branch = ? AND step <= ? ORDER BY step DESC LIMIT 1"
            if (row := self._first(query, name, part, min(last, step))) is not None:
                return None if row[0] is None else float(row[0])
        return None


def _paged(column: str, value: str | None, beyond: int | None, oldest_first: bool) -> tuple[str, list[object]]:
    side, order = (">", "") if oldest_first else ("<", "DESC")
    start = (0 if oldest_first else 2**62) if beyond is None else beyond
    only, values = (f"AND {column} = ?", [value]) if value is not None else ("", [])
    return f"WHERE id {side} ? {only} ORDER BY id {order} LIMIT ?", [start, *values]


def _nested(rows: Iterable[tuple[int, int, int]]) -> _BySteps:
    found: _BySteps = {}
    for branch, step, count in rows:
        found.setdefault(branch, {})[step] = count
    return found


def _later(counts: _BySteps, line: Sequence[tuple[int, int]], step: int) -> int:
    """What was counted along a line after a step."""
    return sum(count for branch, last in line for at, count in counts.get(branch, {}).items() if step < at <= last)
