"""What the run is, where it stands, and the line of branches that leads there."""

from __future__ import annotations

import fcntl

from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.reads.base import Reads
from azr_platform.ledger.records import BranchRow, ChangeRow, RunRow, StateRow


class RunReads(Reads):
    """The run, its states, its branches."""

    def run(self) -> RunRow:
        rows = self._rows(RunRow, "SELECT name, created_at, version, seed, steps, config FROM run WHERE id = 1")
        if not rows:
            raise LedgerBroken(self.path, "it holds no run")
        return rows[0]

    def kept_log(self) -> str:
        """Where the log lay that this ledger was made of; empty for a run of ours."""
        return self.run().log

    def supervisor_alive(self) -> bool:
        """Whether a supervisor holds this run's lock right now."""
        try:
            with (self.run_folder / "supervisor.lock").open("r") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def state(self) -> StateRow:
        """The newest recorded state; ``interrupted`` when a live state has no supervisor behind it."""
        rows = self._rows(StateRow, "SELECT time, state, where_at, reason FROM states ORDER BY id DESC LIMIT 1")
        if not rows:
            return StateRow(0.0, "starting", "", "")
        state = rows[0]
        if state.state not in ("stopped", "finished", "failed") and not self.supervisor_alive():
            return StateRow(state.time, "interrupted", state.where_at, "its supervisor is gone")
        return state

    def standing_pause(self) -> str:
        """Why the run is to be paused, as its last act or state on record says; empty when it is not to be."""
        act = self._first(
            "SELECT id, iif(action = 'pause', coalesce(nullif(why, ''), 'asked by ' || who), '') FROM controls "
            "WHERE outcome LIKE 'done:%' AND "
            "(action IN ('pause', 'resume', 'rollback') OR action = 'stop' AND who NOT LIKE 'signal %') "
            "ORDER BY id DESC LIMIT 1"
        )
        state = self._first(
            "SELECT id, iif(state IN ('pausing', 'paused'), reason, '') FROM states "
            "WHERE state IN ('running', 'pausing', 'paused', 'rolling back') ORDER BY id DESC LIMIT 1"
        )
        told = [("controls", act), ("states", state)]
        newest = max(((self._place(table, row[0]), row[1]) for table, row in told if row), default=(0, ""))
        return str(newest[1])

    def _place(self, table: str, row: int) -> int:
        """A row's number among all rows: clocks may be set, and other ids are each table's own."""
        query = "SELECT id + ? - row FROM chain WHERE tbl = ? AND row <= ? ORDER BY id DESC LIMIT 1"
        return int(self._value(query, row, table, row))

    def branch(self) -> int:
        """The branch that the run is on."""
        return int(self._value("SELECT coalesce(max(id), 1) FROM branches"))

    def step(self) -> int:
        """Steps done on the current branch's line."""
        branch = self.branch()
        start = self._value("SELECT coalesce(max(from_step), 0) FROM branches WHERE id = ?", branch)
        done = self._value("SELECT coalesce(max(step), 0) FROM steps WHERE branch = ?", branch)
        return max(int(start), int(done))

    def branches(self) -> list[BranchRow]:
        return self._rows(BranchRow, "SELECT id, created_at, parent, from_step, reason FROM branches ORDER BY id")

    def changes(self) -> list[ChangeRow]:
        """What all branches so far changed, oldest first; every branch goes on with what those before it changed."""
        return self._rows(ChangeRow, "SELECT branch, what, value, why FROM branch_changes ORDER BY id")

    def lineage(self, branch: int | None = None) -> list[tuple[int, int]]:
        """The line that leads to a branch (None: the current one) as (branch, last step that counts), root first."""
        by_id = {row.id: row for row in self.branches()}
        line: list[tuple[int, int]] = []
        current, last = by_id.get(self.branch() if branch is None else branch), 2**62
        while current is not None:
            line.append((current.id, last))
            last = min(last, current.from_step)
            parent = by_id.get(current.parent) if current.parent else None
            # A branch leaves one that was there before; a ledger that says otherwise leads in no circle.
            current = parent if parent is not None and parent.id < current.id else None
        return line[::-1]

    def recorded_after(self, branch: int, step: int | None) -> bool:
        """Whether a branch has samples or steps later than a step (None: at all)."""
        since = -1 if step is None else step
        samples = self._value("SELECT EXISTS (SELECT 1 FROM samples WHERE branch = ? AND step > ?)", branch, since)
        steps = self._value("SELECT EXISTS (SELECT 1 FROM steps WHERE branch = ? AND step > ?)", branch, since)
        return bool(samples or steps)

    def first_steps(self, count: int) -> list[tuple[int, int]]:
        """(branch, step) of the first finished steps of the current line."""
        found: list[tuple[int, int]] = []
        for branch, last in self.lineage():
            query = "SELECT branch, step FROM steps WHERE branch = ? AND step <= ? ORDER BY step LIMIT ?"
            found += self._query(query, branch, last, count - len(found))
        return found

    def step_seconds(self, last: int = 20) -> list[float]:
        """Wall seconds of the newest steps, oldest first: for rates and the ETA."""
        rows = list(self._query("SELECT seconds FROM steps WHERE seconds IS NOT NULL ORDER BY id DESC LIMIT ?", last))
        return [row[0] for row in rows][::-1]

    def last_judged_step(self) -> int:
        """The last step of the current branch that has samples, or the one that it began after."""
        branch = self.branch()
        start = self._value("SELECT coalesce(max(from_step), 0) FROM branches WHERE id = ?", branch)
        return int(self._value("SELECT coalesce(max(step), ?) FROM samples WHERE branch = ?", start, branch))

    def recorded_since(self, table: str, step: int) -> int:
        """Rows of ``steps``, ``samples``, ``alerts`` or ``checkpoints`` of later steps, on the current line."""
        if table not in ("steps", "samples", "alerts", "checkpoints"):
            raise ValueError(f"{table!r} cannot be counted by step")
        query = f"SELECT count(*) FROM {table} WHERE branch = ? AND step > ? AND step <= ?"
        return sum(int(self._value(query, branch, step, last)) for branch, last in self.lineage())
