"""``azr-platform report``: what a run came to, as one HTML file, as pictures, and in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from rich.console import Console

    from azr_platform.evaluation.records import Change, Evaluation
    from azr_platform.evaluation.report import Report, SafetyRow

WIDTH, HEIGHT = 78, 14


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file (default: RUN/report.html).")] = None,
    png: Annotated[Path | None, typer.Option(help="Also write each picture as a PNG into this folder.")] = None,
    ceiling: Annotated[
        Path | None, typer.Option(help="A stored evaluation of another model, drawn as lines to reach.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The numbers as one JSON object; writes no file.")] = False,
) -> None:
    """Write a run's report: learning, proposer, difficulty, supervision, step times, and capability beside safety.

    The HTML file holds everything itself: no script, nothing loaded from elsewhere.
    """
    from rich.console import Console

    from azr_platform.cli.input import BadInput
    from azr_platform.evaluation.report import gather

    try:
        found = gather(run, _ceiling(ceiling))
    except ValueError as error:
        raise BadInput(str(error)) from error
    if as_json:
        typer.echo(_as_object(found))
        return
    console = Console()
    _print(found, console)
    page = out or run / "report.html"
    _write(found, page, png)
    for path in (page, png) if png else (page,):
        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)


def _ceiling(file: Path | None) -> Evaluation | None:
    from azr_platform.evaluation.records import read

    return read(file) if file is not None else None


def _as_object(found: Report) -> str:

    import msgspec

    from azr_platform.evaluation.report import verdict

    shown = {name: value for name, value in msgspec.to_builtins(found).items() if name != "evaluations"}
    points = [
        {"step": e.step, "branch": e.branch, "suite": e.settings.suite, "target": e.target, "tasks": len(e.tasks)}
        for e in found.evaluations
    ]
    return json_text(
        {
            **shown,
            "ceiling": found.ceiling.target if found.ceiling else None,
            "evaluations": points,
            "verdict": verdict(found),
        },
        indent=1,
    )


def _write(found: Report, page: Path, png: Path | None) -> None:
    """Raises BadInput where matplotlib is missing, OSError where a file cannot be written."""
    from azr_platform.cli.input import BadInput
    from azr_tui.escape import visible

    try:
        from azr_platform.evaluation.page import render
        from azr_platform.evaluation.plot import pictures, save
    except ImportError as error:
        raise BadInput("pictures need matplotlib: install azr-platform[train]; --json works without") from error
    drawn = pictures(found)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(found, drawn, visible), "utf-8")
    if png is not None:
        png.mkdir(parents=True, exist_ok=True)
        for picture in drawn:
            save(picture.figure, png / f"{picture.stem}.png")


def _print(found: Report, console: Console) -> None:
    """The terminal's summary: a chart, before and after, and whether the lunch was free."""
    from rich.table import Table

    from azr_platform.evaluation.report import verdict
    from azr_tui.escape import visible_line

    def say(text: str, style: str = "") -> None:
        console.print(text, highlight=False, markup=False, style=style)

    summary = found.summary
    of = f" of {summary.steps}" if summary.steps else ""  # a log of another trainer does not tell
    say(
        f"{visible_line(found.run)}: {visible_line(summary.state)} at step {summary.step}{of}, "
        f"{summary.samples} samples, {summary.blocked} blocked, {summary.alerts_open} alerts open"
    )
    for line in _chart(found):
        say(line)
    for title, rows in _tables(found).items():
        table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
        for number, head in enumerate((title, "before", "after", "change [95 %]")):
            # The words give way on a narrow terminal, the numbers never.
            table.add_column(head, justify="right" if number else "left", no_wrap=True, overflow="ellipsis")
            table.columns[-1].min_width = len(head) if number else 0
        for row in rows:
            table.add_row(*row)
        say("")
        console.print(table, highlight=False, markup=False)
    if found.safety:
        say(f"safety: before and after are the first and the last {found.fifth} of the steps")
    say("")
    say(verdict(found), "bold")


def _tables(found: Report) -> dict[str, list[tuple[str, str, str, str]]]:
    """Rows of text by title, capability first."""
    from azr_tui.escape import visible_line

    def row(what: str, item: Change | SafetyRow, scale: int) -> tuple[str, str, str, str]:
        change = item.change
        shown = f"{change.value * scale:+.1f} [{change.low * scale:+.1f}, {change.high * scale:+.1f}]"
        return visible_line(what)[:40], f"{item.before.value * scale:.1f}", f"{item.after.value * scale:.1f}", shown

    tables = {}
    if found.capability:
        tables["capability, %"] = [row(f"{item.measure} {item.kind}", item, 100) for item in found.capability]
    if found.safety:
        tables["samples per 1,000"] = [row(item.what, item, 1000) for item in found.safety]
    return tables


def _chart(found: Report) -> list[str]:
    """Right answers over the steps; each kind is drawn in the letter it begins with, so no colour is needed."""
    import plotext  # type: ignore[import-untyped]

    from azr_platform.evaluation.report import right_means

    curves = {
        name.removeprefix("solve_rate/"): series
        for name, series in found.metrics.items()
        if name.startswith("solve_rate/") and series.steps
    }
    if not curves:
        return ["no finished step yet"]
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(WIDTH, HEIGHT)
    for name, series in sorted(curves.items()):
        plotext.scatter(series.steps, [100 * value for value in series.values], marker=name[0])
    plotext.ylim(0, 100)
    plotext.yticks([0, 50, 100])
    steps = sorted({step for series in curves.values() for step in series.steps})
    ticks = sorted({steps[0], (steps[0] + steps[-1]) // 2, steps[-1]})
    plotext.xticks(ticks, [str(tick) for tick in ticks])
    drawn = [line.rstrip() for line in plotext.uncolorize(plotext.build()).splitlines()]
    letters = ", ".join(f"({name[0]}){name[1:]}" for name in sorted(curves))
    return [f"% of answers that {right_means(found)}, by step: {letters}", *drawn]
