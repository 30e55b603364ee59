"""Which sinks a run has, what each needs, and the observer that hands on what a supervisor says.

```
supervisor ──(its loop)── Sinks ── Feed ── JsonLines            RUN/metrics.jsonl
                            ├───── Feed ── TensorBoard          RUN/tensorboard/
                            ├───── Feed ── Prometheus           http://HOST:PORT/metrics
                            ├───── Feed ── Apart ── a process ── WandB
                            └───── Feed ── Apart ── a process ── Trackio
```
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from azr_monitor.records import Severity
from azr_platform.config.load import ConfigError
from azr_platform.config.schema import SinksConfig
from azr_platform.diagnosis import missing
from azr_platform.sinks.apart import Apart
from azr_platform.sinks.base import Alert, Branch, Event, Sink, State, Step, Stream
from azr_platform.sinks.feed import Feed
from azr_platform.sinks.jsonl import JsonLines
from azr_platform.sinks.names import leaving
from azr_platform.sinks.prometheus import Prometheus, check_free
from azr_platform.sinks.tensorboard import TensorBoard
from azr_platform.supervisor.observer import Observer, Troubles

_LIBRARIES = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "trackio": "trackio",
    "prometheus": "prometheus_client",
}
"""The library that a sink needs; the extra is called like the sink."""

Opener = Callable[[Stream, SinksConfig], Sink]
_OPENERS: dict[str, Opener] = {
    "jsonl": lambda stream, _: JsonLines(stream),
    "tensorboard": lambda stream, _: TensorBoard(stream),
    "wandb": lambda stream, settings: Apart("wandb", stream, settings),
    "trackio": lambda stream, settings: Apart("trackio", stream, settings),
    "prometheus": lambda stream, settings: Prometheus(stream, settings.prometheus_host, settings.prometheus),
}


def wanted(settings: SinksConfig) -> list[str]:
    """Names of the sinks that the settings ask for."""
    return [name for name in _OPENERS if getattr(settings, name)]


def require(settings: SinksConfig) -> None:
    """Raises ConfigError when a sink's library is not installed, or the endpoint's port cannot be had."""
    for name in wanted(settings):
        library = _LIBRARIES.get(name)
        if library is not None and missing(library):
            raise ConfigError(f"sinks.{name} needs {library}: install azr-platform[{name}]")
    if settings.prometheus:
        place = f"sinks.prometheus = {settings.prometheus}"
        try:
            check_free(settings.prometheus_host, settings.prometheus)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"{place}: {settings.prometheus_host}:{settings.prometheus} cannot be listened on ({reason}); "
                f"give another port, or end what uses it"
            ) from error


class Sinks(Observer):
    """Every sink of a run. What it hears in the supervisor's loop it hands to each sink's thread, and never waits."""

    def __init__(self, stream: Stream, settings: SinksConfig) -> None:
        self._settings = settings
        self._branch, self._step = 1, 0
        self._alerts: Counter[str] = Counter()
        self._troubles = Troubles()
        self._feeds = [self._feed(name, stream) for name in wanted(settings)]

    def _feed(self, name: str, stream: Stream) -> Feed:
        return Feed(name, lambda: _OPENERS[name](stream, self._settings), self._troubles.add)

    def branch(self, branch: int, step: int) -> None:
        self._branch, self._step = branch, step
        self._hand_on(Branch(time=time.time(), branch=branch, step=step))

    def state(self, state: str, where: str, reason: str) -> None:
        # ``where`` and ``reason`` stay here: they may quote what a model wrote.
        self._hand_on(State(time=time.time(), branch=self._branch, step=self._step, state=state))

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self._step = step
        raised = {f"alerts/{name.lower()}": float(self._alerts[name]) for name in Severity.__members__}
        self._alerts.clear()
        told = {**leaving(metrics), **raised}
        self._hand_on(Step(time=time.time(), branch=self._branch, step=step, seconds=seconds, metrics=told))

    def alert(self, severity: Severity, rule: str, message: str) -> None:
        # ``message`` stays here, as above.
        self._alerts[severity.name] += 1
        name = severity.name.lower()
        self._hand_on(Alert(time=time.time(), branch=self._branch, step=self._step, severity=name, rule=rule))

    def troubles(self) -> list[str]:
        return self._troubles.take()

    def close(self) -> list[str]:
        """End every sink, together within ``sinks.end_seconds``; returns the troubles that were not asked for yet."""
        for feed in self._feeds:
            feed.finish()
        deadline = time.monotonic() + self._settings.end_seconds
        for feed in self._feeds:
            feed.join(max(0.0, deadline - time.monotonic()))
        return self.troubles()

    def _hand_on(self, event: Event) -> None:
        for feed in self._feeds:
            feed.put(event)
