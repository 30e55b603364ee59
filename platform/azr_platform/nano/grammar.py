"""Random programs over small integers, lists and strings, as sequences of typed operations.

Inputs are integers 0-9, lists of 2-4 digits and strings of 2-4 letters; programs have one to four statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Final

from azr_platform.nano.operations import (
    Arithmetic,
    Branch,
    Call,
    InapplicableError,
    Operation,
    Repeat,
    Step,
    Value,
    ValueType,
)

LETTERS: Final = "abcdef"
PARAMETER: Final = "x"
_NAMES: Final = "yzuw"
MAX_STATEMENTS: Final = len(_NAMES)
_MIN_INT, _MAX_INT = -20, 60
_MAX_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Program:
    """A function ``f`` of one argument.

    ``operations`` alone say what it computes; ``targets`` names the variable each statement assigns.
    """

    takes: ValueType
    operations: tuple[Operation, ...]
    targets: tuple[str, ...]
    parameter: str = PARAMETER

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies the program up to renaming: its statements in neutral names.

        Types are not part of it: ``x[::-1]`` is the same text for a list and for a string.
        """
        return tuple(line for operation in self.operations for line in operation.lines("new", "old"))

    @property
    def message(self) -> str:
        """The operations' names: a short description that leaves the constants out."""
        return " ".join(operation.name for operation in self.operations) or "same"

    @property
    def source(self) -> str:
        """The program as Python text."""
        lines, name = [f"def f({self.parameter}):"], self.parameter
        for operation, target in zip(self.operations, self.targets, strict=True):
            lines += ["    " + line for line in operation.lines(target, name)]
            name = target
        return "\n".join([*lines, f"    return {name}"])

    def states(self, argument: Value) -> list[Value]:
        """The argument and the value after each statement. Raises InapplicableError where one has none."""
        values = [argument]
        for operation in self.operations:
            values.append(operation.apply(values[-1]))
        return values

    def run(self, argument: Value) -> Value:
        """What the program returns. Raises InapplicableError where a statement has no result."""
        return self.states(argument)[-1]

    def forward(self, argument: Value) -> list[Step]:
        """The careful trace from the argument to the result."""
        values = self.states(argument)
        parts = zip(self.operations, self.targets, values[:-1], strict=True)
        return [step for operation, target, value in parts for step in operation.forward(target, value)]

    def backward(self, argument: Value) -> list[Step]:
        """The careful trace from the result back to the argument."""
        values = self.states(argument)
        parts = list(zip(self.operations, values[:-1], strict=True))
        return [step for operation, value in reversed(parts) for step in operation.backward(value)]


def identity(takes: ValueType, parameter: str = PARAMETER) -> Program:
    """The program that returns its argument."""
    return Program(takes, (), (), parameter)


def random_value(rng: Random, kind: ValueType) -> Value:
    """An input of this type."""
    return _VALUES[kind](rng)


def random_program(rng: Random, *, least: int = 1) -> Program:
    """A program of ``least`` to four statements."""
    takes = rng.choices((ValueType.INT, ValueType.LIST, ValueType.STR), (2, 1, 1))[0]
    count = max(least, rng.choices((1, 2, 3, 4), (3, 4, 3, 1.5))[0])
    reuse = rng.random() < 0.35
    operations: list[Operation] = []
    targets: list[str] = []
    current = takes
    for number in range(count):
        makers, weights = _OPERATIONS[current]
        operation = rng.choices(makers, weights)[0](rng)
        same_type = operation.gives is current
        targets.append(targets[-1] if reuse and targets and same_type else _NAMES[number])
        operations.append(operation)
        current = operation.gives
    return Program(takes, tuple(operations), tuple(targets))


def random_case(rng: Random, *, least: int = 1) -> tuple[Program, Value]:
    """A program and an input for which it returns something small and not empty."""
    while True:
        program = random_program(rng, least=least)
        argument = random_value(rng, program.takes)
        if runs_well(program, argument):
            return program, argument


def runs_well(program: Program, argument: Value) -> bool:
    """Whether every statement has a result and all of them stay small; empty results are not wanted."""
    try:
        values = program.states(argument)
    except InapplicableError:
        return False
    return all(_small(value) for value in values)


def random_arguments(rng: Random, program: Program, count: int, first: Value) -> list[Value] | None:
    """``count`` different inputs that begin with ``first`` and run well, or None when too few turn up."""
    found = [first]
    for _ in range(6 * count):
        if len(found) == count:
            return found
        value = random_value(rng, program.takes)
        if value not in found and runs_well(program, value):
            found.append(value)
    return found if len(found) == count else None


def with_slip(rng: Random, program: Program) -> Program:
    """The program with one constant changed, or itself when it has none."""
    places = [
        n for n, operation in enumerate(program.operations) if isinstance(operation, Arithmetic | Branch | Repeat)
    ]
    places += [n for n, op in enumerate(program.operations) if isinstance(op, Call) and isinstance(op.constant, int)]
    if not places:
        return program
    place = rng.choice(places)
    operations = list(program.operations)
    operations[place] = _changed(rng, operations[place])
    return replace(program, operations=tuple(operations))


def redrawn(rng: Random, program: Program) -> Program:
    """The same operations in the same order, their constants drawn anew."""
    operations = tuple(_makers()[operation.takes, operation.name](rng) for operation in program.operations)
    return replace(program, operations=operations)


