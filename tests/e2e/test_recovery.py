"""Stops, kills, crashes and rollbacks: afterwards the weights are those of an undisturbed run, bit for bit."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from azr_platform.channel.messages import Action, Command, Review, SafePoint, Saved, Status
from azr_platform.config.schema import Config, ParallelConfig
from azr_platform.ledger.errors import LedgerBusy
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.trainer.checkpoint import verify

pytestmark = pytest.mark.timeout(900)  # seconds here are minutes on a machine that is busy with others

Query = Callable[..., list[tuple[Any, ...]]]
Supervise = Callable[..., int]
STEPS = 3


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, small_config: Callable[..., Config], say: Any) -> Config:
    """Three steps in which something is learnt: some proposals are valid, some answers right."""
    path = tmp_path_factory.mktemp("script") / "script.json"
    programs = ["return x * 3 + 1", "return x + x", "return 7 - x"]
    proposals = [say.proposal(f"def f(x):\n    {body}", str(number)) for number, body in enumerate(programs, 2)]
    lines = [
        {"match": "# propose deduce", "responses": [*proposals, "no format at all"]},
        {"match": "# propose abduce", "responses": ["no format", *proposals]},
        {"match": "# propose induce", "responses": [say.inputs(["1", "2", "3", "4", "5", "6"]), "nothing"]},
        {"match": "# deduce", "responses": [say.answer("output", text) for text in ("7", "6", "3")]},
        {"match": "# abduce", "responses": [say.answer("input", text) for text in ("2", "3", "4")]},
        {"match": "# induce", "responses": [say.answer("python", f"def f(x):\n    {body}") for body in programs]},
    ]
    path.write_text(json.dumps(lines))
    return small_config(f"run.steps={STEPS}", "model.engine=scripted", f"model.script={json.dumps(str(path))}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, supervise: Supervise, config: Config) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert supervise(run, config) == 0
    return run


def final_files(run: Path, steps: int = STEPS) -> dict[str, str]:
    """Digests of the last checkpoint's files: weights, optimizer, buffers."""
    with LedgerReader(run) as reader:
        last = reader.line_checkpoints()[-1]
        assert last.step == steps
        return verify(run / last.path, last.digest).files


def rewards_of(run: Path) -> list[tuple[Any, ...]]:
    """What was learnt from along the current line: (step, uid, response, reward, advantage)."""
    with LedgerReader(run) as reader:
        line = reader.lineage()
    sql = (
        "SELECT r.step, s.uid, s.response, r.reward, r.advantage FROM rewards r "
        "JOIN samples s ON s.id = r.sample WHERE r.branch = ? AND r.step <= ? ORDER BY r.step, s.id"
    )
    with sqlite3.connect(run / "ledger.db") as connection:
        found = [row for branch, last in line for row in connection.execute(sql, (branch, last))]
    connection.close()
    return found


def test_something_was_learnt(undisturbed: Path) -> None:
    first = verify(undisturbed / "checkpoints/step-000000").files["model.safetensors"]
    assert final_files(undisturbed)["model.safetensors"] != first
    assert any(advantage for *_, advantage in rewards_of(undisturbed))


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path
) -> None:
    assert supervise(tmp_path / "run", config) == 0
    assert final_files(tmp_path / "run") == final_files(undisturbed)
    assert rewards_of(tmp_path / "run") == rewards_of(undisturbed)


@pytest.mark.slow
def test_a_trainer_killed_mid_step_is_restarted_and_ends_the_same(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path, query: Query
) -> None:
    run = tmp_path / "run"
    assert supervise(run, config, lambda moments: moments.before(Review, 2, moments.kill_trainer)) == 0
    assert final_files(run) == final_files(undisturbed)
    assert rewards_of(run) == rewards_of(undisturbed)
    alerts = query(run, "SELECT message FROM alerts WHERE rule = 'supervisor.trainer'")
    assert len(alerts) == 1
    assert "signal 9" in alerts[0][0]
    with LedgerReader(run) as reader:
        assert reader.verify().intact


