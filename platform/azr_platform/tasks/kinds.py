"""The task kinds as values: what is shown, what is asked, which fenced blocks a response needs.

Everything that differs between kinds is a field here. Other modules loop over ``KINDS``, the three that self-play
proposes, or look one up with ``task_kind`` and read its fields; they never branch on a kind's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from azr_platform.records import Kind, Role, Task


class Block(StrEnum):
    """A fenced block of the response format; the value is the word after the three backticks."""

    PROGRAM = "python"
    INPUT = "input"
    OUTPUT = "output"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class TaskKind:
    """One way to hide a part of (program, input, output)."""

    kind: Kind
    asked: Block
    """What the solver writes: the output, an input, or a program."""
    given: tuple[Block, ...]
    """What the solver sees, in this order. An induction task shows several input and output pairs."""
    proposed: tuple[Block, ...]
    """The blocks a proposal needs, in this order. Where ``writes_program`` is false the program is given."""
    many_inputs: bool
    """Whether a proposal holds N inputs, half of them shown and half hidden, instead of one."""
    verb: str
    """The one word that names the kind in compact prompts."""
    propose_text: str
    """What the proposer is asked for, in full prompts."""
    solve_text: str
    """What the solver is asked for, in full prompts."""
    free: bool = False
    """Whether the answer may be any text, instead of a literal or a program."""
    raises: bool = False
    """Whether the answer is not the value but what the program raises: the exception's type, or NoError."""

    @property
    def writes_program(self) -> bool:
        """Whether the proposer writes the program itself."""
        return Block.PROGRAM in self.proposed

    def blocks_wanted(self, role: Role, inputs_wanted: int) -> dict[Block, int]:
        """How many blocks of each name a response of this role must hold, in the order they are shown."""
        if role is Role.SOLVE:
            return {self.asked: 1}
        return {b: inputs_wanted if b is Block.INPUT and self.many_inputs else 1 for b in self.proposed}

    def shown_count(self, inputs: int) -> int:
        """How many of a task's pairs the solver may see, out of ``inputs``."""
        return inputs // 2 if self.many_inputs else 1

    def tested_pairs(self, task: Task) -> list[tuple[str, str]]:
        """The (input, output) pairs an answer is judged on: the hidden half where there are many."""
        return task.pairs[task.shown :] if self.many_inputs else task.pairs[:1]


KINDS: Final[tuple[TaskKind, ...]] = (
    TaskKind(
        kind=Kind.DEDUCTION,
        asked=Block.OUTPUT,
        given=(Block.PROGRAM, Block.INPUT),
        proposed=(Block.PROGRAM, Block.INPUT),
        many_inputs=False,
        verb="deduce",
        propose_text=(
            "Invent a new program and one input for it. Another solver will be shown both and must work out "
            "the output without running anything, so the value should take real reasoning to find."
        ),
        solve_text="Work out what the program returns for this input.",
    ),
    TaskKind(
        kind=Kind.ABDUCTION,
        asked=Block.INPUT,
        given=(Block.PROGRAM, Block.OUTPUT),
        proposed=(Block.PROGRAM, Block.INPUT),
        many_inputs=False,
        verb="abduce",
        propose_text=(
            "Invent a new program and one input for it. Another solver will be shown the program and the output "
            "it returns, and must find an input that leads there, so the way back should take real reasoning."
        ),
        solve_text="Find an input for which the program returns this output. Any such input is right.",
    ),
    TaskKind(
        kind=Kind.INDUCTION,
        asked=Block.PROGRAM,
        given=(Block.INPUT, Block.OUTPUT, Block.MESSAGE),
        proposed=(Block.INPUT, Block.MESSAGE),
        many_inputs=True,
        verb="induce",
        propose_text=(
            "Write inputs for the program below and a short message about what it does. Another solver will see "
            "the message and some of the inputs with their outputs, and must write a program that also handles "
            "the others. Make the inputs different from one another and varied enough to pin the program down; "
            "let the message help without giving the code away."
        ),
        solve_text=(
            "Write a program that turns each input into its output. It will be tried on further inputs that "
            "are not shown."
        ),
    ),
)

QUESTION: Final = TaskKind(
    kind=Kind.QUESTION,
    asked=Block.OUTPUT,
    given=(Block.MESSAGE,),
    proposed=(),
    many_inputs=False,
    verb="answer",
    propose_text="",
    solve_text="Answer the question, with nothing but the answer in the output block.",
    free=True,
)
"""A question with a short answer, from a problem file. No model proposes one."""

NO_ERROR: Final = "NoError"
"""What a program raises that raises nothing."""
ERROR: Final = TaskKind(
    kind=Kind.ERROR,
    asked=Block.OUTPUT,
    given=(Block.PROGRAM, Block.INPUT),
    proposed=(Block.PROGRAM, Block.INPUT),
    many_inputs=False,
    verb="predict",
    propose_text=(
        "Invent a new program and one input for it, such that it takes real reasoning to tell whether the program "
        "raises an exception on this input (by an assertion, a raise, or an operation that fails) and of which type. "
        "Another solver will be shown both and must name the type without running anything."
    ),
    solve_text=(
        "Work out what exception the program raises for this input. Answer with the name of its type alone, such as "
        f"ValueError, or with {NO_ERROR} if it raises none."
    ),
    raises=True,
)
"""Predict the exception (arXiv 2505.03335, appendix): proposed only where ``tasks.kinds`` names it."""

_BY_KIND: Final[Mapping[Kind, TaskKind]] = MappingProxyType({k.kind: k for k in (*KINDS, QUESTION, ERROR)})


def task_kind(kind: Kind) -> TaskKind:
    """The value that describes ``kind``."""
    return _BY_KIND[kind]
