"""``azr-platform audit`` and its sub-commands: a first word that names none of them is what is to be judged."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from azr_platform.cli.audit import audit as judge
from azr_platform.cli.audits.ask import ask
from azr_platform.cli.audits.browse import browse
from azr_platform.cli.audits.diff import diff
from azr_platform.cli.audits.export import export
from azr_platform.cli.audits.labels import labels
from azr_platform.cli.audits.list import list_audits
from azr_platform.cli.audits.report import report
from azr_platform.cli.audits.similar import similar
from azr_tui.escape import visible_line


class Judging(TyperGroup):
    """Sub-commands beside a default one, whose name may be left out. Help is the default's, and lists the others."""

    default: Final = "judge"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        if args and not named and not Path(args[0]).exists():
            for like in get_close_matches(args[0], self.commands, 1):
                ctx.fail(f"no such command '{visible_line(args[0], 40)}', and nothing of that name to judge; {like}?")
        if not named and (args or not ctx.resilient_parsing):  # nothing typed yet: a shell completes every command
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.commands[self.default].format_help(ctx, formatter)
        self.format_commands(ctx, formatter)


audit = typer.Typer(
    cls=Judging,
    help="Judge a run again, or other trainers' logs, and ask of what was judged.",
    rich_markup_mode=None,
)
audit.command(Judging.default)(judge)
audit.command("list")(list_audits)
audit.command()(diff)
audit.command()(labels)
audit.command("export")(export)
audit.command()(ask)
audit.command()(similar)
audit.command()(report)
audit.command("browse")(browse)