@pytest.mark.slow
def test_a_trainer_that_always_crashes_fails_the_run_after_bounded_restarts(
    tmp_path: Path, supervise: Supervise, config: Config, query: Query
) -> None:
    run = tmp_path / "run"
    broken = config.model_copy(
        update={
            "model": config.model.model_copy(update={"path": str(tmp_path / "gone")}),
            "supervisor": config.supervisor.model_copy(update={"max_restarts": 1}),
        }
    )
    assert supervise(run, broken) == 1
    assert query(run, "SELECT state FROM states ORDER BY id DESC LIMIT 1") == [("failed",)]
    assert len(query(run, "SELECT id FROM alerts WHERE rule = 'supervisor.trainer'")) == 2
    (message,) = query(run, "SELECT reason FROM states ORDER BY id DESC LIMIT 1")[0]
    assert "cannot be loaded" in message


@pytest.mark.slow
def test_stopped_and_resumed_ends_the_same(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path, query: Query
) -> None:
    run = tmp_path / "run"

    def arrange(moments: Any) -> None:
        def stop() -> None:
            assert moments.order(Action.STOP, why="enough for today").ok

        moments.before(SafePoint, 2, stop)

    assert supervise(run, config, arrange) == 0
    with LedgerReader(run) as reader:
        assert reader.state().state == "stopped"
        assert reader.step() == 1
        assert [row.step for row in reader.checkpoints()] == [0, 1]
    assert supervise(run) == 0
    assert final_files(run) == final_files(undisturbed)
    assert rewards_of(run) == rewards_of(undisturbed)
    assert query(run, "SELECT action, why FROM controls") == [("stop", "enough for today")]


@pytest.mark.slow
def test_pause_waits_at_a_safe_point_and_resume_changes_nothing(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path, query: Query
) -> None:
    run = tmp_path / "run"
    seen: list[Status] = []

    def arrange(moments: Any) -> None:
        def pause() -> None:
            assert moments.order(Action.PAUSE, why="look").ok

        def look_and_resume() -> None:
            before = query(run, "SELECT count(*) FROM samples")
            beaten = moments.supervisor._beat_at
            while moments.supervisor._beat_at == beaten:  # a trainer that is paused still beats
                time.sleep(0.01)
            assert query(run, "SELECT count(*) FROM samples") == before
            seen.append(moments.status())
            assert not moments.order(Action.PAUSE).ok
            assert moments.order(Action.RESUME).ok

        moments.before(SafePoint, 1, pause)
        moments.when_paused(look_and_resume)

    assert supervise(run, config, arrange) == 0
    assert (seen[0].state, seen[0].reason, seen[0].step) == ("paused", "look", 1)
    assert final_files(run) == final_files(undisturbed)
    where = query(run, "SELECT where_at FROM states WHERE state = 'paused'")
    assert where == [("step 1: proposals reviewed",)]


@pytest.mark.slow
def test_rollback_restores_everything_and_opens_a_branch(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path, query: Query
) -> None:
    run = tmp_path / "run"

    def arrange(moments: Any) -> None:
        def back() -> None:
            refused = moments.order(Action.ROLLBACK, step=99)
            assert not refused.ok
            assert "0, 1, 2" in refused.detail
            assert moments.order(Action.ROLLBACK, step=1, why="try again").ok

        moments.before(SafePoint, 3, back)

    assert supervise(run, config, arrange) == 0
    assert query(run, "SELECT parent, from_step, reason FROM branches WHERE id = 2") == [(1, 1, "rollback")]
    # Nothing is excluded, so the replay is the same, and nothing of the first branch is gone.
    assert final_files(run) == final_files(undisturbed)
    assert rewards_of(run) == rewards_of(undisturbed)
    steps = query(run, "SELECT branch, step FROM steps ORDER BY id")
    assert steps[:2] == [(1, 1), (1, 2)]
    assert steps[-2:] == [(2, 2), (2, 3)]
    outcomes = [row[0] for row in query(run, "SELECT outcome FROM controls ORDER BY id")]
    assert [outcome.split(":")[0] for outcome in outcomes] == ["refused", "done"]
    with LedgerReader(run) as reader:
        assert reader.verify().intact


@pytest.mark.slow
def test_a_rollback_asked_for_while_the_last_step_is_saved_is_carried_out(
    tmp_path: Path, supervise: Supervise, config: Config, query: Query
) -> None:
    run = tmp_path / "run"

    def arrange(moments: Any) -> None:
        def back() -> None:
            assert moments.order(Action.ROLLBACK, step=2).ok

        moments.before(Saved, STEPS, back)

    assert supervise(run, config, arrange) == 0
    assert query(run, "SELECT from_step FROM branches WHERE id = 2") == [(2,)]
    assert query(run, "SELECT branch, step FROM steps ORDER BY id")[-2:] == [(1, 3), (2, 3)]
    assert query(run, "SELECT state FROM states ORDER BY id DESC LIMIT 1") == [("finished",)]


