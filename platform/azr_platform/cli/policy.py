"""``azr-platform policy``: look at, check, try and change monitor policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azr_monitor.checks import RuleTest

from azr_platform.cli.amend import attempt, change
from azr_platform.cli.calibrate import calibrate
from azr_platform.cli.json_text import json_text

policy = typer.Typer(
    help="Look at, check, try and change monitor policies.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="default, strict, observe, or a YAML file.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]

policy.command()(calibrate)
policy.command("set")(change)
policy.command("try")(attempt)


@policy.command()
def check(name: Name) -> None:
    """Check a policy file: every key, value and rule name, every example, and whether a rule can be made slow. Exit
    status 2 when it cannot be used, 1 when something in it must be mended."""
    from datetime import UTC, datetime

    from azr_monitor.checks import faults, remarks
    from azr_monitor.policy import load_policy
    from azr_tui.escape import visible_line

    loaded = load_policy(name)
    wrong = faults(loaded)
    for line in wrong:
        typer.echo(f"error: {visible_line(line)}", err=True)
    for line in remarks(loaded, datetime.now(UTC).date()):
        typer.echo(visible_line(line))
    if wrong:
        raise typer.Exit(1)
    typer.echo(f"{name}: good")


@policy.command()
def show(
    name: Name = "default",
    rules: Annotated[bool, typer.Option("--rules", help="List every rule in force instead.")] = False,
    as_json: Json = False,
) -> None:
    """Print a policy as it is understood, defaults included, or the rules that are in force under it."""

    from azr_monitor.checks import rules_of, understood
    from azr_monitor.policy import load_policy
    from azr_tui.escape import visible_line

    if rules:
        listed = rules_of(load_policy(name))
        if as_json:
            typer.echo(json_text([rule._asdict() for rule in listed]))
            return
        for rule in listed:
            typer.echo(f"{rule.severity:<8}  {visible_line(rule.rule):<32}  {visible_line(rule.why)}")
        return
    values = understood(load_policy(name))
    if as_json:
        typer.echo(json_text(values))
        return
    import yaml

    typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


@policy.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="default, strict, observe, or a YAML file.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Say in what two policies differ, defaults filled in."""

    from azr_monitor.checks import compare
    from azr_monitor.policy import load_policy
    from azr_tui.escape import visible_line

    changes = compare(load_policy(before), load_policy(after))
    if as_json:
        typer.echo(json_text([change._asdict() for change in changes]))
        return
    for setting, old, new in changes:
        if new is True and old is None:
            line = f"+ {setting}"
        elif old is True and new is None:
            line = f"- {setting}"
        else:
            line = f"~ {setting}: {_said(old)} -> {_said(new)}"
        typer.echo(visible_line(line))
    if not changes:
        typer.echo("no difference")


def _said(value: object) -> str:
    import json

    return "not set" if value is None else json.dumps(value, ensure_ascii=False)


@policy.command()
def test(name: Name = "default", as_json: Json = False) -> None:
    """Try every rule on the texts it must catch and must spare. Exit status 1 when one does not hold."""

    from azr_monitor.checks import test_policy
    from azr_monitor.policy import load_policy
    from azr_tui.escape import visible_line

    results = test_policy(load_policy(name))
    failed = [result for result in results if not result.passed]
    if as_json:
        typer.echo(json_text([result._asdict() for result in results]))
    else:
        for line in _table(results):
            typer.echo(line)
        for result in failed:
            where = f" ({visible_line(result.place)})" if result.place else ""
            typer.echo(f"✗ {result.rule}{where}: {result.expected} {result.text!r}")
        typer.echo(f"{len(results) - len(failed)} of {len(results)} examples hold")
    raise typer.Exit(1 if failed else 0)


def _table(results: Sequence[RuleTest]) -> Iterator[str]:
    """A row for each family of rules: how many rules there are, and how many of their examples hold."""
    families: dict[str, list[RuleTest]] = {}
    for result in results:
        families.setdefault(result.rule.partition(".")[0], []).append(result)
    yield f"{'':<12}{'rules':>6}{'catch':>12}{'spare':>12}"
    for family, own in families.items():
        held = []
        for expected in ("catch", "spare"):
            tried = [result.passed for result in own if result.expected == expected]
            held.append(f"{sum(tried)}/{len(tried)}")
        yield f"{family:<12}{len({result.rule for result in own}):>6}{held[0]:>12}{held[1]:>12}"