@cache
def _makers() -> Mapping[tuple[ValueType, str], _Maker]:
    """What makes an operation of this name that takes this type."""
    rng = Random(0)  # noqa: S311
    return {(takes, maker(rng).name): maker for takes, (makers, _) in _OPERATIONS.items() for maker in makers}


def _changed(rng: Random, operation: Operation) -> Operation:
    by = rng.choice((-2, -1, 1, 2))
    if isinstance(operation, Arithmetic):
        return replace(operation, constant=max(1, operation.constant + by))
    if isinstance(operation, Branch):
        return replace(operation, threshold=max(1, operation.threshold + by))
    if isinstance(operation, Repeat):
        body = replace(operation.body, constant=max(1, operation.body.constant + by))
        return replace(operation, body=body)
    assert isinstance(operation, Call) and isinstance(operation.constant, int)
    old, new = str(operation.constant), str(max(1, operation.constant + by))
    before, after = operation.before.replace(old, new), operation.after.replace(old, new)
    return replace(operation, before=before, after=after, constant=int(new))


def _small(value: Value) -> bool:
    if isinstance(value, int):
        return _MIN_INT <= value <= _MAX_INT
    return 0 < len(value) <= _MAX_LENGTH


_VALUES: Final[Mapping[ValueType, Callable[[Random], Value]]] = MappingProxyType(
    {
        ValueType.INT: lambda rng: rng.randint(0, 9),
        ValueType.LIST: lambda rng: [rng.randint(0, 9) for _ in range(rng.randint(2, 4))],
        ValueType.STR: lambda rng: "".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 4))),
    }
)

_Maker = Callable[[Random], Operation]


def _branch(rng: Random) -> Branch:
    arms = [Arithmetic(rng.choice("+-"), rng.randint(1, 5)) for _ in range(2)]
    return Branch(rng.choice("<>"), rng.randint(2, 9), *arms)


def _repeat(rng: Random) -> Repeat:
    symbol = rng.choice("+-*")
    return Repeat(rng.randint(2, 3), Arithmetic(symbol, 2 if symbol == "*" else rng.randint(1, 3)))


def _call(
    name: str,
    takes: ValueType,
    expression: str,
    rule: str,
    gives: ValueType | None = None,
    constant: Callable[[Random], int | str] | None = None,
) -> _Maker:
    """A maker of calls. ``expression`` holds ``$`` for the source variable and ``?`` for the constant."""

    def make(rng: Random) -> Call:
        value = constant(rng) if constant else None
        before, _, after = expression.replace("?", repr(value)).partition("$")
        return Call(name, takes, gives or takes, before, after, rule, value)

    return make


def _digit(rng: Random) -> int:
    return rng.randint(0, 9)


def _letter(rng: Random) -> str:
    return rng.choice(LETTERS)


_I, _L, _S = ValueType.INT, ValueType.LIST, ValueType.STR
_WEIGHTED: Final[Mapping[ValueType, tuple[tuple[_Maker, float], ...]]] = MappingProxyType(
    {
        _I: (
            (lambda rng: Arithmetic("+", rng.randint(1, 5)), 4.0),
            (lambda rng: Arithmetic("-", rng.randint(1, 5)), 3.0),
            (lambda rng: Arithmetic("*", rng.randint(2, 3)), 2.0),
            (_call("max", _I, "max($, ?)", "at_least", constant=lambda rng: rng.randint(3, 7)), 0.6),
            (_call("min", _I, "min($, ?)", "at_most", constant=lambda rng: rng.randint(5, 9)), 0.6),
            (_branch, 1.3),
            (_repeat, 1.3),
        ),
        _L: (
            (_call("rev", _L, "$[::-1]", "list_reverse"), 3.0),
            (_call("sort", _L, "sorted($)", "list_sort"), 2.0),
            (_call("app", _L, "$ + [?]", "list_append", constant=_digit), 3.0),
            (_call("pre", _L, "[?] + $", "list_prepend", constant=_digit), 3.0),
            (_call("tail", _L, "$[1:]", "list_tail"), 3.0),
            (_call("init", _L, "$[:-1]", "list_init"), 3.0),
            (_call("map", _L, "[e + ? for e in $]", "list_add_each", constant=lambda rng: rng.randint(1, 3)), 2.0),
            (_call("len", _L, "len($)", "list_length", _I), 0.5),
            (_call("lmax", _L, "max($)", "list_maximum", _I), 0.5),
            (_call("first", _L, "$[0]", "list_first", _I), 0.7),
            (_call("last", _L, "$[-1]", "list_last", _I), 0.7),
        ),
        _S: (
            (_call("rev", _S, "$[::-1]", "str_reverse"), 3.0),
            (_call("upper", _S, "$.upper()", "str_upper"), 1.5),
            (_call("app", _S, "$ + ?", "str_append", constant=_letter), 3.0),
            (_call("pre", _S, "? + $", "str_prepend", constant=_letter), 3.0),
            (_call("tail", _S, "$[1:]", "str_tail"), 3.0),
            (_call("init", _S, "$[:-1]", "str_init"), 3.0),
            (_call("dup", _S, "$ * 2", "str_double"), 1.5),
            (_call("len", _S, "len($)", "str_length", _I), 0.6),
        ),
    }
)
_OPERATIONS: Final[Mapping[ValueType, tuple[tuple[_Maker, ...], tuple[float, ...]]]] = MappingProxyType(
    {kind: (tuple(m for m, _ in pairs), tuple(w for _, w in pairs)) for kind, pairs in _WEIGHTED.items()}
)
