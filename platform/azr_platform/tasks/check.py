"""What must run to judge a response, and whether it is right. Used by the supervisor alone.

This module only describes runs and compares what came back; the jail does the running. A solver's inputs
and outputs must be literals, so that no expression of an answer is ever computed, not even in the jail. The
expected outputs stay here: they never enter a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from azr_platform.records import Kind, Task
from azr_platform.tasks.answers import same_answer
from azr_platform.tasks.kinds import NO_ERROR, Block, task_kind
from azr_platform.tasks.parse import Parsed
from azr_sandbox import values
from azr_sandbox.execution import Execution, Outcome, Request

MAX_MESSAGE_CHARS: Final = 2_000
_MAX_NAME_CHARS: Final = 100


def validation_request(kind: Kind, parsed: Parsed, reference: Task | None = None) -> Request:
    """The run that shows whether a well-formed proposal is a task: its program on its inputs, twice.

    ``reference`` is the task whose program was given, for kinds that do not write one.
    """
    program, raises = _program(kind, parsed, reference), task_kind(kind).raises
    return Request(program=program, inputs=parsed.inputs, verify=True, verify_errors=raises)


def proposal_problem(kind: Kind, parsed: Parsed, executions: Sequence[Execution]) -> str:
    """Why a proposal is not a task, or an empty text when it is one.

    Every input must have run, deterministically, to a literal (or, where that is asked for, to an exception); where
    there are many they must all differ.
    """
    if not parsed.well_formed:
        return parsed.problem
    if len(executions) != len(parsed.inputs):
        return f"{len(executions)} executions for {len(parsed.inputs)} inputs"
    for number, execution in enumerate(executions, 1):
        if _observed(kind, execution) is None:
            return f"input {number} ended as {execution.outcome.value}: {execution.detail}"
    if len(parsed.message) > MAX_MESSAGE_CHARS:
        return f"the message is longer than {MAX_MESSAGE_CHARS} characters"
    for later, text in enumerate(parsed.inputs):
        for earlier in range(later):
            if _same_arguments(parsed.inputs[earlier], text):
                return f"inputs {earlier + 1} and {later + 1} are the same"
    return ""


def task_from(
    task_id: str, kind: Kind, parsed: Parsed, executions: Sequence[Execution], reference: Task | None = None
) -> Task:
    """The task a validated proposal makes, with the outputs the jail observed.

    Raises ValueError when the proposal has a problem; ask ``proposal_problem`` first.
    """
    problem = proposal_problem(kind, parsed, executions)
    if problem:
        raise ValueError(f"proposal {task_id} is not a task: {problem}")
    return Task(
        id=task_id,
        kind=kind,
        program=_program(kind, parsed, reference),
        inputs=parsed.inputs,
        outputs=tuple(output for e in executions if (output := _observed(kind, e)) is not None),
        shown=task_kind(kind).shown_count(len(parsed.inputs)),
        message=parsed.message,
    )


def answer_problem(task: Task, parsed: Parsed) -> str:
    """Why an answer cannot be judged: malformed, or an expression where a literal is due. Empty if it can."""
    if not parsed.well_formed:
        return parsed.problem
    about = task_kind(task.kind)
    if about.raises and not _is_type_name(parsed.output):
        return "the output is not the name of a type"
    if about.asked is Block.OUTPUT and not (about.free or about.raises or is_literal(parsed.output)):
        return "the output is not a literal"
    if about.asked is Block.INPUT and not _are_literal_arguments(parsed.inputs[0]):
        return "the input is not made of literals"
    return ""


def answer_request(task: Task, parsed: Parsed) -> Request | None:
    """What to run to judge an answer, or None when nothing needs to (or may) run.

    An input asked for is tried on the task's program; a program asked for is tried on the hidden inputs, which
    share a process: a call that remembers an earlier one still knows no expected output.
    """
    asked = task_kind(task.kind).asked
    if asked is Block.OUTPUT or answer_problem(task, parsed):
        return None
    if asked is Block.INPUT:
        return Request(program=task.program, inputs=parsed.inputs, verify=True)
    hidden = tuple(text for text, _ in task_kind(task.kind).tested_pairs(task))
    return Request(program=parsed.program, inputs=hidden, verify=True, together=True)


def is_correct(task: Task, parsed: Parsed, executions: Sequence[Execution] = ()) -> bool:
    """Whether the answer is right: what was said or observed equals every expected output.

    ``executions`` are those of ``answer_request``, in order. Values are compared by structure, out of the jail.
    """
    if answer_problem(task, parsed):
        return False
    about = task_kind(task.kind)
    if about.asked is Block.OUTPUT:
        observed: list[str | None] = [parsed.output]
    else:
        observed = [e.value if e.outcome is Outcome.OK else None for e in executions]
    expected = [output for _, output in about.tested_pairs(task)]
    if not expected or len(observed) != len(expected):
        return False
    same = str.__eq__ if about.raises else same_answer if about.free else values.same
    return all(o is not None and same(o, e) for o, e in zip(observed, expected, strict=True))


def _observed(kind: Kind, execution: Execution) -> str | None:
    """What a run shows to be the output; None for a run that shows nothing."""
    if execution.outcome is Outcome.OK and execution.value is not None:
        return NO_ERROR if task_kind(kind).raises else execution.value
    if execution.outcome is Outcome.ERROR and task_kind(kind).raises and _is_type_name(execution.raised):
        # A class named like the answer for no exception would make two different ends the same.
        return execution.raised if execution.raised != NO_ERROR else None
    return None


def _is_type_name(text: str) -> bool:
    """Whether a class of Python's own syntax could have this name; one made by hand can have any text."""
    return text.isidentifier() and text.isascii() and len(text) <= _MAX_NAME_CHARS


def _program(kind: Kind, parsed: Parsed, reference: Task | None) -> str:
    if task_kind(kind).writes_program:
        return parsed.program
    if reference is None:
        raise ValueError(f"an {kind.value} proposal is about a given program, and none was given")
    return reference.program


def is_literal(text: str) -> bool:
    """Whether ``text`` is one literal (see azr_sandbox.values)."""
    try:
        values.parse(text)
    except values.NotALiteral:
        return False
    return True


def _are_literal_arguments(text: str) -> bool:
    """Whether ``text`` is literals with commas between them.

    It must hold inside brackets of two shapes: what closes one early (``1), (2``) does not fit the other.
    """
    return bool(text.strip()) and is_literal("(" + text + ",)") and is_literal("[" + text + ",]")


def _same_arguments(a: str, b: str) -> bool:
    """Whether two inputs are the same arguments: equal as text, or as values where both are literals."""
    if a.strip() == b.strip():
        return True
    both = _are_literal_arguments(a) and _are_literal_arguments(b)
    return both and values.same("(" + a + ",)", "(" + b + ",)")
