"""A real supervisor, whose alerts and end leave through a real command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azr_platform.alerts.outward import Outward
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader

Supervise = Callable[..., Any]

DIES_ONCE = """
link.hello()
if not (run / "once").exists():
    (run / "once").touch()
    os._exit(3)
link.safe_point("between steps")
link.finished()
"""
APPEND = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read())"


def outward(folder: Path, *command: str) -> Outward:
    overrides = [f"alerts.command={json.dumps(command)}", "alerts.timeout_seconds=300.0", "alerts.attempts=1"]
    return Outward(folder, "demo", load("nano", overrides=overrides).alerts, lambda: "ab" * 32)


def test_a_trainer_s_death_and_the_run_s_end_are_told(supervise: Supervise, tmp_path: Path) -> None:
    out = tmp_path / "out"
    observer = outward(tmp_path, sys.executable, "-c", APPEND, str(out))
    ended = supervise(DIES_ONCE, observer=observer)
    assert observer.close() == []
    assert ended.status == 0
    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["name"], one["branch"]) for one in told] == [("supervisor.trainer", 1), ("finished", 1)]
    assert not any(one["quote"] for one in told)


def test_alerts_that_cannot_be_told_are_one_notice_and_the_run_goes_on(supervise: Supervise, tmp_path: Path) -> None:
    seen = tmp_path / "failed"
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); sys.exit(7)"
    observer = outward(tmp_path, sys.executable, "-c", script, str(seen))
    ended = supervise(DIES_ONCE, observer=observer)
    assert ended.status == 0
    with LedgerReader(ended.run) as reader:
        on_record = [row.message for row in reader.notices() if row.source == "alerts"]
    left = observer.close()
    assert seen.exists()
    failed, lost = [*on_record, *left]
    assert failed.startswith("alerts.command: not delivered: it ended with status 7; see logs/alerts.log; ")
    assert lost == "alerts.command: 2 messages were not delivered"
