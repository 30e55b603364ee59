"""What a sink is, and everything it can be told.

There is no place here for a text that a model wrote: numbers, states, rules and settings only (see sinks/names.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from azr_platform import __version__
from azr_platform.config.schema import Config


class Stream(msgspec.Struct, frozen=True):
    """What a run is to a sink; the same each time that the run is continued."""

    run: str
    """The run's folder, absolute."""
    name: str
    id: str
    """Eight hexadecimal digits that no other run has."""
    version: str
    config: dict[str, Any]

    @classmethod
    def of(cls, run: Path, config: Config, name: str, created_at: float) -> Stream:
        """``name`` and ``created_at`` (seconds since 1970) are the ledger's."""
        digest = blake2b(f"{name}\n{created_at!r}".encode(), digest_size=4).hexdigest()
        return cls(str(run.resolve()), name, digest, __version__, config.model_dump(mode="json"))


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at ``time`` (seconds since 1970) on a branch of the run, at or after ``step``."""

    time: float
    branch: int
    step: int


class Branch(Told, frozen=True, tag="branch"):
    """From here on steps belong to ``branch`` and follow ``step``: the first event of all, and after each way back."""


class Step(Told, frozen=True, tag="step"):
    """A step is on record. ``seconds`` is its wall time."""

    seconds: float
    metrics: dict[str, float]


class State(Told, frozen=True, tag="state"):
    """The run is in another state."""

    state: str


class Alert(Told, frozen=True, tag="alert"):
    """An alert is on record; what it says stays there."""

    severity: str
    rule: str


Event = Branch | Step | State | Alert


class SinkFailed(Exception):
    """A sink cannot go on; the text says why."""


class Sink:
    """Where events go. Its methods are called in one thread, in which they may wait; what they raise ends the sink."""

    def write(self, event: Event) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """No more is to come: finish what was begun."""

    def abandon(self) -> None:
        """Called in another thread when the sink was waited for in vain."""


def as_metrics(step: Step) -> Mapping[str, float]:
    """A step's metrics with its wall time among them, for sinks that know metrics alone."""
    return {**step.metrics, "seconds/step": step.seconds}
