"""A run is a folder: create one, reopen one, and work out where a trainer continues."""

from __future__ import annotations

import json
import os
import stat
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from azr_monitor.policy import load_policy
from azr_platform import __version__
from azr_platform.channel.messages import Action, Changes, Command, Outcome
from azr_platform.channel.peer import myself
from azr_platform.config.load import ConfigError, dump, load
from azr_platform.config.schema import Config
from azr_platform.ledger.errors import UnknownRun
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import CheckpointRow
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Task
from azr_platform.supervisor import quarantine
from azr_platform.supervisor.amendments import amend
from azr_platform.supervisor.decisions import decide
from azr_platform.supervisor.outcomes import acknowledge, decision_on, dismiss, resolve
from azr_platform.supervisor.problems import keep_copy
from azr_platform.supervisor.rows import task_row
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


class KeptLog(Exception):
    """The folder holds another trainer's log, kept as a ledger."""

    def __init__(self, run: Path) -> None:
        super().__init__(
            f"{run}: kept from another trainer's log, so there is nothing to train or to steer. "
            f"Look with `azr-platform tui {run}`; judge it by another policy with `azr-platform audit {run} --policy`."
        )


class Continuation(msgspec.Struct, frozen=True):
    """Where the trainer starts: ``checkpoint`` is relative to the run, empty for the very beginning."""

    branch: int
    step: int
    checkpoint: str
    changes: Changes = Changes()


def create(run: Path, config: Config, problems: Sequence[Task] = ()) -> LedgerWriter:
    """Make a new run's folder, its configuration and its ledger's first rows.

    ``problems`` are those that the run's regime is given (see supervisor/problems.py); self-play starts from seeds.

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
    try:
        _write_first_rows(run, config, problems, writer)
    except BaseException:
        writer.close()
        raise
    return writer


def _write_first_rows(run: Path, config: Config, problems: Sequence[Task], writer: LedgerWriter) -> None:
    text = dump(config)
    (run / "run.toml").write_text(text, "utf-8")
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
        if problems:
            message = keep_copy(run, problems, config)
            batch.add("notices", {"time": now, "source": "supervisor", "message": message})
        for task in problems or seed_tasks(config.tasks.inputs, map(Kind, config.tasks.kinds)):
            batch.add("tasks", task_row(task, sample=None, branch=1, step=0))


def reopen(run: Path) -> tuple[LedgerWriter, Config]:
    """Open an existing run for more supervision.

    Raises:
        UnknownRun: no run in the folder.
        KeptLog: what is there is another trainer's log.
        NothingToDo: it reached its last step.
        ConfigError: its run.toml was damaged or changed since it was recorded.
        LedgerBusy, LedgerBroken: see LedgerWriter.
    """
    with LedgerReader(run) as reader:
        if reader.kept_log():
            raise KeptLog(run)
        if not (run / "run.toml").is_file():
            raise UnknownRun(run)
        config = load(file=run / "run.toml")
        # As values: settings that a later version added have their defaults in neither.
        if tomllib.loads((run / "run.toml").read_text("utf-8")) != tomllib.loads(reader.run().config):
            raise ConfigError(
                f"{run / 'run.toml'}: differs from the configuration the ledger recorded. "
                f"A run keeps its settings; restore the file, or start a new run with `--config`."
            )
        if reader.step() >= config.run.steps and reader.state().state == "finished":
            raise NothingToDo(f"{run}: already finished at step {reader.step()}. Look with `azr-platform tui {run}`.")
    return LedgerWriter(run), config


def make_private(run: Path) -> list[str]:
    """Let nobody but the run's user into its folder; a line for each thing that was not so, or cannot be made so."""
    told: list[str] = []
    found = run.stat()
    if found.st_uid not in (os.geteuid(), 0):
        told.append(f"the run's folder belongs to uid {found.st_uid}, who can read and change all that is in it")
    if mode := stat.S_IMODE(found.st_mode) & 0o077:
        told.append(
            f"the run's folder was open to other users (mode {stat.S_IMODE(found.st_mode):04o}); it is private now"
        )
        with suppress(PermissionError):
            run.chmod(0o700)
        if stat.S_IMODE(run.stat().st_mode) & mode:
            told[-1] = "the run's folder cannot be made private here: other users may read it, and steer the run"
    return told


