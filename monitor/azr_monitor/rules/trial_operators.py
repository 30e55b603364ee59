"""Operators of a trial: of plain values as Python has them, of the program's own objects as their classes say."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from typing import Any

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.trial_costs import DIVIDES, VIEWS, comparable, probes, size, worked
from azr_monitor.rules.trial_operations import COMPARISONS, operated
from azr_monitor.rules.trial_values import MISSING, Exhausted, Function, Instance, Library

_SCALARS = (int, float, str)
UNCOMPARED = (Library, *VIEWS)
_QUICK = 64
"""The size up to which an operation is nothing to speak of."""

_DUNDERS = {
    "Add": "add",
    "Sub": "sub",
    "Mult": "mul",
    "Mod": "mod",
    "FloorDiv": "floordiv",
    "Div": "truediv",
    "Pow": "pow",
    "BitAnd": "and",
    "BitOr": "or",
    "BitXor": "xor",
    "LShift": "lshift",
    "RShift": "rshift",
    "Lt": "lt",
    "LtE": "le",
    "Gt": "gt",
    "GtE": "ge",
}


class Operators:
    """Operators in one program; ``steps`` are what is left, ``peak`` is the largest thing made of late, and ``watched``
    the comparisons whose sides are noted."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.peak: float = 0
        self.watched: dict[ast.AST, list[Any]] = {}

    def step(self) -> None:
        """Take one step.

        Raises:
            Exhausted: there is none left.
        """
        self.steps -= 1
        if self.steps < 0:
            raise Exhausted

    def take(self, steps: int) -> None:
        """Take so many steps at once."""
        self.steps -= steps
        if self.steps < 0:
            raise Exhausted

    def call(self, function: Any, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Call whatever can be called."""
        raise NotImplementedError

    def kept(self, value: Any) -> Any:
        """A value that was just made: how large it is, is noted."""
        large = size(value)
        if large > self.peak:
            self.peak = large
        return value

    def operate(self, op: ast.operator, left: Any, right: Any, node: ast.AST) -> Any:
        """``left op right``."""
        if isinstance(left, Instance) or isinstance(right, Instance):
            return self._overloaded(op.__class__.__name__, left, right, node)
        if left.__class__ is not int or right.__class__ is not int or op.__class__ in DIVIDES:
            self.take(worked(op, left, right))
        value = operated(op, left, right, node)
        large = size(value)
        if large > self.peak:
            self.peak = large
        if large > _QUICK:
            self.take(large >> 5)
        return value

    def _overloaded(self, operation: str, left: Any, right: Any, node: ast.AST) -> Any:
        name = _DUNDERS.get(operation)
        method = left.kind.member(f"__{name}__") if isinstance(left, Instance) and name else MISSING
        if not isinstance(method, Function):
            raise Unknown
        return self.call(method, [left, right], {}, node)

    def truth(self, value: Any) -> bool:
        """Whether a value counts as true."""
        if isinstance(value, Instance):
            for name in ("__bool__", "__len__"):
                method = value.kind.member(name)
                if isinstance(method, Function):
                    return bool(self.call(method, [value], {}, method.node))
            return True
        if isinstance(value, Library):
            raise Unknown
        return bool(value)

    def compare(self, op: ast.cmpop, left: Any, right: Any, node: ast.AST) -> Any:
        """``left op right``."""
        kind = op.__class__
        if kind is ast.Is or kind is ast.IsNot:
            return COMPARISONS[kind](left, right)
        if left.__class__ is int and right.__class__ is int:
            return COMPARISONS[kind](left, right)
        if kind is ast.In or kind is ast.NotIn:
            if isinstance(right, set | frozenset | dict):
                self.take(comparable(left, node) + probes(left, right))
            elif isinstance(right, range) and not isinstance(left, int):
                raise Unknown  # each of its numbers would be looked at
            elif isinstance(right, str | list | tuple | deque | range):
                self.take(1 + (len(right) >> 5) + (0 if isinstance(right, str | range) else comparable(right, node)))
            elif isinstance(right, Instance):
                method = right.kind.member("__contains__")
                if not isinstance(method, Function):
                    raise Unknown
                return bool(self.call(method, [right, left], {}, node)) is (kind is ast.In)
            elif isinstance(right, Iterator):
                return any(one == left for one in right if isinstance(one, _SCALARS)) is (kind is ast.In)
            else:
                raise Unknown
            return COMPARISONS[kind](left, right)
        if isinstance(left, UNCOMPARED) or isinstance(right, UNCOMPARED):
            raise Unknown
        if isinstance(left, Instance) and kind is not ast.Eq and kind is not ast.NotEq:
            return self._overloaded(kind.__name__, left, right, node)
        self.take(comparable(left, node) + comparable(right, node))
        return COMPARISONS[kind](left, right)
