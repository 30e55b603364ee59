"""Values as text: parse a Python literal and compare two of them, without ever evaluating anything.

What comes out of a jail, and what a solver answers, is untrusted text. This module reads it with a parser of
its own (`azr_sandbox.literal`: no `ast`, no `eval`) into private node classes, so that nothing a model
writes can imitate the machinery, and compares structurally.

Accepted: ``None``, booleans, ints, floats (``nan`` and ``inf`` too), complex numbers, strings, bytes, lists,
tuples, dicts, sets; and what Python prints for the containers the jail lowers to those: ``frozenset({1})``,
``set()``, ``Counter({...})``, ``OrderedDict(...)``, ``defaultdict(<class 'int'>, {...})``, ``deque([...])``,
as well as ``float('nan')`` and ``dict(a=1)``. Everything else is `NotALiteral`: names, operators, calls, f-strings,
comments.

Equality is Python's, except that a bool never equals a number and NaN equals NaN:
``1 == 1.0``, ``-0.0 == 0.0``, ``True != 1``, ``list != tuple``, ``set == frozenset``; dict order is ignored.

Work is bounded: by the text's length (which bounds the number of nodes), nesting, and digits of a number.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from azr_sandbox.literal import MAX_DEPTH, MAX_INT_BITS, Parser
from azr_sandbox.nodes import DictNode, ListNode, Node, NotALiteral, SetNode, TupleNode

__all__ = ["MAX_CHARS", "MAX_DEPTH", "MAX_INT_BITS", "NotALiteral", "Value", "parse", "same"]

MAX_CHARS = 65_536
"""Longest text accepted, in characters."""
Key: TypeAlias = "tuple[object, ...]"


class _Tag:
    """A marker no parsed value can equal: compared by identity, never reachable from text."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_NONE, _BOOL, _NUMBER, _NAN, _COMPLEX, _STR, _BYTES, _LIST, _TUPLE, _SET, _DICT = (
    _Tag(name) for name in ("none", "bool", "number", "nan", "complex", "str", "bytes", "list", "tuple", "set", "dict")
)


class Value:
    """A parsed literal: compares structurally, hashes accordingly, and renders itself canonically."""

    __slots__ = ("_key", "_node")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._key: Key | None = None

    def _structure(self) -> Key:
        if self._key is None:
            self._key = _key(self._node)
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self._structure() == other._structure()

    def __hash__(self) -> int:
        return hash(self._structure())

    @property
    def text(self) -> str:
        """Canonical literal text: what Python would print, with set elements in a fixed order."""
        return _render(self._node)

    @property
    def kind(self) -> str:
        """The name of the value's type: ``int``, ``NoneType``, ``list``, …; a frozenset counts as a ``set``."""
        containers = {ListNode: "list", TupleNode: "tuple", SetNode: "set", DictNode: "dict"}
        return containers.get(type(self._node), type(self._node).__name__)

    def __repr__(self) -> str:
        return f"Value({self.text[:80]})"


def parse(text: str) -> Value:
    """Read one literal. Raises NotALiteral; never evaluates, and takes time linear in the text."""
    if len(text) > MAX_CHARS:
        raise NotALiteral(f"{len(text)} characters, more than {MAX_CHARS}")
    try:
        return Value(Parser(text.replace("\r\n", "\n").replace("\r", "\n").strip()).whole())
    except RecursionError:  # only when called from a stack that is nearly full already
        raise NotALiteral("nested too deeply") from None


def same(a_text: str, b_text: str) -> bool:
    """Whether two texts are literals of equal value. Anything that is not a literal equals nothing."""
    try:
        a = parse(a_text)
        return a_text == b_text or a == parse(b_text)
    except NotALiteral:
        return False


def _key(node: Node) -> Key:
    """A hashable structure that is equal exactly when two values are equal under this module's policy.

    Numbers become text: text hashes with a secret seed, while thousands of integers can be made to collide.
    """
    match node:
        case None:
            return (_NONE,)
        case bool():
            return (_BOOL, node)
        case int():
            return (_NUMBER, hex(node))
        case float():
            if math.isnan(node):
                return (_NAN,)
            return (_NUMBER, hex(int(node)) if node.is_integer() else node.hex())
        case complex():
            return _key(node.real) if node.imag == 0 else (_COMPLEX, _key(node.real), _key(node.imag))
        case str():
            return (_STR, node)
        case bytes():
            return (_BYTES, node)
        case ListNode():
            return (_LIST, *map(_key, node.items))
        case TupleNode():
            return (_TUPLE, *map(_key, node.items))
        case SetNode():
            return (_SET, frozenset(map(_key, node.items)))
        case DictNode():
            return (_DICT, frozenset({_key(key): _key(value) for key, value in node.pairs}.items()))


def _render(node: Node) -> str:
    match node:
        case ListNode():
            return f"[{', '.join(map(_render, node.items))}]"
        case TupleNode():
            comma = "," if len(node.items) == 1 else ""
            return f"({', '.join(map(_render, node.items))}{comma})"
        case SetNode():
            if not node.items:
                return "frozenset()" if node.frozen else "set()"
            inner = ", ".join(sorted(map(_render, node.items)))
            return f"frozenset({{{inner}}})" if node.frozen else f"{{{inner}}}"
        case DictNode():
            return f"{{{', '.join(f'{_render(key)}: {_render(value)}' for key, value in node.pairs)}}}"
        case _:
            return repr(node)  # an exact builtin scalar made by this module
