"""Watches a run's metrics: puts each step on record, with what the metric rules find in it.

To a trainer's own metrics come those of what the supervisor saw itself (see supervisor/statistics.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from azr_monitor.metrics import MetricRule, describe, fires
from azr_monitor.records import Action
from azr_platform.channel.messages import StepDone
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.rows import RaisedAlert, alert_row
from azr_platform.supervisor.statistics import StepStatistics

_NAMED = 3
"""Metrics that an alert names; of further ones it says how many."""

Series = Mapping[str, Sequence[float | None]]


class Recorded(msgspec.Struct, frozen=True):
    """A step on record: all of its metrics, and the alerts they raised."""

    metrics: dict[str, float]
    alerts: list[RaisedAlert]


class MetricWatch:
    """The metric rules and the newest values, along the line that the run is on."""

    def __init__(self, rules: Sequence[MetricRule]) -> None:
        """``rules`` with the severity and the action that they have under the policy."""
        self._take(rules)
        self._statistics = StepStatistics()
        self._series: dict[str, list[float | None]] = {}
        self._said: dict[str, int] = {}
        """The step at which each rule that still fires was last heard of."""

    def _take(self, rules: Sequence[MetricRule]) -> None:
        self._rules = [rule for rule in rules if rule.action is not None and rule.action >= Action.ALERT]
        self._depth = max((rule.depth for rule in self._rules), default=0)

    def watch(self, rules: Sequence[MetricRule], reader: LedgerReader) -> None:
        """Keep to other rules from here on. One that is new is heard of though it fires already."""
        self._take(rules)
        self._series = self._newest(reader)
        known = {rule.name for rule in self._rules}
        self._said = {name: step for name, step in self._said.items() if name in known}

    def begin(self, reader: LedgerReader) -> None:
        """Take the newest values from the record: at the start, and on each new branch."""
        self._statistics.begin(reader)
        self._series = self._newest(reader)
        step = reader.step()
        self._said = {rule.name: step for rule in self._rules if self._firing(rule, self._series)}

    def _newest(self, reader: LedgerReader) -> dict[str, list[float | None]]:
        return {
            name: reader.metric_tail(name, self._depth)
            for name in reader.metric_names()
            if self._depth and any(fnmatchcase(name, rule.metric) for rule in self._rules)
        }

    def record(self, done: StepDone, writer: LedgerWriter, reader: LedgerReader, branch: int) -> Recorded:
        """Commit a step's rows, alerts included.

        Raises:
            LedgerBroken: nothing was recorded; it can be tried again.
        """
        observed = self._statistics.observe(reader, branch, done.step, done.metrics)
        metrics = {**done.metrics, **observed.metrics}
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        series = {name: [*self._series.get(name, ()), value] for name, value in values.items()}
        alerts, said = self._alerts(done.step, series, observed.details)
        with writer.batch() as batch:
            batch.add(
                "steps",
                {"branch": branch, "step": done.step, "started_at": done.started_at, "seconds": done.seconds},
            )
            for name, value in metrics.items():
                batch.add("metrics", {"branch": branch, "step": done.step, "name": name, "value": float(value)})
            for reward in done.rewards:
                if reward.sample > 0:
                    batch.add("rewards", {"branch": branch, "step": done.step, **msgspec.structs.asdict(reward)})
            for alert in alerts:
                batch.add("alerts", alert_row(alert, branch, None))
        self._said = said
        self._series |= {name: newest[-self._depth :] for name, newest in series.items() if self._depth}
        return Recorded(metrics, alerts)

    def _alerts(
        self, step: int, series: Series, details: Mapping[str, str]
    ) -> tuple[list[RaisedAlert], dict[str, int]]:
        """(what to alert of, when each firing rule was last heard of): one that goes on is not heard each time."""
        alerts, said = [], {}
        for rule in self._rules:
            firing = self._firing(rule, series)
            if not firing:
                continue
            last = self._said.get(rule.name)
            if last is not None and not (rule.again_after and step - last >= rule.again_after):
                said[rule.name] = last
                continue
            said[rule.name] = step
            told = "; ".join(_told(rule, name, series[name], details.get(name, "")) for name in firing[:_NAMED])
            more = f"; and {len(firing) - _NAMED} more" if len(firing) > _NAMED else ""
            began = max(1, step - rule.for_steps + 1)
            assert rule.action is not None
            message = f"{rule.why}: {told}{more}"[:500]
            alerts.append(RaisedAlert(rule.severity, rule.action, rule.name, message, step, began))
        return alerts, said

    def _firing(self, rule: MetricRule, series: Series) -> list[str]:
        """The metrics on which a rule fires."""
        return [name for name, values in series.items() if fnmatchcase(name, rule.metric) and fires(rule, values)]


def _told(rule: MetricRule, name: str, values: Sequence[float | None], detail: str) -> str:
    return describe(rule, name, values) + (f" ({detail})" if detail else "")
