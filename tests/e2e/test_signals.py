"""The real command under signals: it stops safely, leaves no orphan, and can be continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from azr_monitor.policy import load_policy
from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Action, SafePoint, Status
from azr_platform.config.load import dump
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader

pytestmark = pytest.mark.timeout(900)  # seconds here are minutes on a machine that is busy with others

DEADLINE = 600.0


@pytest.fixture
def settings(tmp_path: Path, small_config: Callable[..., Config]) -> Path:
    """A configuration file of a long run under the default policy without classifiers."""
    policy = load_policy("default").model_dump(mode="json")
    policy["classifiers"] = []
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    path = tmp_path / "settings.toml"
    path.write_text(dump(small_config("run.steps=500", f"supervisor.policy={tmp_path / 'policy.yaml'}")))
    return path


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "azr_platform", "train", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_step(run: Path, step: int) -> Status:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            with ControlClient(run) as client:
                status = client.status()
            if status.step >= step:
                return status
        except NotSupervised:
            pass
        time.sleep(0.05)
    raise AssertionError(f"step {step} was never reached")


def gone(pid: int) -> bool:
    """Whether a process ended (a zombie that nobody has reaped yet has ended too)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_safely_with_a_checkpoint(tmp_path: Path, settings: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    process = start("--config", str(settings), "--run", str(run))
    status = wait_for_step(run, 2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, output
    assert "stopped" in output
    assert gone(status.trainer_pid)
    assert not (run / "control.sock").exists()
    with LedgerReader(run) as reader:
        assert reader.state().state == "stopped"
        assert reader.line_checkpoints()[-1].step == reader.step()
        assert reader.verify().intact


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_orphan_and_the_run_can_go_on(
    tmp_path: Path, settings: Path, supervise: Callable[..., int]
) -> None:
    run = tmp_path / "run"
    process = start("--config", str(settings), "--run", str(run))
    status = wait_for_step(run, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=DEADLINE)
    deadline = time.monotonic() + DEADLINE
    while not gone(status.trainer_pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert gone(status.trainer_pid), "a trainer without a supervisor must end"
    with LedgerReader(run) as reader:
        assert reader.state().state == "interrupted"
        assert reader.verify().intact
        before = reader.step()

    def arrange(moments: Any) -> None:
        def stop() -> None:
            assert moments.order(Action.STOP).ok

        moments.before(SafePoint, before + 1, stop)

    assert supervise(run, arrange=arrange) == 0
    with LedgerReader(run) as reader:
        assert reader.state().state == "stopped"
        assert reader.verify().intact
