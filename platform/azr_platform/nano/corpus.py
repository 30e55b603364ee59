"""What the embedded model is grown from: prompts of the six groups with responses of mixed quality.

A base trained on careful traces alone hardly varies, and reinforcement finds nothing to select. So the last
stage mixes modes, as the web a large model reads does: guesses, sloppy and careful traces, second looks;
trivial, repeated, invalid and rich proposals; and a little noise in the format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Final

from azr_platform.nano.grammar import (
    LETTERS,
    Program,
    identity,
    random_arguments,
    random_case,
    random_value,
    redrawn,
    runs_well,
    with_slip,
)
from azr_platform.nano.heldout import NANO_INPUTS, is_held_out, task_of
from azr_platform.nano.operations import Arithmetic, Call, Step, Value, ValueType
from azr_platform.records import Group, Role, Task
from azr_platform.tasks.kinds import KINDS, Block, TaskKind, task_kind
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and the response to learn, with the group and the mode it was written in."""

    prompt: str
    response: str
    group: Group
    mode: str


@dataclass(frozen=True, slots=True)
class Mixture:
    """How often each group and, within it, each mode is drawn."""

    solver: Mapping[str, float]
    proposer: Mapping[str, float]
    weights: Mapping[Group, float]
    noise: float = 0.0
    """The share of responses with a broken format."""
    ordered: float = 0.0
    """The share of proposals whose inputs stand in ascending order, which makes it easy to keep them distinct."""
    searched: float = 0.0
    """The share of induction's careful traces that go on to a search, as its second looks do."""


def _weights(*weights: float) -> Mapping[Group, float]:
    """Weights of solving and then proposing, each for deduction, abduction and induction."""
    order = [Group(role, kind.kind) for role in (Role.SOLVE, Role.PROPOSE) for kind in KINDS]
    return MappingProxyType(dict(zip(order, weights, strict=True)))


_CAREFUL: Final = MappingProxyType({"direct": 0.05, "sloppy": 0.05, "careful": 0.70, "check": 0.20})
_RICH: Final = MappingProxyType({"trivial": 0.03, "repeat": 0.07, "invalid": 0.03, "rich": 0.87})
EXECUTION: Final = Mixture(_CAREFUL, _RICH, _weights(60, 20, 8, 4, 4, 4))
"""The first stage: mostly deduction, since every other trace is made of its steps."""
CLEAN: Final = Mixture(_CAREFUL, _RICH, _weights(25, 24, 31, 6, 6, 8))
"""The second stage: careful work of every kind."""
MIXED: Final = Mixture(
    MappingProxyType({"direct": 0.36, "sloppy": 0.30, "careful": 0.24, "check": 0.10}),
    MappingProxyType({"trivial": 0.15, "repeat": 0.25, "invalid": 0.12, "rich": 0.48}),
    _weights(25, 24, 27, 6, 6, 12),
    noise=0.04,
    ordered=0.8,
    searched=0.6,
)
"""The last stage: what self-play starts from."""

_IDENTITY_SHARE: Final = 0.04
_SEED_SHARE: Final = 0.01
_GARBLED_DIRECT, _GARBLED_SLOPPY, _SKIPPED = 0.35, 0.35, 0.30
_WRONG_TRIES, _SHORT, _DRAWS = 2, 2, 40
_NUMBER: Final = re.compile(r"\d+")


