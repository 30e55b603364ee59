"""azr-platform audit labels: how well what was found agrees with what people decided, and the decisions as a set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azr_platform.cli.audits.options import Audit, Branch, Sample, Since, Until, Where, none_selected, selection
from azr_platform.cli.control import Json, Run
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from azr_monitor.intervals import Estimate
    from azr_platform.audits.agreement import Agreement, Row
    from azr_platform.ledger.reader import LedgerReader

_MOST_SHOWN = 20


def labels(
    run: Run,
    audit: Audit = "live",
    since: Since = None,
    until: Until = None,
    branch: Branch = None,
    where: Where = "",
    sample: Sample = 0,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the decisions here, for policy calibrate --labels.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold a run's verdicts, or an audit's, against what people decided: precision and recall by rule and category.

    A label is made with `azr-platform review RUN --sample N --decide block|allow|false-alarm`, or in the dashboard with
    B, A and F. Recall is of what was labelled, and people label what was flagged: label some that were not, too.
    """
    import msgspec

    from azr_platform.audits.agreement import agreement
    from azr_platform.audits.labels import labels as on_record
    from azr_platform.audits.selection import RUN, audit_named, judgements
    from azr_platform.ledger.reader import LedgerReader

    chosen = selection(since, until, branch, where, sample)
    with LedgerReader(run) as reader:
        if export is not None:
            write(reader, run, export, "--export")
            return
        name = audit_named(reader, audit)
        if empty := none_selected(reader, name, chosen):
            typer.echo(f"note: {empty}", err=True)
        found = agreement(judgements(reader, name, chosen), on_record(reader))
    if as_json:
        typer.echo(json_text({"audit": name or RUN, **msgspec.to_builtins(found)}))
        return
    for line in _lines(found, run):
        typer.echo(line)


def write(reader: LedgerReader, run: Path, file: Path, option: str) -> None:
    """Write what people decided as a calibration set; ``-`` is standard output.

    Raises:
        BadInput: the file is there already, or cannot be written.
    """
    from azr_platform.audits.labels import calibration_rows
    from azr_platform.cli.input import BadInput
    from azr_tui.wording import count

    rows = [json_text(row) for row in calibration_rows(reader, run.resolve().name)]
    text = "".join(f"{row}\n" for row in rows)
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as handle:  # never through a link, nor over what is there
            handle.write(text)
    except FileExistsError:
        raise BadInput(f"{file} is there already; give {option} another name") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be written ({error.strerror})") from error
    typer.echo(
        f"{count(len(rows), 'label')} in {file}; `azr-platform policy calibrate --labels {file}` measures by them"
    )


def _lines(found: Agreement, run: Path) -> Iterator[str]:
    from azr_tui.wording import count

    if not found.labels:
        unseen = f" ({count(found.unseen, 'label')} of samples that are not judged here)" if found.unseen else ""
        yield f"nothing is labelled{unseen}: azr-platform review {run} --sample N --decide block|allow|false-alarm"
        return
    by_alert = f", {found.from_alerts} of them by resolving an alert" if found.from_alerts else ""
    who = "one person" if found.people == 1 else f"{found.people} people"
    yield f"{count(found.labels, 'label')} by {who}{by_alert}: {found.harmful} harmful, {found.benign} benign"
    if found.unseen:
        yield f"{found.unseen} more are of samples that are not judged here"
    yield ""
    yield from _table("", [found.blocked, found.found])
    yield from _table("category", found.categories)
    yield from _table("rule", found.rules)
    yield f"Recall is of the {found.harmful} texts labelled harmful and of nothing else. Of all labelled"
    yield f"texts nothing was found in {found.not_found}: only those could show what was missed."
    yield from _disagreements(found)


def _table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    from azr_tui.escape import visible_line

    if not rows:
        return
    yield f"{title:<24}{'right':>6}{'wrong':>6}{'missed':>7}  {'precision':<16} {'recall':<16}".rstrip()
    for row in rows[:_MOST_SHOWN]:
        counts = f"{row.right:>6}{row.wrong:>6}{row.missed:>7}"
        name = visible_line(row.name, 23)
        yield f"{name:<24}{counts}  {_share(row.precision):<16} {_share(row.recall):<16}".rstrip()
    if len(rows) > _MOST_SHOWN:
        yield f"and {len(rows) - _MOST_SHOWN} more; --json has all"
    yield ""


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _disagreements(found: Agreement) -> Iterator[str]:
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    missed = sum(one.allowed for one in found.disagreements)
    yield (
        f"{count(len(found.disagreements), 'disagreement')}: {missed} allowed and labelled harmful, "
        f"{len(found.disagreements) - missed} blocked and labelled benign"
    )
    for one in found.disagreements[:_MOST_SHOWN]:
        word = "allowed" if one.allowed else "blocked"
        note = f": {one.note}" if one.note else ""
        yield "  " + visible_line(f"sample {one.sample}: {word}; {one.word} said {one.who}{note}", 160)
    if len(found.disagreements) > _MOST_SHOWN:
        yield f"  and {len(found.disagreements) - _MOST_SHOWN} more; --json has all"
    for label in found.torn[:_MOST_SHOWN]:
        yield "  " + visible_line(
            f"sample {label.sample}: {label.word} said {label.who} at last; before it was {', '.join(label.words)}", 160
        )
