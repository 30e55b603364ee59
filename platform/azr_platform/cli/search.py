"""azr-platform search: which of a run's samples hold given words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.control import Json, Run
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_platform.ledger.records import SampleDetail

WIDTH = 100  # characters of a text that are shown


def search(
    run: Run,
    words: Annotated[
        list[str],
        typer.Argument(metavar="WORDS", help="All must occur. In quotes: in this order. word*: any that begins so."),
    ],
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    anew: Annotated[bool, typer.Option("--anew", help="Make RUN/search.db anew first.")] = False,
    as_json: Json = False,
) -> None:
    """Find samples by the words in the model's responses. Exits 1 when there is none."""
    from azr_platform.cli.input import BadInput
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.ledger.search import SearchIndex
    from azr_tui.wording import count as count_of

    if not any(any(map(str.isalnum, word)) for word in words):
        raise BadInput("search: no letter and no digit to look for. Give a word, such as `humans`.")
    with LedgerReader(run) as reader, SearchIndex(reader, anew=anew) as index:
        index.update(_told)
        count, numbers = index.find(words, limit)
        for number in numbers:
            if (detail := reader.sample(number)) is not None:
                typer.echo(_as_json(detail, words) if as_json else _as_line(detail, words))
    if not as_json:
        more = f" The newest {limit} are shown." if count > limit else ""
        typer.echo(f"{count_of(count, 'sample')} found.{more}", err=True)
    raise typer.Exit(0 if count else 1)


def _told(done: int, total: int) -> None:
    import sys

    if sys.stderr.isatty():
        typer.echo(f"\rindexing {done} of {total}" + ("\r\033[K" if done == total else ""), err=True, nl=False)


def _as_line(detail: SampleDetail, words: list[str]) -> str:
    from azr_platform.ledger.search import place
    from azr_tui.escape import visible_line

    one = detail.sample
    verdict = "not judged" if one.allowed is None else "allowed" if one.allowed else "blocked"
    start, end = place(detail.response or "", words)
    first = max(0, start - WIDTH // 2)
    text = visible_line((detail.response or "")[first : max(end, first + WIDTH)], 2 * WIDTH)
    of = f", {visible_line(one.role)} {visible_line(one.kind)}" if one.role else ""
    return f"{one.id:>7}  step {one.step}{of}, {verdict}: {text}"


def _as_json(detail: SampleDetail, words: list[str]) -> str:
    from azr_platform.ledger.search import place

    one = detail.sample
    found = {
        "sample": one.id,
        "branch": one.branch,
        "step": one.step,
        "phase": one.phase,
        "role": one.role,
        "kind": one.kind,
        "allowed": None if one.allowed is None else bool(one.allowed),
        "severity": one.severity,
        "span": place(detail.response or "", words),
        "response": detail.response,
    }
    return json_text(found)
