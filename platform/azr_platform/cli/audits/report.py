"""azr-platform audit report: what an audit came to, to hand over: HTML, Markdown, JSON, and SARIF for programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from azr_platform.cli.audits.options import (
    Audit,
    Branch,
    FailOn,
    Sample,
    Since,
    Until,
    Where,
    none_selected,
    selection,
    severity_named,
)
from azr_platform.cli.control import Run
from azr_platform.cli.tables import wrapped
from azr_tui.escape import visible_line

if TYPE_CHECKING:
    from azr_monitor.records import Severity
    from azr_platform.audits.report import AuditReport
    from azr_platform.audits.selection import Selection
    from azr_platform.ledger.reader import LedgerReader

_HTML: Final = "audit.html"


def report(
    run: Run,
    audit: Audit = "live",
    since: Since = None,
    until: Until = None,
    branch: Branch = None,
    where: Where = "",
    sample: Sample = 0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="One HTML file (default: RUN/audit.html).")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="As Markdown.")] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="All of it as JSON; - is standard output.")
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was found in programs, as SARIF 2.1.0.")
    ] = None,
    fail_on: FailOn = "",
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write nothing: does an earlier report's JSON still hold?")
    ] = None,
) -> None:
    """Write what an audit came to, in a form that can be handed over, with what it vouches for.

    Exits with 1 when the run's record is not as it was written.
    """
    from azr_platform.audits.selection import audit_named
    from azr_platform.cli.input import BadInput
    from azr_platform.ledger.reader import LedgerReader

    threshold = severity_named(fail_on)
    chosen = selection(since, until, branch, where, sample)
    outputs = {"html": html, "markdown": markdown, "json": as_json, "sarif": sarif}
    wanted = {form: file for form, file in outputs.items() if file is not None}
    if check is not None and wanted:
        raise BadInput("--check writes nothing; leave --html, --markdown, --json and --sarif out")
    if [str(file) for file in wanted.values()].count("-") > 1:
        raise BadInput("standard output (-) takes one form; give the others files")
    with LedgerReader(run) as reader:
        if check is not None:
            failed = _check(reader, chosen, check)
        else:
            name = audit_named(reader, audit)
            if empty := none_selected(reader, name, chosen):
                typer.echo(f"note: {empty}", err=True)
            failed = _write(reader, name, chosen, wanted or {"html": run / _HTML}, threshold)
    if failed:
        typer.echo(visible_line(failed, 2000), err=True)
        raise typer.Exit(1)


def _write(
    reader: LedgerReader, audit: str, chosen: Selection, wanted: dict[str, Path], threshold: Severity | None
) -> str:
    """Write every form that is wanted; returns why the run does not pass, empty when it does."""
    from rich.console import Console

    from azr_platform.audits.report import content, digest, failing, gather, standing, verdict
    from azr_platform.audits.signoff import verified
    from azr_platform.cli.tables import progress

    quiet = any(str(file) == "-" for file in wanted.values())
    with Console(stderr=True).status("walking the hash chain"):  # shown on terminals only
        chain = verified(reader)
    with progress(reader.newest_sample(), quiet, "samples", what="reading", stays=False) as advance:
        found = gather(reader, audit, chosen, who=_who(), chain=chain, told=advance)
    plain = content(found)
    for form, file in wanted.items():
        _put(file, _form(form, found, plain, reader, chosen), follow=file != reader.run_folder / _HTML)
    if not quiet:
        for line in (verdict(found), "".join(standing(found))):
            typer.echo(wrapped(visible_line(line, 2000)))
        typer.echo(f"digest of the report:\n  {digest(plain)}")
        for file in wanted.values():
            typer.echo(wrapped(f"written: {visible_line(str(file), 2000)}"))
    if threshold is not None:
        return failing(found, threshold)
    return "" if found.chain_holds else f"the record is not as it was written: {found.signed.chain.problem}"


def _form(form: str, found: AuditReport, plain: dict[str, Any], reader: LedgerReader, chosen: Selection) -> str:
    from azr_platform.audits import markdown, page, sarif
    from azr_platform.audits.labels import labels
    from azr_platform.audits.report import as_json, digest
    from azr_platform.audits.sections import sections
    from azr_platform.audits.selection import judgements
    from azr_tui.escape import visible

    match form:
        case "html":
            return page.render(f"Audit of {found.run}", sections(found, digest(plain)), visible)
        case "markdown":
            return markdown.render(sections(found, digest(plain)), visible)
        case "sarif":
            stream = judgements(reader, found.signed.audit, chosen)
            log = sarif.render(found, stream, reader, labels(reader), visible)
            for line in log.notes:
                typer.echo(f"note: SARIF: {line}", err=True)
            return log.text
        case _:
            return as_json(plain)


def _put(file: Path, text: str, *, follow: bool) -> None:
    """Write a form. Nobody named the file in the run's own folder: a stranger's folder may hold a link of that name."""
    from azr_platform.cli.input import BadInput

    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (0 if follow else os.O_NOFOLLOW)
        with os.fdopen(os.open(file, flags, 0o666), "w", encoding="utf-8") as handle:
            handle.write(text)
    except OSError as error:
        raise BadInput(f"{file}: cannot be written ({error.strerror})") from error


def _check(reader: LedgerReader, chosen: Selection, file: Path) -> str:
    """Hold an earlier report against the run; returns what does not hold, empty when all of it does."""
    from azr_platform.audits.check import differences
    from azr_platform.cli.input import BadInput

    try:
        told = file.read_bytes()
        wrong = differences(told, reader, chosen, who=_who())
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from error
    if wrong:
        return f"{file} does not hold: {'; '.join(wrong)}"
    typer.echo(wrapped(f"{visible_line(str(file), 2000)} holds: as it was written, and what the run's record says"))
    return ""


def _who() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown user"
