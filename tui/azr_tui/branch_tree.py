"""The branches of a run and their checkpoints as one tree, a row each; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from azr_platform.ledger.records import BranchFacts, CheckpointFacts
from azr_tui import wording
from azr_tui.escape import visible_line

_DEEPEST: Final = 4
"""Branches of branches that are drawn with lines of their own; deeper ones say how deep they are."""


class TreeRow(NamedTuple):
    """A branch, or a checkpoint on it; ``lead`` are the lines of the tree before it."""

    lead: str
    branch: BranchFacts
    checkpoint: CheckpointFacts | None = None

    @property
    def on_line(self) -> bool:
        """Whether the run stands on it, or came by it."""
        return self.branch.on_line if self.checkpoint is None else self.checkpoint.on_line

    @property
    def key(self) -> str:
        """Tells the rows of a run apart, also after more were recorded."""
        return f"branch {self.branch.branch.id}" if self.checkpoint is None else f"{self.checkpoint.checkpoint.id}"


def tree_rows(branches: Sequence[BranchFacts], checkpoints: Sequence[CheckpointFacts]) -> list[TreeRow]:
    """Each branch, below it its checkpoints and the branches that left it, by step."""
    known = {facts.branch.id for facts in branches}
    children: dict[int | None, list[BranchFacts]] = {}
    for facts in branches:
        parent = facts.branch.parent
        # A branch whose record names no earlier one has its row all the same, and none is its own ancestor.
        children.setdefault(
            parent if parent in known and parent is not None and parent < facts.branch.id else None, []
        ).append(facts)
    own: dict[int, list[CheckpointFacts]] = {}
    for one in checkpoints:
        own.setdefault(one.checkpoint.branch, []).append(one)

    def below(facts: BranchFacts, lead: str, joint: str, depth: int) -> Iterator[TreeRow]:
        yield TreeRow(lead + joint, facts)
        inner = lead + {"": "", "├─": "│ ", "└─": "  "}[joint]
        if depth > _DEEPEST:
            inner = f"{'│ ' * _DEEPEST}…{depth} "
        items: list[tuple[int, int, BranchFacts | CheckpointFacts]] = [
            *((one.checkpoint.step, 0, one) for one in own.get(facts.branch.id, [])),
            *((child.branch.from_step, 1, child) for child in children.get(facts.branch.id, [])),
        ]
        items.sort(key=lambda item: item[:2])
        for place, (_, _, item) in enumerate(items):
            last = place == len(items) - 1
            if isinstance(item, CheckpointFacts):
                yield TreeRow(inner + ("└ " if last else "├ "), facts, item)
            else:
                yield from below(item, inner, "└─" if last else "├─", depth + 1)

    return [row for root in children.get(None, []) for row in below(root, "", "", 0)]


def label(row: TreeRow) -> str:
    """What stands in the tree: ``● branch 2``, ``○ step 40``; what is gone is crossed."""
    if row.checkpoint is None:
        return f"{row.lead}{'●' if row.branch.on_line else '◌'} branch {row.branch.branch.id}"
    mark = "○" if row.checkpoint.checkpoint.removed is None else "×"
    return f"{row.lead}{mark} {row.checkpoint.checkpoint.step}"


def told(row: TreeRow, now: float) -> str:
    """A row in a sentence or two."""
    return branch_told(row.branch, now) if row.checkpoint is None else checkpoint_told(row.checkpoint, now)


def branch_told(facts: BranchFacts, now: float) -> str:
    """Where a branch left and why, and what it holds."""
    branch = facts.branch
    began = f"began {wording.age(branch.created_at, now)} ago"
    if branch.parent is not None:
        began = f"left branch {branch.parent} at step {branch.from_step}, {wording.age(branch.created_at, now)} ago"
    reason = visible_line(branch.reason, 200)
    if facts.who:
        reason += f" by {visible_line(facts.who, 60)}"
    if facts.why:
        reason += f": {visible_line(facts.why, 200)}"
    words = [f"Branch {branch.id} {began} ({reason})"]
    words.append(f"steps to {facts.last_step}, {_held(facts)}")
    if facts.seed:
        words.append(f"seed {visible_line(facts.seed, 20)}")
    if facts.barred:
        words.append(f"{facts.barred} tasks and programs in quarantine")
    return "; ".join(words)


def checkpoint_told(facts: CheckpointFacts, now: float) -> str:
    """Where a checkpoint lies, whether it is kept, and what was recorded since the one before."""
    row = facts.checkpoint
    kept = "kept" if row.removed is None else f"removed ({visible_line(row.removed, 60)})"
    where = "" if facts.on_line else ", left behind by a rollback"
    since = f"since step {facts.since}" if facts.since >= 0 else "since the beginning"
    saved = f"Step {row.step}, {visible_line(row.path, 60)}, saved {wording.age(row.time, now)} ago, {kept}{where}"
    return f"{saved}; {since}: {_held(facts)}"


def _held(facts: BranchFacts | CheckpointFacts) -> str:
    held = facts.held
    alerts = f"{wording.count(held.alerts, 'alert')} ({held.alerts_open} open)"
    return f"{wording.count(held.samples, 'sample')}, {held.blocked:,} blocked, {alerts}"
