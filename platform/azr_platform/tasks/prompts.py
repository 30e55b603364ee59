"""The text each role is given. Two styles: full instructions, or a few tokens for the embedded model.

Programs, inputs and messages in a prompt were written by a model. They are joined in as plain text, never
used as a template and never formatted. Chat templates are the engine's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from azr_platform.records import Kind, Role, Task
from azr_platform.tasks.composite import definitions
from azr_platform.tasks.kinds import Block, TaskKind, task_kind

Style = Literal["full", "compact"]

_RULES: Final = """\
Rules for programs:
- Plain Python whose entry point is a function named f; helpers and pure standard modules may stand above it.
- It returns a value made of numbers, strings, booleans, None, lists, tuples, sets and dicts.
- The same input always gives the same value: no randomness, clock, files, network or printing.
- It ends within a moment.
Inputs are written as the text between the parentheses of f(...), with commas between several arguments.
"""
_HOLDERS: Final = {
    Block.PROGRAM: "def f(...):\n    ...",
    Block.INPUT: "the arguments",
    Block.OUTPUT: "the value, as a Python literal",
    Block.MESSAGE: "the message",
}


def propose_prompt(
    kind: Kind, references: Sequence[Task], style: Style, inputs_wanted: int = 10, functions: Sequence[str] = ()
) -> str:
    """Ask for a new task. For kinds that do not write a program, ``references[0]`` is the program given.

    ``inputs_wanted`` is how many inputs a proposal of a kind with many inputs must hold. ``functions`` are programs
    that a composite proposal must build on (see tasks/composite.py).
    Raises ValueError when a kind that is given its program gets no reference.
    """
    about = task_kind(kind)
    if not about.writes_program and not references:
        raise ValueError(f"an {kind.value} proposal needs a reference: the program to write inputs for")
    if style == "compact":
        shown = references[:1] if not about.writes_program else references
        programs = "".join(_fenced(Block.PROGRAM, task.program) for task in shown)
        if functions:
            given = _fenced(Block.PROGRAM, definitions(functions))
            return _header("propose " + about.verb + " with " + _names(functions)) + given + programs
        return _header("propose " + about.verb) + programs
    parts = [about.propose_text, ""]
    if about.writes_program:
        parts.append(_RULES)
        if functions:
            parts.append(
                "These functions are given. Your program must call each of them (" + _names(functions) + "), may not "
                "redefine any, and must not repeat their definitions:\n"
                + _fenced(Block.PROGRAM, definitions(functions))
            )
        if references:
            parts.append("Tasks seen before. Write one that differs from all of them in what it computes:\n")
        for number, task in enumerate(references, 1):
            parts.append("Task " + str(number) + ":\n" + _triplet(task))
    else:
        parts.append("The program:\n" + _fenced(Block.PROGRAM, references[0].program))
        parts.append("Write exactly " + str(inputs_wanted) + " input blocks and one message block.\n")
    parts.append(_format_text(about, Role.PROPOSE, inputs_wanted))
    return "\n".join(parts)


def solve_prompt(task: Task, style: Style) -> str:
    """Ask for the hidden part of ``task``; what is hidden is not in the text."""
    about = task_kind(task.kind)
    body = _given(about, task)
    if style == "compact":
        return _header(about.verb) + body
    rules = [_RULES] if about.asked is Block.PROGRAM else []
    return "\n".join([about.solve_text, "", *rules, body, _format_text(about, Role.SOLVE, 0)])


def _names(functions: Sequence[str]) -> str:
    return " ".join("g_" + str(number) for number in range(len(functions)))


def _header(words: str) -> str:
    return "# " + words + "\n"


def _fenced(block: Block, content: str) -> str:
    return "```" + block.value + "\n" + content + "\n```\n"


def _triplet(task: Task) -> str:
    pair = _fenced(Block.INPUT, task.inputs[0]) + _fenced(Block.OUTPUT, task.outputs[0])
    return _fenced(Block.PROGRAM, task.program) + pair


def _given(about: TaskKind, task: Task) -> str:
    """The shown parts in the kind's order. Inputs and outputs shown together are interleaved as pairs."""
    single = {Block.PROGRAM: task.program, Block.MESSAGE: task.message}
    pairs = task.pairs[: task.shown]
    sides = [block for block in (Block.INPUT, Block.OUTPUT) if block in about.given]
    text, paired = "", False
    for block in about.given:
        if block in single:
            text += _fenced(block, single[block])
        elif not paired:
            paired = True
            for pair in pairs:
                side = {Block.INPUT: pair[0], Block.OUTPUT: pair[1]}
                text += "".join(_fenced(b, side[b]) for b in sides)
    return text


def _format_text(about: TaskKind, role: Role, inputs_wanted: int) -> str:
    """How to answer, with the blocks wanted spelled out; many of one name are shown twice and counted."""
    blocks = about.blocks_wanted(role, inputs_wanted)
    shape = ""
    for block, count in blocks.items():
        shape += _fenced(block, _HOLDERS[block]) * min(count, 2)
        if count > 2:
            shape += "(" + str(count) + " " + block.value + " blocks in all)\n"
    return (
        "Think first, then answer, in exactly this format and with nothing outside the tags:\n"
        "<think>\nyour reasoning\n</think>\n<answer>\n" + shape + "</answer>\n"
    )