class Corpus:
    """An endless, seeded stream of examples that holds no held-out program."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)  # noqa: S311  (repeatable, not secret)
        self._seeds = {task.kind: task for task in seed_tasks(NANO_INPUTS)}

    def example(self, mixture: Mixture) -> Example:
        """The next example, of a group drawn by the mixture's weights."""
        group = self._rng.choices(list(mixture.weights), list(mixture.weights.values()))[0]
        return self.example_of(group, mixture)

    def example_of(self, group: Group, mixture: Mixture) -> Example:
        """The next example of one group."""
        write = self._solve if group.role is Role.SOLVE else self._propose
        modes = mixture.solver if group.role is Role.SOLVE else mixture.proposer
        mode = self._rng.choices(list(modes), list(modes.values()))[0]
        prompt, thought, answer = write(task_kind(group.kind), mode, mixture)
        response = self._written(thought, answer, mixture.noise)
        return Example(prompt, response, group, mode)

    # Cases

    def _case(self) -> tuple[Program, Value]:
        """A program that is not held out, with an input; now and then the identity, where self-play starts."""
        rng = self._rng
        if rng.random() < _IDENTITY_SHARE:
            takes = rng.choice(list(ValueType))
            return identity(takes, rng.choice("xa")), random_value(rng, takes)
        while True:
            program, argument = random_case(rng)
            if not is_held_out(program):
                return program, argument

    def _case_with(self, count: int) -> tuple[Program, list[Value]]:
        while True:
            program, argument = self._case()
            arguments = random_arguments(self._rng, program, count, argument)
            if arguments is not None:
                return program, arguments

    def _slip(self, program: Program) -> Program:
        slip = with_slip(self._rng, program)
        return program if is_held_out(slip) else slip

    def _perhaps(self, chance: float) -> bool:
        return self._rng.random() < chance

    # Solving

    def _solve(self, kind: TaskKind, mode: str, mixture: Mixture) -> tuple[str, str, str]:
        if self._perhaps(_SEED_SHARE):
            seed = self._seeds[kind.kind]
            answers = {Block.OUTPUT: seed.outputs[0], Block.INPUT: seed.outputs[0], Block.PROGRAM: seed.program}
            return solve_prompt(seed, "compact"), "", fenced(kind.asked, answers[kind.asked])
        program, arguments = self._case_with(NANO_INPUTS if kind.many_inputs else 1)
        prompt = solve_prompt(task_of("", kind, program, arguments), "compact")
        if kind.many_inputs and mode == "careful" and mixture.searched and self._perhaps(mixture.searched):
            mode = "check"
        write: Mapping[Block, Callable[[str, Program, list[Value]], tuple[str, str]]] = {
            Block.OUTPUT: self._deduce,
            Block.INPUT: self._abduce,
            Block.PROGRAM: self._induce,
        }
        thought, answer = write[kind.asked](mode, program, arguments)
        return prompt, thought, fenced(kind.asked, answer)

    def _deduce(self, mode: str, program: Program, arguments: list[Value]) -> tuple[str, str]:
        steps, output = program.forward(arguments[0]), program.run(arguments[0])
        if mode == "direct":
            return "", repr(self._maybe_garbled(output, _GARBLED_DIRECT))
        if mode == "sloppy":
            terse = self._terse(steps)
            if terse and self._perhaps(0.8):
                return _joined(terse), terse[-1]
            return _joined(terse), repr(self._maybe_garbled(output, 0.4))
        thought = _joined([step.text for step in steps])
        if mode == "check":
            first = self._misread(steps) if steps and self._perhaps(0.4) else thought
            thought = first + " ; " + thought
        return thought, repr(output)

    def _abduce(self, mode: str, program: Program, arguments: list[Value]) -> tuple[str, str]:
        argument = arguments[0]
        steps = program.backward(argument)
        if mode == "direct":
            return "", repr(self._maybe_garbled(argument, _GARBLED_DIRECT))
        if mode == "sloppy":
            return _joined(self._terse(steps)), repr(self._maybe_garbled(argument, 0.4))
        thought = _joined([step.text for step in steps])
        if mode == "check":
            wrong = self._garbled(argument)
            tried = ""
            if self._perhaps(0.35) and runs_well(program, wrong) and program.run(wrong) != program.run(argument):
                tried = self._misread(steps) + " ; " + _trace(program, wrong) + " no ; "
            thought = tried + thought + " ; " + _trace(program, argument) + " ok"
        return thought, repr(argument)

    def _induce(self, mode: str, program: Program, arguments: list[Value]) -> tuple[str, str]:
        first = arguments[0]
        if mode == "direct":
            return "", (self._slip(program) if self._perhaps(0.35) else program).source
        if mode == "sloppy":
            thought = _joined(self._terse(program.forward(first)))
            return thought, (self._slip(program) if self._perhaps(0.45) else program).source
        if mode == "check":
            return self._search(program, first, arguments[1]), program.source
        return _trace(program, first), program.source

    def _search(self, program: Program, first: Value, second: Value) -> str:
        """Constants that explain the first pair, tried on the second; others, until both are explained.

        This is the one way to induce that is better than guessing, since a message leaves the constants out.
        """
        tried = ""
        for _ in range(_WRONG_TRIES if len(program.operations) <= _SHORT else 1):
            guess = self._explaining(program, first)
            if guess is None or not runs_well(guess, second) or guess.run(second) == program.run(second):
                break
            tried += _trace(guess, first) + " ; " + _trace(guess, second) + " no ; "
        return tried + _trace(program, first) + " ; " + _trace(program, second) + " ok"

    def _explaining(self, program: Program, argument: Value) -> Program | None:
        """The same operations with other constants that give the same result for this argument, if found soon."""
        wanted = program.run(argument)
        for _ in range(_DRAWS):
            guess = redrawn(self._rng, program)
            if runs_well(guess, argument) and guess.run(argument) == wanted and not is_held_out(guess):
                return guess
        return None

    # Proposing

    def _propose(self, kind: TaskKind, mode: str, mixture: Mixture) -> tuple[str, str, str]:
        if not kind.writes_program:
            return self._propose_inputs(kind, mode, mixture)
        program, argument = self._case()
        reference = self._seeds[kind.kind]
        if not self._perhaps(2 * _IDENTITY_SHARE):
            shown, shown_argument = self._case()
            reference = task_of("", kind, shown, [shown_argument])
        prompt = propose_prompt(kind.kind, [reference], "compact", NANO_INPUTS)
        thought, source = "", program.source
        if mode == "rich":
            thought = program.takes.value + " " + program.message
        elif mode == "trivial":
            program = identity(program.takes)
            source = program.source
        elif mode == "repeat":
            return prompt, "", self._repeated(reference)
        elif mode == "invalid":
            source, argument = self._spoilt(program, argument)
        return prompt, thought, fenced(Block.PROGRAM, source) + fenced(Block.INPUT, repr(argument))

    def _repeated(self, reference: Task) -> str:
        """The reference once more, or one of a few programs that are always the same."""
        if self._perhaps(0.4):
            return fenced(Block.PROGRAM, reference.program) + fenced(Block.INPUT, reference.inputs[0])
        program = self._rng.choice(_STOCK)
        value = random_value(self._rng, program.takes)
        return fenced(Block.PROGRAM, program.source) + fenced(Block.INPUT, repr(value))

    def _spoilt(self, program: Program, argument: Value) -> tuple[str, Value]:
        """A program or an input that does not run."""
        source, rng = program.source, self._rng
        way = rng.randrange(3)
        if way == 0:
            other = rng.choice([t for t in ValueType if t is not program.takes])
            return source, random_value(rng, other)
        if way == 1:
            return source.replace(" " + program.parameter, rng.choice((" e", " w", " b")), 1), argument
        return source.rpartition("\n")[0], argument

    def _propose_inputs(self, kind: TaskKind, mode: str, mixture: Mixture) -> tuple[str, str, str]:
        rng = self._rng
        program, arguments = self._case_with(NANO_INPUTS)
        if mixture.ordered and self._perhaps(mixture.ordered):
            arguments = sorted(arguments, key=_order)
        prompt = propose_prompt(kind.kind, [task_of("", kind, program, arguments)], "compact", NANO_INPUTS)
        message, thought = program.message, ""
        if mode == "rich":
            thought = program.takes.value
        elif mode == "trivial":
            message = self._case()[0].message
        elif mode == "repeat":
            half = NANO_INPUTS // 2
            arguments = arguments[:half] * 2 if self._perhaps(0.5) else arguments
            message = "plus"
        elif mode == "invalid" and self._perhaps(0.5):
            arguments = arguments[: rng.randint(1, NANO_INPUTS - 1)]
        elif mode == "invalid":
            arguments = [random_value(rng, rng.choice(list(ValueType))) for _ in arguments]
        inputs = "".join(fenced(Block.INPUT, repr(argument)) for argument in arguments)
        return prompt, thought, inputs + fenced(Block.MESSAGE, message)

    # Slips

    def _garbled(self, value: Value) -> Value:
        """The value with one number or letter changed."""
        rng = self._rng
        if isinstance(value, int):
            return max(0, value + rng.choice((-3, -2, -1, 1, 2, 3)))
        if not value:
            return value
        place = rng.randrange(len(value))
        if isinstance(value, str):
            return value[:place] + rng.choice(LETTERS) + value[place + 1 :]
        return [*value[:place], max(0, value[place] + rng.choice((-3, -2, -1, 1, 2, 3))), *value[place + 1 :]]

    def _maybe_garbled(self, value: Value, chance: float) -> Value:
        return self._garbled(value) if self._perhaps(chance) else value

    def _terse(self, steps: list[Step]) -> list[str]:
        """The values reached, some skipped and some wrong."""
        kept = [step.value for step in steps if step.value is not None and not self._perhaps(_SKIPPED)]
        return [repr(self._maybe_garbled(value, _GARBLED_SLOPPY)) for value in kept]

    def _misread(self, steps: list[Step]) -> str:
        """The trace with a number wrong from some step on."""
        start = self._rng.randrange(len(steps)) if steps else 0
        right, wrong = steps[:start], steps[start:]
        return _joined([s.text for s in right] + [self._misprint(s.text) for s in wrong])

    def _misprint(self, text: str) -> str:
        places = list(_NUMBER.finditer(text))
        if not places:
            return text
        place = self._rng.choice(places)
        number = max(0, int(place.group()) + self._rng.choice((-2, -1, 1, 2)))
        return text[: place.start()] + str(number) + text[place.end() :]

    # The format

    def _written(self, thought: str, answer: str, noise: float) -> str:
        whole = f"<think>{thought}</think>\n<answer>\n{answer}</answer>"
        if not self._perhaps(noise):
            return whole
        broken = (
            f"<think>{thought}</answer>",
            f"{answer}</answer>",
            f"<think>{thought}</think>\n<answer>\n{answer}",
            whole.replace("\n```\n", "\n", 1),
        )
        return self._rng.choice(broken)


def fenced(block: Block, content: str) -> str:
    """A fenced block of the response format."""
    return f"```{block.value}\n{content}\n```\n"


def groups() -> tuple[Group, ...]:
    """The six role and kind groups."""
    return tuple(Group(role, kind.kind) for role in Role for kind in KINDS)


def _joined(parts: list[str]) -> str:
    return " ".join(parts)


def _order(value: Value) -> tuple[int, str, list[int]]:
    """A sort key for values of one type."""
    if isinstance(value, int):
        return value, "", []
    return (0, value, []) if isinstance(value, str) else (0, "", value)


def _trace(program: Program, argument: Value) -> str:
    return _joined([step.text for step in program.forward(argument)])


_STOCK: Final = (
    Program(ValueType.INT, (Arithmetic("+", 1),), ("y",)),
    Program(ValueType.INT, (Arithmetic("*", 2),), ("y",)),
    Program(ValueType.LIST, (Call("rev", ValueType.LIST, ValueType.LIST, "", "[::-1]", "list_reverse"),), ("y",)),
    Program(ValueType.INT, (Arithmetic("+", 2),), ("y",)),
)
