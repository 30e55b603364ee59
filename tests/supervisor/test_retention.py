"""Which checkpoints stay, who removes the others, what is said of them, and what happens when the next has no room."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.records import Severity
from azr_platform.channel.messages import Action
from azr_platform.cli.input import BadInput
from azr_platform.cli.targets import find_target
from azr_platform.config.load import load
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor import retention
from azr_platform.supervisor.observer import Observer
from azr_platform.supervisor.retention import keepers, no_room, sweep, tidy
from azr_platform.supervisor.runfolder import checkpoint_at, continuation

Supervise = Callable[..., Any]
STATE = b"{}"


@pytest.fixture
def writer(created: LedgerWriter) -> LedgerWriter:
    return created


def settings(*overrides: str) -> Config:
    return load("nano", overrides=["run.checkpoint_every=1", *overrides])


def save(run: Path, writer: LedgerWriter, step: int, branch: int = 1, path: str = "") -> Path:
    path = path or f"checkpoints/step-{step:06d}" + (f"-branch-{branch}" if branch > 1 else "")
    folder = run / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_bytes(STATE)
    digest = blake2b(STATE, digest_size=32).hexdigest()
    writer.append("checkpoints", {"time": time.time(), "branch": branch, "step": step, "path": path, "digest": digest})
    return folder


def branch_from(writer: LedgerWriter, parent: int, step: int) -> None:
    writer.append("branches", {"created_at": 1.0, "parent": parent, "from_step": step, "reason": "rollback"})


def alert(writer: LedgerWriter, step: int, branch: int = 1, severity: int = 3) -> None:
    writer.append("alerts", {"time": 1.0, "branch": branch, "step": step, "severity": severity, "rule": "r"})


def kept(run: Path) -> list[int]:
    with LedgerReader(run) as reader:
        on_record = [row.path for row in reader.checkpoints() if row.removed is None]
    on_disk = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert sorted(Path(path).name for path in on_record) == on_disk, "the record and the disk say the same"
    return [int(name.split("-")[1]) for name in on_disk]


# --- the policy ----------------------------------------------------------------------------------------------


def test_unless_told_otherwise_every_checkpoint_stays(run: Path, writer: LedgerWriter) -> None:
    for step in range(20):
        save(run, writer, step)
        assert tidy(run, writer, settings()) == []
    assert kept(run) == list(range(20))


@pytest.mark.parametrize(
    ("overrides", "stay"),
    [
        (["keep_last=1"], [0, 12]),
        (["keep_last=3"], [0, 10, 11, 12]),
        (["keep_last=2", "keep_every=5"], [0, 5, 10, 11, 12]),
        (["keep_last=99"], list(range(13))),
    ],
)
def test_the_first_the_last_and_every_so_manieth_stay(
    overrides: list[str], stay: list[int], run: Path, writer: LedgerWriter
) -> None:
    config = settings(*(f"checkpoints.{override}" for override in overrides))
    for step in range(13):
        save(run, writer, step)
        assert tidy(run, writer, config) == []
    assert kept(run) == stay


def test_so_manieth_counts_checkpoints_and_not_those_of_a_stop(run: Path, writer: LedgerWriter) -> None:
    config = settings("run.checkpoint_every=10", "checkpoints.keep_last=1", "checkpoints.keep_every=2")
    for step in (0, 10, 17, 20, 30, 36, 40, 50):
        save(run, writer, step)
        tidy(run, writer, config)
    assert kept(run) == [0, 20, 40, 50]


def test_those_around_an_alert_stay_and_those_around_a_lesser_one_do_not(run: Path, writer: LedgerWriter) -> None:
    config = settings("checkpoints.keep_last=1")
    for step in range(0, 40, 4):
        if step == 12:
            alert(writer, 10)  # raised between the checkpoints of 8 and 12
        if step == 24:
            alert(writer, 21, severity=2)
        save(run, writer, step)
        tidy(run, writer, config)
    assert kept(run) == [0, 8, 12, 36]


def test_branches_keep_where_they_begin_and_what_a_rollback_left_behind(run: Path, writer: LedgerWriter) -> None:
    config = settings("checkpoints.keep_last=2")
    for step in range(6):
        save(run, writer, step)
    branch_from(writer, 1, 3)
    for step in (4, 5, 6, 7, 8):
        save(run, writer, step, branch=2)
        tidy(run, writer, config)
    with LedgerReader(run) as reader:
        left = [(row.branch, row.step) for row in reader.checkpoints() if row.removed is None]
        assert left == [(1, 0), (1, 3), (1, 5), (2, 7), (2, 8)]
        assert [row.step for row in reader.line_checkpoints()] == [0, 3, 7, 8]


def test_what_a_rollback_is_on_its_way_to_stays(run: Path, writer: LedgerWriter) -> None:
    for step in range(5):
        save(run, writer, step)
    tidy(run, writer, settings("checkpoints.keep_last=1"), ["checkpoints/step-000002"])
    assert kept(run) == [0, 2, 4]


def test_why_one_stays_can_be_told(run: Path, writer: LedgerWriter) -> None:
    for step in range(4):
        save(run, writer, step)
    alert(writer, 2)
    with LedgerReader(run) as reader:
        reasons = keepers(reader, settings("checkpoints.keep_last=1"))
    assert reasons == {
        1: "the first",
        2: "an alert at step 2",
        3: "an alert at step 2",
        4: "branch 1 ends with it",
    }


# --- the removal ---------------------------------------------------------------------------------------------


def test_what_is_gone_is_on_record_and_said_in_one_line(run: Path, writer: LedgerWriter) -> None:
    for step in range(5):
        save(run, writer, step)
    tidy(run, writer, settings("checkpoints.keep_last=2"))
    with LedgerReader(run) as reader:
        assert reader.verify().intact
        summary = reader.summary()
        row, problem = checkpoint_at(run, reader, 1)
    assert (summary.checkpoints, summary.checkpoints_removed) == ([0, 3, 4], 2)
    assert row is None
    assert problem.startswith(
        "the checkpoint at step 1 was removed (not among those that [checkpoints] keeps, at step 4)"
    )
    assert problem.endswith("there are: 0, 3, 4")
    with pytest.raises(
        BadInput, match=r"checkpoint '1' was removed .*there are: step-000000, step-000003, step-000004"
    ):
        find_target(str(run), checkpoint="1")


def test_a_removed_checkpoint_is_not_missed_when_the_run_goes_on(run: Path, writer: LedgerWriter) -> None:
    for step in range(5):
        save(run, writer, step)
    tidy(run, writer, settings("checkpoints.keep_last=1"))
    assert continuation(run, writer, "resumed").checkpoint == "checkpoints/step-000004"
    with LedgerReader(run) as reader:
        assert reader.notices() == []


@pytest.mark.parametrize("victim", ["rename", "rmtree"])
def test_a_kill_amid_a_removal_is_made_good_when_the_run_goes_on(
    victim: str, run: Path, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    for step in range(4):
        save(run, writer, step)
    with monkeypatch.context() as patch:
        patch.setattr(Path if victim == "rename" else shutil, victim, die)
        with pytest.raises(Killed):
            tidy(run, writer, settings("checkpoints.keep_last=1"))
    assert len(list((run / "checkpoints").iterdir())) == 4
    assert sweep(run) == []
    assert kept(run) == [0, 3]
    with LedgerReader(run) as reader:
        assert len([row for row in reader.checkpoints() if row.removed]) == 2


def test_halves_of_checkpoints_go_and_one_that_is_not_on_record_is_told_of(run: Path, writer: LedgerWriter) -> None:
    save(run, writer, 0)
    for name in ("step-000001.partial", "step-000001-branch-2.removed", "mine", "mine.partial", "step-000002"):
        (run / "checkpoints" / name).mkdir()
        (run / "checkpoints" / name / "file").touch()
    (line,) = sweep(run)
    assert line.startswith("checkpoints/step-000002 is not on record")
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "mine",
        "mine.partial",
        "step-000000",
        "step-000002",
    ]


@pytest.mark.parametrize("path", ["../victim", "checkpoints/../../victim", "logs", "checkpoints", "checkpoints/link"])
def test_a_trainer_cannot_choose_what_is_removed(path: str, run: Path, writer: LedgerWriter) -> None:
    """The attack: a trainer reports a checkpoint elsewhere, which would be removed in its turn."""
    victim = run.parent / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    save(run, writer, 0)
    if path.endswith("link"):
        path = "checkpoints/step-000001"
        (run / path).symlink_to(victim)
    save(run, writer, 1, path=path)
    for step in (2, 3):
        save(run, writer, step)
    assert tidy(run, writer, settings("checkpoints.keep_last=1")) == []
    assert sweep(run) == []
    assert (victim / "precious").exists()
    assert (run / "logs").is_dir()
    assert (run / "checkpoints/step-000003").is_dir()


def test_a_folder_that_cannot_be_removed_is_told_of(
    run: Path, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(3):
        save(run, writer, step)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(retention.shutil, "rmtree", refuse)
    (line,) = tidy(run, writer, settings("checkpoints.keep_last=1"))
    assert line.endswith("step-000001.removed could not be removed: Permission denied")


# --- a live supervisor ---------------------------------------------------------------------------------------


def test_the_supervisor_removes_when_the_new_one_is_on_record(supervise: Supervise) -> None:
    body = """
