"""Where a run continues: on the newest good checkpoint, and never twice over the same step of a branch."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from hashlib import blake2b
from pathlib import Path

import pytest

from azr_platform.config.load import ConfigError, load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.quarantine import Order
from azr_platform.supervisor.runfolder import (
    Continuation,
    checkpoint_at,
    continuation,
    create,
    make_private,
    open_branch,
    reopen,
    warnings_of,
)

SAMPLE = {
    "time": 1.0,
    "phase": "solve",
    "role": "solve",
    "kind": "deduction",
    "uid": "u",
    "tokens": 1,
    "well_formed": 1,
}
STATE = b'{"format": 1}'


@pytest.fixture
def writer(created: LedgerWriter) -> LedgerWriter:
    return created


def save(run: Path, writer: LedgerWriter, step: int, branch: int = 1) -> Path:
    """A checkpoint as the supervisor records it, an hour after everything else."""
    folder = run / "checkpoints" / f"{branch}-{step}"
    folder.mkdir(parents=True)
    (folder / "state.json").write_bytes(STATE)
    row = {"time": time.time() + 3600, "branch": branch, "step": step, "path": f"checkpoints/{branch}-{step}"}
    writer.append("checkpoints", {**row, "digest": blake2b(STATE, digest_size=32).hexdigest()})
    return folder


def sample(writer: LedgerWriter, step: int, branch: int = 1) -> None:
    writer.append("samples", {**SAMPLE, "branch": branch, "step": step})


def test_a_new_run_begins_at_the_beginning(run: Path, writer: LedgerWriter) -> None:
    assert continuation(run, writer, "resumed") == Continuation(1, 0, "")


def test_a_run_cut_off_while_seeding_begins_again_on_a_branch_of_its_own(run: Path, writer: LedgerWriter) -> None:
    sample(writer, 0)
    assert continuation(run, writer, "resumed") == Continuation(2, 0, "")


def test_a_run_stopped_between_steps_goes_on_where_it_was(run: Path, writer: LedgerWriter) -> None:
    sample(writer, 0)
    sample(writer, 1)
    save(run, writer, 1)
    assert continuation(run, writer, "resumed") == Continuation(1, 1, "checkpoints/1-1")


def test_a_step_cut_short_before_its_checkpoint_was_saved_is_left_on_its_branch(
    run: Path, writer: LedgerWriter
) -> None:
    """A stop in the middle of step 2 saves step 1 after samples of step 2 are on record."""
    for step in (0, 1, 2):
        sample(writer, step)
    save(run, writer, 1)
    assert continuation(run, writer, "resumed") == Continuation(2, 1, "checkpoints/1-1")
    assert continuation(run, writer, "resumed") == Continuation(2, 1, "checkpoints/1-1")


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_checkpoint_that_is_not_as_recorded_is_passed_over_with_a_notice(
    damage: str, run: Path, writer: LedgerWriter
) -> None:
    save(run, writer, 1)
    state = save(run, writer, 2) / "state.json"
    sample(writer, 2)
    if damage == "change":
        state.write_bytes(STATE + b" ")
    else:
        state.unlink()
    assert continuation(run, writer, "resumed") == Continuation(2, 1, "checkpoints/1-1")
    with LedgerReader(run) as reader:
        assert "checkpoints/1-2 is missing or was changed" in reader.notices()[-1].message
        assert checkpoint_at(run, reader, 2) == (None, "no checkpoint at step 2; there are: 1")


def test_a_rollback_needs_its_checkpoint_on_the_line(run: Path, writer: LedgerWriter) -> None:
    for step in (1, 2):
        save(run, writer, step)
    assert open_branch(run, writer, Order("checkpoints/1-1", 1)) == Continuation(2, 1, "checkpoints/1-1")
    assert open_branch(run, writer, Order("checkpoints/1-2", 2)) is None
    with LedgerReader(run) as reader:
        assert [(row.parent, row.from_step) for row in reader.branches()] == [(None, 0), (1, 1)]


def test_a_comment_in_the_settings_does_not_matter_and_a_value_does(run: Path, writer: LedgerWriter) -> None:
    writer.close()
    path = run / "run.toml"
    path.write_text("# looked at\n" + path.read_text())
    reopen(run)[0].close()
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(ConfigError, match=r"differs from the configuration"):
        reopen(run)


def test_a_run_that_cannot_be_begun_frees_its_folder(run: Path) -> None:
    (run / "run.toml.d").mkdir(parents=True)
    config = load("nano")
    (run / "run.toml").symlink_to(run / "run.toml.d")  # a folder stands where the settings go
    (run / "run.toml.d").rmdir()
    (run / "run.toml.d").symlink_to("/nowhere/at/all")
    with pytest.raises(OSError, match=r"run\.toml"):
        create(run, config)
    (run / "run.toml").unlink()
    LedgerWriter(run).close()


def test_punishing_what_the_monitor_flags_is_warned_of() -> None:
    assert warnings_of(load("nano")) == []
    (warning,) = warnings_of(load("nano", overrides=["rewards.punish_flagged=true"]))
    assert "2503.11926" in warning


# -- whose folder it is ----------------------------------------------------------------------------------


def test_a_new_run_s_folder_is_its_user_s_alone(run: Path, writer: LedgerWriter) -> None:
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert make_private(run) == []


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_was_opened_to_others_is_made_private_and_that_is_told(
    mode: int, run: Path, writer: LedgerWriter
) -> None:
    run.chmod(mode)
    assert make_private(run) == [f"the run's folder was open to other users (mode {mode:04o}); it is private now"]
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_of_another_user_s_is_told_of_and_left_as_it_is() -> None:
    """In a child that becomes user 65534, in a folder of user 65533's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        os.chown(folder, 65533, 65533)
        code = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from azr_platform.supervisor.runfolder import make_private\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "print(*make_private(Path(sys.argv[1])), sep='\\n')\n"
        )
        ran = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines() == [
            "the run's folder belongs to uid 65533, who can read and change all that is in it",
            "the run's folder cannot be made private here: other users may read it, and steer the run",
        ]
