"""What operations of a trial take and make, told before they are done: sizes, comparisons, keys of one hash."""

from __future__ import annotations

import ast
import itertools
from collections import deque
from fractions import Fraction
from typing import Any

from azr_monitor.rules.trial_values import MAX_LENGTH, TOO_MANY, Outgrown, TooMuch, weight

_SMALL = frozenset((int, float, bool, type(None)))
_UNWEIGHED = 16
"""Items up to which comparing sequences of plain values is nothing to speak of."""
DIVIDES = frozenset({ast.FloorDiv, ast.Mod})
VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_HASHED_APART = 2**61 - 1
"""Whole numbers below it each have a hash of their own."""


def size(value: Any) -> int:
    """The length of a container, the bits of a number; nought of what does not grow."""
    if isinstance(value, int):
        return value.bit_length()
    if isinstance(value, str | list | tuple | dict | set | frozenset | deque | bytes):
        return len(value)
    if isinstance(value, Fraction):
        return value.numerator.bit_length() + value.denominator.bit_length()
    return 0


def held(node: ast.AST, large: float, most: int) -> None:
    """Refuse what is larger than may be kept.

    Raises:
        TooMuch: it is larger than anybody can keep.
        Outgrown: it is larger than is kept here.
    """
    if large > TOO_MANY:
        raise TooMuch(node, "something of hundreds of millions of cells")
    if large > most:
        raise Outgrown


def comparable(value: Any, node: ast.AST) -> int:
    """What comparing, hashing or showing a value takes, in steps.

    Raises:
        TooMuch: nobody can wait for it.
        Outgrown: it is more than is done here.
    """
    if isinstance(value, str | bytes):
        return len(value) >> 5
    if isinstance(value, int):
        return value.bit_length() >> 9
    if isinstance(value, Fraction):
        return size(value) >> 7
    if isinstance(value, list | tuple | dict | set | frozenset | deque):
        items = value.values() if isinstance(value, dict) else value
        if len(value) <= _UNWEIGHED and all(one.__class__ in _SMALL for one in items):
            return 1
        heavy = weight(value)
        held(node, heavy, MAX_LENGTH)
        return int(heavy) >> 2
    return 0


def worked(op: ast.operator, left: Any, right: Any) -> int:
    """What an operation takes that may make little of much, in steps."""
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        return (size(left) + size(right)) ** 2 >> 20
    if isinstance(left, set | frozenset | dict):
        return (size(left) + size(right)) >> 5
    return size(left) * size(right) >> 22 if op.__class__ in DIVIDES and isinstance(left, int) else 0


def _is_apart(key: Any) -> bool:
    """Whether the hash of a key cannot be chosen to be that of others."""
    kind = key.__class__
    return kind is str or (kind is int and -_HASHED_APART < key < _HASHED_APART)


def probes(key: Any, holder: Any) -> int:
    """What looking for a key takes where all the others may have its hash, in steps."""
    return 0 if _is_apart(key) else len(holder) >> 8


def crowd(keys: Any) -> int:
    """What gathering keys takes where all of them may have one hash, in steps."""
    if isinstance(keys, set | frozenset | dict) or len(keys) <= _UNWEIGHED:
        return 0
    many = sum(not _is_apart(key) for key in keys)
    return many * many >> 9


def flat(items: list[Any]) -> bool:
    """Whether the items of a list are plain, or short tuples of what is plain."""
    kinds = set(map(type, items))
    if kinds == {tuple} and max(map(len, items)) <= _UNWEIGHED:
        kinds = set(map(type, itertools.chain.from_iterable(items)))
    return kinds <= _FLAT


_FLAT = frozenset((int, float, bool, str, type(None)))
