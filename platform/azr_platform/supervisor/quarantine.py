"""Quarantine: what a run that was rolled back must not draw again.

``task:ID`` names a task, ``sample:N`` what a sample became or answered, and the program in it, and ``rule:ID`` (or a
pattern, such as ``rule:trace.harm.*``) all samples in which a rule found something. Each comes down to tasks and the
keys of their programs (tasks/canonical.py): such tasks leave the buffers, and such programs cannot come back under
other names. What is in quarantine stays there on all later branches. The project's own seed program is never in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from azr_platform.channel.messages import Changes
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import Batch
from azr_platform.records import Task
from azr_platform.supervisor.heldout import key
from azr_platform.tasks.problems import PREFIX
from azr_platform.tasks.seeds import is_seed

FORMS = "task:ID, sample:NUMBER or rule:ID"


class Unclear(ValueError):
    """Something that cannot be put into quarantine; the text says why."""


class Entry(msgspec.Struct, frozen=True):
    """``what`` is ``task`` or ``program``; ``value`` the task's id or the program's key; ``why`` who asked for it."""

    what: str
    value: str
    why: str


class Order(msgspec.Struct, frozen=True):
    """A rollback to be carried out, with what goes into quarantine. ``seed`` None: go on with the one in force."""

    checkpoint: str
    step: int
    exclude: tuple[Entry, ...] = ()
    seed: int | None = None


def changes_of(reader: LedgerReader) -> Changes:
    """What the run's branches have changed up to now."""
    rows = reader.changes()
    seeds = [int(row.value) for row in rows if row.what == "seed"]
    return Changes(
        seed=seeds[-1] if seeds else None,
        tasks=frozenset(row.value for row in rows if row.what == "task"),
        programs=frozenset(row.value for row in rows if row.what == "program"),
    )


def bars(changes: Changes, task: Task) -> bool:
    """Whether a task is in quarantine."""
    return changes.bars(task.id, key(task.program) if task.program else "")


def entries(reader: LedgerReader, exclude: Sequence[str]) -> list[Entry]:
    """What the words of ``--exclude`` come down to on this run's record; nothing twice, nor what is in already.

    Raises:
        Unclear: a word that is none of the forms, that names nothing on record, or that would leave nothing to draw.
    """
    found: dict[tuple[str, str], Entry] = {}
    for word in exclude:
        named = list(_named(reader, word))
        if not named:
            raise Unclear(f"--exclude {word}: only the seed program, which stays")
        for entry in named:
            found.setdefault((entry.what, entry.value), entry)
    known = {(row.what, row.value) for row in reader.changes()}
    new = [entry for place, entry in found.items() if place not in known]
    _check_something_is_left(reader, new)
    return new


def _named(reader: LedgerReader, word: str) -> list[Entry]:
    form, _, name = word.partition(":")
    if form == "task" and name:
        program = reader.task_program(name)
        if program is None:
            raise Unclear(f"--exclude {word}: no such task is on record")
        return _entries(name, program, word)
    if form == "sample" and name.isascii() and name.isdigit() and len(name) < 19:
        source = reader.source(int(name))
        if source is None:
            raise Unclear(f"--exclude {word}: no such sample is on record")
        entries = _of_sample(reader, *source, word)
        if source == ("", ""):
            raise Unclear(f"--exclude {word}: the sample has neither a task nor a program")
        return entries
    if form == "rule" and name:
        samples = list(reader.samples_found_by(name))
        if not samples:
            raise Unclear(f"--exclude {word}: no such rule has found anything in this run")
        sources = [(number, reader.source(number)) for number in samples]
        return [
            entry
            for number, source in sources
            if source is not None
            for entry in _of_sample(reader, *source, f"{word} (sample {number})")
        ]
    raise Unclear(f"--exclude {word}: give {FORMS}")


def _of_sample(reader: LedgerReader, task: str, program: str, why: str) -> list[Entry]:
    entries = _entries("", program, why) if program else []
    if task:
        entries += _entries(task, reader.task_program(task) or "", why)
    return entries


def _entries(task: str, program: str, why: str) -> list[Entry]:
    """A task and its program; nothing for the seed program, without which there would be no beginning."""
    if program and is_seed(program):
        return []
    entries = [Entry("task", task, why)] if task else []
    return [*entries, Entry("program", key(program), why)] if program else entries


def _check_something_is_left(reader: LedgerReader, new: Sequence[Entry]) -> None:
    """A run on given problems needs one."""
    if not new:
        return
    before = changes_of(reader)
    after = Changes(
        tasks=before.tasks | {entry.value for entry in new if entry.what == "task"},
        programs=before.programs | {entry.value for entry in new if entry.what == "program"},
    )
    given = [task for task in reader.tasks() if task.id.startswith(PREFIX)]
    if given and all(bars(after, task) for task in given):
        raise Unclear("--exclude: that is every problem of the run; nothing would be left to ask")


def record(batch: Batch, branch: int, order: Order) -> None:
    """Put on record what a rollback's branch changes."""
    if order.seed is not None:
        batch.add("branch_changes", {"branch": branch, "what": "seed", "value": str(order.seed), "why": ""})
    for entry in order.exclude:
        batch.add("branch_changes", {"branch": branch, **msgspec.structs.asdict(entry)})


def fresh_seed(seed: int, branch: int) -> int:
    """Another seed for a branch; the same whenever it is asked for."""
    digest = blake2b(f"{seed}/branch/{branch}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


# -- what a rollback would do ----------------------------------------------------------------------------


class Preview(msgspec.Struct, frozen=True):
    """What a rollback leaves behind, on record but no longer on the run's line, and what it puts into quarantine."""

    ok: bool
    detail: str
    step: int | None
    steps: int = 0
    samples: int = 0
    alerts: int = 0
    checkpoints: int = 0
    tasks: int = 0
    programs: int = 0


def preview(reader: LedgerReader, step: int, exclude: Sequence[str]) -> Preview:
    """Look at what a rollback to a step would do; the step has a checkpoint.

    Raises:
        Unclear: see `entries`.
    """
    new = entries(reader, exclude)
    return Preview(
        ok=True,
        detail=f"would go back to step {step}",
        step=step,
        steps=reader.recorded_since("steps", step),
        samples=reader.recorded_since("samples", step),
        alerts=reader.recorded_since("alerts", step),
        checkpoints=reader.recorded_since("checkpoints", step),
        tasks=sum(entry.what == "task" for entry in new),
        programs=sum(entry.what == "program" for entry in new),
    )
