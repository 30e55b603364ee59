"""``azr-platform tui``: the dashboard, in the terminal or in a browser."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azr_tui.settings import Settings


def tui(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="The run's folder; without it, the newest one in runs/.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Watch, and give no commands.")] = False,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="OTHER", help="Begin with this run beside it.")
    ] = None,
    theme: Annotated[
        str | None, typer.Option("--theme", help="dark, light, high-contrast or ascii, this time; T keeps one.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="In a browser on this machine, read-only, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", min=0, max=65535, help="With --serve: its port (8000); 0 takes a free one."
        ),
    ] = None,
    allow_steering: Annotated[
        bool, typer.Option("--allow-steering", help="With --serve: let the browser give commands.")
    ] = False,
) -> None:
    """Watch a run and steer it; works while it is live and after it ended. Quitting never ends the run."""
    from azr_platform.cli.input import BadInput
    from azr_platform.cli.runs import newest_run
    from azr_platform.ledger.errors import UnknownRun
    from azr_platform.ledger.reader import LedgerReader
    from azr_tui.settings import load

    if not serve and (port is not None or allow_steering):
        raise BadInput("--port and --allow-steering are for --serve")
    if read_only and allow_steering:
        raise BadInput("--read-only and --allow-steering exclude each other")
    chosen = run or newest_run()
    LedgerReader(chosen).close()  # an unknown run or a damaged ledger is one line, not a broken screen
    settings = load()
    if theme:
        settings = settings.with_theme(theme)
    if read_only:
        settings = replace(settings, path=None)  # not even a theme is written down
    if serve and compare is not None:
        raise BadInput("--compare and --serve exclude each other; in the browser, 0 compares")
    if compare is not None and not (compare / "ledger.db").is_file():
        raise UnknownRun(compare)
    if serve:
        _serve(chosen, 8000 if port is None else port, settings.theme, steering=allow_steering)
        return
    _show(chosen, settings, compare, read_only=read_only)


def _show(run: Path, settings: Settings, compare: Path | None, *, read_only: bool) -> None:
    """Raises BadInput where there is no terminal to show it on."""
    import asyncio

    from azr_platform.cli.input import BadInput

    # A page's dashboard has pipes instead (azr_tui/web); Textual draws on standard error.
    if "TEXTUAL_DRIVER" not in os.environ and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(
            "the dashboard needs a terminal; without one: azr-platform status RUN, or tui RUN --serve for a browser"
        )
    from azr_tui.app import AzrApp

    async def until_it_ends() -> int:
        app = AzrApp(run, read_only=read_only, settings=settings, compare=compare)
        # Or the terminal would be left without echo, and on the dashboard's screen.
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, app.exit, None, 128 + number)
        await app.run_async()
        return app.return_code or 0

    raise typer.Exit(asyncio.run(until_it_ends()))


def _serve(run: Path, port: int, theme: str, *, steering: bool) -> None:
    """Raises BadInput where textual-serve is missing or the port cannot be had."""
    from azr_platform.cli.input import BadInput
    from azr_tui.escape import visible_line

    try:
        from azr_tui.web.server import serve
    except ModuleNotFoundError as error:
        raise BadInput(
            f"--serve needs {error.name}, which is not installed: make setup, or pip install 'azr-platform[web]'"
        ) from error

    def announce(address: str) -> None:
        typer.echo(f"{visible_line(str(run))} in a browser on this machine, {'to steer' if steering else 'read-only'}:")
        typer.echo(f"  {address}")
        typer.echo("Whoever has this address can open it. Ctrl-C ends the page and its dashboards; the run goes on.")

    # -P: nothing is imported from the folder that the server happens to be started in.
    command = [sys.executable, "-P", "-m", "azr_platform", "tui", str(run.absolute()), "--theme", theme]
    try:
        serve(
            command if steering else [*command, "--read-only"],
            port,
            announce,
            lambda words: typer.echo(f"warning: {words}", err=True),
        )
    except OSError as error:
        raise BadInput(
            f"port {port} of this machine cannot be had ({error}); choose another with --port N, or 0 for any"
        ) from error
