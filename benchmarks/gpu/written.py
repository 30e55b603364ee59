"""Responses worth reviewing, written by a program: random weights say nothing that would run.

A step's cost depends on what the model proposes: where nothing is valid, nothing is sampled to see how hard it is, and
nothing is run. So an engine samples as it would, tokens and log-probabilities are its own, and only the text that goes
to review is another: new programs of the embedded model's grammar, and answers of which one in four is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import msgspec

from azr_platform.nano.corpus import fenced
from azr_platform.nano.grammar import Program, identity, random_arguments, random_case
from azr_platform.nano.heldout import is_held_out, task_of
from azr_platform.nano.operations import Value, ValueType
from azr_platform.records import Kind, Task
from azr_platform.rollout.engine import Completion, Engine, Progress, Ready
from azr_platform.tasks.kinds import KINDS, Block, TaskKind
from azr_platform.tasks.prompts import Style, propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks

_PROGRAM = re.compile(r"```python\n(.*?)\n```", re.DOTALL)


class Writer:
    """Answers the platform's own prompts. The same calls give the same texts."""

    def __init__(self, style: Style, inputs: int, seed: int = 0) -> None:
        self._style, self._inputs = style, inputs
        self._rng = Random(seed)
        self._keys: set[tuple[str, ...]] = set()
        self._cases: dict[str, tuple[Program, Value]] = {}
        self._answered = 0
        self.proposed: dict[str, Task] = {}
        """What each response proposes."""
        self.answers: dict[str, tuple[Block, str]] = {}
        """The right answer to each solver's prompt."""
        self._heads = {self._head(kind): kind for kind in KINDS}
        plain = identity(ValueType.INT, "a")
        self._cases[plain.source] = (plain, 1)
        for task in seed_tasks(inputs, [kind.kind for kind in KINDS]):
            self._remember(next(kind for kind in KINDS if kind.kind is task.kind), task)

    def respond(self, prompt: str) -> str:
        """A response to a proposer's or a solver's prompt."""
        for head, kind in self._heads.items():
            if prompt.startswith(head):
                return self._proposal(kind, prompt)
        self._answered += 1
        block, answer = self.answers.get(prompt, (Block.OUTPUT, "0"))
        if self._answered % 4 == 0:
            answer = "def f(x):\n    return None" if block is Block.PROGRAM else "None"
        return _whole(fenced(block, answer))

    def right(self, prompt: str) -> str:
        """The response to a solver's prompt that is right; empty where none is known."""
        known = self.answers.get(prompt)
        return "" if known is None else _whole(fenced(*known))

    def _head(self, kind: TaskKind) -> str:
        """What a proposer's prompt of this kind begins with, up to where the references come."""
        if self._style == "full":
            return kind.propose_text
        task = seed_tasks(2, [kind.kind])[0]
        return propose_prompt(kind.kind, [task], "compact").partition("\n")[0] + "\n"

    def _proposal(self, kind: TaskKind, prompt: str) -> str:
        if kind.writes_program:
            program, argument = self._new_case()
            arguments = [argument]
        else:
            found = _PROGRAM.search(prompt)
            program, argument = self._cases.get(found[1] if found else "", self._cases["def f(a):\n    return a"])
            drawn = (random_arguments(self._rng, program, self._inputs, argument) for _ in range(20))
            arguments = next((several for several in drawn if several is not None), [argument])
        task = task_of("", kind, program, arguments)
        parts = {Block.PROGRAM: [task.program], Block.INPUT: task.inputs, Block.MESSAGE: [task.message]}
        response = _whole("".join(fenced(block, text) for block in kind.proposed for text in parts[block]))
        self.proposed[response] = task
        self._remember(kind, task)
        return response

    def _new_case(self) -> tuple[Program, Value]:
        while True:
            program, argument = random_case(self._rng, least=2)
            if program.key not in self._keys and not is_held_out(program):
                self._keys.add(program.key)
                self._cases[program.source] = (program, argument)
                return program, argument

    def _remember(self, kind: TaskKind, task: Task) -> None:
        answers = {Block.PROGRAM: task.program, Block.INPUT: task.inputs[0], Block.OUTPUT: task.outputs[0]}
        self.answers[solve_prompt(task, self._style)] = (kind.asked, answers[kind.asked])


def _whole(answer: str) -> str:
    return f"<think>\nas asked\n</think>\n<answer>\n{answer}</answer>"


def tasks_of(count: int) -> list[Task]:
    """Different tasks of the grammar, of every kind in turn; induction's have ten inputs."""
    rng = Random(5)
    tasks = []
    while len(tasks) < count:
        kind = KINDS[len(tasks) % len(KINDS)]
        program, argument = random_case(rng, least=2)
        arguments = random_arguments(rng, program, 10 if kind.kind is Kind.INDUCTION else 1, argument)
        if arguments is not None:
            tasks.append(task_of(f"benchmark-{len(tasks)}", kind, program, arguments))
    return tasks


class Written:
    """An engine whose samples say what a writer wrote."""

    def __init__(self, behind: Engine, writer: Writer) -> None:
        self._behind = behind
        self._writer = writer
        self.sequences = self.prompt_tokens = 0
        """Over everything sampled so far."""

    def encode(self, prompt: str) -> list[int]:
        return self._behind.encode(prompt)

    def rest(self) -> None:
        self._behind.rest()

    def refresh(self) -> None:
        self._behind.refresh()

    def close(self) -> None:
        self._behind.close()

    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        results: list[list[Completion]] = [[] for _ in prompts]

        def take(place: int, sampled: list[Completion]) -> None:
            results[place] = [
                msgspec.structs.replace(one, text=self._writer.respond(prompts[place]), finished=True)
                for one in sampled
            ]
            if ready is not None:
                ready(place, results[place])

        self.sequences += len(prompts) * samples
        self.prompt_tokens += sum(len(self.encode(prompt)) for prompt in prompts) * samples
        self._behind.generate(prompts, samples=samples, seed=seed, progress=progress, ready=take)
        return results
