"""Sizes of values: exact while a value is small, only how large it is once it is not."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from azr_monitor.rules.outcomes import Thing

_BITS = 512
"""Numbers of so many bits are still kept."""
_LENGTH = 600
_MOST = 1e30
_FAR = 10**30
_LONGEST = 10**29
"""The most items that what ends is counted for: fewer than ``ENDLESS``."""
_APART = 64
"""Bits by which a number is so much wider than another that the other makes no difference."""
_DEEPEST = 50
_MOST_SEEN = 200
"""Sequences within sequences that are gone through to count what they hold."""


@dataclass(frozen=True, slots=True)
class Large:
    """A number of which only the bits are known, and whether it is above nought or below: 1, -1; 0 where it may be a
    fraction, which is as wide but not as large."""

    bits: float
    sign: int = 0


@dataclass(frozen=True, slots=True)
class Many:
    """A sequence of which only the length is known, and the cells inside it, all told."""

    length: float
    cells: float


@dataclass(frozen=True, slots=True)
class Walk:
    """What is still to be walked: how many items, the cells of all of them, the turns that making them takes."""

    length: float
    cells: float = 0.0
    turns: float = 0.0


ENDLESS = 1e30
"""The length of an iterator that never stops."""


class _Unknown:
    """The value of which nothing is known."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
_SEQUENCES = (list, tuple, str, bytes)
_HOLDERS = (list, tuple, dict, set, Thing, Many)
_SAMENESS = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)


def count(value: Any) -> float | None:
    """How many items a value has; None where that is not known."""
    match value:
        case Many(length=length) | Walk(length=length):
            return None if length < 0 else length
        case list() | tuple() | str() | bytes() | dict() | set():
            return len(value)
        case range():
            step = abs(value.step)
            many = (abs(value.stop - value.start) + step - 1) // step
            return min(many, _LONGEST) if _runs(value) else 0
        case _:
            return None


def _runs(value: range) -> bool:
    return (value.stop > value.start) is (value.step > 0) and value.stop != value.start


