"""A run is a folder: create one, reopen one, and work out where a trainer continues."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from azr_platform import __version__
from azr_platform.config.load import ConfigError, dump, load
from azr_platform.config.schema import Config
from azr_platform.ledger.errors import UnknownRun
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.gate import task_row
from azr_platform.tasks.seeds import seed_tasks


class RunExists(Exception):
    """The folder already holds a run."""

    def __init__(self, run: Path) -> None:
        super().__init__(
            f"{run}: a run is already here. Continue it with `azr-platform train --resume {run}`, "
            f"or give another folder."
        )


class NothingToDo(Exception):
    """The run is already at its last step."""


class Continuation(msgspec.Struct, frozen=True):
    """Where the trainer starts: ``checkpoint`` is relative to the run, empty for the very beginning."""

    branch: int
    step: int
    checkpoint: str


def create(run: Path, config: Config) -> LedgerWriter:
    """Make a new run's folder, its configuration and its ledger's first rows.

    Raises:
        RunExists: the folder holds a run.
        LedgerBusy, LedgerBroken: see LedgerWriter.
    """
    if (run / "ledger.db").exists() or (run / "run.toml").exists():
        raise RunExists(run)
    run.mkdir(parents=True, exist_ok=True)
    run.chmod(0o700)
    (run / "logs").mkdir(exist_ok=True)
    writer = LedgerWriter(run)
    text = dump(config)
    (run / "run.toml").write_text(text)
    now = time.time()
    with writer.batch() as batch:
        batch.add(
            "run",
            {
                "name": run.name,
                "created_at": now,
                "version": __version__,
                "seed": config.run.seed,
                "steps": config.run.steps,
                "config": text,
            },
        )
        batch.add("branches", {"created_at": now, "parent": None, "from_step": 0, "reason": "start"})
        batch.add("states", {"time": now, "state": "starting", "where_at": "", "reason": ""})
        for task in seed_tasks(config.tasks.inputs):
            batch.add("tasks", task_row(task, sample=None, branch=1, step=0))
    return writer


def reopen(run: Path) -> tuple[LedgerWriter, Config]:
    """Open an existing run for more supervision.

    Raises:
        UnknownRun: no run in the folder.
        NothingToDo: it reached its last step.
        ConfigError: its run.toml was damaged or changed since it was recorded.
        LedgerBusy, LedgerBroken: see LedgerWriter.
    """
    with LedgerReader(run) as reader:
        if not (run / "run.toml").is_file():
            raise UnknownRun(run)
        config = load(file=run / "run.toml")
        if dump(config) != reader.run().config:
            raise ConfigError(
                f"{run / 'run.toml'}: differs from the configuration the ledger recorded. "
                f"A run keeps its settings; restore the file, or start a new run with `--config`."
            )
        if reader.step() >= config.run.steps and reader.state().state == "finished":
            raise NothingToDo(f"{run}: already finished at step {reader.step()}. Look with `azr-platform tui {run}`.")
    return LedgerWriter(run), config


def continuation(run: Path, writer: LedgerWriter, reason: str) -> Continuation:
    """Where to continue after a stop or a crash: the newest checkpoint on the line.

    When rows were recorded after that checkpoint, a branch is opened from it, so that a step is never
    recorded twice on one branch.
    """
    with LedgerReader(run) as reader:
        present = [row for row in reader.line_checkpoints() if (run / row.path / "state.json").is_file()]
        newest = present[-1] if present else None
        step = newest.step if newest else 0
        branch = reader.branch()
        dirty = reader.recorded_after(branch, newest.time if newest else None)
    if not dirty:
        return Continuation(branch, step, newest.path if newest else "")
    branch = writer.append(
        "branches", {"created_at": time.time(), "parent": branch, "from_step": step, "reason": reason}
    )
    return Continuation(branch, step, newest.path if newest else "")
