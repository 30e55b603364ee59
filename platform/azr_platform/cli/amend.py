"""``azr-platform policy set`` and ``policy try``: change the policy of a run, and see first what that would do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.control import Json, Run, Why
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from azr_monitor.policy import Policy
    from azr_monitor.records import Amendment
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor.trial import Difference, Progress

Rule = Annotated[str, typer.Argument(metavar="RULE", help="A rule's name, or classifier.category.", show_default=False)]
Off = Annotated[bool, typer.Option("--off", help="It applies no more.")]
On = Annotated[bool, typer.Option("--on", help="It applies again.")]
ActionName = Annotated[str, typer.Option("--action", metavar="NAME", help="What its findings call for.")]
Thresholds = Annotated[
    list[str] | None,
    typer.Option("--threshold", metavar="SEVERITY=VALUE", help="Of a classifier's category; may be repeated."),
]


def change(
    run: Run,
    rule: Rule,
    off: Off = False,
    on: On = False,
    action: ActionName = "",
    threshold: Thresholds = None,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Change one rule of a run's policy from the next step on: off or on, its action, or a category's thresholds.

    It goes on record with who and why (--why is needed), and is kept when the run is resumed.
    """
    from azr_platform.channel.messages import Action
    from azr_platform.cli.control import give

    give(run, Action.AMEND, why, as_json, amendment=_amendment(rule, off, on, action, threshold or []))


def attempt(
    run: Run,
    rule: Annotated[str, typer.Argument(metavar="[RULE]", help="The rule to change.", show_default=False)] = "",
    off: Off = False,
    on: On = False,
    action: ActionName = "",
    threshold: Thresholds = None,
    rules: Annotated[
        list[Path] | None, typer.Option("--rules", metavar="FILE", help="Add a file of rules; may be repeated.")
    ] = None,
    policy: Annotated[str, typer.Option(metavar="NAME", help="Instead, try another policy.")] = "",
    newest: Annotated[int | None, typer.Option(min=1, help="Only so many of the newest samples.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="The run is mine: open what the policy in its record names.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try a change on the samples that a run has judged: what would be blocked, and what no longer. Changes nothing."""
    from azr_monitor.amend import change_of
    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_platform.cli.input import BadInput
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor.trial import trial, with_rule_file

    if not rule and not rules and not policy:
        raise BadInput(
            "say what to try: RULE with --off, --on, --action or --threshold, --rules FILE, or --policy NAME"
        )
    with LedgerReader(run) as reader:
        now = _policy_of(run, reader, trust)
        tried = load_policy(policy) if policy else now
        for path in rules or []:
            tried = with_rule_file(tried, path)
        if rule:
            given = _amendment(rule, off, on, action, threshold or [])
            change_of(tried, given)
            tried = _amended(tried, given)
        before = Auditor.from_policy(now)
        after = (
            before.under(tried) if tried.classifiers == now.classifiers or not policy else Auditor.from_policy(tried)
        )
        _show(trial(reader, before, after, newest), as_json)


def _amendment(rule: str, off: bool, on: bool, action: str, threshold: list[str]) -> Amendment:
    from azr_monitor.records import Amendment
    from azr_platform.cli.input import BadInput

    if off and on:
        raise BadInput("--off and --on: give one of them")
    steps: dict[str, float] = {}
    for word in threshold:
        severity, _, value = word.partition("=")
        try:
            steps[severity] = float(value)
        except ValueError:
            raise BadInput(f"--threshold {word}: give SEVERITY=VALUE, such as medium=0.85") from None
    return Amendment(rule=rule, enabled=(True if on else False if off else None), action=action, thresholds=steps)


def _amended(policy: Policy, amendment: Amendment) -> Policy:
    from azr_monitor.amend import amended

    return amended(policy, amendment)


def _policy_of(run: Path, reader: LedgerReader, trust: bool) -> Policy:
    """The policy as it stands in a run; for a run of an older version, the one that its configuration names.

    Whoever wrote a record does not choose what is opened here: files, models and endpoints that it names are left alone
    unless the user trusts it, or a supervisor on this machine judges by them right now.
    """
    from azr_monitor.outside import named_outside
    from azr_monitor.policy import POLICIES, load_policy
    from azr_platform.config.load import load
    from azr_platform.ledger.policies import base_on_record, changes, with_changes

    trusted = trust or reader.supervisor_alive()
    rows = reader.policies()
    base = base_on_record(rows)
    if base is None:
        name = load(file=run / "run.toml").supervisor.policy
        if name not in POLICIES and not trusted:
            raise _not_ours(run, [f"policy: {name}"])
        base = load_policy(name)
    elif not trusted and (named := named_outside(base)):
        raise _not_ours(run, named)
    return with_changes(base, changes(rows))[0]


def _not_ours(run: Path, named: list[str]) -> Exception:
    from azr_platform.cli.input import BadInput
    from azr_tui.escape import visible_line

    names = visible_line("; ".join(named), 400)
    return BadInput(
        f"{run}: its record's policy names what this package does not hold, and nothing of it was opened: {names}; "
        "if the run is yours, say so with --trust"
    )


def _show(told: Iterable[Progress | Difference], as_json: bool) -> None:
    """Differences as they are found; how far it is, as lines of JSON or as a bar."""
    import msgspec
    from rich.console import Console
    from rich.progress import Progress as Bar

    from azr_platform.supervisor.trial import Difference
    from azr_tui.escape import visible_line

    found: list[Difference] = []
    judged = 0
    with Bar(console=Console(stderr=True), disable=as_json) as bar:
        task = bar.add_task("judging", total=None)
        for one in told:
            if as_json:
                typer.echo(json_text(msgspec.to_builtins(one)))
            if isinstance(one, Difference):
                found.append(one)
            else:
                judged = one.judged
                bar.update(task, completed=one.judged, total=one.of)
    blocked, released = sum(one.newly_blocked for one in found), sum(one.released for one in found)
    if as_json:
        typer.echo(
            json_text(
                {
                    "done": judged,
                    "newly_blocked": blocked,
                    "released": released,
                    "others": len(found) - blocked - released,
                }
            )
        )
        return
    for one in found:
        where = f"{one.sample:>8}  step {one.step:<6} {one.before:>5} -> {one.after:<5}"
        typer.echo(f"{where}  {visible_line(one.cause, 40)}: {visible_line(one.reason, 160)}")
    causes = Counter(one.cause for one in found).most_common(5)
    by = f"; by {', '.join(f'{visible_line(cause, 40)} ({n})' for cause, n in causes)}" if causes else ""
    typer.echo(f"of {judged} samples {blocked} would be blocked that are not, {released} no longer{by}")
