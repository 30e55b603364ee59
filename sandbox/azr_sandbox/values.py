"""Values as text: parse a Python literal and compare two of them, without ever evaluating anything.

What comes out of a jail, and what a solver answers, is untrusted text. This module reads it with a parser of
its own (no `ast`, `eval` or `repr` of foreign objects) into private node classes, so that nothing a model
writes can imitate the machinery, and compares structurally.

Accepted: ``None``, booleans, ints, floats (``nan`` and ``inf`` too), complex numbers, strings, bytes, lists,
tuples, dicts, sets; and what Python prints for the containers the jail lowers to those: ``frozenset({1})``,
``set()``, ``Counter({...})``, ``OrderedDict(...)``, ``defaultdict(<class 'int'>, {...})``, ``deque([...])``,
as well as ``float('nan')``. Everything else is `NotALiteral`: names, operators, calls, f-strings, comments.

Equality is Python's, except that a bool never equals a number and NaN equals NaN:
``1 == 1.0``, ``-0.0 == 0.0``, ``True != 1``, ``list != tuple``, ``set == frozenset``; dict order is ignored.

Work is bounded: by the text's length (which bounds the number of nodes), nesting, and digits of a number.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from typing import TypeAlias

MAX_CHARS = 65_536
"""Longest text accepted, in characters."""
MAX_DEPTH = 100
"""Deepest nesting of containers and parentheses; the call in ``frozenset({1})`` counts as one too."""
MAX_INT_BITS = 14_000
"""Largest integer, in bits (4,215 decimal digits, within Python's own text conversion limit)."""
_MAX_NUMBER_CHARS = 4_300

_Scalar: TypeAlias = "bool | int | float | complex | str | bytes | None"
_Node: TypeAlias = "_Scalar | _List | _Tuple | _Set | _Dict"
_Key: TypeAlias = "tuple[object, ...]"


class NotALiteral(ValueError):
    """The text is not an acceptable literal; the message says where and why, never quoting the text."""


class _List:
    __slots__ = ("items",)

    def __init__(self, items: list[_Node]) -> None:
        self.items = items


class _Tuple:
    __slots__ = ("items",)

    def __init__(self, items: list[_Node]) -> None:
        self.items = items


class _Set:
    __slots__ = ("frozen", "items")

    def __init__(self, items: list[_Node], frozen: bool) -> None:
        self.items = items
        self.frozen = frozen


class _Dict:
    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[_Node, _Node]]) -> None:
        self.pairs = pairs


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

    def __init__(self, node: _Node) -> None:
        self._node = node
        self._key: _Key | None = None

    def _structure(self) -> _Key:
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

    def __repr__(self) -> str:
        return f"Value({self.text[:80]})"


def parse(text: str) -> Value:
    """Read one literal. Raises NotALiteral; never evaluates, and takes time linear in the text."""
    if len(text) > MAX_CHARS:
        raise NotALiteral(f"{len(text)} characters, more than {MAX_CHARS}")
    try:
        return Value(_Parser(text.replace("\r\n", "\n").replace("\r", "\n").strip()).whole())
    except RecursionError:  # only when called from a stack that is nearly full already
        raise NotALiteral("nested too deeply") from None


def same(a_text: str, b_text: str) -> bool:
    """Whether two texts are literals of equal value. Anything that is not a literal equals nothing."""
    try:
        return parse(a_text) == parse(b_text)
    except NotALiteral:
        return False


def _key(node: _Node) -> _Key:
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
        case _List():
            return (_LIST, *map(_key, node.items))
        case _Tuple():
            return (_TUPLE, *map(_key, node.items))
        case _Set():
            return (_SET, frozenset(map(_key, node.items)))
        case _Dict():
            return (_DICT, frozenset({_key(key): _key(value) for key, value in node.pairs}.items()))


def _render(node: _Node) -> str:
    match node:
        case _List():
            return f"[{', '.join(map(_render, node.items))}]"
        case _Tuple():
            comma = "," if len(node.items) == 1 else ""
            return f"({', '.join(map(_render, node.items))}{comma})"
        case _Set():
            if not node.items:
                return "frozenset()" if node.frozen else "set()"
            inner = ", ".join(sorted(map(_render, node.items)))
            return f"frozenset({{{inner}}})" if node.frozen else f"{{{inner}}}"
        case _Dict():
            return f"{{{', '.join(f'{_render(key)}: {_render(value)}' for key, value in node.pairs)}}}"
        case _:
            return repr(node)  # an exact builtin scalar made by this module


