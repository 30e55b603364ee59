"""The pure operations that a constant may be built with, each bounded in what it makes.

Nothing here calls what a program defines, formats by a program's template, or touches anything but the values given:
texts, bytes, numbers and small containers of them.
"""

from __future__ import annotations

import ast
import base64
import binascii
import codecs
import operator
import re
import string
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from azr_monitor.rules.syntax import words

MAX_TEXT = 20_000
MAX_ITEMS = 4_096
MAX_BITS = 4_096
_CODECS = frozenset({"utf8", "utf-8", "ascii", "latin1", "latin-1", "utf-16", "utf-32", "iso-8859-1", "cp437"})
_TEXT_CODECS = {"rot13": "rot13", "rot_13": "rot13", "rot-13": "rot13"}
_BYTES_CODECS = {"hex": "hex", "hex_codec": "hex", "base64": "base64", "base64_codec": "base64", "zlib": "zlib"}


_TEXTS = (str, bytes, bytearray)
_HOLDERS = (list, tuple, dict, set, frozenset)


class Unknown(Exception):
    """The value is not constant, not pure, or larger than what is read."""


def bounded(value: Any) -> Any:
    """``value`` itself when it is small enough to keep.

    Raises:
        Unknown: it is too large.
    """
    if isinstance(value, _TEXTS):
        fits = len(value) <= MAX_TEXT
    elif isinstance(value, _HOLDERS):
        fits = len(value) <= MAX_ITEMS
    elif isinstance(value, int):
        fits = value.bit_length() <= MAX_BITS
    else:
        fits = True
    if not fits:
        raise Unknown
    return value


# -- operators ------------------------------------------------------------------------------------------


def _power(a: Any, b: Any) -> Any:
    if not isinstance(a, int) or not isinstance(b, int) or b < 0 or b * max(1, a.bit_length()) > MAX_BITS:
        raise Unknown
    return a**b


def _shift(a: Any, b: Any) -> Any:
    if not isinstance(a, int) or not isinstance(b, int) or not 0 <= b <= MAX_BITS - a.bit_length():
        raise Unknown
    return a << b


def _times(a: Any, b: Any) -> Any:
    for one, count in ((a, b), (b, a)):
        if isinstance(one, str | bytes | list | tuple) and isinstance(count, int) and len(one) * count > MAX_ITEMS:
            raise Unknown
    return a * b


_CONVERSION = re.compile(r"%(?:%|[sdcrixX])")


def _remainder(a: Any, b: Any) -> Any:
    """``%`` of numbers, and of a text with plain conversions."""
    if not isinstance(a, str):
        if isinstance(a, bytes):
            raise Unknown
        return a % b
    values = list(b) if isinstance(b, tuple) else [b]
    if a.count("%") != sum(len(found) // 2 * 2 or 1 for found in re.findall("%+", a)) and "%%" not in a:
        raise Unknown

    def shown(match: re.Match[str]) -> str:
        what = match.group()
        if what == "%%":
            return "%"
        value = values.pop(0)
        match what[1]:
            case "c":
                return value if isinstance(value, str) else chr(value)
            case "x" | "X":
                return format(int(value), what[1])
            case "d" | "i":
                return str(int(value))
            case "r":
                return repr(_plain(value))
            case _:
                return str(_plain(value))

    return _CONVERSION.sub(shown, a)


def _plain(value: Any) -> Any:
    if not isinstance(value, str | int | float | bytes | bool):
        raise Unknown
    return value


OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _remainder,
    ast.Pow: _power,
    ast.LShift: _shift,
    ast.RShift: operator.rshift,
    ast.BitXor: operator.xor,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: a is b or (a == b and isinstance(a, bool)),
    ast.IsNot: lambda a, b: a is not b,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}


# -- functions ------------------------------------------------------------------------------------------