link.hello()
for step in range(6):
    checkpoint(step)
link.finished()
"""
    ended = supervise(body, None, "checkpoints.keep_last=2")
    assert ended.status == 0
    assert kept(ended.run) == [0, 4, 5]
    assert [row[0] for row in ended.rows("SELECT checkpoint FROM removals ORDER BY id")] == [2, 3, 4]


def test_a_checkpoint_without_room_pauses_the_run_until_there_is_some(supervise: Supervise) -> None:
    body = """
link.hello()
try:
    link.safe_point("before a checkpoint", writes=2**60)
except HaltRequested:
    sys.exit(0)
"""

    def alerts(run: Path) -> int:
        with LedgerReader(run) as reader:
            return len(reader.alerts())

    def resume(live: Any) -> None:
        status = live.until(lambda status: status.state == "paused")
        assert status.reason.startswith("no room for a checkpoint: it takes about 1,099,511,627,776 MiB")
        assert "checkpoints.spare_mb" in status.reason
        assert live.order(Action.RESUME).ok
        live.until(
            lambda status: status.state == "paused" and alerts(live.run) == 2
        )  # there is no more room than before
        assert live.order(Action.STOP).ok

    ended = supervise(body, resume)
    # How much is free may have changed in between, and then the second pause has another reason and a row of its own.
    assert [state for state, _ in groupby(ended.states)] == [
        "starting",
        "running",
        "pausing",
        "paused",
        "stopping",
        "stopped",
    ]
    assert ended.rows("SELECT rule FROM alerts") == [("supervisor.disk",)] * 2


def test_a_stop_that_comes_while_a_pause_for_room_is_recorded_is_not_taken_for_a_pause(supervise: Supervise) -> None:
    class StopsAtTheAlert(Observer):
        live: Any = None

        def alert(self, severity: Severity, rule: str, message: str) -> None:
            self.live.supervisor.interrupt("test", "enough")

    observer = StopsAtTheAlert()

    def stop_at_the_alert(live: Any) -> None:
        observer.live = live
        live.say("go")

    body = """
