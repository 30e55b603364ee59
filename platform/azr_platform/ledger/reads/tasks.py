"""Tasks: what the model proposed and the supervisor allowed, and what came of it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from typing import Final

from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.filters import TaskFilter, TaskOrder
from azr_platform.ledger.reads.samples import SampleReads
from azr_platform.ledger.records import SampleRow, TaskDetail, TaskRow
from azr_platform.records import Kind, Task

_SHOWN: Final = re.compile(r"^```python\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
"""A program in a prompt, as tasks/prompts.py writes it; what stands in a program may look the same."""
_PREVIEW: Final = 400
"""Characters of a text in a list."""
_TASK: Final = f"""
    SELECT t.id, t.task, t.kind, t.branch, t.step, t.sample,
    substr(t.program, 1, {_PREVIEW}), substr(t.message, 1, {_PREVIEW}),
"""
_ANSWERS: Final = "FROM samples s WHERE s.task = t.task AND s.role = 'solve'"
_EACH: Final = f"""
    (SELECT count(*) {_ANSWERS}), (SELECT count(*) {_ANSWERS} AND s.correct = 1), (SELECT max(s.id) {_ANSWERS})
    FROM tasks t
"""
_ALL: Final = "u.attempts, u.correct, u.last FROM tasks t JOIN temp.tried u ON u.id = t.id"
_RATE: Final = "1.0 * u.correct / u.attempts"
_NEVER: Final = {TaskOrder.HARDEST: 2.0, TaskOrder.EASIEST: -1.0}
"""What stands for the rate of a task that nobody has tried, so that it comes last."""
_BY: Final = {
    TaskOrder.HARDEST: (f"iif(u.attempts, {_RATE}, {_NEVER[TaskOrder.HARDEST]})", "ASC"),
    TaskOrder.EASIEST: (f"iif(u.attempts, {_RATE}, {_NEVER[TaskOrder.EASIEST]})", "DESC"),
    TaskOrder.MOST_USED: ("u.attempts", "DESC"),
}
_TRIED: Final = "CREATE TEMP TABLE tried (id INTEGER PRIMARY KEY, attempts INTEGER, correct INTEGER, last INTEGER)"
"""What came of each row of ``tasks``, in a table of a reader's connection alone."""
_NEW_TASKS: Final = f"""
    INSERT INTO temp.tried SELECT t.id, (SELECT count(*) {_ANSWERS} AND s.id <= ?1),
    (SELECT count(*) {_ANSWERS} AND s.correct = 1 AND s.id <= ?1), (SELECT max(s.id) {_ANSWERS} AND s.id <= ?1)
    FROM tasks t WHERE t.id > ?2 AND t.id <= ?3
"""


