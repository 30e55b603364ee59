"""``azr-platform tui``: the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tui(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="The run's folder; without it, the newest one in runs/.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Watch, and give no commands.")] = False,
) -> None:
    """Watch a run and steer it; works while it is live and after it ended. Quitting never ends the run."""
    from azr_platform.cli.runs import newest_run
    from azr_platform.ledger.reader import LedgerReader
    from azr_tui.app import AzrApp

    chosen = run or newest_run()
    LedgerReader(chosen).close()  # an unknown run or a damaged ledger is one line, not a broken screen
    AzrApp(chosen, read_only=read_only).run()
