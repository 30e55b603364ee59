"""azr-platform audit diff: which verdicts differ between two audits of the same samples, and by which rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azr_platform.cli.audits.options import Branch, Sample, Since, Until, Where, selection
from azr_platform.cli.control import Json, Run
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_platform.audits.difference import Difference, Example, Moved
    from azr_platform.ledger.reader import LedgerReader

_MOST_ROWS = 25


def diff(
    run: Run,
    before: Annotated[
        str, typer.Argument(metavar="A", help="An audit, a policy's name for its newest audit, live or newest.")
    ] = "live",
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")] = "newest",
    other: Annotated[
        Path | None, typer.Option("--other", metavar="RUN", help="Look for B in this run instead.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, metavar="N", help="Show so many samples whose verdict changed.")] = 5,
    since: Since = None,
    until: Until = None,
    branch: Branch = None,
    where: Where = "",
    sample: Sample = 0,
    as_json: Json = False,
) -> None:
    """Compare two audits of the same samples: how many verdicts changed, by which rules and categories, and examples.

    Samples are compared by their number. --where narrows to those that one of the two lets pass.
    """
    from azr_platform.audits.compare import compare
    from azr_platform.audits.selection import audit_named
    from azr_platform.ledger.reader import LedgerReader

    chosen = selection(since, until, branch, where, sample)
    with LedgerReader(run) as reader, LedgerReader(other or run) as other_reader:
        names = audit_named(reader, before), audit_named(other_reader, after)
        found = compare(reader, names[0], other_reader, names[1], chosen, examples=examples)
        quotes = [_quote(reader if not example.gained else other_reader, example) for example in found.examples]
    if as_json:
        typer.echo(json_text(_as_json(found, quotes, (names[0] or "live", names[1] or "live"))))
    else:
        _show(found, quotes, (names[0] or "live", names[1] or "live"))


def _quote(reader: LedgerReader, example: Example) -> Any:
    from azr_platform.audits.quotes import quote

    detail = reader.sample(example.after.sample)
    return None if detail is None or example.finding is None else quote(detail, example.finding)


def _as_json(found: Difference, quotes: list[Any], names: tuple[str, str]) -> dict[str, Any]:
    import msgspec

    def side(judgement: Any) -> dict[str, Any]:
        return {"verdict": judgement.word, "score": judgement.score, "reason": judgement.reason}

    examples = [
        {
            "sample": example.after.sample,
            "branch": example.after.branch,
            "step": example.after.step,
            "role": example.after.role,
            "kind": example.after.kind,
            "before": side(example.before),
            "after": side(example.after),
            "finding": example.finding and {**msgspec.to_builtins(example.finding), "gained": example.gained},
            "quote": words and msgspec.to_builtins(words),
        }
        for example, words in zip(found.examples, quotes, strict=True)
    ]
    changed = [{"before": old, "after": new, "samples": n} for (old, new), n in found.changed.items()]
    plain = {**msgspec.to_builtins(found), "changed": changed, "examples": examples}
    return {"before": names[0], "after": names[1], "changes": found.changes, **plain}


def _show(found: Difference, quotes: list[Any], names: tuple[str, str]) -> None:
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    before, after = (visible_line(name) for name in names)
    typer.echo(f"{count(found.compared, 'sample')} judged by both {before} (before) and {after} (after)")
    for number, why in (
        (found.only_before, f"only {before} judged"),
        (found.only_after, f"only {after} judged"),
        (found.other_texts, "that are other texts in the other run"),
    ):
        if number:
            typer.echo(f"{count(number, 'sample')} {why}, left out")
    share = f" ({found.changes / found.compared:.1%})" if found.compared else ""
    typer.echo(f"{count(found.changes, 'verdict')} changed{share}")
    for (old, new), number in found.changed.items():
        typer.echo(f"{number:>8}  {old} -> {new}")
    for title, rows in (("Rule", found.rules), ("Category", found.categories)):
        for line in _table(title, rows):
            typer.echo(line)
    for example, words in zip(found.examples, quotes, strict=True):
        for line in _example(example, words):
            typer.echo(line)


def _table(title: str, rows: list[Moved]) -> list[str]:
    """In how many samples something is found now and was not, and the other way round; and where a verdict changed."""
    from azr_tui.escape import visible_line

    if not rows:
        return []
    lines = ["", f"{title:<40} {'gained':>8} {'lost':>8}   of changed verdicts"]
    for row in rows[:_MOST_ROWS]:
        of_changed = f"+{row.gained_of_changed} -{row.lost_of_changed}"
        lines.append(f"{visible_line(row.name, 40):<40} {row.gained:>8} {row.lost:>8}   {of_changed}")
    return [*lines, f"and {len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else lines


def _example(example: Example, words: Any) -> list[str]:
    from azr_tui.escape import visible_line

    old, new = example.before, example.after
    where = f"sample {new.sample}, step {new.step}, {visible_line(new.role)} {visible_line(new.kind)}"
    lines = ["", f"{where}: {old.word} {old.score:.2f} -> {new.word} {new.score:.2f}"]
    if example.finding is None:
        return [*lines, f"  {visible_line(new.reason, 160)}"]
    sign = "+" if example.gained else "-"
    lines.append(f"  {sign} {visible_line(example.finding.rule)}: {visible_line(example.finding.why, 160)}")
    if words is not None and words.words:
        lines.append(f"    {visible_line(f'{words.before[-80:]}»{words.words}«{words.after[:80]}', 240)}")
    return lines
