"""A Prometheus endpoint: the newest step's metrics, the run's state and its alerts, for as long as the run lives.

``reward/ROLE/KIND`` is the gauge ``azr_reward{role="ROLE",kind="KIND"}``; a part of a name that is neither a role nor a
kind stays in the name: ``seconds/generate`` is ``azr_seconds_generate``.
"""

from __future__ import annotations

import re
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from azr_monitor.records import Severity
from azr_platform.records import Kind, Role
from azr_platform.sinks.base import Alert, Event, Sink, State, Step, Stream, as_metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# Families whose last part is a value of a label.
_LABELLED = {"difficulty": "solved", "health/values": "type"}
_ROLES, _KINDS = {role.value for role in Role}, {kind.value for kind in Kind}
Labels = tuple[tuple[str, str], ...]


def check_free(host: str, port: int) -> None:
    """Raises OSError when the endpoint cannot be opened."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a closed run's is free
        probe.bind(address)
        probe.listen()


def family_of(name: str) -> tuple[str, Labels]:
    """(name of the gauge, its labels) of a metric."""
    head, _, last = name.rpartition("/")
    if head in _LABELLED and last != "largest":
        return _legal(head), ((_LABELLED[head], last),)
    labels: list[tuple[str, str]] = []
    kept: list[str] = []
    for place, part in enumerate(name.split("/")):
        label = "role" if part in _ROLES else "kind" if part in _KINDS else ""
        if place and label:
            labels.append((label, part))
        else:
            kept.append(part)
    return _legal("_".join(kept)), tuple(labels)


def _legal(name: str) -> str:
    return "azr_" + re.sub(r"[^a-zA-Z0-9_]", "_", name)


class Prometheus(Sink):
    """Serves ``http://HOST:PORT/metrics`` until it is closed.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """

    def __init__(self, stream: Stream, host: str, port: int) -> None:
        from prometheus_client import CollectorRegistry, start_http_server

        self._stream = stream
        self._step: Step | None = None
        self._branch, self._at, self._state = 1, 0, ""
        self._alerts: Counter[str] = Counter()
        registry = CollectorRegistry()
        registry.register(self)
        self._server, self._thread = start_http_server(port, host, registry)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def write(self, event: Event) -> None:
        self._branch, self._at = event.branch, event.step
        match event:
            case Step():
                self._step = event
            case State():
                self._state = event.state
            case Alert():
                self._alerts = self._alerts + Counter((event.severity,))  # a new one: a scrape may read the old

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def collect(self) -> Iterator[Metric]:
        """What a scrape is answered with; called in the server's threads."""
        from prometheus_client.metrics_core import Metric

        def metric(name: str, what: str, kind: str, samples: dict[Labels, float], suffix: str = "") -> Metric:
            made = Metric(name, what, kind)
            for labels, value in samples.items():
                made.add_sample(name + suffix, dict(labels), value)
            return made

        about = (("id", self._stream.id), ("run", self._stream.name), ("version", self._stream.version))
        yield metric("azr_run", "The run.", "info", {about: 1}, "_info")
        yield metric("azr_state", "The run's state.", "gauge", {(("state", self._state),): 1})
        yield metric("azr_branch", "The run's branch.", "gauge", {(): self._branch})
        yield metric("azr_step", "Steps behind the run's branch.", "gauge", {(): self._at})
        names = [severity.name.lower() for severity in Severity]
        alerts: dict[Labels, float] = {(("severity", name),): self._alerts[name] for name in names}
        yield metric("azr_alerts", "Alerts since this process began.", "counter", alerts, "_total")
        families: dict[str, dict[Labels, float]] = defaultdict(dict)
        for name, value in (as_metrics(self._step) if self._step else {}).items():
            if not name.startswith("alerts/"):  # counted above
                family, labels = family_of(name)
                families[family][labels] = value
        for family, samples in families.items():
            yield metric(family, "Of the newest step.", "gauge", samples)
