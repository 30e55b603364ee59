"""``azr-platform``: the entry point. Importing this imports no command's machinery, so help answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from azr_platform import __version__
from azr_platform.cli.audits.group import audit
from azr_platform.cli.control import acknowledge, pause, resolve, resume, rollback, status, stop
from azr_platform.cli.doctor import doctor
from azr_platform.cli.eval import evaluate
from azr_platform.cli.plan import plan
from azr_platform.cli.policy import policy
from azr_platform.cli.report import report
from azr_platform.cli.review import review
from azr_platform.cli.sandbox import sandbox
from azr_platform.cli.search import search
from azr_platform.cli.train import train
from azr_platform.cli.tui import tui

app = typer.Typer(
    name="azr-platform",
    help="Absolute-Zero self-play training of language models, under supervision.",
    epilog="Start with `azr-platform doctor`, then `azr-platform train --preset nano --run runs/first`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing it with rich takes longer than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    train,
    plan,
    tui,
    status,
    pause,
    resume,
    rollback,
    stop,
    acknowledge,
    resolve,
    review,
    search,
    report,
    doctor,
)
for command in _COMMANDS:
    app.command()(command)
app.command("eval")(evaluate)
app.add_typer(audit, name="audit")
app.add_typer(policy, name="policy")
app.add_typer(sandbox, name="sandbox")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"azr-platform {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Absolute-Zero self-play training of language models, under supervision."""


def main() -> None:
    """Run one command. What a user can mend is one line on stderr and an exit status; a bug is a traceback."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)  # what a shell reports for a reader that hung up
    except Exception as error:
        from azr_platform.cli.errors import exit_status
        from azr_tui.escape import visible_line

        code = exit_status(error)
        if code is None:
            raise
        # Files, ledgers and peers have their words in it: one line, and nothing that acts on a terminal.
        typer.echo(f"error: {visible_line(str(error), 2000)}", err=True)
        sys.exit(code)
