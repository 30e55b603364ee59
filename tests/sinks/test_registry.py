"""What a run must have before it begins, and what never leaves it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_monitor.records import Severity
from azr_platform.config.load import ConfigError, load
from azr_platform.config.schema import SinksConfig
from azr_platform.sinks.base import Stream
from azr_platform.sinks.names import leaving
from azr_platform.sinks.registry import Sinks, require, wanted


@pytest.mark.parametrize(
    ("setting", "library", "extra"),
    [
        ("sinks.tensorboard=true", "tensorboard", "tensorboard"),
        ("sinks.wandb=azr", "wandb", "wandb"),
        ("sinks.trackio=azr", "trackio", "trackio"),
        ("sinks.prometheus=9400", "prometheus_client", "prometheus"),
    ],
)
def test_a_library_that_a_sink_needs_is_missed_before_the_run(
    setting: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    require(load("nano").sinks)
    with pytest.raises(ConfigError, match=rf"sinks.{extra} needs {library}: install azr-platform\[{extra}\]"):
        require(load("nano", None, [setting]).sinks)


def test_nothing_is_on_unless_it_is_asked_for() -> None:
    assert wanted(SinksConfig()) == []


def test_a_run_is_the_same_stream_each_time_and_no_other_run_is(tmp_path: Path) -> None:
    config = load("nano")
    first = Stream.of(tmp_path, config, "first", 1.5)
    assert Stream.of(tmp_path, config, "first", 1.5).id == first.id
    assert Stream.of(tmp_path, config, "first", 2.5).id != first.id
    assert Stream.of(tmp_path, config, "other", 1.5).id != first.id


def test_a_class_that_a_model_named_does_not_leave_as_a_metric_s_name() -> None:
    """``health/values/TYPE`` of an error task is what its program raises."""
    told = leaving(
        {"health/values/ValueError": 0.5, "health/values/MyNumberIs5551234": 0.25, "health/values/Leak": 0.25}
    )
    assert told == {"health/values/ValueError": 0.5, "health/values/other": 0.5}


@pytest.mark.parametrize("name", ["a b", "x" * 41, "a/b/c/d/e", "ü", "a\n", "", "a//b", '{a="b"}'])
def test_what_is_not_named_as_metrics_are_does_not_leave(name: str) -> None:
    assert leaving({name: 1.0, "loss": 2.0}) == {"loss": 2.0}


def test_where_reason_and_message_do_not_leave(
    open_sinks: Callable[..., Sinks], tell_steps: Callable[..., None], tmp_path: Path
) -> None:
    """They may quote what a model wrote. The in-process sinks write here; the others are handed the same events."""
    pytest.importorskip("tensorboard")
    sinks = open_sinks("sinks.jsonl=true", "sinks.tensorboard=true")
    secret = "uniquely-the-models-own-words"
    sinks.branch(1, 0)
    sinks.state("paused", secret, secret)
    sinks.beat(1, secret, 0, 1)
    sinks.notice(secret)
    sinks.alert(Severity.HIGH, "trace.escape", secret)
    tell_steps(sinks, 1, 2)
    assert sinks.close() == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not [path for path in files if secret.encode() in path.read_bytes()]
