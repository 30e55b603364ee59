"""The statements of the random grammar: each renders itself, applies itself and explains itself.

A value and a trace come from the operation's own methods, so nothing here executes or parses source text. Tests
compare every operation with what Python makes of its rendered lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

Value = int | str | list[int]


class ValueType(StrEnum):
    """The types a program's variables take."""

    INT = "int"
    LIST = "list"
    STR = "str"


class InapplicableError(ValueError):
    """The operation has no result for this value, for example the first element of an empty list."""


@dataclass(frozen=True, slots=True)
class Step:
    """One remark of a trace: its text, and the value it arrives at (None for a comparison)."""

    text: str
    value: Value | None


class Operation(Protocol):
    """One statement that computes ``target`` from ``source``."""

    @property
    def name(self) -> str:
        """One word for messages to the solver."""

    @property
    def takes(self) -> ValueType: ...

    @property
    def gives(self) -> ValueType: ...

    def lines(self, target: str, source: str) -> list[str]:
        """The statement as source lines, not yet indented."""

    def apply(self, value: Value) -> Value:
        """The target's value for this source value. Raises InapplicableError when there is none."""

    def forward(self, target: str, value: Value) -> list[Step]:
        """How to get from the source value to the target's, step by step."""

    def backward(self, value: Value) -> list[Step]:
        """How to get back from the target's value to the source value given here."""


