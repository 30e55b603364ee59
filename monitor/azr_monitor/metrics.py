"""Rules on a run's metrics: what a series of numbers says about a run, as rules on texts say it about a sample.

A series is one metric's values, oldest first; ``None`` stands for a value that was not finite, as in the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import Field, FiniteFloat, model_validator

from azr_monitor.fields import ActionName, Model, SeverityName
from azr_monitor.records import Action, printable

Series = tuple[FiniteFloat | None, ...]

_CONDITIONS = ("not_finite", "above", "below", "rises_to", "falls_to")


class MetricRule(Model):
    """One condition on one metric, or on each that a pattern names, with series it catches and series it spares."""

    name: str = Field(pattern=r"^metric\.[a-z0-9][a-z0-9-]*$", description="what alerts, rules.disabled … call it")
    metric: str = Field(min_length=1, description="a metric's name, or a pattern such as solve_rate/*")
    why: str = Field(min_length=10, max_length=200, description="what it means when it fires")
    severity: SeverityName
    action: ActionName | None = Field(default=None, description="instead of the action that its severity has")
    not_finite: bool = Field(default=False, description="fires on NaN and infinities")
    above: FiniteFloat | None = Field(default=None, description="fires on greater values")
    below: FiniteFloat | None = Field(default=None, description="fires on smaller values")
    rises_to: FiniteFloat | None = Field(
        default=None, gt=1.0, description="fires on values greater than so many times what was usual before"
    )
    falls_to: FiniteFloat | None = Field(
        default=None, gt=0.0, lt=1.0, description="fires on values smaller than this share of what was usual before"
    )
    window: int = Field(
        default=10, ge=1, le=1000, description="what was usual: the median of so many values before, if positive"
    )
    for_steps: int = Field(default=1, ge=1, le=1000, description="fires when it holds for so many values in a row")
    again_after: int = Field(
        default=50, ge=0, description="steps after which it fires again while it goes on; 0: it does not"
    )
    catch: tuple[Series, ...] = Field(min_length=1, description="series on which it fires")
    spare: tuple[Series, ...] = Field(min_length=1, description="series on which it does not")

    @model_validator(mode="after")
    def _one_condition(self) -> MetricRule:
        given = [name for name in _CONDITIONS if getattr(self, name) is not (False if name == "not_finite" else None)]
        if len(given) != 1:
            raise ValueError(f"{self.name}: give one of {', '.join(_CONDITIONS)}, not {' and '.join(given) or 'none'}")
        if self.action in (Action.HOLD, Action.DROP):
            none = f"a metric has no sample to {self.action.label}"
            raise ValueError(f"{self.name}: action: {none}; use alert, pause, rollback or stop")
        return self

    @property
    def depth(self) -> int:
        """How many values at the end of a series it looks at."""
        relative = self.rises_to is not None or self.falls_to is not None
        return self.for_steps + (self.window if relative else 0)


def fires(rule: MetricRule, series: Sequence[float | None]) -> bool:
    """Whether the rule's condition holds at the end of a series. One that is too short to tell does not fire."""
    newest = series[-rule.for_steps :]
    if len(newest) < rule.for_steps:
        return False
    if rule.not_finite:
        return all(value is None for value in newest)
    low, high = _bounds(rule, series)
    return all(
        value is not None and ((high is not None and value > high) or (low is not None and value < low))
        for value in newest
    )


def describe(rule: MetricRule, metric: str, series: Sequence[float | None]) -> str:
    """A metric on which the rule fires, in words: what it is, and what it should not be."""
    value = series[-1]
    name = printable(metric, 60)  # a part of it may be a name that a model made up
    lasting = f" for {rule.for_steps} steps" if rule.for_steps > 1 else ""
    if value is None:
        return f"{name} is not finite{lasting}"
    low, high = _bounds(rule, series)
    bound = f"above {high:.4g}" if high is not None else f"below {low:.4g}"
    usual = _usual(rule, series)
    than = f" (usual: {usual:.4g})" if usual is not None else ""
    return f"{name} is {value:.4g}, {bound}{than}{lasting}"


def _bounds(rule: MetricRule, series: Sequence[float | None]) -> tuple[float | None, float | None]:
    """(fires below this, fires above this); None where there is no such bound."""
    usual = _usual(rule, series)
    low = rule.falls_to * usual if rule.falls_to is not None and usual is not None else rule.below
    high = rule.rises_to * usual if rule.rises_to is not None and usual is not None else rule.above
    return low, high


def _usual(rule: MetricRule, series: Sequence[float | None]) -> float | None:
    """The median of the window before the newest values, for a rule that compares with it; None if none can be said."""
    if rule.rises_to is None and rule.falls_to is None:
        return None
    before = series[-rule.depth : -rule.for_steps]
    values = [value for value in before if value is not None]
    if len(values) < rule.window:
        return None
    middle = median(values)
    return middle if middle > 0 else None
