"""``azr-platform review``: what waits for a person's decision, the decision, and decisions as labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_platform.channel.messages import Decision
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.ledger.records import SampleDetail, SampleRow


def review(
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    sample: Annotated[
        int | None, typer.Option(min=1, max=2**63 - 1, help="Show this sample; with --decide, decide about it.")
    ] = None,
    decide: Annotated[str | None, typer.Option(help="allow, block or false-alarm.", metavar="WHAT")] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Why; it goes on record.")] = "",
    labels: Annotated[Path | None, typer.Option(help="Write all decisions here, as labelled texts.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line each, with the texts.")] = False,
) -> None:
    """List the samples that wait for a person, show one or decide about it, or write the decisions as labels.

    What is decided of a text holds for the same text in later steps of the run: allow and false-alarm let it pass,
    block blocks it. The labels are what `policy calibrate` reads.
    """
    from azr_platform.cli.input import BadInput

    if sample is None and decide is not None:
        raise BadInput("to decide, give --sample NUMBER and --decide allow|block|false-alarm, both of them")
    if labels is not None and sample is not None:
        raise BadInput("--labels writes decisions that were made; give it by itself")
    if sample is not None and decide is not None:
        _decide(run, sample, decide, note, as_json)
    elif note:
        raise BadInput("--note belongs to a decision; give --sample and --decide too")
    elif sample is not None:
        _show(run, sample, as_json)
    elif labels is not None:
        _write_labels(run, labels)
    else:
        _list(run, limit, as_json)


# -- deciding --------------------------------------------------------------------------------------------


def _decide(run: Path, sample: int, word: str, note: str, as_json: bool) -> None:
    from azr_platform.channel.messages import Action
    from azr_platform.cli.control import give

    give(run, Action.DECIDE, note, as_json, sample=sample, decision=_decision(word))


def _decision(word: str) -> Decision:
    from azr_monitor.fields import nearest
    from azr_platform.channel.messages import Decision
    from azr_platform.cli.input import BadInput

    try:
        return Decision(word)
    except ValueError:
        known = [str(decision) for decision in Decision]
        raise BadInput(f"--decide {word!r}: not one of {', '.join(known)}{nearest(word, known)}") from None


# -- showing ---------------------------------------------------------------------------------------------


def _show(run: Path, sample: int, as_json: bool) -> None:
    """One sample, as the dashboard shows it."""
    from azr_platform.cli.input import BadInput
    from azr_platform.ledger.reader import LedgerReader
    from azr_tui.sample.dossier import read
    from azr_tui.sample.page import sample_lines

    with LedgerReader(run) as reader:
        dossier = read(reader, sample)
    if dossier is None:
        raise BadInput(f"there is no sample {sample} in {run}")
    detail = dossier.detail
    if as_json:
        if detail.verdict is None:
            raise BadInput(f"sample {sample} has no verdict on record: it was used for nothing")
        typer.echo(json_text(_row(detail)))
        return
    for line in sample_lines(dossier, keys=False):
        typer.echo(f"{line.gutter}{line.text}")
    typer.echo(f"\ndecide: azr-platform review {run} --sample {sample} --decide allow|block|false-alarm")


# -- listing ---------------------------------------------------------------------------------------------


def _list(run: Path, limit: int, as_json: bool) -> None:
    from azr_platform.ledger.reader import LedgerReader
    from azr_tui.wording import count

    with LedgerReader(run) as reader:
        rows = _waiting(reader, limit + 1)
        held = reader.summary().held
        details = (detail for row in rows[:limit] if (detail := reader.sample(row.id)) is not None)
        for detail in details:
            typer.echo(json_text(_row(detail)) if as_json else _line(detail))
    if as_json:
        return
    if not rows:
        typer.echo("nothing waits for a decision")
        return
    more = f"; at most {limit} are listed, see --limit" if len(rows) > limit else ""
    typer.echo(f"{count(held, 'sample')} held for a person{more}")
    typer.echo(f"look: azr-platform review {run} --sample N, or azr-platform tui {run} (5)")
    typer.echo(f"decide: azr-platform review {run} --sample N --decide allow|block|false-alarm")


def _waiting(reader: LedgerReader, most: int) -> list[SampleRow]:
    """The held ones first, then what was blocked or flagged; each newest first."""
    held = reader.samples(limit=most, waiting_only=True, held_only=True)
    known = {row.id for row in held}
    others = reader.samples(limit=most + len(held), waiting_only=True)
    return [*held, *(row for row in others if row.id not in known)][:most]


def _word(detail: SampleDetail) -> str:
    from azr_monitor.records import Action

    assert detail.verdict is not None, "what has no verdict waits for nobody"
    if detail.verdict.action == Action.HOLD.value:
        return "held"
    if not detail.verdict.allowed:
        return "blocked"
    return "allowed" if detail.verdict.action == Action.RECORD.value else "flagged"


def _line(detail: SampleDetail) -> str:
    from azr_tui.escape import visible_line

    row, verdict = detail.sample, detail.verdict
    assert verdict is not None
    place = f"step {row.step}" + (f", {row.role} {row.kind}" if row.role else "")
    return (
        f"{row.id:>7}  {_word(detail):<7}  {verdict.score:.2f}  {visible_line(place)}: {visible_line(verdict.reason)}"
    )


def _row(detail: SampleDetail) -> dict[str, Any]:
    from azr_platform.audits.labels import category_on_record, texts_of
    from azr_platform.ledger.judgements import nearest

    row, verdict = detail.sample, detail.verdict
    assert verdict is not None
    return {
        "sample": row.id,
        "branch": row.branch,
        "step": row.step,
        "role": row.role,
        "kind": row.kind,
        "verdict": _word(detail),
        "score": verdict.score,
        "category": category_on_record(detail) or "none",
        "reason": verdict.reason,
        "findings": [
            {
                "rule": finding.rule,
                "severity": nearest(finding.severity).label,
                "part": finding.part,
                "span": None if finding.span_start is None else [finding.span_start, finding.span_end],
                "why": finding.why,
            }
            for finding in detail.findings
        ],
        **texts_of(detail),
    }


# -- labels ----------------------------------------------------------------------------------------------


def _write_labels(run: Path, file: Path) -> None:
    from azr_platform.cli.audits.labels import write
    from azr_platform.ledger.reader import LedgerReader

    with LedgerReader(run) as reader:
        write(reader, run, file, "--labels")
