"""Everyone's read-only view of a ledger: the dashboard, status, reports and audits query here and nowhere else."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from azr_platform.ledger import chain
from azr_platform.ledger.errors import LedgerBroken, LedgerError, LedgerNewer, UnknownRun
from azr_platform.ledger.heads import Head
from azr_platform.ledger.records import (
    AlertRow,
    BranchRow,
    ChangeRow,
    CheckpointRow,
    ControlRow,
    DecisionRow,
    ExecutionRow,
    FindingRow,
    GroupTotals,
    NoticeRow,
    OversightRow,
    RunRow,
    SampleDetail,
    SampleRow,
    ScoreRow,
    StateRow,
    Summary,
    VerdictRow,
)
from azr_platform.ledger.schema import complete, connect, newer_than_this
from azr_platform.records import Kind, Task

T = TypeVar("T", bound=msgspec.Struct)

_SAMPLE_COLUMNS = """
    s.id, s.time, s.branch, s.step, s.phase, s.role, s.kind, s.uid, s.task, s.tokens, s.well_formed, s.correct,
    s.outcome, s.problem, v.allowed, v.severity, v.action, v.score, v.reason, r.reward, r.advantage
"""
_SAMPLE_FROM = """
    FROM samples s LEFT JOIN verdicts v ON v.sample = s.id LEFT JOIN rewards r ON r.sample = s.id
"""
# What a person's word is waited for: the monitor's doubts, and what it found in the texts. Not what nobody can allow.
_WAITING = """
    s.id IN (SELECT sample FROM verdicts WHERE action > 0) AND NOT s.id IN (SELECT sample FROM decisions)
    AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.sample = s.id AND (
        f.rule IN ('monitor.failure', 'monitor.limit', 'program.too-complex')
        OR f.rule GLOB 'supervisor.*' OR f.rule GLOB 'review.*'))
    AND (v.action = 6 OR EXISTS (
        SELECT 1 FROM findings f WHERE f.sample = s.id AND f.severity > 0 AND NOT f.rule GLOB 'behaviour.*'))