def warnings_of(config: Config) -> list[str]:
    """One line for each setting that should not be on without a thought; they go on record with the run."""
    if config.rewards.punish_flagged:
        return [
            "rewards.punish_flagged is on: training against the monitor teaches a model to hide what it looks for "
            "(arXiv 2503.11926)"
        ]
    return []


def continuation(run: Path, writer: LedgerWriter, reason: str) -> Continuation:
    """Where to continue after a stop or a crash: the newest good checkpoint on the line.

    When later steps have rows, also of a step that was cut short, a branch is opened from the checkpoint, so that a
    step is never recorded twice on one branch.
    """
    with LedgerReader(run) as reader:
        present = present_checkpoints(run, reader)
        newest = present[-1] if present else None
        step = newest.step if newest else 0
        branch = reader.branch()
        dirty = reader.recorded_after(branch, newest.step if newest else None)
        changes = quarantine.changes_of(reader)
        passed_over = [row.path for row in reader.line_checkpoints() if newest is None or row.id > newest.id]
    now = time.time()
    with writer.batch() as batch:
        for path in passed_over:
            message = f"{path} is missing or was changed: going on from step {step}"
            batch.add("notices", {"time": now, "source": "supervisor", "message": message})
        if dirty:
            row = {"created_at": now, "parent": branch, "from_step": step, "reason": reason}
            branch = batch.add("branches", row)
    return Continuation(branch, step, newest.path if newest else "", changes)


def standing_pause(run: Path) -> str:
    """Why a run that is supervised again is still paused; empty when it is not.

    A pause outlives its supervisor, however that ended: a resume, a rollback or a person's stop lifts it. A signal's
    stop, which a machine that shuts down sends, does not.
    """
    with LedgerReader(run) as reader:
        return reader.standing_pause()


def steer_ended(run: Path, command: Command) -> Outcome:
    """Carry out what makes sense for a run without a supervisor: roll back, see to alerts, decide about samples,
    change the policy.

    A rollback opens a branch from the checkpoint; ``train --resume`` then goes on from there.

    Raises:
        LedgerBusy: there is a supervisor after all; ask it.
        KeptLog: there is nothing to roll back, and no policy that goes on judging.
        PolicyError: the run's policy cannot be read, so nothing in it can be changed.
        UnknownRun, LedgerBroken: see LedgerReader.
    """
    with LedgerReader(run) as reader, LedgerWriter(run) as writer:
        if reader.kept_log() and command.action in (Action.ROLLBACK, Action.AMEND):
            raise KeptLog(run)
        if command.action is Action.ROLLBACK:
            outcome = _roll_back_ended(run, reader, writer, command)
        elif command.action is Action.RESOLVE:
            outcome = resolve(reader, writer, command)
        elif command.action is Action.AMEND:
            policy = load_policy(load(file=run / "run.toml").supervisor.policy)
            outcome = amend(reader, writer, command, policy, reader.branch(), reader.last_judged_step())
        elif command.action is Action.ACKNOWLEDGE:
            outcome = acknowledge(reader, writer, command)
        elif (decision := command if command.action is Action.DECIDE else decision_on(reader, command)) is not None:
            outcome = decide(reader, writer, decision, reader.branch(), reader.last_judged_step())
        else:
            outcome = dismiss(reader, writer, command)
        arguments = arguments_of(command) | myself().on_record()
        record_control(writer, command.who, command.action, arguments, command.why, outcome)
    return outcome


