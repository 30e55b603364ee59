"""``azr-platform doctor``: what this machine has, what it lacks, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from rich.table import Table

    from azr_platform.diagnosis import Check

# A symbol and a word each, so that no colour is needed to read them.
_MARKS = {True: ("✓", "ok", "green"), None: ("•", "note", "yellow"), False: ("✗", "missing", "red")}


def doctor(
    runs: Annotated[Path, typer.Option(help="The folder that runs are written under.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Look at this machine: jail, memory, disk, torch, GPU; say what is missing and how to mend it.

    Exit status: 0 when everything needed is there, 1 when something is missing.
    """
    from azr_platform.diagnosis import diagnose, healthy

    if as_json:
        checks = list(diagnose(runs))
        typer.echo(_as_json(checks, healthy(checks)))
    else:
        checks = _show(runs)
    raise typer.Exit(0 if healthy(checks) else 1)


def _show(runs: Path) -> list[Check]:
    """Look at everything and print it as a table."""
    from rich.console import Console

    from azr_platform.diagnosis import diagnose, healthy

    console = Console(highlight=False)
    checks: list[Check] = []
    # The wait is for the jail's attack on itself and for torch; a terminal says so, a pipe stays clean.
    with console.status("looking at this machine") as status:
        for check in diagnose(runs):
            checks.append(check)
            status.update(f"looking at this machine: {check.name} done")
    console.print(table_of(checks, symbols=console.encoding.startswith("utf")))
    missing = sum(check.ok is False for check in checks)
    if healthy(checks):
        console.print("Everything needed is here.", markup=False)
    else:
        console.print(f"{missing} missing: the lines marked 'missing' say how to mend them.", markup=False)
    return checks


def table_of(checks: list[Check], *, symbols: bool = True) -> Table:
    """The checks as a table that fits 80 columns; a remedy stands under what it mends."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("state", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        symbol, word, colour = _MARKS[check.ok]
        found = Text(check.detail)
        if check.remedy and check.ok is not True:
            found.append(f"\n-> {check.remedy}", style="bold" if check.ok is False else "italic")
        table.add_row(Text(f"{symbol} {word}" if symbols else word, style=colour), Text(check.name), found)
    return table


def _as_json(checks: list[Check], is_healthy: bool) -> str:
    rows = [
        {
            "name": check.name,
            "state": _MARKS[check.ok][1],
            "ok": check.ok,
            "detail": check.detail,
            "remedy": check.remedy,
        }
        for check in checks
    ]
    return json_text({"ok": is_healthy, "checks": rows}, indent=2)
