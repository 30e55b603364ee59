"""The parser behind `azr_sandbox.values`: literal text to private nodes, in linear time.

No `ast`, no `eval`, no objects but our own: whatever a model writes can only ever become one of these nodes or a
`NotALiteral`. Brackets are kept on a stack, constructors recurse; both are bounded by `MAX_DEPTH`. Every regular
expression is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from azr_sandbox.nodes import DictNode, ListNode, Node, NotALiteral, SetNode, TupleNode, hashable

MAX_DEPTH = 100
"""Deepest nesting of containers and parentheses; the call in ``frozenset({1})`` counts as one too."""
MAX_INT_BITS = 14_000
"""Largest integer, in bits (4,215 decimal digits, within Python's own text conversion limit)."""
_MAX_NUMBER_CHARS = 4_300


class _Nothing:
    """No node at all, where ``None`` is one."""


_NOTHING = _Nothing()


class _Open:
    """A container being read; ``closing`` is the character that ends it."""

    __slots__ = ("closing", "items", "key", "may_close", "pairs")

    def __init__(self, closing: str | None) -> None:
        self.closing = closing
        self.items: list[Node] = []
        self.pairs: list[tuple[Node, Node]] = []
        self.key: Node | _Nothing = _NOTHING
        self.may_close = True
        """Whether it may end where an item could begin: when it is empty, and after a comma."""

    def add(self, node: Node, delimiter: str) -> str:
        """Take an item that ``delimiter`` follows; returns what is wrong with that, or nothing."""
        self.may_close = delimiter == ","
        if self.closing != "}":
            self.items.append(node)
            return "unexpected ':'" if delimiter == ":" else ""
        if not isinstance(self.key, _Nothing):
            self.pairs.append((self.key, node))
            self.key = _NOTHING
            return "unexpected ':'" if delimiter == ":" else ""
        if not hashable(node):
            return "a mutable value cannot be a key or a set element"
        if delimiter == ":":
            self.key = node
            return "a set element cannot have a value" if self.items else ""
        self.items.append(node)
        return "expected ':'" if self.pairs else ""

    def node(self) -> Node:
        """The finished container, or what is in parentheses without a comma."""
        if self.closing == "]":
            return ListNode(self.items)
        if self.closing == "}":
            return SetNode(self.items, frozen=False) if self.items else DictNode(self.pairs)
        return self.items[0] if len(self.items) == 1 and not self.may_close else TupleNode(self.items)


# One regular expression a token; every one of them is linear (no nested repetition over the same characters).
_WHITE = r"[ \t\n\f]*"
_PLAIN = re.compile(  # what most items are, with the delimiter after them: the fast way through long texts
    _WHITE + r"(?:(-?(?:0|[1-9][0-9]{0,17}))|'([^'\\\n\0]*)'|\"([^\"\\\n\0]*)\""
    r"|(-?[0-9]{1,17}(?:\.[0-9]{1,17}(?:e[+-]?[0-9]{1,3})?|e[+-]?[0-9]{1,3}))|(None|True|False|nan|-?inf))"
    rf"{_WHITE}[,:\])}}]"
)
_INT, _STR, _STR2, _FLOATING, _CONSTANT = range(1, 6)
_SPACE = re.compile(_WHITE)
_SPACES = (" ", "\t", "\n", "\f")
_DIGITS = "[0-9](?:_?[0-9])*+"
_NUMERAL = re.compile(
    "(?P<based>0(?:[xX](?:_?[0-9a-fA-F])++|[oO](?:_?[0-7])++|[bB](?:_?[01])++))"
    rf"|(?P<decimal>(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?)(?:[jJ])?"
    "|(?P<special>nan|inf)(?:j|(?![A-Za-z0-9_]))"
)
_INTEGER = re.compile("[1-9][0-9_]*|0[0_]*")
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
_SPECIAL = _CONSTANTS | {word: float(word) for word in ("nan", "inf", "-inf")}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_FLOAT_WORDS = {sign + word: float(sign + word) for sign in ("", "-", "+") for word in ("nan", "inf", "infinity")}


def _plain(found: re.Match[str]) -> Node:
    """The value in a match of `_PLAIN`."""
    kind = found.lastindex
    if kind == _INT:
        return int(found[_INT])
    if kind in (_STR, _STR2):
        return found[kind]
    if kind == _FLOATING:
        return float(found[_FLOATING])
    return _SPECIAL[found[_CONSTANT]]


class Parser:
    """Reads one text; ``depth`` is how many containers and constructors surround ``pos``."""

    __slots__ = ("depth", "pos", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.depth = 0

    def fail(self, why: str) -> NotALiteral:
        return NotALiteral(f"at character {self.pos + 1}: {why}")

    def peek(self) -> str:
        """The next character after white space, or '' at the end."""
        char = self.text[self.pos : self.pos + 1]
        if char in _SPACES:
            self.pos = _SPACE.match(self.text, self.pos).end()  # type: ignore[union-attr]  # matches always
            char = self.text[self.pos : self.pos + 1]
        return char

    def take(self, char: str) -> bool:
        if self.peek() != char:
            return False
        self.pos += 1
        return True

    def expect(self, char: str) -> None:
        if not self.take(char):
            raise self.fail(f"expected {char!r}")

    def whole(self) -> Node:
        """The one value that the text is; items without brackets are a tuple, as in ``1, 2``."""
        if not self.peek():
            raise self.fail("expected a literal")
        return self.read("")

    def value(self) -> Node:
        """One value inside something else; what follows it is left."""
        return self.read(None)

    def read(self, end: str | None) -> Node:
        """The value that ends at ``end``: '' for the end of the text, None for wherever one value ends."""
        around: list[_Open] = []
        here = _Open(end)
        while True:
            node: Node | _Nothing
            char = self.text[self.pos : self.pos + 1]
            if here.closing is not None and char not in _CLOSING and (found := _PLAIN.match(self.text, self.pos)):
                node = _plain(found)
                self.pos = found.end()
                delimiter = self.text[self.pos - 1]
            elif (char := self.peek()) in _CLOSING:
                around.append(here)
                here = _Open(_CLOSING[char])
                self.pos += 1
                self.descend()
                continue
            elif char == here.closing and here.may_close:
                node, delimiter = _NOTHING, char
                self.pos += len(char)
            else:
                node = self.scalar(char)
                if here.closing is None:
                    return node
                delimiter = self.delimiter()
            while True:
                if not isinstance(node, _Nothing) and (wrong := here.add(node, delimiter)):
                    raise self.fail(wrong)
                if delimiter != here.closing:
                    break
                if not isinstance(here.key, _Nothing):
                    raise self.fail("expected a value")
                node = here.node()
                if not around:
                    return node
                here = around.pop()
                self.depth -= 1
                if here.closing is None:
                    return node
                delimiter = self.delimiter()
            if delimiter not in (",", ":"):
                raise self.fail(f"expected {here.closing!r}" if here.closing else "unexpected text after the value")

    def delimiter(self) -> str:
        """What follows an item, consumed; '' at the end of the text."""
        char = self.peek()
        self.pos += len(char)
        return char

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH}")

    def scalar(self, char: str) -> Node:
        """A value that begins with ``char`` and is no bracket."""
        if _STRING_START.match(self.text, self.pos):
            return self.strings()
        if char and char in "+-":
            self.pos += 1
            self.peek()
            return self.number(_NUMERAL.match(self.text, self.pos), negative=char == "-")
        if found := _NUMERAL.match(self.text, self.pos):
            return self.number(found, negative=False)
        return self.word()

    def number(self, found: re.Match[str] | None, negative: bool) -> Node:
        """A numeral that was ``found`` here, and the imaginary part that may follow it."""
        first = self.numeral(found)
        if negative:
            first = -first
        if isinstance(first, complex) or (sign := self.peek()) not in ("+", "-"):
            return first
        self.pos += 1
        self.peek()
        second = self.numeral(_NUMERAL.match(self.text, self.pos))
        if not isinstance(second, complex):
            raise self.fail("arithmetic is not a literal")
        try:
            return complex(first, -second.imag if sign == "-" else second.imag)
        except OverflowError:
            raise self.fail("number too large") from None

    def numeral(self, found: re.Match[str] | None) -> int | float | complex:
        if found is None:
            raise self.fail("expected a number")
        digits = found.group()
        self.pos = found.end()
        if len(digits) > _MAX_NUMBER_CHARS:
            raise self.fail(f"a number of more than {_MAX_NUMBER_CHARS} characters")
        if _AFTER_NUMBER.match(self.text, self.pos):
            raise self.fail("malformed number")
        if found.lastgroup != "based":
            if digits[-1] in "jJ":
                return complex(0.0, float(digits[:-1]))
            if found.lastgroup == "special" or not digits.replace("_", "").isdigit():
                return float(digits)
            if not _INTEGER.fullmatch(digits):
                raise self.fail("malformed number")  # 01
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
            self.numeral(_NUMERAL.match(self.text, self.pos))
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