def _roll_back_ended(run: Path, reader: LedgerReader, writer: LedgerWriter, command: Command) -> Outcome:
    order, problem = order_of(run, reader, command)
    if order is None or open_branch(run, writer, order) is None:
        return Outcome(ok=False, detail=problem)
    row = {"time": time.time(), "state": "stopped", "where_at": f"step {order.step}", "reason": "rolled back"}
    writer.append("states", row)
    return Outcome(ok=True, detail=f"rolled back to step {order.step}; go on with `azr-platform train --resume {run}`")


def order_of(run: Path, reader: LedgerReader, command: Command) -> tuple[quarantine.Order | None, str]:
    """(the rollback that a command asks for, or why there can be none)."""
    chosen, problem = checkpoint_at(run, reader, command.step)
    if chosen is None:
        return None, problem
    try:
        new = quarantine.entries(reader, command.exclude)
    except quarantine.Unclear as error:
        return None, str(error)
    return quarantine.Order(chosen.path, chosen.step, tuple(new), command.seed), ""


def open_branch(run: Path, writer: LedgerWriter, order: quarantine.Order) -> Continuation | None:
    """The branch that a rollback goes on with; None when its checkpoint is not on the current line any more."""
    with LedgerReader(run) as reader:
        chosen, _ = checkpoint_at(run, reader, order.step)
        if chosen is None or chosen.path != order.checkpoint:
            return None
        with writer.batch() as batch:
            row = {"created_at": time.time(), "parent": reader.branch(), "from_step": order.step, "reason": "rollback"}
            branch = batch.add("branches", row)
            quarantine.record(batch, branch, order)
        return Continuation(branch, order.step, order.checkpoint, quarantine.changes_of(reader))


def checkpoint_at(run: Path, reader: LedgerReader, step: int | None) -> tuple[CheckpointRow | None, str]:
    """(the newest checkpoint of that step on the current line, or why there is none)."""
    rows = present_checkpoints(run, reader)
    chosen = next((row for row in reversed(rows) if row.step == step), None)
    if chosen is not None:
        return chosen, ""
    wanted = "no step was given" if step is None else f"no checkpoint at step {step}"
    if removed := [row for row in reader.checkpoints() if row.step == step and row.removed is not None]:
        wanted = f"the checkpoint at step {step} was removed ({removed[-1].removed})"
    return None, f"{wanted}; there are: {', '.join(str(row.step) for row in rows) or 'none yet'}"


def present_checkpoints(run: Path, reader: LedgerReader) -> list[CheckpointRow]:
    """Checkpoints of the current line whose ``state.json`` is still the recorded one, oldest first.

    That file holds the digests of all others, which the trainer checks before it loads any.
    """
    return [row for row in reader.line_checkpoints() if _is_as_recorded(run / row.path / "state.json", row.digest)]


def _is_as_recorded(state: Path, digest: str) -> bool:
    try:
        return blake2b(state.read_bytes(), digest_size=32).hexdigest() == digest
    except OSError:
        return False


def arguments_of(command: Command) -> dict[str, object]:
    """What a command was given beside the reason; what was left out is left out."""
    given = {
        "step": command.step,
        "exclude": command.exclude or None,
        "seed": command.seed,
        "alert": command.alert or None,
        "sample": command.sample or None,
        "decision": command.decision,
        **(msgspec.structs.asdict(command.amendment) if command.amendment is not None else {}),
    }
    return {name: value for name, value in given.items() if value not in (None, "", {})}


def record_control(
    writer: LedgerWriter, who: str, action: str, arguments: Mapping[str, object], why: str, outcome: Outcome
) -> None:
    """Every act is on record with its outcome, also one that was refused."""
    writer.append(
        "controls",
        {
            "time": time.time(),
            "who": who,
            "action": str(action),
            "arguments": json.dumps(arguments),
            "why": why,
            "outcome": f"{'done' if outcome.ok else 'refused'}: {outcome.detail}",
        },
    )
