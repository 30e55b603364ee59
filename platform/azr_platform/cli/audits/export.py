"""azr-platform audit export: judged samples for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azr_platform.cli.audits import options
from azr_platform.cli.control import Run

if TYPE_CHECKING:
    from azr_platform.audits.export.rows import Row

    Writer = Callable[[Iterable[Row], Any, Path], None]


class Form(StrEnum):
    """What is written."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    HF = "hf"
    INSPECT = "inspect"


def export(
    run: Run,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file; for hf a new folder.")],
    to: Annotated[Form, typer.Option("--to", help="hf is a dataset's folder, inspect a log of Inspect's.")],
    redact: Annotated[
        bool, typer.Option("--redact", help="Put [redacted: RULE] for what was flagged, in every column.")
    ] = False,
    audit: options.Audit = "live",
    since: options.Since = None,
    until: options.Until = None,
    branch: options.Branch = None,
    where: options.Where = "",
    sample: options.Sample = 0,
) -> None:
    """Export what a run, or an audit of it, made of its samples, with their texts.

    Open it with pandas or pyarrow (parquet), datasets.load_dataset("OUT") (hf), or `inspect view` (inspect).
    """
    from azr_platform.audits.export.about import about
    from azr_platform.audits.export.rows import rows
    from azr_platform.audits.selection import audit_named
    from azr_platform.cli.input import BadInput
    from azr_platform.cli.tables import progress
    from azr_platform.ledger.reader import LedgerReader
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    write = _writer(to)
    if to is Form.INSPECT and out.suffix != ".eval":
        raise BadInput(f"{out}: Inspect takes a log by its name; let it end in .eval")
    selected = options.selection(since, until, branch, where, sample)
    written = 0
    with LedgerReader(run) as reader, progress(reader.newest_sample(), False, unit="samples") as advance:
        name = audit_named(reader, audit)
        if empty := options.none_selected(reader, name, selected):
            typer.echo(f"note: {empty}", err=True)
        told = about(reader, name, selected, redacted=redact)

        def counted() -> Iterator[Row]:
            nonlocal written
            for row in rows(reader, name, selected, redact=redact):
                yield row
                written += 1
                advance(1)

        try:
            write(counted(), told, out)
        except FileExistsError as error:
            raise BadInput(f"{out}: something is there already; give the name of a new one") from error
        except OSError as error:
            raise BadInput(f"{out}: cannot be written ({error.strerror or error})") from error
    typer.echo(f"{count(written, 'sample')} in {visible_line(str(out))}; chain verified up to {told.head}", err=True)
    if told.problem:
        typer.echo(f"warning: the ledger is NOT intact: {visible_line(told.problem)}", err=True)


def _writer(to: Form) -> Writer:
    from azr_platform.audits.export import inspect, jsonl
    from azr_platform.cli.input import BadInput

    if to in (Form.JSONL, Form.INSPECT):
        return jsonl.write if to is Form.JSONL else inspect.write
    try:
        from azr_platform.audits.export import dataset, parquet
    except ModuleNotFoundError as error:
        raise BadInput(f"--to {to} needs {error.name}; install azr-platform[logs]") from error
    return parquet.write if to is Form.PARQUET else dataset.write
