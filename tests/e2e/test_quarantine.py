"""Rolled back with something in quarantine: it leaves the buffers, cannot come back, and stays away after a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.client import ControlClient
from azr_platform.channel.messages import Action, Command, SafePoint
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.tasks.canonical import program_key
from azr_platform.trainer.checkpoint import load_buffers

pytestmark = pytest.mark.timeout(900)  # seconds here are minutes on a machine that is busy with others


@pytest.mark.slow
def test_what_is_excluded_is_neither_drawn_nor_taken_again(
    tmp_path: Path,
    supervise: Callable[..., int],
    small_config: Callable[..., Config],
    say: Any,
    query: Callable[..., list[tuple[Any, ...]]],
) -> None:
    """The script goes on proposing the same programs; one of them is excluded, by a task that has it."""
    path, run = tmp_path / "script.json", tmp_path / "run"
    programs = [f"def f(x):\n    return {body}" for body in ("x * 3 + 1", "x + x", "7 - x")]
    proposals = [say.proposal(program, "2") for program in programs]
    path.write_text(
        json.dumps(
            [
                {"match": "# propose deduce", "responses": proposals},
                {"match": "# propose abduce", "responses": proposals},
                {"match": "# propose induce", "responses": [say.inputs(["1", "2", "3", "4", "5", "6"])]},
                {"match": "# deduce", "responses": [say.answer("output", "7")]},
            ]
        )
    )
    config = small_config("run.steps=3", "model.engine=scripted", f"model.script={json.dumps(str(path))}")
    bad = program_key(programs[0])

    def arrange(moments: Any) -> None:
        def back() -> None:
            ((name,),) = query(run, "SELECT task FROM tasks WHERE program = ? LIMIT 1", programs[0])
            order = Command(action=Action.ROLLBACK, who="test", step=1, exclude=(f"task:{name}",), seed=5)
            with ControlClient(run) as client:
                assert client.command(order).ok
            moments.before(SafePoint, 2, moments.kill_trainer)  # on the new branch, before it has a checkpoint

        moments.before(SafePoint, 3, back)

    assert supervise(run, config, arrange) == 0
    assert query(run, "SELECT count(*) FROM alerts WHERE rule = 'supervisor.trainer'") == [(1,)]
    with LedgerReader(run) as reader:
        checkpoints = [row for row in reader.checkpoints() if row.branch == 1 or row.step > 1]
        assert reader.summary().quarantined_programs == 1
        assert reader.verify().intact

    def held(row: Any) -> set[str]:
        buffers = load_buffers(run / row.path).values()
        return {program_key(entry.task.program) for entries in buffers for entry in entries}

    old = [bad in held(row) for row in checkpoints if row.branch == 1]
    assert old[1:], "it was in the buffers before"
    assert all(old[1:])
    new = [row for row in checkpoints if row.branch > 1]
    assert [row.step for row in new] == [2, 3]
    assert not any(bad in held(row) for row in new)
    assert {json.loads((run / row.path / "state.json").read_text())["seed"] for row in new} == {5}
    later = query(
        run,
        "SELECT s.program, v.allowed, f.rule FROM samples s JOIN verdicts v ON v.sample = s.id "
        "LEFT JOIN findings f ON f.sample = s.id WHERE s.branch > 1 AND s.role = 'propose' AND s.program != ''",
    )
    again = [row for row in later if program_key(row[0]) == bad]
    assert again, "the script proposed it again"
    assert {row[1:] for row in again} == {(0, "supervisor.quarantine")}
    assert any(row[1] for row in later), "and other programs are taken"
    assert not query(run, "SELECT 1 FROM tasks WHERE branch > 1 AND program = ?", programs[0])
