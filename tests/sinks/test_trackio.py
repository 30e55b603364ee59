"""trackio: its database on this machine, and nothing elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from azr_platform.sinks.registry import Sinks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed"),
]


def test_a_continued_run_goes_on_and_a_branch_is_a_run_of_its_own(
    open_sinks: Callable[..., Sinks],
    tell_steps: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://127.0.0.1:9/?write_token=x")  # not asked for by the run
    first = open_sinks("sinks.trackio=azr")
    first.branch(1, 0)
    tell_steps(first, 1, 2)
    assert first.close() == []
    second = open_sinks("sinks.trackio=azr")
    second.branch(1, 2)
    tell_steps(second, 3, 3)
    second.branch(2, 1)
    tell_steps(second, 2, 2)
    assert second.close() == []

    connection = sqlite3.connect(tmp_path / "trackio" / "azr.db")
    try:
        rows = connection.execute("SELECT run_id, run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    finally:
        connection.close()
    losses = [(step, json.loads(metrics)["loss"]) for _, _, step, metrics in rows]
    assert losses == [(1, 0.1), (2, 0.2), (3, 0.3), (2, 0.2)]
    line, branch = {row[0] for row in rows[:3]}, {row[0] for row in rows[3:]}
    assert len(line) == len(branch) == 1
    assert not line & branch
    assert rows[0][1].startswith("first-") and rows[3][1] == f"{rows[0][1]}-branch-2"
