"""azr-platform audit list: which audits of a run are on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from azr_platform.cli.control import Json, Run
from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_platform.ledger.judgements import AuditRow


def list_audits(run: Run, as_json: Json = False) -> None:
    """List a run's audits, oldest first: the policy, which samples, how many were judged, and what was left out."""
    import msgspec

    from azr_platform.ledger.reader import LedgerReader

    with LedgerReader(run) as reader:
        audits = reader.audits()
    if as_json:
        for row in audits:
            typer.echo(json_text({**msgspec.to_builtins(row), "left_out": row.not_judged}))
        return
    for row in audits:
        for line in _lines(row):
            typer.echo(line)
    if not audits:
        typer.echo(f"no audits are on record; `azr-platform audit {run}` makes one", err=True)


def _lines(row: AuditRow) -> list[str]:
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    state = f"{count(row.judged, 'sample')} judged, {row.blocked} blocked"
    if row.ended_at is None:
        state += "; not finished"
    which = visible_line(row.selection) or "every sample"
    lines = [
        visible_line(row.name),
        f"  policy {visible_line(f'{row.policy} {row.fingerprint}')}; {which}",
        f"  {state}",
    ]
    return lines + [f"  not judged: {number} {visible_line(why)}" for why, number in row.not_judged.items()]
