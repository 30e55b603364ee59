"""Sinks that fail, hang or lag: the run goes on, the others too, and what was lost is told."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_platform.config.load import load
from azr_platform.sinks import registry
from azr_platform.sinks.apart import Apart
from azr_platform.sinks.base import Event, Sink, SinkFailed, State, Stream
from azr_platform.sinks.feed import Feed
from azr_platform.sinks.registry import Sinks

DEADLINE = 300.0


def state(name: str) -> State:
    return State(time=1.0, branch=1, step=0, state=name)


class Keeps(Sink):
    """Remembers; ``fail_at`` raises; ``wait`` blocks until it is set."""

    def __init__(self, fail_at: str = "", wait: threading.Event | None = None) -> None:
        self.states: list[str] = []
        self.closed = False
        self.begun = threading.Event()
        self._fail_at, self._wait = fail_at, wait

    def write(self, event: Event) -> None:
        assert isinstance(event, State)
        self.begun.set()
        if self._wait is not None:
            self._wait.wait(DEADLINE)
        if event.state == self._fail_at:
            raise OSError("no space left\non the device")
        self.states.append(event.state)

    def close(self) -> None:
        self.closed = True


def test_events_arrive_in_order_and_the_sink_is_closed() -> None:
    sink, told = Keeps(), list[str]()
    feed = Feed("test", lambda: sink, told.append)
    for name in "abc":
        feed.put(state(name))
    feed.finish()
    feed.join(DEADLINE)
    assert (sink.states, sink.closed, told) == (["a", "b", "c"], True, [])


def test_a_sink_that_raises_is_switched_off_with_one_notice_and_closed() -> None:
    sink, told = Keeps(fail_at="b"), list[str]()
    feed = Feed("test", lambda: sink, told.append)
    for name in "abcd":
        feed.put(state(name))
    feed.finish()
    feed.join(DEADLINE)
    feed.put(state("e"))
    assert (sink.states, sink.closed) == (["a"], True)
    assert told == ["sinks.test is off: no space left on the device"]


def test_a_sink_that_cannot_be_opened_is_switched_off_with_one_notice() -> None:
    def refuse() -> Sink:
        raise OSError("no such place")

    told: list[str] = []
    feed = Feed("test", refuse, told.append)
    feed.put(state("a"))
    feed.finish()
    feed.join(DEADLINE)
    assert told == ["sinks.test is off: no such place"]


def test_a_sink_that_hangs_holds_up_nobody_and_what_is_dropped_is_counted() -> None:
    release = threading.Event()
    sink, told = Keeps(wait=release), list[str]()
    feed = Feed("test", lambda: sink, told.append, queued=3)
    feed.put(state("a"))
    assert sink.begun.wait(DEADLINE)
    for name in "bcdefg":
        feed.put(state(name))
    assert told == ["sinks.test is slow: while 3 events wait for it, others are dropped"]
    feed.finish()
    feed.join(0.01)
    assert told[1:] == [
        "sinks.test did not end in time: what it had not written yet is lost",
        "sinks.test: 3 events were dropped",
    ]
    release.set()


def test_the_others_go_on_when_a_sink_fails(
    open_sinks: Callable[..., Sinks],
    tell_steps: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(registry._OPENERS, "tensorboard", lambda stream, settings: Keeps(fail_at="running"))
    sinks = open_sinks("sinks.jsonl=true", "sinks.tensorboard=true")
    sinks.state("running", "", "")
    tell_steps(sinks, 1, 3)
    assert sinks.close() == ["sinks.tensorboard is off: no space left on the device"]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 6


# -- in a process of its own -----------------------------------------------------------------------------


def apart(run: Path, body: str) -> Apart:
    """A child that does what ``body`` says with ``wire``."""
    prelude = (
        "import os, signal, socket, sys\n"
        "from azr_platform.channel.wire import Wire\n"
        "from azr_platform.sinks.apart import Failed\n"
        "wire = Wire(socket.socket(fileno=os.dup(0)), dict)\n"
        "wire.receive()\n"
    )
    config = load("nano")
    command = (sys.executable, "-c", prelude + body)
    return Apart("test", Stream.of(run, config, "first", 1.5), config.sinks, command)


def test_a_child_that_dies_is_one_notice(tmp_path: Path) -> None:
    told: list[str] = []
    feed = Feed("test", lambda: apart(tmp_path, "os._exit(3)"), told.append)
    feed.finish()
    feed.join(DEADLINE)
    assert told == ["sinks.test is off: its process ended with status 3; see logs/sinks.log"]


def test_a_child_s_reason_is_told_also_by_the_event_that_finds_it_gone(tmp_path: Path) -> None:
    child = apart(tmp_path, "wire.send(Failed('they refuse')); sys.exit(1)")
    with pytest.raises(SinkFailed, match="they refuse"):
        while True:
            child.write(state("a"))


def test_a_child_that_hangs_is_killed_when_the_run_ends(tmp_path: Path) -> None:
    told: list[str] = []
    children: list[Apart] = []

    def start() -> Sink:
        children.append(apart(tmp_path, "signal.pause()"))
        return children[0]

    feed = Feed("test", start, told.append)
    feed.put(state("a"))
    feed.finish()
    while not children:
        feed.join(0.01)
    feed.join(0.01)
    assert "sinks.test did not end in time: what it had not written yet is lost" in told
    assert children[0]._process.wait(DEADLINE) == -9


def test_an_error_in_the_child_s_library_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real child, with a stand-in for a library that cannot be imported."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "trackio.py").write_text("raise ImportError('broken\\ninstallation')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hide"), prepend=":")
    config = load("nano", overrides=["sinks.trackio=azr"])
    sinks = Sinks(Stream.of(tmp_path, config, "first", 1.5), config.sinks)
    sinks.branch(1, 0)
    assert sinks.close() == ["sinks.trackio is off: broken installation"]
