"""How ``eval`` shows scores: a row a kind, intervals beside every number, fit for 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from azr_monitor.intervals import Estimate
from azr_platform.cli.json_text import json_text
from azr_platform.evaluation.records import Evaluation, TaskScore, comparison, estimates, measures, unseen
from azr_tui.escape import visible_line

INTERVALS = "[low–high]: 95 % interval, by resampling tasks; all: the mean of the kinds"


def show_scores(evaluation: Evaluation, console: Console) -> None:
    """The scores of one evaluation as a table."""
    settings = evaluation.settings
    title = f"{evaluation.target} on {settings.suite}: {len(evaluation.tasks)} tasks, {settings.samples} samples each"
    console.print()
    console.print(visible_line(title), highlight=False, markup=False, style="bold")
    found = {name: estimates(evaluation.tasks, measure) for name, measure in measures(settings.samples).items()}
    fresh = unseen(evaluation.tasks)
    looked_up = any(task.seen is not None for task in evaluation.tasks)
    if looked_up and fresh:
        found = {
            "pass@1": found.pop("pass@1"),
            "unseen": estimates(fresh, measures(settings.samples)["pass@1"]),
            **found,
        }
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("%", no_wrap=True)
    for name in found:
        table.add_column("format" if name == "well-formed" else name, justify="right", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    for kind in found["greedy"]:
        of_kind = [task for task in evaluation.tasks if kind in ("all", task.kind)]
        cells = [_cell(name, values.get(kind)) for name, values in found.items()]
        table.add_row(visible_line(kind), *cells, f"{sum(task.tokens for task in of_kind) / len(of_kind):.0f}")
    console.print(table)
    console.print(INTERVALS, highlight=False, markup=False)
    if looked_up:
        text = f"unseen: {len(fresh)} of {len(evaluation.tasks)} tasks, whose programs the run's record does not hold"
        console.print(text, highlight=False, markup=False)


def _cell(name: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    value = f"{estimate.value * 100:.1f}"
    return value if name == "well-formed" else f"{value} [{estimate.low * 100:.0f}–{estimate.high * 100:.0f}]"


def show_change(before: Evaluation, after: Evaluation, console: Console) -> None:
    """Before and after on the same tasks. Raises BadInput when the two cannot be compared."""
    from azr_platform.cli.input import BadInput

    try:
        rows = comparison(before, after)
    except ValueError as error:
        raise BadInput(str(error)) from error
    console.print()
    title = f"from {before.target} to {after.target}"
    console.print(visible_line(title), highlight=False, markup=False, style="bold")
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("measure", "kind"):
        table.add_column(name, no_wrap=True)
    for name in ("before", "after", "change, points"):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for row in rows:
        values = (f"{row.before.value * 100:.1f}", f"{row.after.value * 100:.1f}", points(row.change))
        table.add_row(row.measure if row.measure != last else "", visible_line(row.kind), *values)
        last = row.measure
    console.print(table)
    console.print("change: the paired difference on the same tasks; " + INTERVALS, highlight=False, markup=False)


def points(changed: Estimate) -> str:
    """A difference of shares in percentage points with its interval."""
    return f"{changed.value * 100:+.1f} [{changed.low * 100:+.1f}, {changed.high * 100:+.1f}]"


def as_object(evaluations: Sequence[Evaluation]) -> str:
    """The scores of one or two evaluations, and their difference, as JSON; ASCII alone."""

    found: dict[str, Any] = {"evaluations": [_summary(evaluation) for evaluation in evaluations]}
    if len(evaluations) == 2:
        found["change"] = comparison(*evaluations)
    return json_text(msgspec.to_builtins(found), indent=1)


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    head = msgspec.to_builtins(evaluation)
    tasks: list[TaskScore] = evaluation.tasks
    return {
        **{name: value for name, value in head.items() if name != "tasks"},
        "tasks": len(tasks),
        "unseen": len(unseen(tasks)) if any(task.seen is not None for task in tasks) else None,
        "scores": {name: estimates(tasks, measure) for name, measure in measures(evaluation.settings.samples).items()},
        "unseen_scores": {
            name: estimates(unseen(tasks), measure) for name, measure in measures(evaluation.settings.samples).items()
        }
        if unseen(tasks)
        else {},
        "tokens": sum(task.tokens for task in tasks) / len(tasks),
    }
