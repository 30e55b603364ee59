"""A run in six rows, one for each role and kind."""

from __future__ import annotations

import msgspec

from azr_platform.ledger.reader import LedgerReader


class GroupRow(msgspec.Struct, frozen=True):
    """One role x kind group. ``good``: the share of right answers (solve) or valid proposals (propose).
    Rewards are means over the first and the last third of the steps."""

    role: str
    kind: str
    samples: int
    trained: int
    blocked: int
    well_formed: float
    good: float
    reward_first: float
    reward_last: float


def group_rows(reader: LedgerReader) -> list[GroupRow]:
    """All groups that have samples, from the whole ledger (every branch)."""
    rows = []
    for totals in reader.group_totals():
        _, rewards = reader.metric(f"reward/{totals.role}/{totals.kind}")
        third = max(1, len(rewards) // 3)
        rows.append(
            GroupRow(
                role=totals.role,
                kind=totals.kind,
                samples=totals.samples,
                trained=totals.trained,
                blocked=totals.blocked,
                well_formed=totals.well_formed / totals.samples,
                good=totals.good / totals.samples,
                reward_first=_mean(rewards[:third]),
                reward_last=_mean(rewards[-third:]),
            )
        )
    return rows


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
