"""How healthy a step's proposals are: valid, new, varied, of use. Names are listed in trainer/metrics.py.

Valid programs are parsed here, by `tasks.canonical` and `tasks.measures`, and never run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from azr_platform.buffers.buffer import TaskBuffer
from azr_platform.records import Kind, Task
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.kinds import task_kind
from azr_platform.tasks.measures import answer_kind, syntax_nodes
from azr_platform.trainer.rollouts import Rollout

key_of = lru_cache(maxsize=1 << 16)(program_key)
"""`program_key`, remembered: the programs of a buffer are looked at in every step."""


def proposer_metrics(
    proposals: Sequence[Rollout],
    *,
    worths: Mapping[Kind, Sequence[float]],
    successes: Iterable[Sequence[bool]],
    repeats: int,
    held_out: int,
    known: frozenset[str],
    buffers: Mapping[Kind, TaskBuffer],
) -> dict[str, float]:
    """Self-play's own numbers. A share or mean over nothing is left out.

    ``known`` are the keys of the programs that the buffers held before this step, ``held_out`` is how many samples were
    dropped because their program is held out: whether such a proposal is valid was not looked at.
    """
    metrics: dict[str, float] = {"repeats": repeats, "health/held_out": held_out}
    valid: dict[str, list[float]] = defaultdict(list)
    for rollout in proposals:
        if not rollout.judgement.decided:
            continue
        valid[f"valid_rate/{rollout.submission.kind.value}"].append(rollout.judgement.valid)
    worth = {f"learnability/{kind.value}": list(values) for kind, values in worths.items()}
    for name, values in {**valid, **worth}.items():
        if values:
            metrics[name] = sum(values) / len(values)
    for outcomes in successes:
        name = f"difficulty/{sum(outcomes)}"
        metrics[name] = metrics.get(name, 0) + 1
    for kind, buffer in buffers.items():
        metrics[f"buffer/{kind.value}"] = len(buffer)
    written = [task for rollout in proposals if (task := valid_task(rollout)) and task_kind(task.kind).writes_program]
    return {**metrics, **program_health(written, known)}


def program_health(tasks: Sequence[Task], known: frozenset[str]) -> dict[str, float]:
    """What the proposed tasks are made of, for kinds that write programs; nothing for no task."""
    if not tasks:
        return {}
    keys = [key_of(task.program) for task in tasks]
    count = len(tasks)
    metrics = {
        "health/distinct": len(set(keys)) / count,
        "health/new": len(set(keys) - known) / count,
        "health/nodes": sum(syntax_nodes(task.program) for task in tasks) / count,
    }
    answers = Counter(answer_kind(task) for task in tasks)
    metrics.update({f"health/values/{kind}": number / count for kind, number in sorted(answers.items())})
    metrics["health/values/largest"] = max(answers.values()) / count
    return metrics


def known_programs(buffers: Mapping[Kind, TaskBuffer]) -> frozenset[str]:
    """The keys of every program in the buffers of the kinds that write programs."""
    return frozenset(
        key_of(entry.task.program)
        for kind, buffer in buffers.items()
        if task_kind(kind).writes_program
        for entry in buffer.entries
    )


def valid_task(rollout: Rollout) -> Task | None:
    """The task that a proposal became, if it is allowed and valid."""
    judgement = rollout.judgement
    return judgement.task if judgement.allowed and judgement.valid else None
