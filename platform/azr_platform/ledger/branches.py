"""A run's branches as a tree, in lines of text. Reasons are as recorded: whoever shows the lines makes them visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from azr_platform.ledger.records import BranchRow


def tree(branches: Sequence[BranchRow]) -> list[str]:
    """One line a branch, each below the one that it left, oldest first; the newest is the one in use."""
    known = {row.id for row in branches}
    newest = max(known, default=0)

    def below(parent: int | None, lead: str) -> Iterator[str]:
        children = [row for row in branches if _parent(row, known) == parent]
        for row in children:
            last = row is children[-1]
            joint, further = ("", "") if parent is None else ("└─ ", "   ") if last else ("├─ ", "│  ")
            origin = f" from step {row.from_step}" if parent is not None else ""
            mark = "  ← now" if row.id == newest else ""
            yield f"{lead}{joint}{row.id}{origin}: {row.reason}{mark}"
            yield from below(row.id, lead + further)

    return list(below(None, ""))


def _parent(row: BranchRow, known: set[int]) -> int | None:
    """None also where the record names no earlier branch: every branch has its line, and none is its own ancestor."""
    return row.parent if row.parent in known and row.parent is not None and row.parent < row.id else None
