"""``status``, ``pause``, ``resume``, ``rollback``, ``stop``, ``acknowledge``, ``resolve``: steer a run from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_monitor.records import Amendment
    from azr_platform.channel.messages import Action, Decision

Run = Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")]
Why = Annotated[str, typer.Option("--why", "-m", help="Why; it goes on record.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def status(run: Run, as_json: Json = False) -> None:
    """Say how a run is doing: state, step, samples, blocked, open alerts, newest metrics."""
    import msgspec

    from azr_platform.ledger.branches import tree
    from azr_platform.ledger.reader import LedgerReader
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    with LedgerReader(run) as reader:
        summary = reader.summary()
    if as_json:
        typer.echo(json_text(msgspec.to_builtins(summary)))
        return
    where = f" ({visible_line(summary.where)})" if summary.where else ""
    reason = f": {visible_line(summary.reason)}" if summary.reason else ""
    typer.echo(f"{summary.run}: {summary.state}{where}{reason}")
    of = f" of {summary.steps}" if summary.steps else ""  # a log of another trainer does not tell
    typer.echo(f"  step {summary.step}{of} on branch {summary.branch}")
    typer.echo(f"  {summary.samples} samples, {summary.blocked} blocked, {summary.alerts_open} alerts open")
    if summary.held:
        typer.echo(f"  {count(summary.held, 'held sample')} waiting for a decision: `azr-platform review {run}`")
    if summary.checkpoints:
        removed = f"; removed: {summary.checkpoints_removed}" if summary.checkpoints_removed else ""
        typer.echo(f"  checkpoints at steps {', '.join(map(str, summary.checkpoints))}{removed}")
    if summary.policy:
        amended = f", {count(summary.policy_changes, 'change')} by hand" if summary.policy_changes else ""
        typer.echo(f"  policy {visible_line(summary.policy)}{amended}")
    if summary.quarantined_tasks or summary.quarantined_programs:
        tasks, programs = count(summary.quarantined_tasks, "task"), count(summary.quarantined_programs, "program")
        typer.echo(f"  {tasks} and {programs} in quarantine")
    if len(summary.branches) > 1:
        typer.echo("  branches")
        for line in tree(summary.branches):
            typer.echo(f"    {visible_line(line)}")
    for name, value in summary.metrics.items():
        typer.echo(f"  {visible_line(name):<32} {'–' if value is None else f'{value:.4g}'}")


def pause(run: Run, why: Why = "", as_json: Json = False) -> None:
    """Pause a run at its next safe point, within the phase it is in."""
    from azr_platform.channel.messages import Action

    give(run, Action.PAUSE, why, as_json)


def resume(run: Run, why: Why = "", as_json: Json = False) -> None:
    """Let a paused run go on. (A run that ended, or whose supervisor is gone, is continued with `train --resume`.)"""
    from azr_platform.channel.messages import Action

    give(run, Action.RESUME, why, as_json)


def rollback(
    run: Run,
    to: Annotated[int, typer.Option(help="The step to go back to; it must have a checkpoint.")],
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="Not drawn again: task:ID, sample:NUMBER or rule:ID. May be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the new branch's draws.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be undone.")] = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Go back to a checkpoint: weights, optimizer, buffers and step, on a new branch. Nothing is deleted."""
    from azr_platform.channel.messages import Action

    given = tuple(exclude or ())
    if dry_run:
        _preview(run, to, given, as_json)
    give(run, Action.ROLLBACK, why, as_json, step=to, exclude=given, seed=seed)


def stop(run: Run, why: Why = "", as_json: Json = False) -> None:
    """Stop a run at its next safe point, with a checkpoint."""
    from azr_platform.channel.messages import Action

    give(run, Action.STOP, why, as_json)


def acknowledge(
    run: Run,
    alert: Annotated[int, typer.Option(help="The alert's number; 0 means every open one.")] = 0,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Mark alerts as seen. They stay on record."""
    from azr_platform.channel.messages import Action

    give(run, Action.ACKNOWLEDGE, why, as_json, alert=alert)


def resolve(
    run: Run,
    alert: Annotated[int, typer.Option(min=1, max=2**63 - 1, help="The alert's number.")],
    false_alarm: Annotated[
        bool, typer.Option("--false-alarm", help="There was nothing to find: decides so about its sample, as a label.")
    ] = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Close an alert: resolved, or a false alarm. It stays on record."""
    from azr_platform.channel.messages import Action

    give(run, Action.FALSE_ALARM if false_alarm else Action.RESOLVE, why, as_json, alert=alert)


def _preview(run: Path, step: int, exclude: tuple[str, ...], as_json: bool) -> NoReturn:
    """Say what a rollback would do, from the record alone."""
    import msgspec

    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor.quarantine import Preview, Unclear, preview
    from azr_platform.supervisor.runfolder import checkpoint_at
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    with LedgerReader(run) as reader:
        chosen, problem = checkpoint_at(run, reader, step)
        try:
            found = preview(reader, step, exclude) if chosen else Preview(False, problem, step)
        except Unclear as error:
            found = Preview(False, str(error), step)
    if as_json:
        typer.echo(json_text(msgspec.to_builtins(found)))
    else:
        typer.echo(visible_line(found.detail), err=not found.ok)
    if found.ok and not as_json:
        left = [count(found.steps, "step"), count(found.samples, "sample"), count(found.alerts, "alert")]
        typer.echo(f"  leaves behind {', '.join(left)} and {count(found.checkpoints, 'checkpoint')}, on record")
        if exclude:
            typer.echo(f"  puts {count(found.tasks, 'task')} and {count(found.programs, 'program')} into quarantine")
    raise typer.Exit(0 if found.ok else 1)


def give(
    run: Path,
    action: Action,
    why: str,
    as_json: bool,
    *,
    step: int | None = None,
    exclude: tuple[str, ...] = (),
    seed: int | None = None,
    alert: int = 0,
    sample: int = 0,
    decision: Decision | None = None,
    amendment: Amendment | None = None,
) -> NoReturn:
    """Give a command to the run's supervisor, or carry it out where none is needed; say what came of it, and exit."""
    import getpass

    from azr_platform.channel.client import ControlClient, NotSupervised
    from azr_platform.channel.messages import Action, Command
    from azr_platform.ledger.errors import UnknownRun
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor.runfolder import KeptLog, steer_ended
    from azr_tui.escape import visible_line

    if not (run / "ledger.db").is_file():
        raise UnknownRun(run)
    who = f"{getpass.getuser()} (command line)"
    order = Command(
        action=action,
        who=who,
        why=why,
        step=step,
        exclude=exclude,
        seed=seed,
        alert=alert,
        sample=sample,
        decision=decision,
        amendment=amendment,
    )
    try:
        with ControlClient(run) as client:
            outcome = client.command(order)
    except NotSupervised:
        if action in (Action.PAUSE, Action.RESUME, Action.STOP):
            with LedgerReader(run) as reader:
                if reader.kept_log():
                    raise KeptLog(run) from None
            raise
        outcome = steer_ended(run, order)
    if as_json:
        typer.echo(json_text({"ok": outcome.ok, "detail": outcome.detail}))
    else:
        typer.echo(visible_line(outcome.detail), err=not outcome.ok)
    raise typer.Exit(0 if outcome.ok else 1)
