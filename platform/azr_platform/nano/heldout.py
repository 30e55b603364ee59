"""Tasks the embedded model is measured on and never built from: some of the grammar, some that a model proposed.

Only programs of two statements and more are held out: there are so few of one statement that holding them out
would leave nothing simple to learn from. They are kept out of every stage of the build, and out of every run with
``tasks.held_out``, up to renaming.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from random import Random
from typing import Final

from azr_platform.nano.grammar import Program, random_arguments, random_case
from azr_platform.nano.operations import Value
from azr_platform.records import Kind, Task
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.kinds import KINDS, TaskKind, task_kind

GRAMMAR_PER_KIND: Final = 300
PROPOSED_PER_KIND: Final = 200
"""In proposed.jsonl, which gather.py wrote."""
PER_KIND: Final = GRAMMAR_PER_KIND + PROPOSED_PER_KIND
NANO_INPUTS: Final = 6
"""How many inputs an induction task of the embedded model has: three shown and three hidden."""

_SEED: Final = 99_991
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_BLANK: Final = re.compile(r"\s+")


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
def _of_grammar() -> tuple[tuple[Task, Program], ...]:
    rng = Random(_SEED)  # noqa: S311  (repeatable, not secret)
    chosen: list[tuple[Task, Program]] = []
    keys: set[tuple[str, ...]] = set()
    for kind in KINDS:
        for number in range(GRAMMAR_PER_KIND):
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


@cache
def _proposed() -> tuple[Task, ...]:
    text = (resources.files("azr_platform.nano") / "proposed.jsonl").read_text("utf-8")
    tasks = []
    for number, line in enumerate(text.splitlines()):
        fields = json.loads(line)
        kind, inputs, outputs = Kind(fields["kind"]), tuple(fields["inputs"]), tuple(fields["outputs"])
        shown = task_kind(kind).shown_count(len(inputs))
        task = Task(
            id=f"heldout-{kind.value}-proposed-{number}",
            kind=kind,
            program=fields["program"],
            inputs=inputs,
            outputs=outputs,
            shown=shown,
            message=fields["message"],
        )
        tasks.append(task)
    return tuple(tasks)


@cache
def held_out_tasks(per_kind: int = PER_KIND) -> tuple[Task, ...]:
    """``per_kind`` held-out tasks of each kind, from both sources alike; the same on every machine.

    Raises ValueError when more are asked for than are held out.
    """
    if per_kind > PER_KIND:
        raise ValueError(f"{per_kind} held-out tasks a kind were asked for; there are {PER_KIND}")
    everything = [task for task, _ in _of_grammar()] + list(_proposed())
    Random(_SEED).shuffle(everything)  # noqa: S311  (so that a part of them holds some of either source)
    return tuple(t for kind in KINDS for t in [t for t in everything if t.kind is kind.kind][:per_kind])


@cache
def held_out_programs() -> frozenset[str]:
    """The keys of all held-out programs (`program_key`): neither a build nor a run may learn from one of them."""
    return frozenset(program_key(task.program) for task in held_out_tasks())


@cache
def _operations() -> frozenset[tuple[str, ...]]:
    return frozenset(program.key for _, program in _of_grammar())


@cache
def _skeletons() -> frozenset[str]:
    return frozenset(_skeleton(task.program) for task in held_out_tasks())


def _skeleton(source: str) -> str:
    """The text without names and blanks: programs that are the same up to renaming share it, and it is quick."""
    return _BLANK.sub("", _NAME.sub("_", source))


def is_held_out(program: Program) -> bool:
    """Whether the build must not draw this program; for the grammar's own, which variables are reused is no matter."""
    if program.key in _operations():
        return True
    return _skeleton(program.source) in _skeletons() and program_key(program.source) in held_out_programs()


def grammar_sources() -> list[str]:
    """The programs held out of the grammar, as text."""
    return [program.source for _, program in _of_grammar()]
