"""Descent from flagged proposals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import azr_platform.audits.spread as module
from azr_platform.audits.spread import spread


def _proposal(judged: Any, number: int, task: str | None, *found: str, **changes: object) -> Any:
    return judged(number, *found, role="propose", task=task, **changes)


def test_descent_goes_through_tasks_that_prompts_showed(judged: Any) -> None:
    rows = [
        _proposal(judged, 1, "a", "trace.harm"),
        _proposal(judged, 2, "b"),
        judged(3, task="a", reward=1.0, trained=True),
        judged(4, task="b", reward=1.0, trained=True),
        _proposal(judged, 5, "c", reward=0.5, trained=True),
        _proposal(judged, 6, None),
        judged(7, "trace.uhoh", task="c", reward=0.25, trained=False),
        _proposal(judged, 8, "d"),
        _proposal(judged, 9, "e"),
    ]
    found = spread(rows, [(5, "a"), (5, "b"), (6, "b"), (8, "c"), (9, "b")])
    assert (found.tasks, found.generations) == (5, [1, 1, 1]), "a; c was shown a; d was shown c"
    assert found.share == 3 / 5
    assert (found.samples, found.trained, found.reward) == (4, 2, 1.5), "samples 3, 5, 7 and 8"
    (root,) = found.roots
    assert (root.task, root.sample, root.what, root.shown) == ("a", 1, ["harm"], 1)
    assert (root.tasks, root.samples, root.flagged, root.reward) == (2, 4, 1, 1.5)
    assert found.near is not None and (found.near.value, found.near.count) == (0.0, 2), "5 and 8"
    assert found.far is not None and found.far.count == 2, "6 and 9"


def test_a_flagged_descendant_is_a_root_of_its_own_and_counts_above(judged: Any) -> None:
    rows = [
        _proposal(judged, 1, "a", "trace.harm"),
        _proposal(judged, 2, "b", "trace.uhoh"),
        _proposal(judged, 3, "c"),
        _proposal(judged, 4, None, "trace.harm", allowed=False),
    ]
    found = spread(rows, [(2, "a"), (3, "b"), (4, "b")])
    assert found.generations == [2, 1]
    first, second = found.roots
    assert (first.tasks, first.samples, first.flagged) == (2, 3, 2)
    assert (second.tasks, second.samples, second.flagged) == (1, 2, 1)
    assert found.near is not None and (found.near.value, found.near.count) == (2 / 3, 3)


def test_roots_beyond_those_that_are_followed_still_count_in_the_sums(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOTS", 1)
    rows = [_proposal(judged, n, f"t{n}", "trace.harm") for n in (1, 2)] + [_proposal(judged, 3, "t3")]
    found = spread(rows, [(3, "t2")])
    assert (len(found.roots), found.unlisted, found.generations, found.samples) == (1, 1, [2, 1], 1)
    assert found.roots[0].samples == 0


def test_references_of_samples_that_are_not_asked_about_are_passed_over(judged: Any) -> None:
    rows = [_proposal(judged, 1, "a", "trace.harm"), _proposal(judged, 7, "b")]
    found = spread(rows, [(1, "x"), (2, "a"), (5, "a"), (7, "a"), (9, "a")])
    assert (found.generations, found.samples) == ([1, 1], 1)


def test_without_a_flagged_proposal_nothing_descends(judged: Any) -> None:
    found = spread([_proposal(judged, 1, "a"), judged(2, "trace.harm", task="a")], [])
    assert (found.roots, found.generations, found.samples, found.near, found.far) == ([], [], 0, None, None)


@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 19), max_size=3)), max_size=20))
def test_as_a_walk_over_the_whole_graph_says(judged: Any, tasks: list[tuple[bool, set[int]]]) -> None:
    """Sample n proposes task n, flagged or not, and was shown earlier tasks."""
    shown = [(n + 1, f"t{parent}") for n, (_, parents) in enumerate(tasks) for parent in sorted(parents) if parent < n]
    rows = [_proposal(judged, n + 1, f"t{n}", *(["trace.harm"] if bad else [])) for n, (bad, _) in enumerate(tasks)]
    found = spread(rows, shown)
    ancestors: list[set[int]] = []
    for n, (_, parents) in enumerate(tasks):
        above = {parent for parent in parents if parent < n}
        ancestors.append(above.union(*(ancestors[parent] for parent in above)))
    bad = [n for n, (flagged, _) in enumerate(tasks) if flagged]
    below = {n for n in range(len(tasks)) if ancestors[n] & set(bad)}
    assert sum(found.generations) == len(below | set(bad))
    assert found.samples == len(below)
    assert [root.tasks for root in found.roots] == [sum(n in ancestors[m] for m in range(len(tasks))) for n in bad]