"""
_HELD = "FROM verdicts WHERE action = 6 AND NOT sample IN (SELECT sample FROM decisions)"
_OPEN_ALERTS = "FROM alerts WHERE NOT id IN (SELECT alert FROM alert_acks WHERE alert IS NOT NULL)"


class LedgerReader:
    """Reads ``RUN/ledger.db`` without ever writing; safe beside a live supervisor.

    Raises:
        UnknownRun: no ledger in the folder.
        LedgerBroken: the file is no ledger.
        LedgerNewer: a later version of this package wrote it.
    """

    def __init__(self, run: Path) -> None:
        self.run_folder = run
        self.path = run / "ledger.db"
        if not self.path.is_file():
            raise UnknownRun(run)
        try:
            self._connection = connect(str(self.path), read_only=True)
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error
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
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error

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

    # -- the run as a whole ------------------------------------------------------------------------------

    def run(self) -> RunRow:
        rows = self._rows(RunRow, "SELECT name, created_at, version, seed, steps, config FROM run WHERE id = 1")
        if not rows:
            raise LedgerBroken(self.path, "it holds no run")
        return rows[0]

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

    def summary(self) -> Summary:
        """What ``azr-platform status`` prints."""
        run, state, changes = self.run(), self.state(), self.changes()
        return Summary(
            run=run.name,
            state=state.state,
            where=state.where_at,
            reason=state.reason,
            step=self.step(),
            steps=run.steps,
            branch=self.branch(),
            samples=int(self._value("SELECT count(*) FROM samples")),
            blocked=int(self._value("SELECT count(*) FROM verdicts WHERE allowed = 0")),
            alerts_open=int(self._value(f"SELECT count(*) {_OPEN_ALERTS}")),
            supervised=self.supervisor_alive(),
            metrics=self.last_metrics(),
            held=int(self._value(f"SELECT count(*) {_HELD}")),
            quarantined_tasks=len({row.value for row in changes if row.what == "task"}),
            quarantined_programs=len({row.value for row in changes if row.what == "program"}),
            checkpoints=sorted({row.step for row in self.line_checkpoints()}),
            branches=self.branches(),
            checkpoints_removed=int(self._value("SELECT count(*) FROM removals")),
        )

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
            current = by_id.get(current.parent) if current.parent else None
        return line[::-1]

    def recorded_after(self, branch: int, step: int | None) -> bool:
        """Whether a branch has samples or steps later than a step (None: at all)."""
        since = -1 if step is None else step
        samples = self._value("SELECT EXISTS (SELECT 1 FROM samples WHERE branch = ? AND step > ?)", branch, since)
        steps = self._value("SELECT EXISTS (SELECT 1 FROM steps WHERE branch = ? AND step > ?)", branch, since)
        return bool(samples or steps)

    # -- metrics -----------------------------------------------------------------------------------------

    def metric_names(self) -> list[str]:
        return [row[0] for row in self._query("SELECT DISTINCT name FROM metrics ORDER BY name")]

    def line_metric_names(self, beginning: str) -> list[str]:
        """Names of metrics with this beginning that have a value on the current line."""
        return [name for name in self.metric_names() if name.startswith(beginning) and self.metric_tail(name, 1)]

    def metric(self, name: str) -> tuple[list[int], list[float]]:
        """(steps, values) along the current line, oldest first; values that were not finite are left out."""
        steps: list[int] = []
        values: list[float] = []
        for branch, last in self.lineage():
            for step, value in self._query(
                "SELECT step, value FROM metrics WHERE name = ? AND branch = ? AND step <= ? ORDER BY step",
                name,
                branch,
                last,
            ):
                if value is not None:
                    steps.append(step)
                    values.append(value)
        return steps, values

    def metric_tail(self, name: str, last: int) -> list[float | None]:
        """The newest values along the current line, oldest first; None for one that was not finite."""
        values: list[float | None] = []
        for branch, until in reversed(self.lineage()):
            query = "SELECT value FROM metrics WHERE name = ? AND branch = ? AND step <= ? ORDER BY step DESC LIMIT ?"
            values += [row[0] for row in self._query(query, name, branch, until, last - len(values))]
            if len(values) >= last:
                break
        return values[::-1]

    def last_metrics(self) -> dict[str, float | None]:
        last = self._value("SELECT coalesce(max(id), 0) FROM steps")
        row = self._first("SELECT branch, step FROM steps WHERE id = ?", last)
        if row is None:
            return {}
        query = "SELECT name, value FROM metrics WHERE branch = ? AND step = ? ORDER BY id"
        return {name_value[0]: name_value[1] for name_value in self._query(query, *row)}

    def step_seconds(self, last: int = 20) -> list[float]:
        """Wall seconds of the newest steps, oldest first: for rates and the ETA."""
        rows = list(self._query("SELECT seconds FROM steps ORDER BY id DESC LIMIT ?", last))
        return [row[0] for row in rows][::-1]

    # -- samples -----------------------------------------------------------------------------------------

    def samples(
        self,
        *,
        limit: int = 200,
        before: int | None = None,
        role: str | None = None,
        kind: str | None = None,
        step: int | None = None,
        blocked_only: bool = False,
        flagged_only: bool = False,
        waiting_only: bool = False,
        held_only: bool = False,
    ) -> list[SampleRow]:
        """A page of samples, newest first; pass the last id as ``before`` for the next page. ``waiting_only``: those
        that a person's decision is waited for."""
        where: list[str] = []
        values: list[object] = []
        for clause, value in (
            ("s.id < ?", before),
            ("s.role = ?", role),
            ("s.kind = ?", kind),
            ("s.step = ?", step),
        ):
            if value is not None:
                where.append(clause)
                values.append(value)
        if blocked_only:
            where.append("v.allowed = 0")
        if flagged_only:
            where.append("EXISTS (SELECT 1 FROM findings f WHERE f.sample = s.id)")
        if held_only:
            where.append("s.id IN (SELECT sample FROM verdicts WHERE action = 6)")
        if waiting_only:
            where.append(_WAITING)
        clause = f"WHERE {' AND '.join(where)}" if where else ""
        return self._rows(
            SampleRow,
            f"SELECT {_SAMPLE_COLUMNS} {_SAMPLE_FROM} {clause} ORDER BY s.id DESC LIMIT ?",
            *values,
            limit,
        )

    def sample(self, number: int) -> SampleDetail | None:
        """Everything on record about one sample, or None when there is no such sample."""
        if not 0 < number < 2**63:  # SQLite has no other numbers of rows
            return None
        rows = self._rows(SampleRow, f"SELECT {_SAMPLE_COLUMNS} {_SAMPLE_FROM} WHERE s.id = ?", number)
        texts = self._first(
            "SELECT prompt, response, reasoning, program, input, message, answer FROM samples WHERE id = ?",
            number,
        )
        if not rows or texts is None:
            return None
        verdicts = self._rows(
            VerdictRow,
            "SELECT allowed, action, severity, score, reason FROM verdicts WHERE sample = ?",
            number,
        )
        return SampleDetail(
            sample=rows[0],
            prompt=texts[0],
            response=texts[1],
            reasoning=texts[2],
            program=texts[3],
            input=texts[4],
            message=texts[5],
            answer=texts[6],
            verdict=verdicts[0] if verdicts else None,
            findings=self._rows(
                FindingRow,
                "SELECT rule, severity, part, span_start, span_end, why FROM findings WHERE sample = ? ORDER BY id",
                number,
            ),
            scores=self._rows(
                ScoreRow,
                "SELECT classifier, category, value FROM scores WHERE sample = ? ORDER BY id",
                number,
            ),
            executions=self._rows(
                ExecutionRow,
                "SELECT position, input, outcome, value, detail, cpu_ms, wall_ms, memory_kb FROM executions "
                "WHERE sample = ? ORDER BY position, id",
                number,
            ),
            decisions=self.decisions(number),
        )

    def newest_sample(self) -> int:
        """Its id; 0 while there is none."""
        return int(self._value("SELECT coalesce(max(id), 0) FROM samples"))

    def responses(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """(id, response) of the samples between two ids, both included."""
        return self._query("SELECT id, response FROM samples WHERE id BETWEEN ? AND ? ORDER BY id", first, last)

    def decisions(self, sample: int | None = None) -> list[DecisionRow]:
        """Everything that people decided, or what they decided about one sample, oldest first."""
        query = "SELECT id, time, branch, step, sample, decision, who, note, digest FROM decisions"
        if sample is None:
            return self._rows(DecisionRow, f"{query} ORDER BY id")
        return self._rows(DecisionRow, f"{query} WHERE sample = ? ORDER BY id", sample)

    def last_judged_step(self) -> int:
        """The last step of the current branch that has samples, or the one that it began after."""
        branch = self.branch()
        start = self._value("SELECT coalesce(max(from_step), 0) FROM branches WHERE id = ?", branch)
        return int(self._value("SELECT coalesce(max(step), ?) FROM samples WHERE branch = ?", start, branch))

    def sample_numbers(self) -> Iterator[int]:
        """Ids of all samples, oldest first."""
        for (number,) in self._query("SELECT id FROM samples ORDER BY id"):
            yield number

    def counts(self, column: str) -> dict[str, int]:
        """How many samples have each value of ``outcome``, ``phase``, ``role`` or ``kind``."""
        if column not in ("outcome", "phase", "role", "kind"):
            raise ValueError(f"samples cannot be counted by {column!r}")
        query = f"SELECT {column}, count(*) FROM samples GROUP BY 1 ORDER BY 2 DESC"  # noqa: S608 checked above
        return {key or "": count for key, count in self._query(query)}

    def group_totals(self) -> list[GroupTotals]:
        """Counts of each role and kind that has samples, seeds left out."""
        return self._rows(
            GroupTotals,
            "SELECT s.role, s.kind, count(*), coalesce(sum(r.trained), 0), sum(v.allowed = 0), sum(s.well_formed), "
            "sum(s.correct) FROM samples s LEFT JOIN verdicts v ON v.sample = s.id "
            "LEFT JOIN rewards r ON r.sample = s.id WHERE s.phase != 'seed' GROUP BY 1, 2 ORDER BY 1, 2",
        )

    def tasks(self) -> Iterator[Task]:
        """Every validated task, oldest first."""
        for row in self._query("SELECT task, kind, program, inputs, outputs, shown, message FROM tasks ORDER BY id"):
            yield Task(
                id=row[0],
                kind=Kind(row[1]),
                program=row[2],
                inputs=tuple(json.loads(row[3])),
                outputs=tuple(json.loads(row[4])),
                shown=row[5],
                message=row[6],
            )

    def admitted(self) -> Iterator[tuple[int, str, str]]:
        """(step, kind, program) of every task that a model proposed, along the current line, oldest first."""
        for branch, last in self.lineage():
            yield from self._query(
                "SELECT step, kind, program FROM tasks "
                "WHERE sample IS NOT NULL AND branch = ? AND step <= ? ORDER BY id",
                branch,
                last,
            )

    def programs(self) -> Iterator[str]:
        """Every different program on record on any branch: tasks', proposals' and answers', admitted or not."""
        for row in self._query("SELECT program FROM samples WHERE program != '' UNION SELECT program FROM tasks"):
            yield row[0]

    # -- oversight and control ---------------------------------------------------------------------------

    def alerts(self, *, limit: int = 200, after: int = 0, open_only: bool = False) -> list[AlertRow]:
        """Newest first; only those with an id above ``after``, and on demand only those nobody has acknowledged."""
        return self._rows(
            AlertRow,
            "SELECT id, time, branch, step, severity, rule, sample, message, "
            "id IN (SELECT alert FROM alert_acks WHERE alert IS NOT NULL) AS acknowledged "
            "FROM alerts WHERE id > ? AND NOT (? AND acknowledged) ORDER BY id DESC LIMIT ?",
            after,
            open_only,
            limit,
        )

    def alerted(self, severity: int) -> list[tuple[int, int]]:
        """(branch, step) of every alert of at least a severity."""
        return list(
            self._query("SELECT DISTINCT branch, step FROM alerts WHERE severity >= ? AND branch IS NOT NULL", severity)
        )

    def open_alerts(self) -> list[int]:
        """Ids of the alerts that nobody has acknowledged, oldest first."""
        return [row[0] for row in self._query(f"SELECT id {_OPEN_ALERTS} ORDER BY id")]

    def controls(self, limit: int = 200) -> list[ControlRow]:
        return self._rows(
            ControlRow,
            "SELECT id, time, who, action, arguments, why, outcome FROM controls ORDER BY id DESC LIMIT ?",
            limit,
        )

    def checkpoints(self) -> list[CheckpointRow]:
        """Every checkpoint ever recorded, also those that were removed, oldest first."""
        return self._rows(
            CheckpointRow,
            "SELECT id, time, branch, step, path, digest, "
            "(SELECT max(reason) FROM removals WHERE checkpoint = checkpoints.id) FROM checkpoints ORDER BY id",
        )

    def line_checkpoints(self) -> list[CheckpointRow]:
        """Checkpoints kept on the current line, oldest first: what can be resumed from or rolled back to."""
        line = self.lineage()
        return [
            row
            for row in self.checkpoints()
            if row.removed is None and any(row.branch == branch and row.step <= last for branch, last in line)
        ]

    def notices(self, limit: int = 200) -> list[NoticeRow]:
        """The newest, oldest of them first."""
        rows = self._rows(NoticeRow, "SELECT time, source, message FROM notices ORDER BY id DESC LIMIT ?", limit)
        return rows[::-1]

    def rule_counts(self) -> list[tuple[str, int, int]]:
        """(rule, highest severity, findings), most frequent first."""
        query = "SELECT rule, max(severity), count(*) FROM findings GROUP BY rule ORDER BY 3 DESC, 1"
        return [(rule, severity, count) for rule, severity, count in self._query(query)]

    def oversight(self) -> list[OversightRow]:
        """What was found at each step of the current line, seeding left out, oldest first."""
        rows: list[OversightRow] = []
        for branch, last in self.lineage():
            rows += self._rows(
                OversightRow,
                "SELECT s.step, count(*), sum(coalesce(v.allowed = 0, 0)), count(f.severity), "
                "sum(coalesce(f.severity >= 1, 0)), sum(coalesce(f.severity >= 2, 0)), "
                "sum(coalesce(f.severity >= 3, 0)), "
                "(SELECT count(*) FROM alerts a WHERE a.branch = s.branch AND a.step = s.step) "
                "FROM samples s LEFT JOIN verdicts v ON v.sample = s.id LEFT JOIN "
                "(SELECT sample, max(severity) AS severity FROM findings GROUP BY sample) f ON f.sample = s.id "
                "WHERE s.branch = ? AND s.step <= ? AND s.phase != 'seed' GROUP BY s.step ORDER BY s.step",
                branch,
                last,
            )
        return rows

    def samples_with_rule(self) -> Iterator[tuple[str, int, int]]:
        """(rule, step, samples it found something in) along the current line, seeding left out."""
        for branch, last in self.lineage():
            yield from self._query(
                "SELECT f.rule, s.step, count(DISTINCT s.id) FROM findings f JOIN samples s ON s.id = f.sample "
                "WHERE s.branch = ? AND s.step <= ? AND s.phase != 'seed' GROUP BY 1, 2 ORDER BY 1, 2",
                branch,
                last,
            )

    def found(self, severity: int) -> Iterator[tuple[int, int, str]]:
        """(step, sample, rule) of the findings of at least a severity along the current line, seeding left out."""
        for branch, last in self.lineage():
            yield from self._query(
                "SELECT DISTINCT s.step, s.id, f.rule FROM findings f JOIN samples s ON s.id = f.sample "
                "WHERE s.branch = ? AND s.step <= ? AND f.severity >= ? AND s.phase != 'seed' ORDER BY 1, 2, 3",
                branch,
                last,
                severity,
            )

    def step_oversight(self, branch: int, step: int) -> tuple[int, int, int]:
        """(samples, blocked ones, those with a run that made a forbidden system call) of one step."""
        row = self._first(
            "SELECT count(*), coalesce(sum(v.allowed = 0), 0), coalesce(sum(EXISTS (SELECT 1 FROM executions e "
            "WHERE e.sample = s.id AND e.outcome = 'policy_violation')), 0) "
            "FROM samples s LEFT JOIN verdicts v ON v.sample = s.id WHERE s.branch = ? AND s.step = ?",
            branch,
            step,
        )
        assert row is not None, "an aggregate always has a row"
        return row[0], row[1], row[2]

    def step_findings(self, branch: int, step: int, severity: int) -> Iterator[tuple[int, str]]:
        """(sample, rule) of a step's findings of at least a severity."""
        yield from self._query(
            "SELECT f.sample, f.rule FROM samples s JOIN findings f ON f.sample = s.id "
            "WHERE s.branch = ? AND s.step = ? AND f.severity >= ?",
            branch,
            step,
            severity,
        )

    def step_reasoning(self, branch: int, step: int) -> Iterator[tuple[str, str]]:
        """(role, reasoning) of a step's samples, in order."""
        yield from self._query(
            "SELECT role, reasoning FROM samples WHERE branch = ? AND step = ? AND reasoning != '' ORDER BY id",
            branch,
            step,
        )

    def first_steps(self, count: int) -> list[tuple[int, int]]:
        """(branch, step) of the first finished steps of the current line."""
        found: list[tuple[int, int]] = []
        for branch, last in self.lineage():
            query = "SELECT branch, step FROM steps WHERE branch = ? AND step <= ? ORDER BY step LIMIT ?"
            found += self._query(query, branch, last, count - len(found))
        return found

    def samples_found_by(self, rule: str) -> Iterator[int]:
        """Ids of the samples in which a rule, or any that fits a pattern such as ``trace.harm.*``, found something."""
        for (number,) in self._query("SELECT DISTINCT sample FROM findings WHERE rule GLOB ? ORDER BY 1", rule):
            yield number

    def source(self, sample: int) -> tuple[str, str] | None:
        """(id of the task that a sample became or answers, the program in it), empty where there is none; None when
        there is no such sample."""
        return self._first("SELECT coalesce(task, ''), coalesce(program, '') FROM samples WHERE id = ?", sample)

    def task_program(self, task: str) -> str | None:
        """The program of a task on record, None when there is no such task."""
        row = self._first("SELECT program FROM tasks WHERE task = ? LIMIT 1", task)
        return None if row is None else str(row[0])

    def recorded_since(self, table: str, step: int) -> int:
        """Rows of ``steps``, ``samples``, ``alerts`` or ``checkpoints`` of later steps, on the current line."""
        if table not in ("steps", "samples", "alerts", "checkpoints"):
            raise ValueError(f"{table!r} cannot be counted by step")
        query = f"SELECT count(*) FROM {table} WHERE branch = ? AND step > ? AND step <= ?"  # noqa: S608 checked above
        return sum(int(self._value(query, branch, step, last)) for branch, last in self.lineage())

    def verify(self, expected_head: str = "", noted: Iterable[Head] = ()) -> chain.Verification:
        """Walk the hash chain; see chain.py for what it can and cannot prove without a head noted earlier."""
        return chain.verify(self._connection, expected_head, noted)

    # -- plumbing ----------------------------------------------------------------------------------------

    def _query(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows as they are asked for; a damaged page may come to light at any of them."""
        try:
            yield from self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error

    def _first(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        return next(self._query(sql, *values), None)

    def _value(self, sql: str, *values: object) -> Any:
        row = self._first(sql, *values)
        assert row is not None, "an aggregate always has a row"
        return row[0]

    def _rows(self, kind: type[T], sql: str, *values: object) -> list[T]:
        return [kind(*row) for row in self._query(sql, *values)]
