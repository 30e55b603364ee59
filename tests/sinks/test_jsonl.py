"""metrics.jsonl: whole lines that JSON reads, whatever ended the run before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.sinks.registry import Sinks

Open = Callable[..., Sinks]
Tell = Callable[..., None]


def lines(run: Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    text = (run / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_steps_states_and_alerts_stand_in_it_line_by_line(open_sinks: Open, tell_steps: Tell, tmp_path: Path) -> None:
    sinks = open_sinks("sinks.jsonl=true")
    sinks.branch(1, 0)
    tell_steps(sinks, 1, 2)
    assert sinks.close() == []
    told = lines(tmp_path)
    assert [line["type"] for line in told] == ["branch", "state", "step", "alert", "step"]
    assert told[1]["state"] == "running"
    assert (told[2]["branch"], told[2]["step"], told[2]["seconds"]) == (1, 1, 1.5)
    assert told[2]["metrics"]["loss"] == 0.1
    assert (told[3]["severity"], told[3]["rule"]) == ("high", "trace.escape")
    assert told[2]["metrics"]["alerts/high"] == 0.0
    assert told[4]["metrics"]["alerts/high"] == 1.0


def test_what_is_no_number_is_null(open_sinks: Open, tmp_path: Path) -> None:
    sinks = open_sinks("sinks.jsonl=true")
    sinks.branch(1, 0)
    sinks.step(1, 9, 1.0, {"loss": float("nan"), "ratio_max": float("inf")})
    assert sinks.close() == []
    metrics = lines(tmp_path)[-1]["metrics"]
    assert (metrics["loss"], metrics["ratio_max"]) == (None, None)


@pytest.mark.parametrize("cut", ['{"type":"st', "", "x" * 200_000])
def test_a_continued_run_goes_on_behind_the_last_whole_line(
    cut: str, open_sinks: Open, tell_steps: Tell, tmp_path: Path
) -> None:
    first = open_sinks("sinks.jsonl=true")
    first.branch(1, 0)
    tell_steps(first, 1, 2)
    assert first.close() == []
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(cut)  # what a killed run leaves

    second = open_sinks("sinks.jsonl=true")
    second.branch(1, 2)
    tell_steps(second, 3, 3)
    assert second.close() == []
    assert [line["step"] for line in lines(tmp_path) if line["type"] == "step"] == [1, 2, 3]


def test_a_file_of_one_cut_line_begins_anew(open_sinks: Open, tell_steps: Tell, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"type":"bran')
    sinks = open_sinks("sinks.jsonl=true")
    sinks.branch(1, 0)
    assert sinks.close() == []
    assert [line["type"] for line in lines(tmp_path)] == ["branch"]


def test_after_a_way_back_steps_name_their_branch(open_sinks: Open, tell_steps: Tell, tmp_path: Path) -> None:
    sinks = open_sinks("sinks.jsonl=true")
    sinks.branch(1, 0)
    tell_steps(sinks, 1, 3)
    sinks.branch(2, 1)
    tell_steps(sinks, 2, 2)
    assert sinks.close() == []
    steps = [(line["branch"], line["step"]) for line in lines(tmp_path) if line["type"] == "step"]
    assert steps == [(1, 1), (1, 2), (1, 3), (2, 2)]