@pytest.mark.slow
def test_a_finished_run_can_be_rolled_back_and_resumed(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path
) -> None:
    from azr_platform.supervisor.runfolder import steer_ended

    run = tmp_path / "run"
    assert supervise(run, config) == 0
    outcome = steer_ended(run, Command(action=Action.ROLLBACK, who="test", why="again", step=2))
    assert outcome.ok
    with LedgerReader(run) as reader:
        assert reader.step() == 2
        assert reader.branch() == 2
    assert supervise(run) == 0
    assert final_files(run) == final_files(undisturbed)


@pytest.mark.slow
def test_sampled_one_step_ahead_a_run_killed_stopped_and_resumed_ends_the_same(
    tmp_path: Path, supervise: Supervise, config: Config, query: Query
) -> None:
    """Checkpoints after every second step; the second and fourth are sampled while the one before is learnt from."""
    ahead = config.model_copy(
        update={
            "run": config.run.model_copy(update={"steps": 4, "checkpoint_every": 2}),
            "update": config.update.model_copy(update={"staleness": 1}),
        }
    )
    undisturbed, run = tmp_path / "undisturbed", tmp_path / "run"
    assert supervise(undisturbed, ahead) == 0
    ages = query(undisturbed, "SELECT step, value FROM metrics WHERE name = 'staleness/max' ORDER BY step")
    assert ages == [(1, 0.0), (2, 1.0), (3, 0.0), (4, 1.0)]

    def arrange(moments: Any) -> None:
        def stop() -> None:
            assert moments.order(Action.STOP).ok

        moments.before(Review, 2, moments.kill_trainer)
        moments.before(SafePoint, 4, stop)

    assert supervise(run, ahead, arrange) == 0
    with LedgerReader(run) as reader:
        assert reader.step() == 3  # its update ran beside, and was made whole
        assert [row.step for row in reader.checkpoints()] == [0, 2, 3]
        assert (run / reader.checkpoints()[-1].path / "trailing.safetensors").exists()
    assert supervise(run) == 0
    assert final_files(run, 4) == final_files(undisturbed, 4)
    assert rewards_of(run) == rewards_of(undisturbed)


def test_only_one_supervisor_may_have_a_run(tmp_path: Path, undisturbed: Path) -> None:
    with LedgerWriter(undisturbed), pytest.raises(LedgerBusy, match="another supervisor"):
        LedgerWriter(undisturbed)


def _workers(run: Path) -> set[int]:
    """Processes that share the update of a run's trainer."""
    found = set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"azr_platform.trainer.worker" in words and str(run.resolve()).encode() in words:
                found.add(int(folder.name))
    return found


def _weights(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(of the first, of the last) checkpoint, whose files are what was written."""
    with LedgerReader(run) as reader:
        rows = reader.line_checkpoints()
    for row in rows:
        verify(run / row.path, row.digest)
    first, last = (load_file(run / row.path / "model.safetensors") for row in (rows[0], rows[-1]))
    return first, last


@pytest.mark.slow
def test_two_processes_end_where_one_does_and_leave_none_behind(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: Path
) -> None:
    """Also when the trainer is killed on the way: its worker goes with it, and the next trainer starts another."""
    run = tmp_path / "run"
    before: set[int] = set()

    def kill(moments: Any) -> None:
        def act() -> None:
            before.update(_workers(run))
            moments.kill_trainer()

        moments.before(SafePoint, 2, act)

    assert supervise(run, config.model_copy(update={"parallel": ParallelConfig(processes=2)}), kill) == 0
    assert len(before) == 1
    deadline = time.monotonic() + 60
    while left := _workers(run):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert [row[:3] for row in rewards_of(run)] == [row[:3] for row in rewards_of(undisturbed)]
    (start, one), (_, two) = _weights(undisturbed), _weights(run)
    # Where a gradient is all but zero, AdamW makes as much of its rounding as of any other: so in sum, not for each.
    apart = sum(float((one[name] - two[name]).square().sum()) for name in one) ** 0.5
    moved = sum(float((one[name] - start[name]).square().sum()) for name in one) ** 0.5
    assert moved > 0.0
    assert apart < 0.02 * moved
