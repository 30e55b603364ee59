"""What happened along the current line, for the axis of steps: alerts, and where branches begin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from azr_platform.ledger.records import AlertRow, BranchRow
from azr_tui import wording
from azr_tui.plotting.draw import Mark
from azr_tui.view import Snapshot

BRANCH = "↺"


def line_of(branches: Sequence[BranchRow], branch: int) -> dict[int, int]:
    """For each branch on the line that leads to ``branch``, the last step of it that counts."""
    known = {row.id: row for row in branches}
    line: dict[int, int] = {}
    here, last = known.get(branch), 2**62
    while here is not None and here.id not in line:
        line[here.id] = last
        last = min(last, here.from_step)
        here = known.get(here.parent) if here.parent else None
    return line or {branch: last}


def alerts_on_line(snapshot: Snapshot) -> list[AlertRow]:
    """The alerts on hand whose step is part of the current line, the mildest first and the worst last."""
    line = line_of(snapshot.summary.branches, snapshot.summary.branch)
    found = [alert for alert in snapshot.alerts if alert.step <= line.get(alert.branch, -1)]
    return sorted(found, key=lambda alert: (alert.severity, alert.id))


@lru_cache(maxsize=1)
def marks_of(snapshot: Snapshot) -> tuple[Mark, ...]:
    """Branches first, then alerts, the worst last: it is seen where many share a column."""
    line = line_of(snapshot.summary.branches, snapshot.summary.branch)
    begins = [row.from_step for row in snapshot.summary.branches if row.parent and row.id in line]
    marks = [Mark(step, BRANCH, "bold") for step in begins]
    for alert in alerts_on_line(snapshot):
        sign = wording.severity_label(alert.severity).split()[0]
        marks.append(Mark(alert.step, sign, wording.severity_style(alert.severity)))
    return tuple(marks)
