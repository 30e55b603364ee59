"""What audits show in a terminal: how far they are, and tables of what was counted."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from azr_platform.cli.judging import Tally


_COLUMNS: Final = 79
_SAID_EVERY: Final = 30.0
"""Seconds between two lines of how far it is, where there is no terminal."""


@contextmanager
def progress(
    total: int | None,
    as_json: bool,
    unit: str = "bytes",
    *,
    what: str = "judging",
    stays: bool = True,
    done: int = 0,
) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time that is left, on a terminal that shows nothing else; where there is none, a line
    now and then. ``done``: what was done before, which says nothing of the rate."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = console.is_terminal and not (as_json and sys.stdout.isatty())
    columns = (
        TextColumn(what),
        BarColumn(bar_width=24),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    pace = _Pace(what, total, unit, done)
    with Progress(*columns, console=console, disable=not shown, transient=not stays) as bar:
        task = bar.add_task(what, total=total, completed=done, rate="")

        def advance(size: int) -> None:
            line = pace.advance(size)
            bar.update(task, advance=size, rate=pace.rate)
            if line and not console.is_terminal:
                typer.echo(line, err=True)

        yield advance


class _Pace:
    """How quickly it goes on, and now and then a line that says so."""

    def __init__(self, what: str, total: int | None, unit: str, done: int) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._before, self._done = done, 0
        self._begun = self._said = time.monotonic()

    @property
    def _a_second(self) -> float:
        return self._done / max(time.monotonic() - self._begun, 1e-6)

    @property
    def rate(self) -> str:
        if self._unit == "bytes":
            return f"{self._a_second / 1e6:,.1f} MB/s"
        return f"{self._a_second:,.0f}/s"

    def advance(self, size: int) -> str:
        """The line, or nothing when the last was a moment ago."""
        from azr_tui.wording import duration

        self._done += size
        if time.monotonic() - self._said < _SAID_EVERY:
            return ""
        self._said = time.monotonic()
        done = self._before + self._done
        if self._total is None:
            return f"{self._what}: {done:,} {self._unit}, {self.rate}"
        left = duration((self._total - done) / max(self._a_second, 1e-6))
        return f"{self._what}: {done:,} of {self._total:,} {self._unit}, {self.rate}, {left} left"


def wrapped(text: str) -> str:
    """A sentence over lines of a terminal of 80 columns. What has no blanks, a path say, stays whole, to be copied."""
    return textwrap.fill(text, _COLUMNS, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")


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
    """A count and a share a row: of all rows together, or ``of`` so many where one thing may count in several rows."""
    from rich.table import Table
    from rich.text import Text

    from azr_tui.escape import visible_line

    rows = list(rows)
    total = of or sum(count for _, count in rows)
    drawn = Table("", title=title, title_justify="left", box=None, show_edge=False)
    drawn.columns[0].header = title
    drawn.title = None
    drawn.add_column(unit, justify="right")
    drawn.add_column(f"of {unit}", justify="right")
    for name, count in rows:
        drawn.add_row(Text(visible_line(name)), str(count), f"{count / total:.1%}")
    if not rows:
        drawn.add_row(Text("none"), "0", "")
    return drawn
