"""The real command with sinks: what they say is what the ledger says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from azr_monitor.policy import load_policy
from azr_platform.config.load import dump
from azr_platform.config.schema import Config
from azr_platform.sinks.names import leaving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_run_s_metrics_stand_in_its_jsonl_as_in_its_ledger(
    tmp_path: Path, small_config: Callable[..., Config], query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    policy = load_policy("default").model_dump(mode="json")
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({**policy, "classifiers": [], "rates": []}))
    (tmp_path / "settings.toml").write_text(dump(small_config("run.steps=1")))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "azr_platform", "train", "--config", str(tmp_path / "settings.toml")]
    options = ["--run", str(run), "--policy", str(tmp_path / "policy.yaml"), "--set", "sinks.jsonl=true"]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, timeout=800, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (step,) = [line for line in lines if line["type"] == "step"]
    recorded = dict(query(run, "SELECT name, value FROM metrics WHERE step = 1"))
    told = {name: value for name, value in step["metrics"].items() if not name.startswith("alerts/")}
    assert told == leaving(recorded)
    assert len(told) > 20
    alerts = query(run, "SELECT count(*) FROM alerts")[0][0]
    assert len([line for line in lines if line["type"] == "alert"]) == alerts
    assert [line["state"] for line in lines if line["type"] == "state"][-1] == "finished"
    assert not query(run, "SELECT message FROM notices WHERE source = 'sinks'")
