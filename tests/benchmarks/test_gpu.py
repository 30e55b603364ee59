"""The script for a GPU, tried out on the CPU with tiny shapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINS = find_spec("torch") is not None and find_spec("transformers") is not None


def run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ROOT / "benchmarks/gpu/run.sh"), "--out", str(out), *options],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.skipif(not TRAINS, reason="needs torch and transformers")
def test_items_leave_their_figures_and_are_not_done_twice(tmp_path: Path) -> None:
    tried = ("--device", "cpu", "--tiny", "--only", "check-chunked", "check-cpu")
    first = run(tmp_path, *tried)
    assert first.returncode == 0, first.stdout + first.stderr
    results = {path.stem: json.loads(path.read_text("utf-8")) for path in tmp_path.glob("*.json")}
    assert {name: found["status"] for name, found in results.items()} == {"check-chunked": "done", "check-cpu": "done"}
    for name, found in results.items():
        assert found["rows"] and all(row["passed"] and row["value"] <= row["tolerance"] for row in found["rows"])
        assert f"| {name} |" in first.stdout
    assert (tmp_path / "table.md").read_text("utf-8").strip() in first.stdout

    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    second = run(tmp_path, *tried)
    assert second.returncode == 0 and "at most" not in second.stdout.partition("|")[0]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == written

    mixed = run(tmp_path, "--device", "cpu", "--only", "check-cpu")
    assert mixed.returncode == 1 and "made with --device cpu --tiny" in mixed.stderr


@pytest.mark.skipif(not TRAINS, reason="needs torch and transformers")
def test_an_item_that_takes_too_long_is_a_row(tmp_path: Path) -> None:
    ran = run(tmp_path, "--device", "cpu", "--tiny", "--only", "learner-7b", "nano", "--minutes", "0.0001")
    assert ran.returncode == 1, ran.stderr
    assert "| nano | took too long |" in ran.stdout
    assert "not begun for want of time: learner-7b learner-7b-bf16" in ran.stdout
    assert [path.name for path in tmp_path.glob("*.json")] == ["nano.json"]


@pytest.mark.skipif(not TRAINS, reason="needs torch and transformers")
def test_an_unknown_item_is_told_with_those_there_are(tmp_path: Path) -> None:
    ran = run(tmp_path, "--only", "lerner")
    assert ran.returncode == 2 and "no item begins with lerner; there are: check-precision" in ran.stderr
