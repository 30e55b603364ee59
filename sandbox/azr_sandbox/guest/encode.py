"""Write a value as literal text, inside the jail. Exact builtin types only; bounded in size, depth and digits.

The text is not trusted outside: the supervisor parses it with a parser of its own. These modules have builtins of
their own (see boot.py), so a program that patches ``repr`` or ``type`` changes nothing.
"""

import collections
from typing import Any

_COUNTER, _ORDERED, _DEFAULT = collections.Counter, collections.OrderedDict, collections.defaultdict
_DEQUE = collections.deque
_ordered_items = _ORDERED.items
_class_name = type.__dict__["__name__"].__get__
MAX_DEPTH = 100
MAX_INT_BITS = 14_000


class NotAValue(Exception):
    """The object, or something in it, is not of an exact builtin literal type."""


class TooLarge(Exception):
    """The text would exceed the output limit."""


class Encoder:
    """Collects the literal's pieces; ``room`` is how many characters may still be written."""

    __slots__ = ("pieces", "room")

    def __init__(self, room: int) -> None:
        self.pieces: list[str] = []
        self.room = room

    def put(self, text: str) -> None:
        self.room -= len(text)
        if self.room < 0:
            raise TooLarge("the value is larger than the output limit")
        self.pieces.append(text)

    def items(self, opening: str, items: Any, closing: str, depth: int) -> None:
        self.put(opening)
        for item in items:  # an exact builtin container
            self.value(item, depth)
            self.put(",")
        self.put(closing)

    def pairs(self, mapping: Any, depth: int) -> None:
        self.put("{")
        # An OrderedDict keeps its order beside the dict that it is.
        for key, item in (_ordered_items if type(mapping) is _ORDERED else dict.items)(mapping):
            self.value(key, depth)
            self.put(":")
            self.value(item, depth)
            self.put(",")
        self.put("}")

    def value(self, value: Any, depth: int = 0) -> None:
        kind = type(value)  # compared by identity alone: a metaclass may define equality and hashing
        if kind is str or kind is bytes:
            if len(value) > self.room:  # before repr builds it
                raise TooLarge("the value is larger than the output limit")
            self.put(repr(value))
        elif kind is int:
            if value.bit_length() > MAX_INT_BITS:
                raise TooLarge(f"an integer of more than {MAX_INT_BITS} bits")
            self.put(repr(value))
        elif value is None or kind is bool or kind is float or kind is complex:
            self.put(repr(value))
        elif depth >= MAX_DEPTH:
            raise NotAValue(f"nested deeper than {MAX_DEPTH}")
        elif kind is list:
            self.items("[", value, "]", depth + 1)
        elif kind is tuple:
            self.items("(", value, ")", depth + 1)
        elif kind is dict or kind is _COUNTER or kind is _ORDERED or kind is _DEFAULT:
            self.pairs(value, depth + 1)
        elif kind is set or kind is frozenset:
            self.hash_set(value, "frozenset(" if kind is frozenset else "", depth + 1)
        elif kind is _DEQUE:
            self.items("[", list(value), "]", depth + 1)
        else:
            raise NotAValue(f"a value of type {_class_name(kind)} is not a literal")

    def hash_set(self, value: object, call: str, depth: int) -> None:
        if not value:
            self.put(f"{call or 'set('})")
            return
        if call:  # the supervisor's parser counts the call as a level
            depth += 1
            if depth > MAX_DEPTH:
                raise NotAValue(f"nested deeper than {MAX_DEPTH}")
        self.items(call + "{", value, "})" if call else "}", depth)


def encode(value: object, room: int) -> str:
    """The literal text of ``value`` in at most ``room`` characters. Raises NotAValue or TooLarge."""
    encoder = Encoder(room)
    encoder.value(value)
    return "".join(encoder.pieces)
