"""Frozen records that cross rooms: what a task is, what was sampled, what the supervisor answered.

They carry text and numbers only. Nothing in them is ever evaluated; programs in them are strings.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Role(StrEnum):
    """The two roles one policy plays."""

    PROPOSE = "propose"
    SOLVE = "solve"


class Kind(StrEnum):
    """What is hidden from the solver: the output, the input, the program, or what the program raises; or the answer
    to a free question."""

    DEDUCTION = "deduction"
    ABDUCTION = "abduction"
    INDUCTION = "induction"
    QUESTION = "question"
    ERROR = "error"


SELF_PLAY_KINDS: Final = (Kind.DEDUCTION, Kind.ABDUCTION, Kind.INDUCTION)
"""The kinds that a model proposes tasks of, unless told otherwise; questions are only ever given."""


class Phase(StrEnum):
    """Where in a step a sample was drawn."""

    SEED = "seed"
    PROPOSE = "propose"
    LEARNABILITY = "learnability"
    SOLVE = "solve"
    PROBE = "probe"
    """Asked to see what the policy does; never learnt from (trainer/probes.py)."""


class Group(msgspec.Struct, frozen=True):
    """One of the six role x kind groups that share an advantage baseline (TRR++)."""

    role: Role
    kind: Kind

    def __str__(self) -> str:
        return f"{self.role.value}/{self.kind.value}"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A validated task: a program with the inputs it ran on and the outputs the jail observed.

    Deduction and abduction tasks have one pair. An induction task has N; the first ``shown`` are given to
    the solver, the rest are its hidden tests. Inputs are the text between the parentheses of ``f(...)``;
    outputs are literals, or for an error task the name of what was raised. A question has no program: ``message``
    asks it, the one output is its answer. In a task without a truth (see tasks/problems.py) what is hidden is empty
    text.
    """

    id: str
    kind: Kind
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shown: int = 1
    message: str = ""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.inputs, self.outputs, strict=True))