class TaskReads(SampleReads):
    """Tasks, their attempts and their family."""

    _tried: tuple[int, int] | None
    """Up to which task and which sample the answers to each task are counted; None before the first time."""

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

    def task_program(self, task: str) -> str | None:
        """The program of a task on record, None when there is no such task."""
        row = self._first("SELECT program FROM tasks WHERE task = ? LIMIT 1", task)
        return None if row is None else str(row[0])

    def tasks_page(self, wanted: TaskFilter, *, limit: int = 200, beyond: TaskRow | None = None) -> list[TaskRow]:
        """A page of tasks; pass the last row as ``beyond`` for the next page."""
        where, values = _narrowed(wanted)
        if wanted.order in _BY:
            return self._tasks_by(wanted.order, where, values, limit, beyond)
        oldest = wanted.order is TaskOrder.OLDEST
        side, order = (">", "") if oldest else ("<", "DESC")
        start = (0 if oldest else 2**62) if beyond is None else beyond.id
        # Figures of all tasks at once where they are asked about; else of each task of the page.
        figures = _EACH
        if _asks_for_figures(wanted):
            figures = _ALL
            self.count_answers()
        query = f"{_TASK} {figures} WHERE {where} AND t.id {side} ? ORDER BY t.id {order} LIMIT ?"
        return self._rows(TaskRow, query, *values, start, limit)

    def _tasks_by(
        self, order: TaskOrder, where: str, values: list[object], limit: int, beyond: TaskRow | None
    ) -> list[TaskRow]:
        self.count_answers()
        measure, direction = _BY[order]
        after: list[object] = []
        if beyond is not None:
            if order is TaskOrder.MOST_USED:
                at: float = beyond.attempts
            elif beyond.rate is None:
                at = _NEVER[order]
            else:
                at = beyond.rate
            side = ">" if direction == "ASC" else "<"
            where += f" AND {measure} {side}= ? AND ({measure} {side} ? OR u.id < ?)"
            after = [at, at, beyond.id]
        # Which ones first, along the index, and only then their texts.
        chosen = (
            f"SELECT u.id FROM temp.tried u CROSS JOIN tasks t ON t.id = u.id WHERE {where} "
            f"ORDER BY {measure} {direction}, u.id DESC LIMIT ?"
        )
        query = f"{_TASK} {_ALL} WHERE t.id IN ({chosen}) ORDER BY {measure} {direction}, t.id DESC"
        return self._rows(TaskRow, query, *values, *after, limit)

    def count_answers(self) -> None:
        """Add the newest answers to what is known of each task: they are never changed nor removed. The first time it
        takes a look at all of them."""
        newest = tuple(int(self._value(f"SELECT coalesce(max(id), 0) FROM {name}")) for name in ("tasks", "samples"))
        if newest == self._tried:
            return
        try:
            if self._tried is None:
                self._begin_counting(*newest)
            else:
                task, sample = self._tried
                self._connection.execute(_NEW_TASKS, (sample, task, newest[0]))
                since = _new_answers("NOT INDEXED", "id > ?")
                self._connection.execute(since, (sample, newest[1], newest[0]))
            self._connection.commit()
        except sqlite3.Error as error:
            self._connection.rollback()
            raise LedgerBroken(self.path, str(error)) from error
        self._tried = newest[0], newest[1]

    def _begin_counting(self, task: int, sample: int) -> None:
        self._connection.execute("DROP TABLE IF EXISTS temp.tried")
        self._connection.execute(_TRIED)
        self._connection.execute("INSERT INTO temp.tried SELECT id, 0, 0, NULL FROM tasks WHERE id <= ?", (task,))
        every = _new_answers(self._through("samples_attempts"), "+id > ?")
        self._connection.execute(every, (0, sample, task))
        for order, (measure, direction) in _BY.items():
            name = f"tried_{order.name.lower()}"
            self._connection.execute(
                f"CREATE INDEX temp.{name} ON tried({measure.replace('u.', '')} {direction}, id DESC)"
            )

    def task_counts(self) -> dict[str, int]:
        """How many tasks of each kind there are."""
        return dict(self._query("SELECT kind, count(*) FROM tasks GROUP BY kind ORDER BY kind"))

    def task(self, name: str) -> TaskDetail | None:
        """A task by its id, whole; None when there is no such task."""
        rows = self._rows(TaskRow, f"{_TASK} {_EACH} WHERE t.task = ? ORDER BY t.id LIMIT 1", name)
        if not rows:
            return None
        texts = self._first("SELECT program, inputs, outputs, shown, message FROM tasks WHERE id = ?", rows[0].id)
        assert texts is not None, "rows are never removed"
        program, inputs, outputs, shown, message = texts
        return TaskDetail(rows[0], program, json.loads(inputs), json.loads(outputs), shown, message)

    def attempts(self, task: str, *, limit: int = 200, beyond: int | None = None) -> list[SampleRow]:
        """Every answer to a task, oldest first; pass the last id as ``beyond`` for the next page."""
        start = 0 if beyond is None else beyond
        query = "SELECT id FROM samples WHERE task = ? AND role = 'solve' AND id > ? ORDER BY id LIMIT ?"
        return self.sample_rows([row[0] for row in self._query(query, task, start, limit)])

    def attempts_of_step(self, task: str, branch: int, step: int, *, limit: int = 64) -> list[SampleRow]:
        """The answers to a task in one step, oldest first."""
        query = (
            "SELECT id FROM samples WHERE task = ? AND role = 'solve' AND branch = ? AND step = ? ORDER BY id LIMIT ?"
        )
        return self.sample_rows([row[0] for row in self._query(query, task, branch, step, limit)])

    def references(self, sample: int) -> list[TaskRow]:
        """The tasks whose programs a sample's prompt showed, in its order; a text that is no task's is left out."""
        row = self._first("SELECT coalesce(prompt, '') FROM samples WHERE id = ?", sample)
        found = (self._task_of(program) for program in shown_programs(row[0] if row else ""))
        return list({task.task: task for task in found if task is not None}.values())

    def shown(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """(sample, task) for each task whose program a proposal's prompt showed, of the samples between two ids."""
        for number, prompt in self._query(
            "SELECT id, coalesce(prompt, '') FROM samples WHERE id BETWEEN ? AND ? AND role = 'propose'", first, last
        ):
            for program in shown_programs(prompt):
                if (task := self._task_named_by(program)) is not None:
                    yield number, task

    def _task_of(self, program: str) -> TaskRow | None:
        name = self._task_named_by(program)
        rows = self._rows(TaskRow, f"{_TASK} {_EACH} WHERE t.task = ? ORDER BY t.id LIMIT 1", name) if name else []
        return rows[0] if rows else None

    def _task_named_by(self, program: str) -> str | None:
        """The first task with this very program: several kinds of task may share it."""
        # `+`, or SQLite puts the text itself into the other conditions, and no index fits them any more.
        row = self._first(
            f"SELECT task FROM tasks {self._through('tasks_program')} WHERE length(program) = length(?1) "
            "AND substr(program, length(program) / 2, 24) = substr(?1, length(?1) / 2, 24) AND +program = ?1 "
            "ORDER BY id LIMIT 1",
            program,
        )
        return None if row is None else str(row[0])


def _new_answers(source: str, since: str) -> str:
    """Adds the answers of these samples, up to one of them, to the tasks up to one of them."""
    return f"""
        INSERT INTO temp.tried SELECT t.id, s.attempts, s.correct, s.last FROM (
            SELECT task, count(*) AS attempts, coalesce(sum(correct = 1), 0) AS correct, max(id) AS last
            FROM samples {source} WHERE role = 'solve' AND task IS NOT NULL AND {since} AND +id <= ? GROUP BY task
        ) s CROSS JOIN tasks t ON t.task = s.task WHERE t.id <= ?
        ON CONFLICT (id) DO UPDATE SET
            attempts = attempts + excluded.attempts, correct = correct + excluded.correct, last = excluded.last
    """


def _asks_for_figures(wanted: TaskFilter) -> bool:
    return any(end is not None for end in (wanted.least_rate, wanted.most_rate, wanted.least_used, wanted.most_used))


def _narrowed(wanted: TaskFilter) -> tuple[str, list[object]]:
    """A filter as a condition on a task ``t``, with its values; ``u`` are the figures of the answers to it."""
    parts = [
        (sql, value)
        for sql, value in (
            ("t.kind = ?", wanted.kind),
            ("t.step >= ?", wanted.first_step),
            ("t.step <= ?", wanted.last_step),
            (f"{_RATE} >= ?", wanted.least_rate),
            (f"{_RATE} <= ?", wanted.most_rate),
            ("u.attempts >= ?", wanted.least_used),
            ("u.attempts <= ?", wanted.most_used),
            (
                "instr(lower(t.program || ' ' || coalesce(t.message, '') || ' ' || t.task), lower(?))",
                wanted.text or None,
            ),
        )
        if value is not None
    ]
    return " AND ".join(["1", *(sql for sql, _ in parts)]), [value for _, value in parts]


def shown_programs(prompt: str) -> list[str]:
    """The programs that a prompt shows, in its order."""
    return _SHOWN.findall(prompt)


def _tried_since(source: str, since: str) -> str:
    """The statement that adds the answers which ``source`` and ``since``, words of ours, let pass."""
    return f"""
    INSERT INTO temp.tried SELECT task, count(*), coalesce(sum(correct = 1), 0), max(id) FROM samples {source}
    WHERE role = 'solve' AND task IS NOT NULL AND {since} AND +id <= ? GROUP BY task
    ON CONFLICT (task) DO UPDATE SET
        attempts = attempts + excluded.attempts, correct = correct + excluded.correct, last = excluded.last
    """