def _hashable(node: _Node) -> bool:
    match node:
        case _List() | _Dict():
            return False
        case _Set():
            return node.frozen
        case _Tuple():
            return all(map(_hashable, node.items))
        case _:
            return True


# One regular expression a token; every one of them is linear (no nested repetition over the same characters).
_SPACE = re.compile(r"[ \t\n\f]*")
_DIGITS = "[0-9](?:_?[0-9])*"
_FLOAT = f"(?:(?:{_DIGITS})?\\.{_DIGITS}|{_DIGITS}\\.)(?:[eE][+-]?{_DIGITS})?|{_DIGITS}[eE][+-]?{_DIGITS}"
_NUMERAL = re.compile(
    f"(?P<imaginary>(?:{_FLOAT}|{_DIGITS})[jJ]|(?:nan|inf)j)|(?P<float>{_FLOAT})"
    "|(?P<based>0(?:[xX](?:_?[0-9a-fA-F])+|[oO](?:_?[0-7])+|[bB](?:_?[01])+))"
    f"|(?P<int>[1-9](?:_?[0-9])*|0(?:_?0)*)|(?P<special>nan|inf)(?![A-Za-z0-9_])"
)
_AFTER_NUMBER = re.compile(r"[A-Za-z0-9_.\"']|[^\x00-\x7f]")
_STRING = re.compile(
    r"(?P<prefix>[rR][bB]?|[bB][rR]?|[uU])?"
    r"(?:'''(?P<ls>(?:[^\\]|\\.)*?)'''|\"\"\"(?P<ld>(?:[^\\]|\\.)*?)\"\"\""
    r"|'(?P<s>[^'\\\n]*(?:\\.[^'\\\n]*)*)'|\"(?P<d>[^\"\\\n]*(?:\\.[^\"\\\n]*)*)\")",
    re.DOTALL,
)
_STRING_START = re.compile(r"(?:[rR][bB]?|[bB][rR]?|[uU])?['\"]")
_ESCAPE = re.compile(
    r"\\(?:(?P<octal>[0-7]{1,3})|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})"
    r"|N\{(?P<name>[^}]{1,100})\}|(?P<other>.))",
    re.DOTALL,
)
_SIMPLE_ESCAPES = {
    "\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_WORD = re.compile(r"(?:collections\.)?([A-Za-z_]+)")
_FACTORY = re.compile(r"<class '[A-Za-z_.0-9]{1,60}'>|None")
_CONSTANTS: dict[str, _Node] = {"None": None, "True": True, "False": False}
_FLOAT_WORDS = {sign + word: float(sign + word) for sign in ("", "-", "+") for word in ("nan", "inf", "infinity")}


class _Parser:
    """Recursive descent over one text; ``depth`` is how many containers surround ``pos``."""

    __slots__ = ("depth", "pos", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.depth = 0

    def fail(self, why: str) -> NotALiteral:
        return NotALiteral(f"at character {self.pos + 1}: {why}")

    def peek(self) -> str:
        """The next character after white space, or '' at the end."""
        self.pos = _SPACE.match(self.text, self.pos).end()  # type: ignore[union-attr]  # matches always
        return self.text[self.pos : self.pos + 1]

    def take(self, char: str) -> bool:
        if self.peek() != char:
            return False
        self.pos += 1
        return True

    def expect(self, char: str) -> None:
        if not self.take(char):
            raise self.fail(f"expected {char!r}")

    def whole(self) -> _Node:
        node = self.value()
        if self.peek() == ",":  # a bare tuple, as in `1, 2`
            node = _Tuple([node, *self.items_after_comma("")])
        if self.peek():
            raise self.fail("unexpected text after the value")
        return node

    def items_after_comma(self, closing: str) -> list[_Node]:
        """Items that follow a first one, up to but not including ``closing``; a trailing comma is fine."""
        items: list[_Node] = []
        while self.take(",") and self.peek() != closing:
            items.append(self.value())
        return items

    def value(self) -> _Node:
        char = self.peek()
        if char in "([{" and char:
            self.descend()
            node = self.bracketed(char)
            self.depth -= 1
            return node
        if _STRING_START.match(self.text, self.pos):
            return self.strings()
        if char in "+-" and char:
            self.pos += 1
            self.peek()
            return self.number(negative=char == "-")
        if _NUMERAL.match(self.text, self.pos):
            return self.number(negative=False)
        return self.word()

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH}")

    def bracketed(self, opening: str) -> _Node:
        self.pos += 1
        if opening == "{":
            return self.braces()
        closing = "]" if opening == "[" else ")"
        if self.take(closing):
            return _List([]) if opening == "[" else _Tuple([])
        first = self.value()
        grouped = opening == "(" and self.peek() == closing
        items = [first, *self.items_after_comma(closing)]
        self.expect(closing)
        if grouped:
            return first
        return _List(items) if opening == "[" else _Tuple(items)

    def braces(self) -> _Node:
        if self.take("}"):
            return _Dict([])
        first = self.hashable_value()
        if not self.take(":"):
            items = [first]
            while self.take(",") and self.peek() != "}":
                items.append(self.hashable_value())
            self.expect("}")
            return _Set(items, frozen=False)
        pairs = [(first, self.value())]
        while self.take(",") and self.peek() != "}":
            key = self.hashable_value()
            self.expect(":")
            pairs.append((key, self.value()))
        self.expect("}")
        return _Dict(pairs)

    def hashable_value(self) -> _Node:
        node = self.value()
        if not _hashable(node):
            raise self.fail("a mutable value cannot be a key or a set element")
        return node

    def number(self, negative: bool) -> _Node:
        first = self.numeral()
        if negative:
            first = -first
        if isinstance(first, complex) or self.peek() not in ("+", "-"):
            return first
        minus = self.text[self.pos] == "-"
        self.pos += 1
        self.peek()
        second = self.numeral()
        if not isinstance(second, complex):
            raise self.fail("arithmetic is not a literal")
        try:
            return complex(first, -second.imag if minus else second.imag)
        except OverflowError:
            raise self.fail("number too large") from None

    def numeral(self) -> int | float | complex:
        found = _NUMERAL.match(self.text, self.pos)
        if found is None:
            raise self.fail("expected a number")
        digits = found.group()
        self.pos = found.end()
        if len(digits) > _MAX_NUMBER_CHARS:
            raise self.fail(f"a number of more than {_MAX_NUMBER_CHARS} characters")
        if _AFTER_NUMBER.match(self.text, self.pos):
            raise self.fail("malformed number")
        kind = found.lastgroup
        if kind == "imaginary":
            return complex(0.0, float(digits[:-1]))
        if kind in ("float", "special"):
            return float(digits)
        number = int(digits, 0)
        if number.bit_length() > MAX_INT_BITS:
            raise self.fail(f"an integer of more than {MAX_INT_BITS} bits")
        return number

    def strings(self) -> str | bytes:
        """One or more adjacent string literals, which Python joins."""
        parts = [self.string()]
        while self.peek() and _STRING_START.match(self.text, self.pos):
            parts.append(self.string())
        if all(isinstance(part, str) for part in parts):
            return "".join(part for part in parts if isinstance(part, str))
        if all(isinstance(part, bytes) for part in parts):
            return b"".join(part for part in parts if isinstance(part, bytes))
        raise self.fail("text and bytes cannot be joined")

    def string(self) -> str | bytes:
        found = _STRING.match(self.text, self.pos)
        if found is None:
            raise self.fail("unterminated string")
        self.pos = found.end()
        body = next(part for part in found.group("ls", "ld", "s", "d") if part is not None)
        if "\x00" in body:
            raise self.fail("NUL in a string")
        prefix = (found.group("prefix") or "").lower()
        binary, raw = "b" in prefix, "r" in prefix
        if binary and not body.isascii():
            raise self.fail("bytes may hold ASCII characters only")
        if not raw and "\\" in body:
            body = _ESCAPE.sub(self.unescape_bytes if binary else self.unescape_text, body)
        return body.encode("latin-1") if binary else body

    def unescape_text(self, escape: re.Match[str]) -> str:
        kind = escape.lastgroup
        content = escape.group(kind or 0)
        if kind == "other":
            if content in "xuUN":
                raise self.fail("malformed escape in a string")
            return _SIMPLE_ESCAPES.get(content, "\\" + content)
        if kind == "name":
            try:
                named = unicodedata.lookup(content)
            except KeyError:
                named = ""
            if len(named) != 1:
                raise self.fail("unknown character name in a string")
            return named
        code = int(content, 8 if kind == "octal" else 16)
        if code > 0x10FFFF:
            raise self.fail("character outside Unicode in a string")
        return chr(code)

    def unescape_bytes(self, escape: re.Match[str]) -> str:
        kind = escape.lastgroup
        content = escape.group(kind or 0)
        if kind in ("u", "U", "name"):
            return escape.group()  # not escapes in bytes
        if kind == "other":
            if content == "x":
                raise self.fail("malformed escape in bytes")
            return _SIMPLE_ESCAPES.get(content, "\\" + content)
        return chr(int(content, 8 if kind == "octal" else 16) & 0xFF)

    def word(self) -> _Node:
        found = _WORD.match(self.text, self.pos)
        if found is None:
            raise self.fail("expected a literal")
        name = found.group(1)
        if found.group() in _CONSTANTS:
            self.pos = found.end()
            if _AFTER_NUMBER.match(self.text, self.pos):
                raise self.fail("names are not literals")
            return _CONSTANTS[name]
        build = _CONSTRUCTORS.get(name)
        if build is None or self.text[found.end() : found.end() + 1] != "(":
            raise self.fail("names and calls are not literals")
        self.pos = found.end() + 1
        self.descend()
        node = build(self)
        self.expect(")")
        self.depth -= 1
        return node

    def optional_value(self) -> _Node | None:
        """The single positional argument of a constructor, or None when the parentheses are empty."""
        if self.peek() == ")":
            return None
        node = self.value()
        self.take(",")
        return node

    def set_of(self, frozen: bool) -> _Node:
        node = self.optional_value()
        if node is None:
            return _Set([], frozen)
        if not isinstance(node, _List | _Tuple | _Set) or not all(map(_hashable, node.items)):
            raise self.fail("a set is made of a list, tuple or set of immutable values")
        return _Set(node.items, frozen)

    def dict_of(self) -> _Node:
        node = self.optional_value()
        if node is None:
            return _Dict([])
        if isinstance(node, _Dict):
            return node
        pairs: list[tuple[_Node, _Node]] = []
        for item in node.items if isinstance(node, _List) else [None]:
            if not isinstance(item, _Tuple) or len(item.items) != 2 or not _hashable(item.items[0]):
                raise self.fail("a mapping is made of a dict or a list of pairs")
            pairs.append((item.items[0], item.items[1]))
        return _Dict(pairs)

    def defaultdict_of(self) -> _Node:
        self.peek()
        factory = _FACTORY.match(self.text, self.pos)
        if factory is None:
            raise self.fail("expected the default factory's class")
        self.pos = factory.end()
        return self.dict_of() if self.take(",") else _Dict([])

    def deque_of(self) -> _Node:
        node = self.optional_value()
        if node is None:
            return _List([])
        if not isinstance(node, _List):
            raise self.fail("a deque is made of a list")
        if self.peek() == "m" and self.text.startswith("maxlen=", self.pos):
            self.pos += len("maxlen=")
            self.numeral()
        return node

    def float_of(self) -> _Node:
        node = self.optional_value()
        word = node.strip().lower() if isinstance(node, str) else ""
        if word not in _FLOAT_WORDS:
            raise self.fail("float(...) is a literal only for nan and inf")
        return _FLOAT_WORDS[word]


_CONSTRUCTORS: dict[str, Callable[[_Parser], _Node]] = {
    "set": lambda parser: parser.set_of(frozen=False),
    "frozenset": lambda parser: parser.set_of(frozen=True),
    "Counter": _Parser.dict_of,
    "OrderedDict": _Parser.dict_of,
    "defaultdict": _Parser.defaultdict_of,
    "deque": _Parser.deque_of,
    "float": _Parser.float_of,
}
