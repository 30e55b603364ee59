"""azr-platform audit ask: when it began, how often, how far it spread, what it earned, the worst, and what is alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.audits import options
from azr_platform.cli.control import Json, Run
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_platform.audits.questions import Question


def ask(
    run: Run,
    question: Annotated[
        str,
        typer.Argument(metavar="[QUESTION]", help="first, timeline, spread, together, reward, worst or clusters."),
    ] = "",
    audit: options.Audit = "live",
    since: options.Since = None,
    until: options.Until = None,
    branch: options.Branch = None,
    where: options.Where = "",
    sample: options.Sample = 0,
    severity: Annotated[
        str, typer.Option(metavar="SEVERITY", help="Findings count from this severity on; else from medium on.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows and examples of each answer.")] = 20,
    as_json: Json = False,
) -> None:
    """Ask what was flagged in a run: by its own verdicts, or as an audit judged it. Without a question: all, in short.
    Exits 1 when no sample is selected.

    first: when each category and rule was seen first, and the words. timeline: how often, step by step, and where that
    changed. spread: what descends from flagged proposals. together: what is found in the same samples. reward: what it
    earned. worst: the samples of the highest scores, with context. clusters: traces that are nearly the same.
    """
    import msgspec

    from azr_platform.audits.questions import Asked, answers
    from azr_platform.audits.selection import audit_named
    from azr_platform.cli.audits.told import told
    from azr_platform.cli.tables import progress
    from azr_platform.ledger.reader import LedgerReader

    wanted = _question(question)
    chosen = options.selection(since, until, branch, where, sample)
    least = options.severity_named(severity, "--severity")
    with LedgerReader(run) as reader:
        asked = Asked(audit_named(reader, audit), chosen, least, limit)
        empty = options.none_selected(reader, asked.audit, chosen)
        with progress(reader.newest_sample(), as_json, "samples", what="reading", stays=False) as advance:
            found = answers(reader, asked, *wanted, told=advance)
    if as_json:
        about = {"audit": asked.audit or "live", "selection": chosen.words, "severity": severity or None}
        typer.echo(json_text({**about, **msgspec.to_builtins(found)}))
    elif not empty:
        typer.echo(_meaning(severity, asked.audit))
        for line in told(found, run, limit if wanted else _IN_SHORT, short=not wanted):
            typer.echo(shown(line))
    if empty:
        typer.echo(empty, err=True)
        raise typer.Exit(1)


_IN_SHORT = 3
"""Rows of each answer where all questions are asked at once."""


def _meaning(severity: str, audit: str) -> str:
    from azr_tui.escape import visible_line

    by = f"as audit {visible_line(audit)} judged" if audit else "as the run itself judged"
    return f"{by}\nflagged: a finding of {severity or 'medium'} severity or worse, or blocked in doubt\n"


def shown(line: str) -> str:
    """A line as the terminal can show it."""
    import os

    from azr_tui.symbols import in_ascii, terminal_is_ascii

    return in_ascii(line) if terminal_is_ascii(os.environ) else line


def _question(name: str) -> list[Question]:
    from azr_monitor.fields import nearest
    from azr_platform.audits.questions import Question
    from azr_platform.cli.input import BadInput

    known = [question.value for question in Question]
    if name and name not in known:
        raise BadInput(f"there is no question {name!r}; there are {', '.join(known)}{nearest(name, known)}")
    return [Question(name)] if name else []
