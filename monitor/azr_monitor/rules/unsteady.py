"""What values are like that differ from run to run, or may come to: sets of texts, items in their order, addresses."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

_MAX_PARTS = 12
_MAX_DEPTH = 4


class Level(IntEnum):
    """How far a value differs from run to run."""

    ORDER = 1
    """A set or a table: the same each time, but what walks over it comes by its items in another order."""
    ITEM = 2
    """One of its items as they come: of all together there is the same in the end."""
    SHUFFLED = 3
    """A list in another order: sorted, or counted, it is the same again."""
    CHANCE = 4
    """Another value."""


class Sure(IntEnum):
    """How sure it is that a value differs."""

    UNKNOWN = 0
    """It does if there are texts in a set, and what there is in it is not known."""
    MAYBE = 1
    """It does if there are equals, or if a loop ends early."""
    YES = 2


class Mark(NamedTuple):
    """That a value differs, how far, why, how sure that is, and which draw an item comes from."""

    level: Level
    why: str
    sure: Sure = Sure.YES
    draw: ast.AST | None = None

    def by_chance(self, why: str = "", sure: bool = True) -> Mark:
        """What differs as a value, made of this."""
        return Mark(Level.CHANCE, why or self.why, self.sure if sure else min(self.sure, Sure.MAYBE))


class Value(NamedTuple):
    """What is known of a value.

    ``kind``: ``text``, ``number``, ``list``, ``set``, ``table``, ``tuple``; of objects that have no text of their own
    ``shown`` (they show their address), that have no hash of their own ``hashed``, that have neither ``bare``; empty
    for all others. ``item`` is what lists, sets and, as keys, tables hold, ``held`` what tables hold under their keys,
    ``parts`` what tuples are made of. ``literal`` is a text, or a list of texts, that is known word for word.
    """

    kind: str = ""
    mark: Mark | None = None
    item: Value | None = None
    held: Value | None = None
    parts: tuple[Value, ...] = ()
    literal: str | tuple[str, ...] | None = None

    def marked(self, mark: Mark | None) -> Value:
        """The same, with that mark."""
        return self if mark is self.mark else self._replace(mark=mark)

    @property
    def level(self) -> int:
        """How far it differs; 0 for what is the same each time."""
        return 0 if self.mark is None else self.mark.level

    def inner(self) -> Value:
        """What comes when it is walked over."""
        if self.kind == "text":
            return LETTER
        return self.item if self.item is not None else joined(self.parts)


NOTHING = Value()
TEXT = Value("text")
LETTER = Value("text", literal=" ")
"""A letter of a text: whichever it is, there is one."""
NUMBER = Value("number")
TEXTS = Value("list", item=TEXT)


def worse(one: Mark | None, other: Mark | None) -> Mark | None:
    """The graver of two marks; items of two draws are, together, what chance has put together."""
    if one is None or other is None or one is other:
        return one or other
    if one.level == other.level == Level.ITEM and one.draw is not other.draw and one.draw and other.draw:
        return one.by_chance()
    return one if (one.sure, one.level) >= (other.sure, other.level) else other


def joined(values: Iterable[Value], depth: int = 0) -> Value:
    """What is known of a value that is one of several."""
    found = NOTHING
    for value in values:
        found = _either(found, value, depth)
    return found


def _either(one: Value, other: Value, depth: int) -> Value:
    if one is other or other is NOTHING:
        return one
    if one is NOTHING:
        return other
    mark = worse(one.mark, other.mark)
    if not one.kind or one.kind == other.kind or not other.kind:
        shape = one if one.kind else other
        if one.kind == other.kind and depth < _MAX_DEPTH:
            parts = (
                tuple(_either(a, b, depth + 1) for a, b in zip(one.parts, other.parts, strict=True))
                if len(one.parts) == len(other.parts)
                else ()
            )
            item = (
                _maybe(one.item, other.item, depth) if parts or not one.parts else joined((one.inner(), other.inner()))
            )
            literal = one.literal if one.literal == other.literal else None
            return Value(one.kind, mark, item, _maybe(one.held, other.held, depth), parts, literal)
        return shape.marked(mark)
    scattered = next((value for value in (one, other) if scatters(value)), None)
    return (scattered or NOTHING).marked(mark)


def _maybe(one: Value | None, other: Value | None, depth: int) -> Value | None:
    if one is None or other is None:
        return one or other
    return _either(one, other, depth + 1)


def scatters(value: Value | None, depth: int = 0) -> bool:
    """Whether a set of such values has another order in another run: the hash of a text is seeded anew each time."""
    if value is None or depth > _MAX_DEPTH:
        return False
    match value.kind:
        case "text" | "bare" | "hashed":
            return True
        case "list" | "set" | "tuple":
            return any(scatters(part, depth + 1) for part in value.parts) or scatters(value.item, depth + 1)
        case _:
            return False


def shows_address(value: Value | None, depth: int = 0) -> bool:
    """Whether the text of a value has an address in it."""
    if value is None or depth > _MAX_DEPTH:
        return False
    if value.kind in ("bare", "shown", "iterator"):
        return True
    inside = (*value.parts, value.item, value.held) if value.kind in ("list", "tuple", "set", "table") else ()
    return any(shows_address(part, depth + 1) for part in inside)


def of_literal(node: ast.AST, depth: int = 0) -> Value:
    """What is known of what an argument is given as."""
    if depth > _MAX_DEPTH:
        return NOTHING
    match node:
        case ast.Constant(value=str(text)):
            return Value("text", literal=text)
        case ast.Constant(value=bytes()):
            return TEXT
        case ast.Constant(value=bool() | int() | float() | complex()) | ast.UnaryOp():
            return NUMBER
        case ast.Tuple(elts=items):
            return Value("tuple", parts=tuple(of_literal(item, depth + 1) for item in items[:_MAX_PARTS]))
        case ast.List(elts=items):
            texts = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            inner = joined(of_literal(item, depth + 1) for item in items[:_MAX_PARTS])
            return Value("list", item=inner, literal=tuple(texts) if len(texts) == len(items) else None)
        case ast.Set(elts=items):
            return a_set(joined(of_literal(item, depth + 1) for item in items[:_MAX_PARTS]))
        case ast.Dict(keys=keys, values=values):
            known = [key for key in keys[:_MAX_PARTS] if key is not None]
            return Value(
                "table",
                item=joined(of_literal(key, depth + 1) for key in known),
                held=joined(of_literal(value, depth + 1) for value in values[:_MAX_PARTS]),
            )
        case _:
            return NOTHING


def a_set(item: Value) -> Value:
    """A set of such items; of what is not known it may be that they have another order each time."""
    if item.level == Level.CHANCE:
        return Value("set", item.mark, item.marked(None))
    plain = item.marked(None)
    if scatters(plain):
        return Value("set", Mark(Level.ORDER, ORDER_SHOWN), plain)
    return Value("set", None if plain.kind else Mark(Level.ORDER, ORDER_SHOWN, Sure.UNKNOWN), plain)


ORDER_SHOWN = "the order of a set"


def is_alone(value: Value) -> bool:
    """Whether a text is one letter, or a list one text, or there is none: a set of it has but one order."""
    return value.literal is not None and len(set(value.literal)) < 2
