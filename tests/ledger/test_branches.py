"""The tree of a run's branches: every branch has a line, below the one that it left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.ledger.branches import tree
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import BranchRow
from azr_platform.ledger.writer import LedgerWriter


def branch(number: int, parent: int | None, step: int = 0, reason: str = "again") -> BranchRow:
    return BranchRow(number, 0.0, parent, step, reason)


def test_branches_stand_below_those_that_they_left() -> None:
    rows = [branch(1, None, reason="start"), branch(2, 1, 4), branch(3, 2, 6), branch(4, 1, 2), branch(5, 4, 3)]
    assert tree(rows) == [
        "1: start",
        "├─ 2 from step 4: again",
        "│  └─ 3 from step 6: again",
        "└─ 4 from step 2: again",
        "   └─ 5 from step 3: again  ← now",
    ]


def test_a_run_without_branches_has_no_lines() -> None:
    assert tree([]) == []


@given(st.lists(st.none() | st.integers(-2, 12), max_size=10))
def test_every_branch_has_one_line_whatever_its_parent_is_said_to_be(parents: list[int | None]) -> None:
    rows = [branch(number, parent) for number, parent in enumerate(parents, 1)]
    numbers = [int(found[0]) for line in tree(rows) if (found := re.findall(r"\d+", line))]
    assert sorted(numbers) == [row.id for row in rows]


@pytest.mark.parametrize("parents", [(2, 1), (None, 2), (3, 1, 2)])
def test_a_line_that_leads_in_a_circle_ends(run_folder: Path, parents: tuple[int | None, ...]) -> None:
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 1, "config": ""})
        for parent in parents:
            writer.append("branches", {"created_at": 1.0, "parent": parent, "from_step": 1, "reason": ""})
    with LedgerReader(run_folder) as reader:
        line = [number for number, _ in reader.lineage()]
    assert line == sorted(set(line)) and line[-1] == len(parents)
