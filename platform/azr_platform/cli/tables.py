"""What audits show in a terminal: how far they are, and tables of what was counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azr_platform.cli.judging import Tally


@contextmanager
def progress(
    total: int | None, as_json: bool, unit: str = "bytes", *, what: str = "judging", stays: bool = True
) -> Iterator[Callable[[int], None]]:
    """A bar with the time that is left, on a terminal that shows nothing else; of a pipe, what was read so far."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = console.is_terminal and not (as_json and sys.stdout.isatty())
    columns = (
        TextColumn(what),
        BarColumn(bar_width=24),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not shown, transient=not stays) as bar:
        task = bar.add_task(what, total=total)
        yield lambda size: bar.advance(task, size)


def show(tally: Tally, *, ran: bool) -> None:
    """Verdicts, rules, and where programs ran what they did there."""
    from rich.console import Console

    console = Console()
    rules = ((f"{rule} ({word})", n) for (rule, word), n in tally.rules.most_common(25))
    console.print(table("Verdict", "cases", tally.verdicts.items()))
    console.print(table("Rule", "cases", rules, of=tally.verdicts.total()))
    if ran:
        console.print(table("Outcome in the jail", "runs", tally.outcomes.most_common()))
        console.print(table("Recorded output", "runs", tally.agreement.most_common()))


def table(title: str, unit: str, rows: Any, *, of: int = 0) -> Any:
    """A count and a share a row: of all rows together, or ``of`` so many where one case may count in several."""
    from rich.table import Table
    from rich.text import Text

    from azr_tui.escape import visible_line

    rows = list(rows)
    total = of or sum(count for _, count in rows)
    drawn = Table("", title=title, title_justify="left", box=None, show_edge=False)
    drawn.columns[0].header = title
    drawn.title = None
    drawn.add_column(unit, justify="right")
    drawn.add_column("share", justify="right")
    for name, count in rows:
        drawn.add_row(Text(visible_line(name)), str(count), f"{count / total:.1%}")
    if not rows:
        drawn.add_row(Text("none"), "0", "")
    return drawn
