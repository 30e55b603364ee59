"""What ``train`` prints when a run ends, and the plot it writes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from azr_platform.evaluation.summary import group_rows
from azr_platform.ledger.reader import LedgerReader
from azr_tui.escape import visible_line

PLOT = "report.png"


def print_summary(run: Path, console: Console, head: str) -> None:
    """The run's table, its alerts by rule, its plot's path and the ledger's head."""
    with LedgerReader(run) as reader:
        summary = reader.summary()
        rows = group_rows(reader)
        rules = reader.rule_counts()
        notices = reader.notices(limit=3)
    plot = _plot(run)
    console.print()
    console.print(
        f"{summary.run}: {summary.state} at step {summary.step} of {summary.steps}, "
        f"{summary.samples} samples, {summary.blocked} blocked, {summary.alerts_open} alerts open",
        highlight=False,
        markup=False,
    )
    if summary.state == "failed":
        reason = visible_line(summary.reason)
        console.print(f"it failed: {reason}; see {run}/logs/trainer.log", highlight=False, markup=False)
    table = Table(box=None, header_style="bold")
    table.add_column("group", no_wrap=True)
    for name in ("samples", "trained", "blocked", "format", "good", "reward"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            visible_line(f"{row.role} {row.kind}"),
            str(row.samples),
            str(row.trained),
            str(row.blocked),
            f"{row.well_formed:.0%}",
            f"{row.good:.0%}",
            f"{row.reward_first:+.2f} → {row.reward_last:+.2f}",
        )
    console.print(table)
    console.print("good: valid proposals, right answers; reward: mean of the first and the last third of the steps")
    if rules:
        found = ", ".join(f"{visible_line(rule)} ×{count}" for rule, _, count in rules[:8])
        console.print(f"findings: {found}", highlight=False, markup=False)
    for notice in notices:
        console.print(f"note: {visible_line(notice.message)}", highlight=False, markup=False)
    console.print(f"plot: {plot}", highlight=False, markup=False)
    console.print(f"ledger: {run}/ledger.db, head {head}", highlight=False, markup=False)
    console.print(f"look closer: azr-platform tui {run}", highlight=False, markup=False)


def _plot(run: Path) -> str:
    try:
        from azr_platform.evaluation.plot import plot_run
        from azr_platform.evaluation.report import gather
    except ImportError:
        return "none (matplotlib is not installed; it comes with azr-platform[train])"
    try:
        return str(run / PLOT) if plot_run(gather(run), run / PLOT) else "none yet (no finished step)"
    except (OSError, ValueError) as error:
        return f"none ({visible_line(str(error))})"
