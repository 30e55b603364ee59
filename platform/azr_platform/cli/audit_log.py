"""azr-platform audit PATH, where PATH is another trainer's log: read, judge, and say what was left out."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azr_monitor.records import Severity
    from azr_platform.cli.foreign import Answer, Found, Reading
    from azr_platform.logs.records import Format

_MOST_SHOWN = 20


def audit_log(
    path: Path,
    policy: str,
    *,
    form: str,
    mapping: list[str],
    limit: int,
    run: bool,
    as_json: bool,
    workers: int,
    keep: Path | None,
) -> Severity | None:
    """Judge a log; the worst that was found in it. With ``keep`` it becomes a ledger in that folder.

    Raises:
        BadInput: a format or a mapping that is none, nothing in the path that could be judged, or a folder that is
            there already.
    """
    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_platform.cli.foreign import Reading
    from azr_platform.cli.input import BadInput
    from azr_platform.cli.tables import progress
    from azr_platform.ledger.judgements import IN_PART
    from azr_platform.logs.files import files
    from azr_platform.supervisor.keep import LogKeeper
    from azr_sandbox.pool import JailPool

    if path.is_dir() and next(files(path), None) is None:
        raise BadInput(f"{path}: neither a run's folder nor one with a log in it (.jsonl, .json, .parquet, .eval)")
    if keep is not None:
        _vacant(keep, path)
    reading = Reading(path, _format(form, mapping), limit=limit, run=run, keep=keep is not None)
    loaded = load_policy(policy)
    auditor = Auditor.from_policy(loaded)
    for notice in auditor.notices:
        typer.echo(f"note: {notice}", err=True)
    found = reading.found
    with (
        nullcontext() if keep is None else LogKeeper(keep, path, loaded, ran=run) as keeper,
        JailPool() if run else nullcontext() as jail,
        progress(None, as_json, unit="cases") as advance,
    ):
        for answer in _answers(reading, auditor, jail, policy, workers):
            found.merge(answer.found)
            if keeper is not None:
                keeper.add(answer.kept)
            if as_json and answer.rows:
                typer.echo("\n".join(answer.rows))
            advance(len(answer.rows))
        if keeper is not None:
            left_out = {reason.value: count for reason, count in found.skipped.items()}
            in_part = {f"{IN_PART}{notice.partition(';')[0]}": found.judged for notice in auditor.notices}
            keeper.finish(_told(reading), left_out | in_part)
            head = keeper.head
    if as_json:
        typer.echo(json_text({"summary": _summary(reading)}))
    else:
        _show(reading, ran=run)
    _complain(path, reading)
    if found.unread:
        typer.echo(f"note: {_unread(found)}", err=True)
    if keep is not None:
        typer.echo(f"kept as a ledger, head {head}: azr-platform tui {keep}", err=True)
    return found.worst


def _vacant(folder: Path, path: Path) -> None:
    """See that the ledger's folder is to be made anew, and not where the log would be found to hold it."""
    from azr_platform.cli.input import BadInput

    if os.path.lexists(folder):
        raise BadInput(f"--keep {folder}: something is there already; give the name of a new folder")
    if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
        raise BadInput(f"--keep {folder}: lies in the log's own folder; give a folder elsewhere")


def _told(reading: Reading) -> Iterator[str]:
    """What goes on record of how the log was read."""
    from azr_tui.wording import count

    for read in reading.read[:_MOST_SHOWN]:
        yield f"{read.file}: {read.format} ({read.why})"
    if reading.files > _MOST_SHOWN:
        yield f"and {reading.files - _MOST_SHOWN} more files"
    found = reading.found
    yield _counts(reading)
    for reason, number in found.skipped.most_common():
        first = found.examples[reason][0]
        yield f"not judged: {reason.value}, {count(number, 'time')}; first {first.place}: {first.why}"


def _format(name: str, mapping: list[str]) -> Format | None:
    from azr_platform.cli.input import BadInput
    from azr_platform.logs.detect import format_named
    from azr_platform.logs.mapped import Mapped

    try:
        return Mapped(mapping) if mapping else format_named(name) if name else None
    except ValueError as error:
        raise BadInput(str(error)) from error


def _answers(reading: Reading, auditor: Any, jail: Any, policy: str, workers: int) -> Iterator[Answer]:
    from azr_platform.cli.foreign import answer
    from azr_platform.cli.judging import spread

    if workers == 1:
        return (answer(work, auditor, jail) for work in reading.works())
    return spread(reading.works(), answer, policy, workers)


def _complain(path: Path, reading: Reading) -> None:
    """A path that held nothing to judge was named wrongly, or read wrongly."""
    from azr_platform.cli.input import BadInput

    found = reading.found
    if found.judged:
        return
    if reading.files and not found.skipped:
        typer.echo(f"note: {path} holds no rows, so nothing was judged", err=True)
        return
    first = next(iter(next(iter(found.examples.values()))))
    raise BadInput(f"{path}: nothing in it could be judged; {first.place}: {first.reason.value}: {first.why}")


def _unread(found: Found) -> str:
    """What counts as high because nobody could read it, by the reason, each with its first place."""
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    whys = "; ".join(
        f"{number} {reason.value}, the first {found.examples[reason][0].place}"
        for reason, number in found.skipped.most_common()
        if reason.unread
    )
    return visible_line(f"{count(found.unread, 'thing')} not judged, which counts as high: {whys}", 2000)


# -- the summary -----------------------------------------------------------------------------------------


def _summary(reading: Reading) -> dict[str, Any]:
    found = reading.found
    return {
        "files": reading.files,
        "formats": [read._asdict() for read in reading.read[:_MOST_SHOWN]],
        "rows": found.rows,
        "judged": found.judged,
        "verdicts": dict(found.tally.verdicts),
        "unread": found.unread,
        "skipped": {
            reason.value: {
                "count": count,
                "unread": reason.unread,
                "first": [{"place": str(skip.place), "why": skip.why} for skip in found.examples[reason]],
            }
            for reason, count in found.skipped.items()
        },
        "worst": found.worst.label if found.worst is not None else "none",
    }


def _show(reading: Reading, *, ran: bool) -> None:
    from rich.console import Console

    from azr_platform.cli.tables import show, table

    console = Console(highlight=False)
    for read in reading.read[:_MOST_SHOWN]:
        console.print(_line(f"{read.file}: {read.format} ({read.why})"), soft_wrap=True)
    if len(reading.read) > _MOST_SHOWN:
        console.print(f"and {reading.files - _MOST_SHOWN} more files")
    found = reading.found
    console.print(_counts(reading))
    show(found.tally, ran=ran)
    if found.skipped:
        rows = ((reason.value, count) for reason, count in found.skipped.most_common())
        console.print(table("Not judged", "times", rows))
        for line in _examples(found):
            console.print(_line(line), soft_wrap=True)


def _counts(reading: Reading) -> str:
    from azr_tui.wording import count

    found = reading.found
    return f"{count(reading.files, 'file')}, {count(found.rows, 'row')} read, {count(found.judged, 'case')} judged"


def _examples(found: Found) -> Iterator[str]:
    for reason, _ in found.skipped.most_common():
        for skip in found.examples[reason]:
            yield f"  {skip.place}: {reason.value}: {skip.why}"


def _line(text: str) -> Any:
    """Names and whys are others' words: one line, and nothing in it acts on the terminal."""
    from rich.text import Text

    from azr_tui.escape import visible_line

    return Text(visible_line(text, 500))
