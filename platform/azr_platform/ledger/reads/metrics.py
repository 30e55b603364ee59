"""Metrics along the line."""

from __future__ import annotations

from itertools import takewhile

from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import MetricSpan

_EACH_NAME = """
    WITH RECURSIVE each(name) AS (
        SELECT min(name) FROM metrics
        UNION ALL SELECT (SELECT min(m.name) FROM metrics m WHERE m.name > each.name) FROM each WHERE name IS NOT NULL)
"""


class MetricTotals:
    """A branch's metrics, each as one span, up to which row. Rows are never changed nor removed, so only later ones are
    new."""

    def __init__(self) -> None:
        self.newest = 0
        self.spans: dict[str, MetricSpan] = {}


class MetricReads(RunReads):
    """Curves, their ends, and what is new of them."""

    _metric_totals: dict[tuple[int, int], MetricTotals]

    def metric_names(self) -> list[str]:
        return [row[0] for row in self._query(f"{_EACH_NAME} SELECT name FROM each WHERE name IS NOT NULL ORDER BY 1")]

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
        """The values of the newest finished step, in the order in which they were recorded."""
        step = self._first("SELECT branch, step FROM steps ORDER BY id DESC LIMIT 1")
        newest = self._query("SELECT branch, step, name, value FROM metrics ORDER BY id DESC")
        # A step's values are recorded together with it, so they are the last ones.
        found = [(name, value) for *_, name, value in takewhile(lambda row: row[:2] == step, newest)]
        return dict(reversed(found))

    def metric_totals(self, branch: int | None = None) -> dict[str, MetricSpan]:
        """Each metric's finite values along the line that leads to a branch (None: the current one), as one span."""
        found: dict[str, MetricSpan] = {}
        for part, until in self.lineage(branch):
            for name, span in self._totalled(part, until).items():
                found[name] = found[name].joined(span) if name in found else span
        return found

    def _totalled(self, branch: int, until: int) -> dict[str, MetricSpan]:
        """What is known of a branch up to a step, with what was recorded since."""
        known = self._metric_totals.setdefault((branch, until), MetricTotals())
        newest = self.newest_metric()
        # At first all of them, through their index; then the few new ones by their own ids.
        source, since = ("NOT INDEXED", "id > ?") if known.newest else (self._through("metrics_curve"), "+id > ?")
        for name, *values in self._query(
            "SELECT name, min(step), max(step), min(value), avg(value), max(value), count(value) "
            f"FROM metrics {source} WHERE {since} AND +id <= ? AND branch = ? AND step <= ? AND value IS NOT NULL "
            "GROUP BY name",
            known.newest,
            newest,
            branch,
            until,
        ):
            span = MetricSpan(*values)
            known.spans[name] = known.spans[name].joined(span) if name in known.spans else span
        known.newest = newest
        return known.spans

    def metric_at(self, name: str, branch: int, step: int) -> float | None:
        """A metric's value at a step of the line that leads to a branch; None where there is none."""
        for part, until in reversed(self.lineage(branch)):
            query = "SELECT value FROM metrics WHERE name = ? AND branch = ? AND step = ? LIMIT 1"
            if step <= until and (row := self._first(query, name, part, step)) is not None:
                return None if row[0] is None else float(row[0])
        return None

    def metric_span(
        self, name: str, first: int, last: int, points: int = 500, branch: int | None = None
    ) -> list[MetricSpan]:
        """A metric between two steps, both included, as at most so many equal spans of steps, along the line that leads
        to a branch (None: the current one).

        Spans without a finite value are left out. With no more steps than points each step is a span of its own.
        """
        width = max(1, -(-(last - first + 1) // max(1, points)))
        spans: dict[int, MetricSpan] = {}
        for part, until in self.lineage(branch):
            for place, *values in self._query(
                "SELECT (step - ?) / ?, min(step), max(step), min(value), avg(value), max(value), count(value) "
                "FROM metrics WHERE name = ? AND branch = ? AND step BETWEEN ? AND ? AND value IS NOT NULL GROUP BY 1",
                first,
                width,
                name,
                part,
                first,
                min(last, until),
            ):
                span = MetricSpan(*values)
                spans[place] = spans[place].joined(span) if place in spans else span
        return [spans[place] for place in sorted(spans)]

    def metrics_after(self, newest: int) -> list[tuple[int, int, int, str, float | None]]:
        """(id, branch, step, name, value) of what was recorded after a row, oldest first: what to add to curves."""
        query = "SELECT id, branch, step, name, value FROM metrics WHERE id > ? ORDER BY id"
        return list(self._query(query, newest))

    def newest_metric(self) -> int:
        """The id of the newest value; 0 while there is none."""
        return int(self._value("SELECT coalesce(max(id), 0) FROM metrics"))
