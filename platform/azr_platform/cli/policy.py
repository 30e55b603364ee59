"""``azr-platform policy``: look at, check and try monitor policies."""

from __future__ import annotations

from typing import Annotated

import typer

from azr_platform.cli.calibrate import calibrate

policy = typer.Typer(help="Look at, check and try monitor policies.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="default, strict, observe, or a YAML file.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]

policy.command()(calibrate)


@policy.command()
def check(name: Name) -> None:
    """Check a policy file: every key, value and rule name. Exit status 2 when it cannot be used."""
    from azr_monitor.checks import check_policy
    from azr_tui.escape import visible_line

    for line in check_policy(name):
        typer.echo(visible_line(line))
    typer.echo(f"{name}: good")


@policy.command()
def show(name: Name = "default", as_json: Json = False) -> None:
    """Print a policy as it is understood, defaults included."""
    import json

    from azr_monitor.policy import load_policy

    values = load_policy(name).model_dump(mode="json")
    if as_json:
        typer.echo(json.dumps(values))
        return
    import yaml

    typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


@policy.command()
def diff(
    before: Annotated[str, typer.Argument(help="default, strict, observe, or a YAML file.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    as_json: Json = False,
) -> None:
    """Say in what two policies differ, defaults filled in."""
    import json

    from azr_monitor.checks import compare
    from azr_monitor.policy import load_policy
    from azr_tui.escape import visible_line

    changes = compare(load_policy(before), load_policy(after))
    if as_json:
        typer.echo(json.dumps([change._asdict() for change in changes]))
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
    import json

    from azr_monitor.checks import test_policy
    from azr_monitor.policy import load_policy

    results = test_policy(load_policy(name))
    failed = [result for result in results if not result.passed]
    if as_json:
        typer.echo(json.dumps([result._asdict() for result in results]))
    else:
        for result in failed:
            typer.echo(f"✗ {result.rule}: {result.expected} {result.text!r}")
        typer.echo(f"{len(results) - len(failed)} of {len(results)} examples hold")
    raise typer.Exit(1 if failed else 0)
