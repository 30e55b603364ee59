"""A run that is killed again and again ends as the undisturbed one: the benchmark, with few kills."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_thirty_moments_runs_end_with_the_weights_and_rows_of_the_undisturbed_one(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/kills.py"), "--kills", "30", "--json", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] == []
    assert result["kills"] >= 30
    assert set(result["victims"]) == {"trainer", "supervisor", "both"}
    assert done.returncode == 0
