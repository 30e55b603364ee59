"""The tree of branches and checkpoints: drawn as it is on record, told in words, gone back to from where one stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from azr_platform.ledger.records import BranchFacts, BranchRow, CheckpointFacts, CheckpointRow, Held
from azr_tui.app import AzrApp
from azr_tui.branch_tree import label, told, tree_rows
from azr_tui.screens.page import PageScreen
from azr_tui.screens.rollback import RollbackScreen

Make = Callable[..., AzrApp]
HOSTILE = "deceit [red]\x1b[2J\u202e"


def branch(number: int, parent: int | None = None, step: int = 0, **more: Any) -> BranchFacts:
    row = BranchRow(number, 0.0, parent, step, "rollback" if parent else "start")
    return BranchFacts(row, number in (1, 3), 9, 9, Held(10, 1, 2, 1), **more)


def checkpoint(number: int, of: int, step: int, removed: str | None = None) -> CheckpointFacts:
    row = CheckpointRow(number, 0.0, of, step, f"checkpoints/{number}", "d", removed)
    return CheckpointFacts(row, of != 2, {}, 0, Held())


def test_branches_stand_where_they_left_and_checkpoints_by_step() -> None:
    rows = tree_rows(
        [branch(1), branch(2, 1, 10), branch(3, 2, 15)],
        [
            checkpoint(1, 1, 10),
            checkpoint(2, 1, 20, "keep_last"),
            checkpoint(3, 2, 15),
            checkpoint(4, 2, 17),
            checkpoint(5, 3, 18),
        ],
    )
    assert [label(row) for row in rows] == [
        "● branch 1",
        "├ ○ 10",
        "├─◌ branch 2",
        "│ ├ ○ 15",
        "│ ├─● branch 3",
        "│ │ └ ○ 18",
        "│ └ ○ 17",
        "└ × 20",
    ]
    assert [row.on_line for row in rows] == [True, True, False, False, True, True, False, True]


def test_a_deep_tree_stays_narrow_and_a_damaged_one_whole() -> None:
    deep = tree_rows([branch(n, n - 1 if n > 1 else None, n) for n in range(1, 60)], [checkpoint(1, 59, 59)])
    assert len(deep) == 60 and max(len(label(row)) for row in deep) < 30 and "…" in label(deep[-1])
    odd = tree_rows([branch(1), branch(2, 7), branch(3, 3), branch(4, 9)], [checkpoint(1, 1, 0), checkpoint(2, 8, 1)])
    assert [row.branch.branch.id for row in odd if row.checkpoint is None] == [1, 2, 3, 4]


def test_where_a_branch_left_and_why_is_told_and_acts_on_no_terminal() -> None:
    (_, row) = tree_rows([branch(1), branch(2, 1, 10, who="ada", why=HOSTILE, seed="7", barred=3)], [])
    words = told(row, 60.0)
    assert "Branch 2 left branch 1 at step 10, 1m ago (rollback by ada: deceit [red]␛[2J⇄)" in words
    assert "10 samples, 1 blocked, 2 alerts (1 open); seed 7; 3 tasks and programs in quarantine" in words


@pytest.fixture
def branched(full_run: Any) -> Any:
    """The full run, rolled back to step 20 by somebody, with one checkpoint removed."""
    folder, run = full_run
    control = {"time": 1.0, "who": "ada", "action": "rollback", "arguments": "{}", "why": HOSTILE}
    with run.writer.batch() as batch:
        batch.add("controls", {**control, "outcome": "done: rolling back"})
        batch.add("branches", {"created_at": 2.0, "parent": 1, "from_step": 20, "reason": "rollback"})
        batch.add("branch_changes", {"branch": 2, "what": "seed", "value": "7", "why": ""})
        row = {"branch": 2, "step": 25, "started_at": 1.0, "seconds": 5.0}
        batch.add("steps", row)
        batch.add("metrics", {"branch": 2, "step": 25, "name": "entropy", "value": 0.5})
        batch.add("checkpoints", {"time": 3.0, "branch": 2, "step": 25, "path": "checkpoints/x", "digest": "0f"})
        batch.add("removals", {"time": 4.0, "checkpoint": 1, "reason": "keep_last"})
    return folder, run


async def test_the_pane_draws_the_tree_and_tells_the_row_under_the_cursor(
    branched: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(branched[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("7")
        await until(pilot, lambda: "└ ○ 40" in shown(app), "the tree")
        text = shown(app)
        assert "2 branches   4 checkpoints kept, 1 removed" in text
        assert "├ × 10" in text and "├─● branch 2" in text and "│ └ ○ 25" in text
        assert "Step 25, checkpoints/x" in text, "the cursor begins on the newest of the line"
        assert "0.500" in next(line for line in text.splitlines() if "○ 25" in line)
        await pilot.press("up")
        await until(pilot, lambda: "Branch 2 left branch 1 at step 20" in shown(app), "the branch")
        words = " ".join(shown(app).split())
        assert "by ada: deceit [red]␛[2J⇄" in words and "seed 7" in words
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PageScreen), "the details")
        await pilot.press("escape", "down", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, PageScreen) and "digest 00" in shown(app), "a checkpoint's")
        assert "kept, left behind" in shown(app)


async def test_rolling_back_from_the_pane_proposes_the_checkpoint_under_the_cursor(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None and app.view.steerable, "a live run")
        await pilot.press("7")
        await until(pilot, lambda: "└ ○ 40" in shown(app), "the tree")
        await pilot.press("up", "up", "b")
        assert isinstance(app.screen, RollbackScreen)
        await until(pilot, lambda: "steps 21 to 42" in shown(app), "the preview of step 20")


async def test_a_run_without_a_checkpoint_says_so(open_run: Any, make_app: Make, until: Any, shown: Any) -> None:
    folder, run = open_run()
    run.begin()
    app = make_app(folder)
    async with app.run_test(size=(60, 18)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("7")
        await until(pilot, lambda: "● branch 1" in shown(app) and "0 checkpoints kept" in shown(app), "the one branch")
