"""What an evaluation is once it is written: settings, one row a task, and where it is kept."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from azr_monitor.intervals import Estimate
from azr_platform.evaluation.estimate import mean_difference, mean_of_groups, pass_at_k
from azr_platform.records import Task

FORMAT: Final = 1
FOLDER: Final = "evaluations"
"""Where a run keeps its evaluations."""


class TaskScore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task. ``right`` and ``well_formed`` count its samples at temperature 1; ``tokens`` is their mean length."""

    id: str
    digest: str
    kind: str
    samples: int
    right: int
    well_formed: int
    tokens: float
    greedy: bool
    """Whether the greedy sample is right."""
    seen: bool | None = None
    """Whether the task's program, up to renaming, stands in the run's record; None when there is no record."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What two evaluations must share to be compared."""

    suite: str
    samples: int
    seed: int
    style: str
    max_response_tokens: int


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model on one suite. ``step`` and ``branch`` place a run's checkpoint; its base stands at step 0."""

    format: int
    target: str
    weights: str
    """BLAKE2b of the weights' files, so that equal models show as equal."""
    settings: Settings
    tasks: list[TaskScore]
    seconds: float
    time: float
    run: str = ""
    step: int | None = None
    branch: int | None = None


Measure = Callable[[TaskScore], float]


def measures(samples: int) -> dict[str, Measure]:
    """The shares that are estimated, each a number in 0..1 of one task."""
    found: dict[str, Measure] = {"pass@1": lambda task: pass_at_k(task.samples, task.right, 1)}
    if samples > 1:
        found[f"pass@{samples}"] = lambda task: pass_at_k(task.samples, task.right, samples)
    found["greedy"] = lambda task: float(task.greedy)
    found["well-formed"] = lambda task: task.well_formed / task.samples
    return found


def by_kind(tasks: Collection[TaskScore], measure: Measure) -> dict[str, list[float]]:
    """A measure of every task, by kind."""
    groups: dict[str, list[float]] = defaultdict(list)
    for task in tasks:
        groups[task.kind].append(measure(task))
    return dict(groups)


def estimates(tasks: Collection[TaskScore], measure: Measure) -> dict[str, Estimate]:
    """The measure's mean by kind and, where there are several, ``all``: the mean of the kinds."""
    groups = by_kind(tasks, measure)
    found = {kind: mean_of_groups({kind: values}) for kind, values in groups.items()}
    return found | ({"all": mean_of_groups(groups)} if len(groups) > 1 else {})


class Change(msgspec.Struct, frozen=True):
    """One measure of two models on the same tasks; ``change`` is the paired difference."""

    measure: str
    kind: str
    before: Estimate
    after: Estimate
    change: Estimate


def changes(before: Collection[TaskScore], after: Collection[TaskScore], measure: Measure) -> dict[str, Estimate]:
    """The measure's paired difference by kind and ``all``, on the tasks that both have.

    Raises ValueError when they have none in common.
    """
    earlier = {(task.id, task.digest): task for task in before}
    later = [task for task in after if (task.id, task.digest) in earlier]
    if not later:
        raise ValueError("the two evaluations have no task in common")
    one = by_kind([earlier[task.id, task.digest] for task in later], measure)
    other = by_kind(later, measure)
    found = {kind: mean_difference({kind: one[kind]}, {kind: other[kind]}) for kind in other}
    return found | ({"all": mean_difference(one, other)} if len(other) > 1 else {})


def comparison(before: Evaluation, after: Evaluation) -> list[Change]:
    """Every measure by kind on the tasks that both have.

    Raises ValueError when they were not asked alike or have no task in common.
    """
    if before.settings.samples != after.settings.samples:
        raise ValueError(
            f"{before.settings.samples} and {after.settings.samples} samples a task cannot be compared: "
            "evaluate both with the same --samples"
        )
    shared = {(t.id, t.digest) for t in before.tasks} & {(t.id, t.digest) for t in after.tasks}
    one, other = ([task for task in e.tasks if (task.id, task.digest) in shared] for e in (before, after))
    parts = [(name, measure, one, other) for name, measure in measures(after.settings.samples).items()]
    seen = {task.id for task in (*one, *other) if task.seen}
    if 0 < len(seen) < len(one):
        fresh = [[task for task in tasks if task.id not in seen] for tasks in (one, other)]
        parts.append(("pass@1, unseen", parts[0][1], fresh[0], fresh[1]))
    rows: list[Change] = []
    for name, measure, earlier, later in parts:
        was, now, changed = estimates(earlier, measure), estimates(later, measure), changes(earlier, later, measure)
        rows += [Change(name, kind, was[kind], now[kind], changed[kind]) for kind in changed]
    return rows


def unseen(tasks: Collection[TaskScore]) -> list[TaskScore]:
    """The tasks whose programs do not occur in the run's record; all of them when there is no record."""
    return [task for task in tasks if not task.seen]


def task_digest(task: Task) -> str:
    """What tells two tasks apart whatever their ids."""
    return blake2b(msgspec.json.encode(msgspec.structs.replace(task, id="")), digest_size=8).hexdigest()


def file_name(evaluation: Evaluation) -> str:
    """``STEP-branch-suite.json``; a model outside any run has no step."""
    suite = re.sub(r"[^\w.-]", "_", evaluation.settings.suite, flags=re.ASCII)[:60].strip(".") or "suite"
    place = "model" if evaluation.step is None else f"{evaluation.step:06d}-{evaluation.branch or 1}"
    return f"{place}-{suite}.json"


def store(evaluation: Evaluation, folder: Path) -> Path:
    """Write an evaluation into a folder under a name that is free: an earlier one is never overwritten.

    Raises OSError when it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(evaluation), indent=1)
    stem = file_name(evaluation).removesuffix(".json")
    number = 1
    while True:
        path = folder / (f"{stem}.json" if number == 1 else f"{stem}.{number}.json")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            number += 1
            continue
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(text)
        return path


def read(path: Path) -> Evaluation:
    """A stored evaluation.

    Raises ValueError when the file is none, naming it.
    """
    try:
        evaluation = msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"{path}: not an evaluation that `azr-platform eval` wrote ({error})") from error
    if evaluation.format != FORMAT:
        raise ValueError(f"{path}: an evaluation of format {evaluation.format}; this version reads {FORMAT}")
    if not evaluation.tasks or any(_impossible(task) for task in evaluation.tasks):
        raise ValueError(f"{path}: an evaluation with no tasks, or with impossible counts")
    return evaluation


def _impossible(task: TaskScore) -> bool:
    return task.samples < 1 or not (0 <= task.right <= task.samples and 0 <= task.well_formed <= task.samples)


def stored(run: Path) -> list[Evaluation]:
    """The run's evaluations, oldest first; of several of one model and suite only the newest counts.

    Raises ValueError when one of the files is none.
    """
    found = sorted((read(path) for path in (run / FOLDER).glob("*.json")), key=lambda evaluation: evaluation.time)
    newest = {(e.settings.suite, e.branch, e.step, e.weights): e for e in found}
    return sorted(newest.values(), key=lambda e: (e.settings.suite, e.branch or 0, e.step or 0, e.time))
