"""``azr-platform audit``: judge what is already written, a run's samples, another trainer's log, or any JSONL file."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from azr_platform.cli.audits.options import Branch, FailOn, Sample, Since, Until, Where, selection, severity_named
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_monitor.records import Severity
    from azr_platform.ledger.heads import Head


def audit(
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="A run's folder, or another trainer's log.")
    ] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Judge our own JSONL instead; - is standard input.")] = None,
    policy: Annotated[str, typer.Option(help="default, strict, observe or a YAML file.")] = "default",
    verify: Annotated[bool, typer.Option("--verify", help="Only walk the run's hash chain.")] = False,
    head: Annotated[str, typer.Option(help="With --verify: a head noted earlier must still be on the chain.")] = "",
    heads: Annotated[
        Path | None, typer.Option(help="With --verify: a copy of the run's heads.jsonl, kept elsewhere.")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="Of a log: read it as this format.")] = "",
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="NAME=PATH", help="Of a log: where it stands; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Of a log: read so many rows and no more.")] = 0,
    run: Annotated[bool, typer.Option("--run", help="Of a log: run its programs in the jail.")] = False,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of a log: keep it as a ledger, to be opened like a run.")
    ] = None,
    fail_on: FailOn = "",
    since: Since = None,
    until: Until = None,
    branch: Branch = None,
    where: Where = "",
    sample: Sample = 0,
    anew: Annotated[
        bool, typer.Option("--anew", help="Of a run: begin anew, though the same audit was begun and not finished.")
    ] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="With --jsonl: judge the texts, run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line each instead of tables.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that judge texts; 0 means one a core.")] = 1,
) -> None:
    """Judge a run again, verify its record, or judge what another trainer wrote.

    A log is a file or a folder: JSON lines, JSON, Parquet or Inspect's .eval, as verl, TRL, verifiers, prime-rl,
    OpenRLHF, the Absolute Zero Reasoner and Inspect write them, or any other with --map.

    A line of --jsonl holds {"id", "trace"} and/or {"id", "program", "input"} ("inputs": a list); "snippet" is read as
    "program", "imports" are put before it, and "output" or "outputs" are compared with what the jail observes.
    """
    from azr_platform.cli.input import BadInput

    if (path is None) == (jsonl is None):
        raise BadInput("give a run's folder, a log, or --jsonl FILE, one of them")
    threshold = severity_named(fail_on)
    of_log = path is not None and path.exists() and not (path / "ledger.db").exists()
    if not of_log and (form or mapping or limit or run or keep):
        if path is not None and not path.exists():
            raise BadInput(f"{path}: there is no such file or folder")
        raise BadInput("--format, --map, --limit, --run and --keep are for logs of other trainers")
    chosen = selection(since, until, branch, where, sample)
    if (chosen.words or anew) and (of_log or jsonl is not None or verify):
        raise BadInput("--since, --until, --branch, --where, --sample and --anew are for judging a run again")
    if verify and (of_log or jsonl is not None):
        raise BadInput("--verify walks a run's hash chain; give a run's folder")
    if (head or heads) and not verify:
        raise BadInput("--head and --heads go with --verify")
    processes = workers or len(os.sched_getaffinity(0))
    if jsonl is not None:
        if workers != 1 and not no_run:
            raise BadInput("--workers goes with --no-run; programs run in one warm jail a core as it is")
        worst = _audit_file(jsonl, policy, no_run, as_json, processes)
    elif path is not None and of_log:
        if run and (no_run or workers != 1):
            raise BadInput(
                "--run goes with neither --no-run nor --workers; programs run in one warm jail a core as it is"
            )
        from azr_platform.cli.audit_log import audit_log

        worst = audit_log(
            path,
            policy,
            form=form,
            mapping=mapping or [],
            limit=limit,
            run=run,
            as_json=as_json,
            workers=processes,
            keep=keep,
        )
    elif path is not None and verify:
        _verify(path, head, heads, as_json)
    elif path is not None:
        from azr_platform.cli.audits.rejudge import audit_run

        worst = audit_run(path, policy, chosen, anew=anew, as_json=as_json, workers=processes)
    if threshold is not None and worst is not None and worst >= threshold:
        typer.echo(f"the worst that was found is {worst.label}, and --fail-on is {threshold.label}", err=True)
        raise typer.Exit(1)


# -- a file ----------------------------------------------------------------------------------------------


def _audit_file(file: Path, policy: str, no_run: bool, as_json: bool, workers: int) -> Severity | None:
    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_platform.cli.input import BadInput, read_lines
    from azr_platform.cli.judging import Tally, answers, answers_of
    from azr_platform.cli.tables import progress, show
    from azr_sandbox.pool import JailPool

    auditor = Auditor.from_policy(load_policy(policy))
    for notice in auditor.notices:
        typer.echo(f"note: {notice}", err=True)
    tally, bad, why = Tally(), 0, ""
    lines = read_lines(file)
    size = file.stat().st_size if file.is_file() else None
    with (
        nullcontext() if no_run else JailPool() as jail,
        progress(size, as_json) as advance,
    ):
        for answer in answers(lines, auditor, jail) if workers == 1 else answers_of(lines, policy, workers):
            tally.merge(answer.tally)
            why = why or next(iter(answer.bad), "")
            bad += len(answer.bad)
            if as_json:
                typer.echo("\n".join(answer.rows))
            advance(answer.size)
    if not tally.verdicts:
        typer.echo(f"note: {file} holds no lines, so nothing was judged", err=True)
    if not as_json:
        show(tally, ran=not no_run)
    if bad:
        more = f", and {bad - 1} more such lines" if bad > 1 else ""
        raise BadInput(f"{file}: {why}{more}; each is answered with block")
    return tally.worst


# -- a run -----------------------------------------------------------------------------------------------


def _verify(run: Path, head: str, copy: Path | None, as_json: bool) -> NoReturn:
    from azr_platform.ledger.reader import LedgerReader

    with LedgerReader(run) as reader:
        noted, unread = _noted(run, copy)
        found = reader.verify(head, noted)
    if as_json:
        fields = {"intact": found.intact, "rows": found.rows, "head": found.head, "problem": found.problem}
        typer.echo(json_text({**fields, "noted_heads": len(noted), "unread_heads": unread}))
    elif found.intact:
        typer.echo(f"intact: {found.rows} rows, head {found.head}")
        typer.echo(f"{len(noted)} heads that were noted with checkpoints are on the chain, each in its place")
        if not head and copy is None:
            typer.echo(
                "Whoever can write the run's folder can make all of it anew; a head (--head), or a copy of heads.jsonl "
                "(--heads), that was kept elsewhere shows it."
            )
    else:
        typer.echo(f"NOT intact after {found.rows} good rows: {found.problem}", err=True)
    if unread and not as_json:
        typer.echo(f"note: {unread} lines of the noted heads cannot be read", err=True)
    raise typer.Exit(0 if found.intact else 1)


def _noted(run: Path, copy: Path | None) -> tuple[list[Head], int]:
    """The heads to hold the chain against, and how many lines are none; a run that noted none has none."""
    from azr_platform.ledger.heads import FILE, read

    try:
        return read(copy or run / FILE)
    except FileNotFoundError:
        if copy is not None:
            raise
        return [], 0
