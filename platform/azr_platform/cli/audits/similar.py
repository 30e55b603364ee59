"""azr-platform audit similar: which of a run's samples are like an example."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.audits import options
from azr_platform.cli.audits.ask import shown
from azr_platform.cli.control import Json, Run
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azr_platform.audits.similar import Alike, Similar
    from azr_platform.ledger.reader import LedgerReader

_LONGEST = 1_000_000  # characters of an example


def similar(
    run: Run,
    to: Annotated[str, typer.Option(metavar="EXAMPLE", help="A text, @FILE, or the number of a sample.")],
    audit: options.Audit = "live",
    since: options.Since = None,
    until: options.Until = None,
    branch: options.Branch = None,
    where: options.Where = "",
    sample: options.Sample = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most alike so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Find the samples that are most like an example, by the words they share. Exits 1 when there is none.

    Each different word of the example weighs the more the fewer of the run's samples hold it; the likeness of a sample
    is the weight of the words that it holds too, of all of them. What says the same in other words is not found.
    """
    import msgspec

    from azr_platform.audits.selection import audit_named, judgements
    from azr_platform.audits.similar import similar as most_alike
    from azr_platform.cli.search import _told
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.ledger.search import SearchIndex

    chosen = options.selection(since, until, branch, where, sample)
    with LedgerReader(run) as reader:
        text, itself = _example(reader, run, to)
        name = audit_named(reader, audit)
        with SearchIndex(reader) as index:
            index.update(_told)
            judged = judgements(reader, name, chosen)
            found = most_alike(judged, reader, index, text, itself=itself, most=limit)
    if as_json:
        typer.echo(json_text({"audit": name or "live", "selection": chosen.words, **msgspec.to_builtins(found)}))
    else:
        for line in _lines(found, run):
            typer.echo(shown(line))
    raise typer.Exit(0 if found.rows else 1)


def _example(reader: LedgerReader, run: Path, to: str) -> tuple[str, int | None]:
    """The text to compare with, and the sample that it is of, if it is one's."""
    from azr_platform.cli.input import BadInput

    if to.isascii() and to.isdigit():
        number = int(to)
        detail = reader.sample(number)
        if detail is None:
            raise BadInput(f"--to {to}: there is no sample {to} in {run}; a text of digits alone goes into a @FILE")
        return detail.response, number
    text = to
    if to.startswith("@"):
        file = Path(to[1:])
        try:
            with file.open(encoding="utf-8", errors="replace") as handle:
                text = handle.read(_LONGEST + 1)
        except OSError as error:
            raise BadInput(f"--to {to}: {file} cannot be read ({error.strerror})") from error
    if len(text) > _LONGEST:
        raise BadInput(f"--to: the example is longer than {_LONGEST:,} characters; give the part that matters")
    if not any(map(str.isalnum, text)):
        raise BadInput("--to: no letter and no digit to compare by; give some words")
    return text, None


def _lines(found: Similar, run: Path) -> Iterator[str]:
    from azr_platform.audits.similar import LEAST
    from azr_tui.wording import count

    unknown = f", {found.unknown} of which no sample holds" if found.unknown else ""
    yield f"{count(found.words, 'different word')} in the example{unknown}"
    yield f"{count(found.held, 'sample')} {'holds' if found.held == 1 else 'hold'} some of the telling ones"
    for row in found.rows:
        yield from _row(row)
    if found.unlike:
        yield f"{count(found.unlike, 'text')} below {LEAST:.0%} left out"
    if not found.rows:
        most = f"; the most that any shares is {found.highest:.1%}" if found.unlike else ""
        yield f"none is alike: from {LEAST:.0%} of the example's words on a sample is listed{most}"
    else:
        yield "the share is of the example's words, rare ones weighing more, not of its meaning"
        yield f"look closer: azr-platform review {shlex.quote(str(run))} --sample N"


def _row(row: Alike) -> Iterator[str]:
    from azr_platform.cli.audits.told import place
    from azr_tui.escape import visible_line

    copies = f", {row.copies} more alike" if row.copies else ""
    rules = ", ".join(dict.fromkeys(finding.rule for finding in row.judgement.findings))
    start = row.snippet.spans[0][0] if row.snippet.spans else 0
    yield f"{row.overlap:>5.0%}  {place(row.judgement)}{copies}"
    yield f"       {visible_line(row.snippet.text[max(0, start - 24) :], 73)}"
    if rules:
        yield f"       {visible_line(rules, 73)}"
