"""Tasks the embedded model is measured on and never built from.

Only programs of two statements and more are held out: there are so few of one statement that holding them out
would leave nothing simple to learn from. They are kept out of every stage of the build up to renaming.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Final

from azr_platform.nano.grammar import Program, random_arguments, random_case
from azr_platform.nano.operations import Value
from azr_platform.records import Task
from azr_platform.tasks.kinds import KINDS, TaskKind

PER_KIND: Final = 300
NANO_INPUTS: Final = 6
"""How many inputs an induction task of the embedded model has: three shown and three hidden."""

_SEED: Final = 99_991


def task_of(task_id: str, kind: TaskKind, program: Program, arguments: list[Value]) -> Task:
    """The task of this kind on a program of the grammar, outputs computed by its operations."""
    return Task(
        id=task_id,
        kind=kind.kind,
        program=program.source,
        inputs=tuple(repr(argument) for argument in arguments),
        outputs=tuple(repr(program.run(argument)) for argument in arguments),
        shown=kind.shown_count(len(arguments)),
        message=program.message if kind.many_inputs else "",
    )


@cache
def _held_out() -> tuple[tuple[Task, Program], ...]:
    rng = Random(_SEED)  # noqa: S311  (repeatable, not secret)
    chosen: list[tuple[Task, Program]] = []
    keys: set[tuple[str, ...]] = set()
    for kind in KINDS:
        for number in range(PER_KIND):
            program, arguments = _fresh(rng, kind, keys)
            keys.add(program.key)
            task = task_of(f"heldout-{kind.kind.value}-{number}", kind, program, arguments)
            chosen.append((task, program))
    return tuple(chosen)


def _fresh(rng: Random, kind: TaskKind, taken: set[tuple[str, ...]]) -> tuple[Program, list[Value]]:
    while True:
        program, argument = random_case(rng, least=2)
        arguments = random_arguments(rng, program, NANO_INPUTS if kind.many_inputs else 1, argument)
        if program.key not in taken and arguments is not None:
            return program, arguments


def held_out_tasks(per_kind: int = PER_KIND) -> tuple[Task, ...]:
    """The first ``per_kind`` held-out tasks of each kind, the same on every machine.

    Raises ValueError when more are asked for than are held out.
    """
    if per_kind > PER_KIND:
        raise ValueError(f"{per_kind} held-out tasks a kind were asked for; there are {PER_KIND}")
    tasks = [task for task, _ in _held_out()]
    return tuple(t for n in range(len(KINDS)) for t in tasks[n * PER_KIND : n * PER_KIND + per_kind])


@cache
def held_out_keys() -> frozenset[tuple[str, ...]]:
    """What identifies the held-out programs up to renaming; the build must never draw one of them."""
    return frozenset(program.key for _, program in _held_out())
