"""The endpoint, scraped over the loopback and read with Prometheus' own parser."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from azr_platform.config.load import ConfigError, load
from azr_platform.config.schema import SinksConfig
from azr_platform.sinks.base import Alert, Branch, State, Step, Stream
from azr_platform.sinks.prometheus import Prometheus, family_of
from azr_platform.sinks.registry import require

parser = pytest.importorskip("prometheus_client.parser")

WHERE = {"time": 1.0, "branch": 1}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Prometheus]:
    sink = Prometheus(Stream.of(tmp_path, load("nano"), 'a "run"', 1.5), "127.0.0.1", 0)
    yield sink
    sink.close()


def scrape(sink: Prometheus) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=60) as answer:
        families = list(parser.text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("metric", "family", "labels"),
    [
        ("loss", "azr_loss", ()),
        ("reward/propose/abduction", "azr_reward", (("role", "propose"), ("kind", "abduction"))),
        ("solve_rate/error", "azr_solve_rate", (("kind", "error"),)),
        ("response_length/mean", "azr_response_length_mean", ()),
        ("seconds/supervisor/jail", "azr_seconds_supervisor_jail", ()),
        ("difficulty/3", "azr_difficulty", (("solved", "3"),)),
        ("health/values/int", "azr_health_values", (("type", "int"),)),
        ("health/values/largest", "azr_health_values_largest", ()),
        ("odd-name.x", "azr_odd_name_x", ()),
    ],
)
def test_a_metric_is_a_gauge_with_labels_instead_of_slashes(metric: str, family: str, labels: object) -> None:
    assert family_of(metric) == (family, labels)


def test_a_scrape_says_the_newest_step_the_state_and_the_alerts(endpoint: Prometheus) -> None:
    endpoint.write(Branch(**WHERE, step=0))
    endpoint.write(State(**WHERE, step=0, state="running"))
    endpoint.write(Step(**WHERE, step=1, seconds=2.0, metrics={"loss": 0.5, "reward/solve/deduction": 0.25}))
    endpoint.write(Alert(**WHERE, step=1, severity="high", rule="trace.escape"))
    found = scrape(endpoint)
    assert found["azr_loss", ()] == 0.5
    assert found["azr_reward", (("kind", "deduction"), ("role", "solve"))] == 0.25
    assert found["azr_step", ()] == 1
    assert found["azr_state", (("state", "running"),)] == 1
    assert found["azr_alerts_total", (("severity", "high"),)] == 1
    assert found["azr_alerts_total", (("severity", "low"),)] == 0

    endpoint.write(Branch(time=2.0, branch=2, step=0))
    endpoint.write(State(time=2.0, branch=2, step=0, state="paused"))
    endpoint.write(Step(time=2.0, branch=2, step=1, seconds=2.0, metrics={"loss": 0.125}))
    found = scrape(endpoint)
    assert found["azr_loss", ()] == 0.125
    assert found["azr_branch", ()] == 2
    assert found["azr_state", (("state", "paused"),)] == 1
    # What the newest step does not say is not told as if it did.
    assert not [key for key in found if key[0] == "azr_reward" or key == ("azr_state", (("state", "running"),))]


def test_it_is_closed_with_its_run(tmp_path: Path) -> None:
    sink = Prometheus(Stream.of(tmp_path, load("nano"), "run", 1.5), "127.0.0.1", 0)
    port = sink.port
    sink.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    require(SinksConfig(prometheus=port))  # the next run can have it at once


def test_a_port_in_use_is_refused_before_the_run(endpoint: Prometheus) -> None:
    with pytest.raises(ConfigError, match=rf"sinks.prometheus = {endpoint.port}: 127.0.0.1:{endpoint.port}.*in use"):
        require(SinksConfig(prometheus=endpoint.port))


def test_an_address_that_is_not_this_machine_s_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be listened on"):
        require(SinksConfig(prometheus=9400, prometheus_host="203.0.113.7"))
