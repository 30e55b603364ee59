"""Where self-play starts: the identity program, the one program a person wrote for it (paper, figure 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from azr_platform.records import SELF_PLAY_KINDS, Kind, Task
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.kinds import NO_ERROR, task_kind

IDENTITY: Final = "def f(a):\n    return a"
HELLO: Final = ('"Hello world"', "'Hello world'")
"""The seed's input as the paper writes it, and its value as the jail would report it."""


def is_seed(program: str) -> bool:
    """Whether a program is the seed program, up to renaming."""
    return program_key(program) == program_key(IDENTITY)


def seed_tasks(inputs_wanted: int = 10, kinds: Iterable[Kind] = SELF_PLAY_KINDS) -> tuple[Task, ...]:
    """One identity task of each of the kinds. Kinds with many inputs get ``inputs_wanted`` different ones."""
    if inputs_wanted < 2:
        raise ValueError(f"inputs_wanted is {inputs_wanted}; a task needs at least 2, to show one and hide one")
    tasks = []
    for kind in map(task_kind, kinds):
        count = inputs_wanted if kind.many_inputs else 1
        pairs = [HELLO] + [(repr(value), repr(value)) for value in _varied(count - 1)]
        tasks.append(
            Task(
                id=f"seed-{kind.kind.value}",
                kind=kind.kind,
                program=IDENTITY,
                inputs=tuple(i for i, _ in pairs),
                outputs=tuple(NO_ERROR if kind.raises else o for _, o in pairs),
                shown=kind.shown_count(count),
                message="Returns its argument." if kind.many_inputs else "",
            )
        )
    return tuple(tasks)


def _varied(count: int) -> list[object]:
    """``count`` different simple values of three types."""
    shapes = (lambda n: n, lambda n: [n, n + 1], lambda n: "ab"[n % 2] * (n + 1))
    return [shapes[n % 3](n) for n in range(1, count + 1)]