def cells(value: Any, seen: dict[int, float] | None = None, depth: int = 0) -> float:
    """How many plain values a value holds at least, counted as often as it holds them.

    ``seen`` are the short sequences counted so far: each is gone through once, however often it is held, so that what
    holds itself twice over and over costs no more than what it is made of. What lies too deep counts as one.
    """
    match value:
        case Many() | Walk():
            return value.cells
        case str() | bytes():
            return max(1, len(value) // 8)
        case list() | tuple() if len(value) <= 4:
            seen = {} if seen is None else seen
            if id(value) not in seen:
                if depth >= _DEEPEST or len(seen) >= _MOST_SEEN:
                    return 1.0
                seen[id(value)] = 1.0  # as often as it holds itself
                seen[id(value)] = min(sum(cells(item, seen, depth + 1) for item in value), _MOST)
            return seen[id(value)]
        case list() | tuple() | dict() | set():
            return max(1, len(value))
        case _:
            return 1


def bits(value: Any) -> float | None:
    """How many bits a whole number has."""
    match value:
        case Large():
            return value.bits
        case bool():
            return None
        case int():
            return value.bit_length()
        case _:
            return None


def sign(value: Any) -> int:
    """Whether a whole number is above nought or below; 0 where neither is known."""
    return value.sign if isinstance(value, Large) else (value > 0) - (value < 0) if isinstance(value, int) else 0


def capped(value: Any) -> Any:
    """A number that is no larger than any size needs to be: what is larger makes no difference."""
    if isinstance(value, Large) and value.sign:
        return value.sign * _FAR
    return max(-_FAR, min(value, _FAR)) if isinstance(value, int) else value


def negated(value: Any) -> Any:
    """``-value``."""
    if isinstance(value, Large):
        return Large(value.bits, -value.sign)
    return -value if isinstance(value, int | float) else UNKNOWN


def added(left: Any, right: Any) -> Any:
    """``left + right``."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left + right
    if isinstance(left, _SEQUENCES) and isinstance(right, type(left)) and len(left) + len(right) <= _LENGTH:
        return left + right  # type: ignore[operator]
    many, more = _many(left), _many(right)
    if many is not None and more is not None:
        return Many(min(many.length + more.length, _MOST), min(many.cells + more.cells, _MOST))
    return _summed(left, right)


def _summed(left: Any, right: Any) -> Any:
    """The sum of two whole numbers of which one is no longer kept."""
    one, other = bits(left), bits(right)
    if one is None or other is None:
        return UNKNOWN
    if abs(one - other) > _APART:
        return Large(max(one, other), sign(left if one > other else right))
    if sign(left) * sign(right) < 0:
        return UNKNOWN
    return Large(max(one, other) + 1, sign(left) if sign(left) == sign(right) else 0)


def _many(value: Any) -> Many | None:
    if isinstance(value, Many):
        return value
    return Many(len(value), cells(value)) if isinstance(value, _SEQUENCES) else None


def multiplied(left: Any, right: Any) -> Any:
    """``left * right``."""
    if isinstance(right, Many | list | tuple | str | bytes) and not isinstance(left, Many):
        left, right = right, left
    if isinstance(left, Many | list | tuple | str | bytes):
        if isinstance(right, Large):
            return UNKNOWN if right.sign < 0 else Many(_MOST, _MOST)
        if not isinstance(right, int):
            return UNKNOWN
        if not isinstance(left, Many) and len(left) * right <= _LENGTH:
            return left * right
        many = _many(left)
        assert many is not None
        times = max(0, capped(right))
        return Many(min(many.length * times, _MOST), min(many.cells * times, _MOST))
    one, other = bits(left), bits(right)
    if one is not None and other is not None:
        if isinstance(left, int) and isinstance(right, int) and one + other <= _BITS:
            return left * right
        return Large(min(one + other, _MOST), sign(left) * sign(right)) if left and right else 0
    return (
        left * right
        if isinstance(left, int | float) and isinstance(right, int | float) and _small(left, right)
        else UNKNOWN
    )


def _small(*values: int | float) -> bool:
    return all(abs(value) < 1e100 for value in values)


def powered(base: Any, power: Any) -> Any:
    """``base ** power``, of whole numbers."""
    wide = bits(base)
    if wide is None or (isinstance(base, int) and abs(base) < 2):
        return base if isinstance(base, int) and not isinstance(base, bool) and power != 0 else UNKNOWN
    if isinstance(power, Large):
        return UNKNOWN if power.sign < 0 else Large(_MOST, max(0, sign(base)))
    if not isinstance(power, int) or power < 0:
        return UNKNOWN
    if isinstance(base, int) and wide * power <= _BITS:
        return base**power
    wide = (wide - 1 if isinstance(base, int) else wide) * float(min(power, 10**15))
    return Large(min(wide, _MOST), abs(sign(base)) if power % 2 == 0 else sign(base))


def operated(op: ast.operator, left: Any, right: Any) -> Any:
    """The other operations, on numbers that are still kept.

    Raises:
        ArithmeticError, ValueError: the program's own mistake.
    """
    if isinstance(op, ast.Sub) and (isinstance(left, Large) or isinstance(right, Large)):
        return _summed(left, negated(right))
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        return UNKNOWN
    match op:
        case ast.Sub():
            return left - right
        case ast.FloorDiv():
            return left // right
        case ast.Div():
            return left / right
        case ast.Mod():
            return left % right
        case ast.BitAnd() | ast.BitOr() | ast.BitXor() | ast.RShift():
            return _bitwise(op, left, right)
        case _:
            return UNKNOWN


def _bitwise(op: ast.operator, left: int | float, right: int | float) -> Any:
    if not (isinstance(left, int) and isinstance(right, int)):
        return UNKNOWN
    if isinstance(op, ast.RShift):
        return left >> right
    return left & right if isinstance(op, ast.BitAnd) else left | right if isinstance(op, ast.BitOr) else left ^ right


def compared(op: ast.cmpop, left: Any, right: Any) -> Any:
    """What a comparison comes to, or ``UNKNOWN``."""
    if isinstance(op, ast.In | ast.NotIn):
        if isinstance(right, dict | str) and isinstance(left, int | str):
            try:
                return (left in right) is isinstance(op, ast.In)
            except TypeError:
                return UNKNOWN
        if (
            isinstance(right, list | tuple)
            and all(isinstance(i, int | str) for i in right)
            and isinstance(left, int | str)
        ):
            return (left in right) is isinstance(op, ast.In)
        return UNKNOWN
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if (left is None and isinstance(right, _HOLDERS)) or (right is None and isinstance(left, _HOLDERS)):
        return isinstance(op, ast.NotEq | ast.IsNot) if isinstance(op, _SAMENESS) else UNKNOWN
    if isinstance(left, Large) or isinstance(right, Large):
        if isinstance(op, ast.Eq | ast.NotEq) and (isinstance(left, int) or isinstance(right, int)):
            return isinstance(op, ast.NotEq)
        left, right = _on_a_line(left, right)
    if not (isinstance(left, int | float | str | None) and isinstance(right, int | float | str | None)):
        return UNKNOWN
    try:
        match op:
            case ast.Eq():
                return left == right
            case ast.NotEq():
                return left != right
            case ast.Lt():
                return left < right  # type: ignore[operator]
            case ast.LtE():
                return left <= right  # type: ignore[operator]
            case ast.Gt():
                return left > right  # type: ignore[operator]
            case ast.GtE():
                return left >= right  # type: ignore[operator]
            case ast.Is():
                return left is right
            case ast.IsNot():
                return left is not right
    except TypeError:
        pass
    return UNKNOWN


def _on_a_line(left: Any, right: Any) -> tuple[Any, Any]:
    """Two numbers that lie as one that is no longer kept and another lie: far apart, or where nothing is told."""
    one, other = _width(left), _width(right)
    if one > 2 * other + _APART and sign(left):
        return sign(left), 0
    return (0, sign(right)) if other > 2 * one + _APART and sign(right) else (UNKNOWN, UNKNOWN)


def _width(value: Any) -> float:
    """The bits of a number that compares; without end of what does not."""
    if isinstance(value, bool):
        return 1.0
    if isinstance(value, float):
        return 1024.0 if abs(value) > 1e100 else 333.0
    wide = bits(value)
    return float("inf") if wide is None else wide


def truth_of(value: Any) -> bool | None:
    """Whether a value counts as true; None where that is not known."""
    if value is UNKNOWN:
        return None
    if isinstance(value, Large):
        return True
    if isinstance(value, Many):
        return value.length > 0
    if isinstance(value, Thing):
        return True
    return (
        bool(value)
        if value is None or isinstance(value, int | float | str | list | tuple | dict | set | range)
        else None
    )
