"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.sinks.registry import Sinks

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

Open = Callable[..., Sinks]
Tell = Callable[..., None]


def read(run: Path, branch: int) -> Any:
    found = accumulator.EventAccumulator(str(run / "tensorboard" / f"branch-{branch}"))
    return found.Reload()


def scalars(events: Any, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 6)) for event in events.Scalars(tag)]


def text(events: Any, tag: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in events.Tensors(tag)]


def test_a_continued_run_goes_on_in_its_folder_and_a_branch_has_its_own(
    open_sinks: Open, tell_steps: Tell, tmp_path: Path
) -> None:
    first = open_sinks("sinks.tensorboard=true")
    first.branch(1, 0)
    tell_steps(first, 1, 2)
    assert first.close() == []
    second = open_sinks("sinks.tensorboard=true")
    second.branch(1, 2)
    tell_steps(second, 3, 4)
    second.branch(2, 3)
    tell_steps(second, 4, 4, "paused")
    assert second.close() == []

    line = read(tmp_path, 1)
    assert scalars(line, "loss") == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    assert scalars(line, "seconds/step")[0] == (1, 1.5)
    assert scalars(line, "alerts/high") == [(1, 0.0), (2, 1.0), (3, 0.0), (4, 1.0)]
    assert text(line, "alert/high") == ["trace.escape"] * 2
    assert "nano" in text(line, "settings")[0]
    assert len(text(line, "settings")) == 1
    branch = read(tmp_path, 2)
    assert scalars(branch, "loss") == [(4, 0.4)]
    assert text(branch, "state") == ["paused"]
