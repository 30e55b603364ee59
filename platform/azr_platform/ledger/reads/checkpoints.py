"""Checkpoints and branches: the tree of the run, what it was like at each checkpoint, and what a return would undo."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from azr_platform.ledger.reads.totals import TotalReads
from azr_platform.ledger.records import BranchFacts, BranchRow, CheckpointFacts, CheckpointRow, Held, Suspect, Undone

_END: Final = 2**62
_SUSPECTS: Final = 200
"""Of samples with alerts, so many of the worst are offered."""
_LOOKED_AT: Final = 1000
"""Of samples with alerts, so many of the worst are looked at for what they have in common."""
_BUFFER: Final = "buffer/"


def _never(_program: str) -> bool:
    return False


class _Counts:
    """How much of one thing was recorded at each step of each branch, summed up so that any span is told at once."""

    def __init__(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """``rows``: (branch, step, count)."""
        self._steps: dict[int, list[int]] = {}
        self._sums: dict[int, list[int]] = {}
        for branch, step, count in sorted(rows):
            self._steps.setdefault(branch, []).append(step)
            sums = self._sums.setdefault(branch, [0])
            sums.append(sums[-1] + count)

    def between(self, branch: int, after: int, until: int) -> int:
        steps, sums = self._steps.get(branch, []), self._sums.get(branch, [0])
        return max(0, sums[bisect_right(steps, until)] - sums[bisect_right(steps, after)])


class _Tallies(NamedTuple):
    samples: _Counts
    blocked: _Counts
    alerts: _Counts
    alerts_open: _Counts

    def held(self, *spans: tuple[int, int, int]) -> Held:
        """What was recorded over spans, each (branch, after, until)."""
        return Held(*(sum(counts.between(*span) for span in spans) for counts in self))


class CheckpointReads(TotalReads):
    """The tree of the run."""

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
        """Every checkpoint with some metrics at its step and what was recorded since the one before, oldest first.

        The one before: on its own branch, or else where that branch began.
        """
        line = self.lineage()
        began = {row.id: row.from_step for row in self.branches()}
        lines = {branch: self.lineage(branch) for branch in began}
        tallies = self._tallies()
        before: dict[int, int] = {}
        found = []
        for row in self.checkpoints():
            on_line = any(row.branch == branch and row.step <= last for branch, last in line)
            since = before.get(row.branch, began.get(row.branch, 0) if row.branch != 1 else -1)
            at = {name: self._metric_at(name, lines.get(row.branch, []), row.step) for name in metrics}
            held = tallies.held((row.branch, since, row.step))
            found.append(CheckpointFacts(row, on_line, at, since, held))
            before[row.branch] = row.step
        return found

    def branch_facts(self) -> list[BranchFacts]:
        """Every branch with its extent, what it holds and who asked for it, oldest first."""
        line = {branch for branch, _ in self.lineage()}
        tallies = self._tallies()
        steps = {row[0]: row[1:] for row in self._query("SELECT branch, max(step), count(*) FROM steps GROUP BY 1")}
        changes = self.changes()
        found = []
        for row in self.branches():
            last, done = steps.get(row.id, (row.from_step, 0))
            who, why = self._asked(row) if row.reason == "rollback" else ("", "")
            held = tallies.held((row.id, -1, _END))
            own = [change for change in changes if change.branch == row.id]
            seed = next((change.value for change in own if change.what == "seed"), "")
            barred = sum(change.what != "seed" for change in own)
            found.append(BranchFacts(row, row.id in line, last, done, held, who, why, seed, barred))
        return found

    def undone(self, step: int, suspect: int | None = None, stays: Callable[[str], bool] = _never) -> Undone:
        """What a return to a step of the present line would leave behind, and who might be to blame: first of all the
        ``suspect``, a sample, if there is anything of it that could be drawn again.

        ``stays`` says of a program that it is never put into quarantine, so that nobody is offered what is refused.
        """
        with self.one_moment():
            line = self.lineage()
            held = self._tallies().held(*((branch, step, last) for branch, last in line))
            tasks = checkpoints = 0
            seconds = 0.0
            for branch, last in line:
                within = (branch, step, last)
                tasks += self._value(
                    "SELECT count(*) FROM tasks WHERE sample IS NOT NULL AND branch = ? AND step > ? AND step <= ?",
                    *within,
                )
                checkpoints += self._value(
                    "SELECT count(*) FROM checkpoints WHERE branch = ? AND step > ? AND step <= ?", *within
                )
                seconds += self._value(
                    "SELECT coalesce(sum(seconds), 0) FROM steps WHERE branch = ? AND step > ? AND step <= ?", *within
                )
            now = self.step()
            return Undone(
                step,
                now,
                self.branch(),
                held,
                tasks,
                checkpoints,
                seconds,
                self._buffers(step, now),
                self._suspects(line, step, suspect, stays),
            )

    # -- inside ------------------------------------------------------------------------------------------

    def _asked(self, branch: BranchRow) -> tuple[str, str]:
        """Who asked for the rollback that a branch began with, and why.

        A live run opens the branch at the safe point after the command; an ended one at once, and records it then.
        """
        begins, query = branch.created_at, "SELECT who, why FROM controls WHERE action = 'rollback' AND outcome LIKE"
        row = self._first(
            f"{query} 'done: rolled back%' AND time >= ? AND time < "
            "coalesce((SELECT created_at FROM branches WHERE id > ? ORDER BY id LIMIT 1), 9e999) ORDER BY id LIMIT 1",
            begins,
            branch.id,
        ) or self._first(f"{query} 'done%' AND time <= ? ORDER BY id DESC LIMIT 1", begins)
        return (str(row[0]), str(row[1] or "")) if row is not None else ("", "")

    def _buffers(self, step: int, now: int) -> dict[str, tuple[float | None, float | None]]:
        """How many tasks each buffer holds, and how many it held then."""
        names = [row[0] for row in self._query("SELECT DISTINCT name FROM metrics WHERE name GLOB 'buffer/*'")]
        line = self.lineage()
        return {
            name.removeprefix(_BUFFER): (self._metric_at(name, line, now), self._metric_at(name, line, step))
            for name in names
        }

    def _suspects(
        self, line: Sequence[tuple[int, int]], step: int, first: int | None, stays: Callable[[str], bool]
    ) -> list[Suspect]:
        """Rules and samples that alerts since then speak of, and their tasks, worst first. Only those with a task or a
        program that does not stay: there is nothing else that could be kept from being drawn again."""
        alerted = self._worst_alerted(line, step)
        numbers = json.dumps([number for number in (first, *(number for number, *_ in alerted)) if number is not None])
        among = "IN (SELECT value FROM json_each(?))"
        theirs = "(SELECT program FROM tasks WHERE task = samples.task ORDER BY id LIMIT 1)"
        query = (
            "SELECT id, coalesce(task, ''), coalesce(program, ''), "
            f"coalesce({theirs}, '') FROM samples WHERE id {among}"
        )
        drawn: dict[int, str] = {}
        for number, task, own, asked in self._query(query, numbers):
            task = "" if asked and stays(asked) else task
            if task or (own and not stays(own)):
                drawn[number] = task
        samples: list[Suspect] = []
        tasks: dict[str, Suspect] = {}
        for number, severity, rule, message in alerted:
            if number in drawn:
                samples.append(Suspect(f"sample:{number}", severity, 1, f"{rule}: {message}"))
                if task := drawn[number]:
                    _count(tasks, f"task:{task}", severity, f"of sample {number}")
        rules: dict[str, Suspect] = {}
        query = f"SELECT rule, max(severity) FROM findings WHERE sample {among} AND severity > 0 GROUP BY rule, sample"
        for rule, severity in self._query(query, json.dumps([number for number, *_ in alerted if number in drawn])):
            _count(rules, f"rule:{rule}", severity, "every sample in which it found something")
        if first in drawn:
            own = Suspect(f"sample:{first}", 0, 1, "the sample that you came from")
            own = next((one for one in samples if one.word == own.word), own)
            samples = [own, *(one for one in samples if one is not own)]
        return [*samples[:_SUSPECTS], *_by_count(rules.values()), *_by_count(tasks.values())[:_SUSPECTS]]

    def _worst_alerted(self, line: Sequence[tuple[int, int]], step: int) -> list[tuple[int, int, str, str]]:
        """(sample, severity, rule, message) of the worst alerts on the line after a step, one a sample, worst first."""
        worst: dict[int, tuple[int, int, str, str]] = {}
        for branch, last in line:
            for row in self._query(
                "SELECT sample, severity, rule, message FROM alerts "
                "WHERE branch = ? AND step > ? AND step <= ? AND sample IS NOT NULL ORDER BY severity DESC, id",
                branch,
                step,
                last,
            ):
                worst.setdefault(row[0], row)
        return sorted(worst.values(), key=lambda row: -row[1])[:_LOOKED_AT]

    def _tallies(self) -> _Tallies:
        open_ = "NOT EXISTS (SELECT 1 FROM alert_acks k WHERE k.alert = a.id)"
        alerts = "SELECT a.branch, a.step, count(*) FROM alerts a WHERE a.branch IS NOT NULL"
        known = self._by_step()
        return _Tallies(
            _Counts((*at, count) for at, count in known.samples.items()),
            _Counts((*at, count) for at, count in known.blocked.items()),
            _Counts(self._query(f"{alerts} GROUP BY 1, 2")),
            _Counts(self._query(f"{alerts} AND {open_} GROUP BY 1, 2")),
        )

    def _metric_at(self, name: str, line: Sequence[tuple[int, int]], step: int) -> float | None:
        """Its newest value on a line up to a step; that of the step itself where there is one."""
        for part, last in reversed(line):
            query = "SELECT value FROM metrics WHERE name = ? AND branch = ? AND step <= ? ORDER BY step DESC LIMIT 1"
            if (row := self._first(query, name, part, min(last, step))) is not None:
                return None if row[0] is None else float(row[0])
        return None


def _count(found: dict[str, Suspect], word: str, severity: int, why: str, count: int = 1) -> None:
    known = found.get(word)
    if known is not None:
        severity, count = max(severity, known.severity), count + known.count
    found[word] = Suspect(word, severity, count, why)


def _by_count(suspects: Iterable[Suspect]) -> list[Suspect]:
    return sorted(suspects, key=lambda one: (-one.severity, -one.count, one.word))
