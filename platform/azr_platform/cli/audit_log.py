"""azr-platform audit PATH, where PATH is another trainer's log: read, judge, and say what was left out."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azr_monitor.records import Severity
    from azr_platform.cli.foreign import Answer, Found, Reading
    from azr_platform.logs.records import Format

_MOST_SHOWN = 20


def audit_log(
    path: Path, policy: str, *, form: str, mapping: list[str], limit: int, run: bool, as_json: bool, workers: int
) -> Severity | None:
    """Judge a log; the worst that was found in it.

    Raises:
        BadInput: a format or a mapping that is none, or nothing in the path that could be judged.
    """
    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_platform.cli.foreign import Reading
    from azr_platform.cli.input import BadInput
    from azr_platform.cli.tables import progress
    from azr_platform.logs.files import files
    from azr_sandbox.pool import JailPool

    if path.is_dir() and next(files(path), None) is None:
        raise BadInput(f"{path}: neither a run's folder nor one with a log in it (.jsonl, .json, .parquet, .eval)")
    reading = Reading(path, _format(form, mapping), limit=limit, run=run)
    auditor = Auditor.from_policy(load_policy(policy))
    for notice in auditor.notices:
        typer.echo(f"note: {notice}", err=True)
    found = reading.found
    with JailPool() if run else nullcontext() as jail, progress(None, as_json, unit="cases") as advance:
        for answer in _answers(reading, auditor, jail, policy, workers):
            found.merge(answer.found)
            if as_json and answer.rows:
                typer.echo("\n".join(answer.rows))
            advance(len(answer.rows))
    if as_json:
        typer.echo(json.dumps({"summary": _summary(reading)}))
    else:
        _show(reading, ran=run)
    _complain(path, reading)
    return found.worst


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
    console.print(f"{reading.files} files, {found.rows} rows read, {found.judged} cases judged")
    show(found.tally, ran=ran)
    if found.skipped:
        rows = ((reason.value, count) for reason, count in found.skipped.most_common())
        console.print(table("Not judged", "times", rows))
        for line in _examples(found):
            console.print(_line(line), soft_wrap=True)


def _examples(found: Found) -> Iterator[str]:
    for reason, _ in found.skipped.most_common():
        for skip in found.examples[reason]:
            yield f"  {skip.place}: {reason.value}: {skip.why}"


def _line(text: str) -> Any:
    """Names and whys are others' words: one line, and nothing in it acts on the terminal."""
    from rich.text import Text

    from azr_tui.escape import visible_line

    return Text(visible_line(text, 500))