wait("go")
link.hello()
try:
    link.safe_point("before a checkpoint", writes=2**60)
except HaltRequested:
    sys.exit(0)
"""
    ended = supervise(body, stop_at_the_alert, observer=observer)
    assert "paused" not in ended.states
    assert ended.states[-1] == "stopped"


def test_a_checkpoint_that_the_disk_refused_pauses_and_is_tried_again(supervise: Supervise) -> None:
    body = """
link.hello()
link.step = 3
link.safe_point("before a checkpoint", writes=1)
(run / "refused").touch()
link.safe_point("before a checkpoint", writes=1, trouble="it could not be written: No space left on device")
checkpoint(3)
link.finished()
"""

    def resume(live: Any) -> None:
        status = live.until(lambda status: status.state == "paused")
        assert status.reason.startswith("it could not be written: No space left on device. Mend it and resume")
        assert live.order(Action.RESUME).ok

    ended = supervise(body, resume, "checkpoints.spare_mb=0")
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert ended.rows("SELECT rule, step FROM alerts") == [("supervisor.disk", 3)]
    assert [(who, action) for who, action, _ in ended.controls] == [("supervisor", "pause"), ("test", "resume")]


def test_room_is_what_the_disk_has(tmp_path: Path) -> None:
    config = settings("checkpoints.spare_mb=0")
    free = shutil.disk_usage(tmp_path).free
    assert no_room(tmp_path, config, 1, "") == ""
    assert no_room(tmp_path, config, 0, "whatever") == ""
    assert "no room" in no_room(tmp_path, config, free + 2**40, "")
    assert "no room" in no_room(tmp_path, settings(f"checkpoints.spare_mb={2**40}"), 1, "")