_ARITHMETIC: Final[Mapping[str, tuple[str, str, Callable[[int, int], int]]]] = MappingProxyType(
    {
        "+": ("plus", "-", lambda a, b: a + b),
        "-": ("minus", "+", lambda a, b: a - b),
        "*": ("times", "/", lambda a, b: a * b),
    }
)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``y = x + 3``"""

    symbol: str
    constant: int

    takes = ValueType.INT
    gives = ValueType.INT

    @property
    def name(self) -> str:
        return _ARITHMETIC[self.symbol][0]

    def lines(self, target: str, source: str) -> list[str]:
        return [f"{target} = {source} {self.symbol} {self.constant}"]

    def apply(self, value: Value) -> int:
        return _ARITHMETIC[self.symbol][2](_integer(value), self.constant)

    def forward(self, target: str, value: Value) -> list[Step]:
        result = self.apply(value)
        return [Step(f"{target}={value}{self.symbol}{self.constant}={result}", result)]

    def backward(self, value: Value) -> list[Step]:
        inverse = _ARITHMETIC[self.symbol][1]
        return [Step(f"{self.apply(value)}{inverse}{self.constant}={value}", value)]


@dataclass(frozen=True, slots=True)
class Branch:
    """``if x > 3:`` one arithmetic statement, ``else:`` another"""

    comparison: str
    threshold: int
    holds: Arithmetic
    fails: Arithmetic

    name = "if"
    takes = ValueType.INT
    gives = ValueType.INT

    def lines(self, target: str, source: str) -> list[str]:
        return [
            f"if {source} {self.comparison} {self.threshold}:",
            *("    " + line for line in self.holds.lines(target, source)),
            "else:",
            *("    " + line for line in self.fails.lines(target, source)),
        ]

    def _taken(self, value: Value) -> tuple[bool, Arithmetic]:
        number = _integer(value)
        holds = number < self.threshold if self.comparison == "<" else number > self.threshold
        return holds, self.holds if holds else self.fails

    def apply(self, value: Value) -> int:
        return self._taken(value)[1].apply(value)

    def forward(self, target: str, value: Value) -> list[Step]:
        holds, taken = self._taken(value)
        test = Step(f"{value}{self.comparison}{self.threshold}{'T' if holds else 'F'}", None)
        return [test, *taken.forward(target, value)]

    def backward(self, value: Value) -> list[Step]:
        return self._taken(value)[1].backward(value)


@dataclass(frozen=True, slots=True)
class Repeat:
    """``for i in range(3):`` an arithmetic statement on the target itself"""

    times: int
    body: Arithmetic

    name = "loop"
    takes = ValueType.INT
    gives = ValueType.INT

    def lines(self, target: str, source: str) -> list[str]:
        start = [] if target == source else [f"{target} = {source}"]
        return [*start, f"for i in range({self.times}):", *("    " + s for s in self.body.lines(target, target))]

    def _states(self, value: Value) -> list[int]:
        states = [_integer(value)]
        for _ in range(self.times):
            states.append(self.body.apply(states[-1]))
        return states

    def apply(self, value: Value) -> int:
        return self._states(value)[-1]

    def forward(self, target: str, value: Value) -> list[Step]:
        return [step for state in self._states(value)[:-1] for step in self.body.forward(target, state)]

    def backward(self, value: Value) -> list[Step]:
        return [step for state in reversed(self._states(value)[:-1]) for step in self.body.backward(state)]


@dataclass(frozen=True, slots=True)
class Call:
    """A one-line expression of the source, such as ``y = x[::-1]``; its trace is just the value reached.

    ``before`` and ``after`` are the expression's text around the source variable; ``rule`` names what it does.
    """

    name: str
    takes: ValueType
    gives: ValueType
    before: str
    after: str
    rule: str
    constant: int | str | None = None

    def lines(self, target: str, source: str) -> list[str]:
        return [f"{target} = {self.before}{source}{self.after}"]

    def apply(self, value: Value) -> Value:
        return _RULES[self.rule](value, self.constant)

    def forward(self, target: str, value: Value) -> list[Step]:
        result = self.apply(value)
        return [Step(f"{target}={result!r}", result)]

    def backward(self, value: Value) -> list[Step]:
        return [Step(repr(value), value)]


def _integer(value: Value) -> int:
    if not isinstance(value, int):
        raise InapplicableError(f"an integer is needed, not {value!r}")
    return value


def _items(value: Value) -> list[int]:
    if not isinstance(value, list):
        raise InapplicableError(f"a list is needed, not {value!r}")
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise InapplicableError(f"a string is needed, not {value!r}")
    return value


def _some(value: Value) -> list[int]:
    items = _items(value)
    if not items:
        raise InapplicableError("a list with elements is needed, not an empty one")
    return items


def _number(constant: int | str | None) -> int:
    assert isinstance(constant, int)
    return constant


def _letter(constant: int | str | None) -> str:
    assert isinstance(constant, str)
    return constant


_Rule = Callable[[Value, int | str | None], Value]
_RULES: Final[Mapping[str, _Rule]] = MappingProxyType(
    {
        "at_least": lambda v, c: max(_integer(v), _number(c)),
        "at_most": lambda v, c: min(_integer(v), _number(c)),
        "list_reverse": lambda v, c: _items(v)[::-1],
        "list_sort": lambda v, c: sorted(_items(v)),
        "list_append": lambda v, c: [*_items(v), _number(c)],
        "list_prepend": lambda v, c: [_number(c), *_items(v)],
        "list_tail": lambda v, c: _items(v)[1:],
        "list_init": lambda v, c: _items(v)[:-1],
        "list_add_each": lambda v, c: [e + _number(c) for e in _items(v)],
        "list_length": lambda v, c: len(_items(v)),
        "list_maximum": lambda v, c: max(_some(v)),
        "list_first": lambda v, c: _some(v)[0],
        "list_last": lambda v, c: _some(v)[-1],
        "str_reverse": lambda v, c: _text(v)[::-1],
        "str_upper": lambda v, c: _text(v).upper(),
        "str_append": lambda v, c: _text(v) + _letter(c),
        "str_prepend": lambda v, c: _letter(c) + _text(v),
        "str_tail": lambda v, c: _text(v)[1:],
        "str_init": lambda v, c: _text(v)[:-1],
        "str_double": lambda v, c: _text(v) * 2,
        "str_length": lambda v, c: len(_text(v)),
    }
)
