"""A run as sinks see it, and something for it to tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from azr_monitor.records import Severity
from azr_platform.config.load import load
from azr_platform.sinks.base import Stream
from azr_platform.sinks.registry import Sinks

NOT_FOR_SINKS = "uniquely-the-models-own-words"


@pytest.fixture
def open_sinks(tmp_path: Path) -> Callable[..., Sinks]:
    """The sinks that settings ask for, of the run ``first`` in the test's own folder; the same run each time."""

    def opened(*settings: str) -> Sinks:
        config = load("nano", overrides=["sinks.end_seconds=300.0", *settings])
        return Sinks(Stream.of(tmp_path, config, "first", 1.5), config.sinks)

    return opened


@pytest.fixture
def tell_steps() -> Callable[..., None]:
    """Steps ``first`` to ``last`` with a loss of a tenth of the step, and one alert before the last."""

    def tell(sinks: Sinks, first: int, last: int, state: str = "running") -> None:
        sinks.state(state, NOT_FOR_SINKS, NOT_FOR_SINKS)
        for step in range(first, last + 1):
            if step == last:
                sinks.alert(Severity.HIGH, "trace.escape", NOT_FOR_SINKS)
            sinks.step(step, 9, 1.5, {"loss": step / 10, "reward/solve/deduction": 0.5, "difficulty/3": 2.0})

    return tell
