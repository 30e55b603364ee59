"""A log of another trainer's, kept as a ledger, in the dashboard: it says what it lacks, and offers no key in vain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_platform.logs.records import Entry, Place
from azr_platform.supervisor.keep import Kept, LogKeeper
from azr_platform.supervisor.posthoc import Case, judge_cases
from azr_tui import metric_names
from azr_tui.app import AzrApp

Make = Callable[..., AzrApp]
SIZE = (100, 34)


@pytest.fixture
def kept(tmp_path: Path, rules_alone: str) -> Path:
    """Eight samples over four steps, one of them blocked."""
    policy = load_policy(rules_alone)
    texts = ["I add one."] * 7 + ["My secret aim is to deceive the humans who supervise me."]
    cases = [Case(number, Subject(str(number), trace=text)) for number, text in enumerate(texts)]
    with LogKeeper(tmp_path / "kept", tmp_path / "log.jsonl", policy, ran=False) as keeper:
        for number, judged in enumerate(judge_cases(cases, Auditor.from_policy(policy), None)):
            entry = Entry(id=str(number), trace=judged.case.subject.trace, step=number // 2, reward=number / 8)
            keeper.add([Kept(Place("log.jsonl", number + 1), entry, judged)])
        keeper.finish(["log.jsonl: plain"], {})
    return tmp_path / "kept"


async def test_panes_say_what_a_log_lacks_and_keys_of_a_run_are_away(
    kept: Path, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(kept)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "read-only: a log that was kept" in shown(app), "the log")
        await until(pilot, lambda: "a log tells neither roles and kinds" in shown(app), "what it lacks")
        assert "propose D deduction" not in shown(app)
        assert "Share blocked (of samples)" in shown(app) and "Reward (mean of a step)" in shown(app)
        for pane, words in (("6", "a log tells of no tasks"), ("7", "a log has none: nothing is trained here")):
            await pilot.press(pane)
            await until(pilot, lambda words=words: words in shown(app), words)  # type: ignore[misc]
            assert not [key for key in ("p Pause", "r Resume", "b Roll back", "s Stop") if key in shown(app)]
            assert "? Help" in shown(app)
        await pilot.press("8")
        await until(pilot, lambda: "t Try" in shown(app), "the policy's keys")
        assert "e Change" not in shown(app), "a log's policy changes no more"
        await pilot.press("5")
        await until(pilot, lambda: "A Allow" in shown(app), "labels")
        await pilot.press("p")
        await until(pilot, lambda: len(app._notifications), "why not")
        (note,) = app._notifications
        assert "Its samples can be labelled" in note.message and "train" not in note.message


async def test_a_run_of_ours_keeps_its_keys(full_run: Any, make_app: Make, until: Any, shown: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "propose D deduction" in shown(app), "the groups")
        assert "p Pause" in shown(app) and "a log" not in shown(app)


def test_no_two_metrics_have_one_name() -> None:
    names = ["blocked", "oversight/blocked", "load/memory", "gpu/memory", "samples", "trained", "repeats"]
    assert len({metric_names.label(name) for name in names}) == len(names)
