"""Problem files: given tasks and questions, one JSON object a line (docs/regimes.md has the format).

```
file ─► read_problems ─► complete: outputs that are missing, from the jail ─► Task; without its truth: unlabelled
```
A file is anybody's text: every line is checked before any is used, and nothing in one is evaluated here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from azr_platform.records import SELF_PLAY_KINDS, Kind, Task
from azr_platform.tasks.answers import canonical
from azr_platform.tasks.check import MAX_MESSAGE_CHARS, is_literal
from azr_platform.tasks.kinds import QUESTION, Block, task_kind
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import Jail

MAX_LINE_BYTES: Final = 1 << 20
MAX_PROBLEMS: Final = 200_000
MAX_INPUTS: Final = 64
PREFIX: Final = "problem-"
"""How the ids of given problems begin; the number of the line follows. An id says nothing about the answer."""


class BadProblem(Exception):
    """A problem file that cannot be used; the text names the file, the line and the remedy."""


class Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a problem file."""

    kind: Kind | None = None
    program: str = ""
    inputs: list[str] = []
    outputs: list[str] = []
    message: str = ""
    question: str = ""
    answer: str | int | float = ""


def read_problems(file: Path, *, labelled: bool = True) -> list[Task]:
    """Every problem of a file, in order.

    Outputs that a line leaves out are left out here too, and are to be filled in by ``complete``. With ``labelled``
    every problem must say what is right, or hold the program and inputs that say it.

    Raises:
        BadProblem: naming the file and the first line that cannot be used, and the remedy.
    """
    tasks = []
    for number, raw in _lines(file):
        try:
            tasks.append(_task(f"{PREFIX}{number:06d}", _parse(raw), labelled))
        except ValueError as error:
            raise BadProblem(f"{file}, line {number}: {error}") from error
        if len(tasks) > MAX_PROBLEMS:
            raise BadProblem(f"{file}: more than {MAX_PROBLEMS} problems; give a part of them")
    if not tasks:
        raise BadProblem(f"{file}: it holds no problem; write one JSON object a line")
    return tasks


def complete(tasks: Sequence[Task], jail: Jail, place: str, *, labelled: bool = True) -> list[Task]:
    """The tasks with the outputs that were left out, as the jail observed them; ``place`` is named in errors.

    Without ``labelled`` only what a solver is shown is made, and what would answer a problem is taken out.

    Raises:
        BadProblem: a program does not give a value, the same each time, for one of its inputs.
        JailUnavailable: see Jail.
    """
    requests = [_request(task, labelled) for task in tasks]
    wanted = [request for request in requests if request is not None]
    results = iter(jail.run(wanted) if wanted else [])
    done = [
        task if request is None else _completed(task, next(results), place)
        for task, request in zip(tasks, requests, strict=True)
    ]
    return done if labelled else [unlabelled(task) for task in done]


def unlabelled(task: Task) -> Task:
    """The task without what would answer it: empty text stands where something is hidden."""
    about = task_kind(task.kind)
    program = "" if about.asked is Block.PROGRAM else task.program
    inputs = ("",) if about.asked is Block.INPUT else task.inputs
    shown = task.outputs if about.asked is Block.INPUT else task.outputs[: task.shown]
    if about.asked is Block.OUTPUT:
        shown = ()
    outputs = (*shown, *("" for _ in range(len(inputs) - len(shown))))
    return msgspec.structs.replace(task, program=program, inputs=inputs, outputs=outputs)


def dump(tasks: Iterable[Task]) -> bytes:
    """The tasks as a problem file that ``read_problems`` reads back."""
    encode = msgspec.json.Encoder().encode
    return b"".join(encode(_line(task)) + b"\n" for task in tasks)


