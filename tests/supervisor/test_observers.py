"""What front ends hear of branches, and how a sink's trouble comes on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azr_monitor.records import Severity
from azr_platform.channel.messages import Action
from azr_platform.config.load import load
from azr_platform.sinks.base import Stream
from azr_platform.sinks.registry import Sinks
from azr_platform.supervisor.observer import Guarded, Observer

Supervise = Callable[..., Any]

STEPS = """
welcome = link.hello()
start = int(welcome.checkpoint.split("-")[1]) if welcome.checkpoint else 0
branch = welcome.branch
while True:
    try:
        for step in range(start + 1, 4):
            link.step = step
            link.safe_point("between steps")
            link.step_done(0.5, {"loss": step / 10}, [])
            checkpoint(step, branch)
            (run / f"done-{step}-{branch}").touch()
        if branch == 1:
            wait("go")
        link.safe_point("after the last step")
        link.finished()
        break
    except HaltRequested:
        break
    except RollBackRequested as request:
        start, branch = request.order.step, request.order.branch
"""


def sinks_of(run: Path) -> Sinks:
    config = load("nano", overrides=["sinks.jsonl=true", "sinks.end_seconds=300.0"])
    return Sinks(Stream.of(run, config, "run", 1.5), config.sinks)


def test_a_rollback_opens_a_branch_in_the_sinks_as_in_the_ledger(supervise: Supervise, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    sinks = sinks_of(tmp_path / "elsewhere")

    def back(live: Any) -> None:
        live.until_seen("done-3-1")
        assert live.order(Action.ROLLBACK, step=1).ok
        live.say("go")

    ended = supervise(STEPS, back, observer=sinks)
    assert sinks.close() == []
    assert ended.status == 0
    lines = [json.loads(line) for line in (tmp_path / "elsewhere" / "metrics.jsonl").read_text().splitlines()]
    steps = [(line["branch"], line["step"], line["metrics"]["loss"]) for line in lines if line["type"] == "step"]
    assert steps == ended.rows("SELECT branch, step, value FROM metrics WHERE name = 'loss' ORDER BY id")
    assert [row[:2] for row in steps] == [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3)]
    assert [(line["branch"], line["step"]) for line in lines if line["type"] == "branch"] == [(1, 0), (2, 1)]
    assert [line["state"] for line in lines if line["type"] == "state"] == ended.states[1:]


def test_a_trainer_s_death_is_an_alert_and_a_branch(supervise: Supervise, tmp_path: Path) -> None:
    class Hears(Observer):
        def __init__(self) -> None:
            self.heard: list[object] = []

        def branch(self, branch: int, step: int) -> None:
            self.heard.append((branch, step))

        def alert(self, severity: Severity, rule: str, message: str) -> None:
            self.heard.append(rule)

    body = """
link.hello()
if not (run / "once").exists():
    (run / "once").touch()
    link.step = 1
    link.safe_point("between steps")
    link.step_done(0.5, {"loss": 1.0}, [])
    os._exit(3)
link.safe_point("between steps")
link.finished()
"""
    hears = Hears()
    assert supervise(body, observer=hears).status == 0
    assert hears.heard == [(1, 0), "supervisor.trainer", (2, 0)]


def test_trouble_of_a_front_end_comes_on_record_once(supervise: Supervise) -> None:
    class Troubled(Observer):
        def __init__(self) -> None:
            self.left = ["sinks.test is off: no space left"]

        def troubles(self) -> list[str]:
            told, self.left = self.left, []
            return told

    ended = supervise('link.hello()\nlink.safe_point("between steps")\nlink.finished()\n', observer=Troubled())
    notices = ended.rows("SELECT message FROM notices WHERE source = 'sinks'")
    assert notices == [("sinks.test is off: no space left",)]


def test_a_front_end_that_fails_leaves_the_others_their_say() -> None:
    class Broken(Observer):
        def notice(self, message: str) -> None:
            raise BrokenPipeError

    class Hears(Observer):
        heard: tuple[str, ...] = ()

        def notice(self, message: str) -> None:
            self.heard += (message,)

    hears = Hears()
    both = Guarded(Broken(), hears)
    both.notice("one")
    both.notice("two")
    assert hears.heard == ("one", "two")
