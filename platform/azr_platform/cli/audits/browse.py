"""azr-platform audit browse: a ledger in Datasette."""

from __future__ import annotations

from typing import Annotated

import typer

from azr_platform.cli.control import Run


def browse(
    run: Run,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Its port; 0 takes a free one.")
    ] = 8001,
) -> None:
    """Open a run's ledger in Datasette, in a browser on this machine, read-only, until Ctrl-C.

    Every table, SQL of your own, and questions that are ready to be asked: flagged samples, open alerts, findings by
    rule and by step, decisions, audits compared.
    """
    from azr_platform.cli.input import BadInput
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.page import inert
    from azr_tui.escape import visible, visible_line

    with LedgerReader(run) as reader:  # an unknown run or a damaged ledger is one line
        name = reader.run().name
    try:
        from azr_platform.audits.browse.server import serve
    except ModuleNotFoundError as error:
        raise BadInput(
            f"audit browse needs {error.name}, which is not installed: pip install 'azr-platform[browse]'"
        ) from error

    def announce(address: str) -> None:
        typer.echo(f"{visible_line(str(run))} in Datasette on this machine, read-only:")
        typer.echo(f"  {address}")
        typer.echo("Whoever has this address can read it. Ctrl-C ends it.")

    try:
        serve(run / "ledger.db", f"azr-platform: {visible_line(name)}", port, inert(visible), announce)
    except OSError as error:
        raise BadInput(
            f"port {port} of this machine cannot be had ({error}); choose another with --port N, or 0 for any"
        ) from error