def drawn(total: int, count: int, step: int, seed: int) -> list[int]:
    """Which of ``total`` problems a step asks, by place: ``count`` of them, or all where there are fewer.

    No problem comes twice in a step, nor in a round; each round has an order of its own, and what is left over when
    it no longer fills a step waits for another. The seed and the step say it all, so a resumed step asks the same.
    """
    count = min(count, total)
    lap, place = divmod(step - 1, total // count)
    key = blake2b(f"{seed}/problems/{lap}".encode(), digest_size=16).digest()
    order = list(range(total))
    random.Random(int.from_bytes(key, "big")).shuffle(order)  # noqa: S311 repeatable, not secret
    return order[place * count : (place + 1) * count]


# -- lines -----------------------------------------------------------------------------------------------


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """(number, text) of each line that is not empty; none is read further than it may be long."""
    try:
        with file.open("rb") as handle:
            number = 0
            while raw := handle.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise BadProblem(f"{file}, line {number}: longer than {MAX_LINE_BYTES} bytes; shorten or remove it")
                raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if raw.strip():
                    yield number, raw
    except OSError as error:
        raise BadProblem(f"{file}: cannot be read ({error.strerror}); give a JSON-lines file") from error


def _parse(raw: bytes) -> Line:
    """Raises ValueError saying what is wrong with a line and how one looks."""
    try:
        line = msgspec.json.decode(raw, type=Line)
        for text in (line.program, *line.inputs, *line.outputs, line.message, line.question, str(line.answer)):
            text.encode()
    except (ValueError, RecursionError) as error:  # msgspec's errors and Unicode's are ValueErrors
        raise ValueError(
            f'{str(error)[:200]}; a line is {{"kind", "program", "inputs"}} or {{"question", "answer"}} in JSON'
        ) from error
    return line


def _task(name: str, line: Line, labelled: bool) -> Task:
    if line.kind is None or line.kind is Kind.QUESTION:
        return _question(name, line, labelled)
    if line.kind not in SELF_PLAY_KINDS:
        raise ValueError(f"problems of the kind {line.kind.value} cannot be given; {', '.join(SELF_PLAY_KINDS)} can")
    if line.question or line.answer != "":
        raise ValueError(f'a {line.kind.value} task has no "question" and no "answer"; give one or the other')
    about = task_kind(line.kind)
    wanted = (2, MAX_INPUTS) if about.many_inputs else (1, 1)
    found = about.asked is Block.INPUT and bool(line.outputs)  # any input that leads to the output is right
    inputs = line.inputs or ([""] if found else [])
    if not wanted[0] <= len(inputs) <= wanted[1]:
        need = "1 text" if wanted[1] == 1 else f"{wanted[0]} to {wanted[1]} texts"
        raise ValueError(f'"inputs" must be a list of {need}, each what stands between the parentheses of f(...)')
    if line.inputs and not all(text.strip() for text in line.inputs):
        raise ValueError('an empty text in "inputs"; write what stands between the parentheses of f(...)')
    shown = about.shown_count(len(inputs))
    counts = {0, len(inputs)} | (set() if labelled or not about.many_inputs else {shown})
    if len(line.outputs) not in counts:
        raise ValueError(f'{len(line.outputs)} "outputs" for {len(inputs)} "inputs"; give one each, or none')
    for text in line.outputs:
        if not is_literal(text):
            raise ValueError(f"the output {text[:60]!r} is not a Python literal; leave outputs out to have them made")
    enough = about.asked is Block.PROGRAM and len(line.outputs) >= (len(inputs) if labelled else shown)
    if not line.program.strip() and not enough:
        raise ValueError('no "program"; give the text of one that defines f')
    if len(line.message) > MAX_MESSAGE_CHARS:
        raise ValueError(f'a "message" of more than {MAX_MESSAGE_CHARS} characters; shorten it')
    return Task(
        id=name,
        kind=line.kind,
        program=line.program,
        inputs=tuple(inputs),
        outputs=tuple(line.outputs),
        shown=shown,
        message=line.message,
    )


def _question(name: str, line: Line, labelled: bool) -> Task:
    if line.program or line.inputs or line.outputs or line.message:
        raise ValueError('a question has no program; name the "kind", or give "question" and "answer" alone')
    if not line.question.strip():
        raise ValueError('neither a "kind" nor a "question"')
    answer = str(line.answer)
    if labelled and canonical(answer) is None:
        raise ValueError('a question without an "answer"; only the regime ttrl does without')
    return Task(id=name, kind=Kind.QUESTION, program="", inputs=("",), outputs=(answer,), message=line.question)


def _line(task: Task) -> Line:
    if task.kind is QUESTION.kind:
        return Line(question=task.message, answer=task.outputs[0])
    given = [text for text in task.inputs if text]
    outputs = [text for text in task.outputs if text]
    return Line(task.kind, task.program, given, outputs, task.message)


# -- outputs that are missing ----------------------------------------------------------------------------


def _request(task: Task, labelled: bool) -> Request | None:
    """The run that makes the outputs a task lacks, or None when it lacks none that are needed."""
    about = task_kind(task.kind)
    if task.outputs or about.free or (not labelled and about.asked is Block.OUTPUT):
        return None
    return Request(task.program, task.inputs if labelled else task.inputs[: task.shown])


def _completed(task: Task, executions: Sequence[Execution], place: str) -> Task:
    for text, execution in zip(task.inputs, executions, strict=False):
        if execution.outcome is not Outcome.OK or execution.value is None:
            line = task.id.removeprefix(PREFIX).lstrip("0")
            raise BadProblem(
                f"{place}, line {line}: f({text[:60]}) ended as {execution.outcome.value}: {execution.detail[:200]}; "
                "mend the program, or give its outputs"
            )
    return msgspec.structs.replace(task, outputs=tuple(e.value for e in executions if e.value is not None))