def _listed(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found.append(value)
        if len(found) > MAX_ITEMS:
            raise Unknown
    return found


def _bytes(*values: Any) -> bytes:
    if len(values) == 1 and isinstance(values[0], int):
        if values[0] > MAX_ITEMS:
            raise Unknown
        return bytes(values[0])
    if values and isinstance(values[0], str):
        return _encode(*values)
    return bytes(*(v if isinstance(v, bytes) else _listed(v) for v in values))


def _range(*values: int) -> list[int]:
    numbers = range(*values)
    if len(numbers) > MAX_ITEMS:
        raise Unknown
    return list(numbers)


def _sum(values: Iterable[Any], start: Any = 0) -> Any:
    total = start
    for value in _listed(values):
        total = bounded(total + value)
    return total


def _str(*values: Any) -> str:
    if len(values) > 1:
        return _decode(*values)
    return str(_plain(values[0])) if values else ""


def _int(*values: Any) -> int:
    if values and isinstance(values[0], str | bytes) and len(values[0]) > 1_000:
        raise Unknown
    return int(*values)


def _encode(text: str, codec: str = "utf-8", errors: str = "strict") -> bytes:
    if codec.lower() not in _CODECS:
        raise Unknown
    return text.encode(codec, errors)


def _decode(data: bytes, codec: str = "utf-8", errors: str = "strict") -> str:
    if not isinstance(data, bytes | bytearray) or codec.lower() not in _CODECS:
        raise Unknown
    return bytes(data).decode(codec, errors)


def _inflated(data: bytes, window: int = zlib.MAX_WBITS) -> bytes:
    unpacked = zlib.decompressobj(window)
    text = unpacked.decompress(data, MAX_TEXT)
    if unpacked.unconsumed_tail:
        raise Unknown
    return text


def _recoded(value: Any, codec: str = "utf-8", *_: str) -> Any:
    """``codecs.decode`` and ``codecs.encode`` for the codecs that hide text."""
    codec = codec.lower()
    if isinstance(value, str):
        if codec in _TEXT_CODECS:
            return codecs.encode(value, "rot13")
        return _encode(value, codec)
    known = _BYTES_CODECS.get(codec)
    if known == "zlib":
        return _inflated(value)
    return codecs.decode(value, known) if known else _decode(value, codec)


def _base(decoder: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda text, *_: decoder(text)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "chr": chr,
    "ord": ord,
    "len": len,
    "str": _str,
    "int": _int,
    "bool": bool,
    "abs": abs,
    "hex": hex,
    "bin": bin,
    "oct": oct,
    "ascii": lambda value: ascii(_plain(value)),
    "repr": lambda value: repr(_plain(value)),
    "bytes": _bytes,
    "bytearray": _bytes,
    "list": lambda values=(): _listed(values),
    "tuple": lambda values=(): tuple(_listed(values)),
    "set": lambda values=(): sorted(set(_listed(values))),
    "iter": _listed,
    "reversed": lambda values: _listed(values)[::-1],
    "sorted": lambda values, reverse=False: sorted(_listed(values), reverse=bool(reverse)),
    "range": _range,
    "enumerate": lambda values, start=0: list(enumerate(_listed(values), start)),
    "zip": lambda *many: list(zip(*(_listed(values) for values in many), strict=False)),
    "sum": _sum,
    "min": min,
    "max": max,
    "dict": lambda *pairs, **names: bounded(dict(*pairs, **names)),
    "base64.b64decode": _base(base64.b64decode),
    "base64.urlsafe_b64decode": _base(base64.urlsafe_b64decode),
    "base64.standard_b64decode": _base(base64.standard_b64decode),
    "base64.decodebytes": _base(base64.decodebytes),
    "base64.b32decode": _base(base64.b32decode),
    "base64.b16decode": _base(base64.b16decode),
    "base64.b85decode": _base(base64.b85decode),
    "base64.a85decode": _base(base64.a85decode),
    "base64.b64encode": _base(base64.b64encode),
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.a2b_hex,
    "binascii.a2b_base64": binascii.a2b_base64,
    "bytes.fromhex": bytes.fromhex,
    "bytearray.fromhex": bytes.fromhex,
    "codecs.decode": _recoded,
    "codecs.encode": _recoded,
    "zlib.decompress": _inflated,
    "str.maketrans": str.maketrans,
    "bytes.maketrans": bytes.maketrans,
    "str.join": lambda glue, parts: method(glue, "join", [parts]),
    "dict.fromkeys": lambda keys, value=None: dict.fromkeys(_listed(keys), value),
    "int.from_bytes": lambda data, order="big": int.from_bytes(data[:512], order),
    "operator.add": operator.add,
    "operator.xor": operator.xor,
    "operator.sub": operator.sub,
    "operator.concat": operator.concat,
    "itertools.chain": lambda *many: [item for values in many for item in _listed(values)],
    "urllib.parse.unquote": urllib.parse.unquote,
}
"""Functions by the name they resolve to, without ``builtins.``"""

CONSTANTS: Mapping[str, Any] = {
    f"string.{name}": getattr(string, name)
    for name in words(
        "ascii_lowercase ascii_uppercase ascii_letters digits punctuation printable whitespace hexdigits octdigits"
    )
} | {"os.sep": "/"}


# -- methods --------------------------------------------------------------------------------------------

_TEXT = words(
    "lower upper title capitalize swapcase casefold strip lstrip rstrip split rsplit splitlines partition rpartition "
    "startswith endswith find rfind index count isdigit isalpha isupper islower isspace isalnum removeprefix "
    "removesuffix translate"
)
_BYTES = words("hex lower upper strip lstrip rstrip split startswith endswith find index count")
_LIST = words("index count copy")
_LIST_CHANGING = words("append extend insert pop reverse remove sort clear")
_DICT = words("get keys values items copy")
_DICT_CHANGING = words("update pop setdefault")
_ALLOWED: Mapping[type, frozenset[str]] = {
    str: _TEXT,
    bytes: _BYTES,
    list: _LIST | _LIST_CHANGING,
    tuple: _LIST,
    dict: _DICT | _DICT_CHANGING,
    int: frozenset({"bit_length"}),
}
_FIELD = re.compile(r"\d{0,2}|[A-Za-z]\w{0,30}")


def method(value: Any, name: str, arguments: list[Any], keywords: Mapping[str, Any] | None = None) -> Any:
    """Call one of the pure methods of a constant.

    Raises:
        Unknown: the method is not a pure one, or makes too much.
    """
    kind = type(value)
    match name:
        case "join" if kind in (str, bytes):
            return _joined(value, arguments[0])
        case "format" if kind is str:
            return _formatted(value, arguments, keywords or {})
        case "encode" if kind is str:
            codec = str(arguments[0]).lower() if arguments else "utf-8"
            return _encode(value, codec)
        case "decode" if kind is bytes:
            return _recoded(value, *(str(argument) for argument in arguments))
        case "replace" if kind in (str, bytes):
            old, new, *rest = arguments
            if len(value) * max(1, len(new)) > MAX_TEXT:
                raise Unknown
            return value.replace(old, new, *rest)
        case "to_bytes" if kind is int:
            size = arguments[0] if arguments else 1
            if size > MAX_ITEMS:
                raise Unknown
            return value.to_bytes(size, *arguments[1:], **(keywords or {}))
        case "sort":
            value.sort(reverse=bool((keywords or {}).get("reverse")))
            return None
        case _:
            if name not in _ALLOWED.get(kind, frozenset()):
                raise Unknown
            found = getattr(value, name)(*arguments, **(keywords or {}))
            bounded(value)
            return list(found) if kind is dict and name in ("keys", "values", "items") else found


def _joined(glue: Any, parts: Any) -> Any:
    pieces = _listed(parts)
    if sum(len(piece) + len(glue) for piece in pieces) > MAX_TEXT:
        raise Unknown
    return glue.join(pieces)


def _formatted(template: str, arguments: list[Any], keywords: Mapping[str, Any]) -> str:
    """``str.format`` for plain fields alone: no attribute, no index, no conversion, no nested field."""
    out: list[str] = []
    automatic = 0
    for literal, field, spec, conversion in string.Formatter().parse(template):
        out.append(literal)
        if field is None:
            continue
        if spec or conversion or not _FIELD.fullmatch(field):
            raise Unknown
        if field.isdigit() or not field:
            value = arguments[int(field) if field else automatic]
            automatic += not field
        else:
            value = keywords[field]
        out.append(str(_plain(value)))
    return bounded("".join(out))  # type: ignore[no-any-return]
