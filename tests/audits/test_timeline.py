"""Timelines: rates along the run, and where they changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import azr_platform.audits.timeline as module
from azr_platform.audits.timeline import timeline
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter


def _tracks(found: Any) -> dict[str, Any]:
    return {track.what: track for track in found.tracks}


def test_rates_are_of_the_samples_of_each_step(judged: Any) -> None:
    found = timeline(
        [
            judged(1, "trace.harm", step=1),
            judged(2, step=1),
            judged(3, "trace.harm.x", "trace.uhoh", step=2, allowed=False),
            judged(4, ("supervisor.held-out", 0), step=4, allowed=False),
        ]
    )
    assert (found.axis, found.width, found.starts, found.totals) == ("step", 1, [1, 2, 4], [2, 1, 1])
    tracks = _tracks(found)
    assert list(tracks) == ["blocked", "flagged", "harm", "deception"]
    assert (tracks["harm"].samples, tracks["harm"].hits) == (2, [1, 1, 0])
    assert tracks["blocked"].hits == [0, 1, 1], "whoever blocked it"
    rate = tracks["harm"].rates[0]
    assert (rate.value, rate.count) == (0.5, 2) and 0.09 < rate.low < 0.1 < 0.9 < rate.high < 0.91


def test_a_step_of_the_rate_is_marked_with_both_rates(judged: Any) -> None:
    found = timeline(
        judged(number, *(["trace.harm"] if number % 4 == 0 and number > 1000 else []), step=number // 50)
        for number in range(2000)
    )
    track = _tracks(found)["harm"]
    assert track.changes == [20]
    before, after = track.stretches
    assert (before.first, before.last, before.hits, after.first, after.last) == (0, 19, 0, 20, 39)
    assert before.rate.high < 0.01 and after.rate.low < 0.25 < after.rate.high


def test_seeds_and_what_a_rollback_left_behind_are_left_out(judged: Any) -> None:
    rows = [
        judged(1, "trace.harm", step=0, phase="seed"),
        judged(2, step=1),
        judged(3, "trace.harm", step=2),
        judged(4, step=2, branch=2),
        judged(5, step=3, branch=2),
    ]
    found = timeline(rows, [(1, 1), (2, 2**62)])
    assert (found.starts, found.totals, found.aside, found.tracks) == ([1, 2, 3], [1, 1, 1], 2, [])


def test_samples_without_steps_are_placed_by_their_order(judged: Any) -> None:
    found = timeline(judged(number, *(["trace.harm"] if number > 500 else []), step=0) for number in range(1, 1001))
    assert (found.axis, found.width, sum(found.totals)) == ("sample", 2, 1000)
    assert _tracks(found)["harm"].changes == [500]


def test_memory_is_bounded_however_many_steps_there_are(judged: Any) -> None:
    found = timeline(judged(number, *(["trace.harm"] if number % 10 == 0 else [])) for number in range(1, 5001))
    assert module.PLACES <= len(found.starts) < 2 * module.PLACES
    assert found.width == 16 and set(found.totals[1:-1]) == {16}
    assert (sum(found.totals), _tracks(found)["harm"].samples) == (5000, 500)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=60))
def test_nothing_is_lost_when_places_are_joined(judged: Any, rows: list[tuple[int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PLACES", 4)
        found = timeline(judged(n, *(["trace.harm"] if hit else []), step=step) for n, (step, hit) in enumerate(rows))
    assert sum(found.totals) == len(rows) and len(found.starts) < 8
    assert sum(track.samples for track in found.tracks if track.what == "harm") == sum(hit for _, hit in rows)
    assert found.starts == sorted(found.starts)


def test_nothing_judged_is_an_empty_timeline() -> None:
    found = timeline([])
    assert (found.starts, found.totals, found.tracks) == ([], [], [])


def test_rollbacks_and_changes_of_policy_along_the_line_are_told(run_folder: Path) -> None:
    policy = {
        "time": 1.0,
        "name": "p",
        "settings": "{}",
        "setting": "",
        "before": "",
        "after": "",
        "who": "w",
        "why": "",
    }
    change = {**policy, "rule": "trace.harm", "setting": "action", "before": '"drop"', "after": '"alert"'}
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        for parent, step in ((None, 0), (1, 4), (1, 6)):
            batch.add("branches", {"created_at": 1.0, "parent": parent, "from_step": step, "reason": "rollback"})
        for branch, step, fingerprint in ((1, 0, "a"), (1, 2, "a"), (1, 3, "b"), (1, 8, "c"), (3, 7, "d")):
            batch.add("policies", {**policy, "branch": branch, "step": step, "fingerprint": fingerprint, "rule": ""})
        batch.add("policies", {**change, "branch": 3, "step": 8, "fingerprint": "d"})
    with LedgerReader(run_folder) as reader:
        line = reader.lineage()
        told = [(event.step, event.what) for event in module.events(reader, line, policies=True)]
        audits = [event.step for event in module.events(reader, line, policies=False)]
    assert told == [
        (4, "policy: now p"),
        (7, "branch 3: rollback"),
        (8, "policy: now p"),
        (9, 'policy: trace.harm action: "drop" to "alert"'),
    ]
    assert audits == [7], "an audit has one policy"
