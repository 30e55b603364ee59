"""The parser behind `azr_sandbox.values`: literal text to private nodes, by recursive descent, in linear time.

No `ast`, no `eval`, no objects but our own: whatever a model writes can only ever become one of these nodes or a
`NotALiteral`. Recursion is bounded by `MAX_DEPTH`; every regular expression is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TypeAlias

MAX_DEPTH = 100
"""Deepest nesting of containers and parentheses; the call in ``frozenset({1})`` counts as one too."""
MAX_INT_BITS = 14_000
"""Largest integer, in bits (4,215 decimal digits, within Python's own text conversion limit)."""
_MAX_NUMBER_CHARS = 4_300

Scalar: TypeAlias = "bool | int | float | complex | str | bytes | None"
Node: TypeAlias = "Scalar | ListNode | TupleNode | SetNode | DictNode"


class NotALiteral(ValueError):
    """The text is not an acceptable literal; the message says where and why, never quoting the text."""


class ListNode:
    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        self.items = items


class TupleNode:
    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        self.items = items


class SetNode:
    __slots__ = ("frozen", "items")

    def __init__(self, items: list[Node], frozen: bool) -> None:
        self.items = items
        self.frozen = frozen


class DictNode:
    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[Node, Node]]) -> None:
        self.pairs = pairs


def hashable(node: Node) -> bool:
    match node:
        case ListNode() | DictNode():
            return False
        case SetNode():
            return node.frozen
        case TupleNode():
            return all(map(hashable, node.items))
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
_KEYWORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t\n]*=(?!=)")
_CONSTANTS: dict[str, Node] = {"None": None, "True": True, "False": False}
_FLOAT_WORDS = {sign + word: float(sign + word) for sign in ("", "-", "+") for word in ("nan", "inf", "infinity")}


class Parser:
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

    def whole(self) -> Node:
        node = self.value()
        if self.peek() == ",":  # a bare tuple, as in `1, 2`
            node = TupleNode([node, *self.items_after_comma("")])
        if self.peek():
            raise self.fail("unexpected text after the value")
        return node

    def items_after_comma(self, closing: str) -> list[Node]:
        """Items that follow a first one, up to but not including ``closing``; a trailing comma is fine."""
        items: list[Node] = []
        while self.take(",") and self.peek() != closing:
            items.append(self.value())
        return items

    def value(self) -> Node:
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

    def bracketed(self, opening: str) -> Node:
        self.pos += 1
        if opening == "{":
            return self.braces()
        closing = "]" if opening == "[" else ")"
        if self.take(closing):
            return ListNode([]) if opening == "[" else TupleNode([])
        first = self.value()
        grouped = opening == "(" and self.peek() == closing
        items = [first, *self.items_after_comma(closing)]
        self.expect(closing)
        if grouped:
            return first
        return ListNode(items) if opening == "[" else TupleNode(items)

    def braces(self) -> Node:
        if self.take("}"):
            return DictNode([])
        first = self.hashable_value()
        if not self.take(":"):
            items = [first]
            while self.take(",") and self.peek() != "}":
                items.append(self.hashable_value())
            self.expect("}")
            return SetNode(items, frozen=False)
        pairs = [(first, self.value())]
        while self.take(",") and self.peek() != "}":
            key = self.hashable_value()
            self.expect(":")
            pairs.append((key, self.value()))
        self.expect("}")
        return DictNode(pairs)

    def hashable_value(self) -> Node:
        node = self.value()
        if not hashable(node):
            raise self.fail("a mutable value cannot be a key or a set element")
        return node

    def number(self, negative: bool) -> Node:
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
            except (KeyError, UnicodeEncodeError):  # the latter for a name that holds a surrogate
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

    def word(self) -> Node:
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

    def optional_value(self) -> Node | None:
        """The single positional argument of a constructor, or None when the parentheses are empty."""
        if self.peek() == ")":
            return None
        node = self.value()
        self.take(",")
        return node

    def set_of(self, frozen: bool) -> Node:
        node = self.optional_value()
        if node is None:
            return SetNode([], frozen)
        if not isinstance(node, ListNode | TupleNode | SetNode) or not all(map(hashable, node.items)):
            raise self.fail("a set is made of a list, tuple or set of immutable values")
        return SetNode(node.items, frozen)

    def dict_of(self) -> Node:
        node = self.optional_value()
        if node is None:
            return DictNode([])
        if isinstance(node, DictNode):
            return node
        pairs: list[tuple[Node, Node]] = []
        for item in node.items if isinstance(node, ListNode) else [None]:
            if not isinstance(item, TupleNode) or len(item.items) != 2 or not hashable(item.items[0]):
                raise self.fail("a mapping is made of a dict or a list of pairs")
            pairs.append((item.items[0], item.items[1]))
        return DictNode(pairs)

    def keyword_dict(self) -> Node:
        """``dict(a=1, b=2)``, which models like to write; nothing but keywords."""
        pairs: list[tuple[Node, Node]] = []
        while self.peek() != ")":
            found = _KEYWORD.match(self.text, self.pos)
            if found is None:
                raise self.fail("expected a keyword")
            self.pos = found.end()
            pairs.append((found.group(1), self.value()))
            if not self.take(","):
                break
        return DictNode(pairs)

    def defaultdict_of(self) -> Node:
        self.peek()
        factory = _FACTORY.match(self.text, self.pos)
        if factory is None:
            raise self.fail("expected the default factory's class")
        self.pos = factory.end()
        return self.dict_of() if self.take(",") else DictNode([])

    def deque_of(self) -> Node:
        node = self.optional_value()
        if node is None:
            return ListNode([])
        if not isinstance(node, ListNode):
            raise self.fail("a deque is made of a list")
        if self.peek() == "m" and self.text.startswith("maxlen=", self.pos):
            self.pos += len("maxlen=")
            self.numeral()
        return node

    def float_of(self) -> Node:
        node = self.optional_value()
        word = node.strip().lower() if isinstance(node, str) else ""
        if word not in _FLOAT_WORDS:
            raise self.fail("float(...) is a literal only for nan and inf")
        return _FLOAT_WORDS[word]


_CONSTRUCTORS: dict[str, Callable[[Parser], Node]] = {
    "set": lambda parser: parser.set_of(frozen=False),
    "frozenset": lambda parser: parser.set_of(frozen=True),
    "dict": Parser.keyword_dict,
    "Counter": Parser.dict_of,
    "OrderedDict": Parser.dict_of,
    "defaultdict": Parser.defaultdict_of,
    "deque": Parser.deque_of,
    "float": Parser.float_of,
}
