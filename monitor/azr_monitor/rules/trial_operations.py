"""Operations of a trial on plain values, each measured before it is done: what it makes, and what it takes."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, factorial, perm
from typing import Any

from azr_monitor.rules import pure
from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.sizes import made
from azr_monitor.rules.syntax import words
from azr_monitor.rules.trial_costs import comparable, held, probes, size
from azr_monitor.rules.trial_values import MAX_BITS, MAX_LENGTH, TOO_MANY, Outgrown, TooMuch
from azr_monitor.rules.volumes import Large, powered

SEQUENCES = (str, list, tuple, bytes)
NUMBERS = (int, float, Fraction)
SETS = (set, frozenset)
_PLAIN = (*SEQUENCES, *NUMBERS, *SETS, dict, type(None))


def operated(op: ast.operator, left: Any, right: Any, node: ast.AST) -> Any:
    """``left op right`` of plain values."""
    kind = op.__class__
    if isinstance(left, int) and isinstance(right, int):
        return _of_numbers(kind, left, right, node)
    if not isinstance(left, _PLAIN) or not isinstance(right, _PLAIN):
        raise Unknown
    if kind is ast.Add:
        if isinstance(left, SEQUENCES) and isinstance(right, SEQUENCES):
            held(node, len(left) + len(right), MAX_LENGTH)
        return left + right
    if kind is ast.Mult:
        one, times = (right, left) if isinstance(right, SEQUENCES) else (left, right)
        if isinstance(one, SEQUENCES) and isinstance(times, int):
            held(node, len(one) * times, MAX_LENGTH)
        elif not isinstance(left, NUMBERS) or not isinstance(right, NUMBERS):
            raise TypeError
        return left * right
    if kind is ast.Mod and isinstance(left, str):
        return _formatted(left, right)
    if kind is ast.Pow and isinstance(left, Fraction) and isinstance(right, int):
        held(node, abs(right) * size(left), MAX_BITS)
        return left**right
    if kind is ast.Pow and isinstance(right, Fraction) and right.denominator == 1:
        raise Unknown
    if isinstance(left, Counter) or isinstance(right, Counter):
        _counts_only(left, right)
    if isinstance(left, str | bytes | list | tuple):
        raise TypeError
    result = _OPERATORS[kind](left, right)
    if isinstance(result, Fraction):
        held(node, size(result), MAX_BITS)
    return result


def _formatted(template: str, given: Any) -> str:
    """``template % given``, of plain conversions that are not wide."""
    values = given if isinstance(given, tuple) else (given,)
    if not _CONVERSIONS.fullmatch(template) or not all(isinstance(one, int | float | str) for one in values):
        raise Unknown
    if sum(map(size, values)) > MAX_LENGTH:
        raise Outgrown
    return str(template % given)


_CONVERSIONS = re.compile(r"(?:[^%]|%%|%[-+ 0]?\d{0,2}(?:\.\d)?[sdixXrcfeg])*")


def _of_numbers(kind: type[ast.operator], left: int, right: int, node: ast.AST) -> Any:
    if kind is ast.Mult:
        held(node, left.bit_length() + right.bit_length(), MAX_BITS)
    elif kind is ast.Pow:
        wide = powered(int(left), int(right)) if right >= 0 else 0
        held(node, wide.bits if isinstance(wide, Large) else 0, MAX_BITS)
    elif kind is ast.LShift:
        held(node, left.bit_length() + max(0, right) if left else 0, MAX_BITS)
    elif kind is ast.RShift:
        return left >> min(right, 10**9)
    return _OPERATORS[kind](left, right)


_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
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
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def _counts_only(*counters: Any) -> None:
    """Refuse counters that hold anything but small numbers: theirs are added up unmeasured."""
    for counter in counters:
        if isinstance(counter, dict) and not set(map(type, counter.values())) <= _COUNTS:
            raise Unknown


_COUNTS = frozenset((int, float, bool))


# -- functions ------------------------------------------------------------------------------------------


def _text(value: Any = "") -> str:
    if isinstance(value, int) and value.bit_length() > _SHOWN:
        raise Outgrown
    if value is None or isinstance(value, bool | int | float | str | Fraction):
        return str(value)
    _all_plain(value)
    return str(value)


_SHOWN = 12_000


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    return _text(value)


def _all_plain(value: Any, depth: int = 0) -> None:
    """Refuse what is not made of plain values: its looks are the program's own, or an address."""
    if depth > _DEEP:
        raise Unknown
    if isinstance(value, list | tuple | set | frozenset | dict | deque):
        for one in [*value, *value.values()] if isinstance(value, dict) else value:
            if not isinstance(one, int | float | str | bytes | None):
                _all_plain(one, depth + 1)
    elif not isinstance(value, int | float | str | bytes | Fraction | range | None):
        raise Unknown


_DEEP = 50


def _int(value: Any = 0, base: int = 10) -> int:
    if isinstance(value, str):
        if len(value) > 3_000:
            raise Outgrown
        return int(value, base)
    return int(value)


def _wide(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the libraries that makes large numbers of small ones."""

    def bounded(*given: int) -> Any:
        if not given or any(one.__class__ is not int or size(one) > _WIDE for one in given):
            raise Unknown
        wide = made(name, list(given), {})
        if not isinstance(wide, Large) and max(map(abs, given)) > _SMALL_ENOUGH:
            raise Unknown
        if isinstance(wide, Large):
            if wide.bits > TOO_MANY:
                raise TooMuch(ast.Pass(), "a number of millions of digits")
            if wide.bits > MAX_BITS:
                raise Outgrown
        return function(*given)

    return bounded


_SMALL_ENOUGH = 1_000
_WIDE = 50
_MOST_DIGITS = 400


def _rounded(value: Any, digits: Any = None) -> Any:
    if digits is None:
        return round(value)
    if digits.__class__ is not int or abs(digits) > _MOST_DIGITS:
        raise Unknown
    return round(value, digits)


def _fraction(*given: Any) -> Fraction:
    if any(isinstance(one, str) and (len(one) > _MOST_DIGITS or "e" in one.lower()) for one in given):
        raise Unknown
    if sum(map(size, given)) > MAX_BITS:
        raise Outgrown
    return Fraction(*given)


def _common(function: Callable[..., int]) -> Callable[..., int]:
    def bounded(*given: int) -> int:
        if sum(map(size, given)) > _MOST_COMMON:
            raise Outgrown
        return function(*given)

    return bounded


_MOST_COMMON = 8_000


def _divided(one: Any, other: Any) -> Any:
    if size(one) * size(other) > _MOST_COMMON**2:
        raise Outgrown
    return divmod(one, other)


def _power(base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is not None:
        if size(exponent) * size(modulus) ** 2 > _MOST_RAISED or size(base) > 4_000:
            raise Unknown
        return pow(base, exponent, modulus)
    return operated(ast.Pow(), base, exponent, ast.Pass())


_MOST_RAISED = 2**22

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "bin": bin,
    "chr": chr,
    "divmod": _divided,
    "float": float,
    "hex": hex,
    "int": _int,
    "oct": oct,
    "ord": ord,
    "pow": _power,
    "repr": _shown,
    "round": _rounded,
    "str": _text,
    "fractions.Fraction": _fraction,
    "math.gcd": _common(math.gcd),
    "math.lcm": _common(math.lcm),
    "math.comb": _wide("comb", comb),
    "math.factorial": _wide("factorial", factorial),
    "math.perm": _wide("perm", perm),
    **{
        f"math.{name}": getattr(math, name)
        for name in words("sqrt isqrt floor ceil log log2 log10 exp sin cos tan atan atan2 hypot fabs trunc")
    },
    "operator.add": lambda a, b: operated(ast.Add(), a, b, ast.Pass()),
    "operator.mul": lambda a, b: operated(ast.Mult(), a, b, ast.Pass()),
    "operator.sub": lambda a, b: operated(ast.Sub(), a, b, ast.Pass()),
    "operator.xor": lambda a, b: operated(ast.BitXor(), a, b, ast.Pass()),
}
CONSTANTS: Mapping[str, Any] = {
    **{name: value for name, value in pure.CONSTANTS.items() if name.startswith("string.")},
    "math.inf": float("inf"),
    "math.pi": 3.141592653589793,
    "math.e": 2.718281828459045,
}
EXCEPTIONS: Mapping[str, type[Exception]] = {
    one.__name__: one
    for one in (
        Exception,
        ArithmeticError,
        ZeroDivisionError,
        OverflowError,
        LookupError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        StopIteration,
        RuntimeError,
        NotImplementedError,
        OSError,
        TimeoutError,
        PermissionError,
    )
}

# -- methods --------------------------------------------------------------------------------------------

_METHODS: Mapping[type, frozenset[str]] = {
    str: words(
        "lower upper title capitalize swapcase casefold strip lstrip rstrip split rsplit splitlines partition "
        "rpartition startswith endswith find rfind index rindex count isdigit isalpha isupper islower isspace isalnum "
        "isdecimal isnumeric isidentifier removeprefix removesuffix translate"
    ),
    list: words("append extend insert pop reverse remove index count copy clear"),
    deque: words("append appendleft extend extendleft pop popleft rotate reverse remove index count copy clear"),
    tuple: words("index count"),
    dict: words("get keys values items copy pop popitem setdefault update clear"),
    Counter: words("get keys values items copy pop popitem setdefault update clear most_common total"),
    set: words(
        "add discard remove pop clear copy union intersection difference symmetric_difference issubset issuperset "
        "isdisjoint update difference_update intersection_update symmetric_difference_update"
    ),
    frozenset: words("copy union intersection difference symmetric_difference issubset issuperset isdisjoint"),
    int: words("bit_length bit_count"),
    float: words("is_integer"),
    Fraction: frozenset(),
    bytes: words("hex lower upper startswith endswith find index count"),
}
_ADDING = words("append appendleft add insert")
_QUICK = words("append appendleft pop popleft get add lower upper isdigit isalpha")


def method(value: Any, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> tuple[Any, int]:
    """What a method of a plain value comes to, and the steps that it takes."""
    kind: Any = type(value)
    if kind not in _METHODS:
        kind = dict if isinstance(value, dict) else kind
    if name in _METHODS.get(kind, ()):
        took = 0
        if name in _ADDING and name != "add":
            held(node, len(value) + 1, MAX_LENGTH)
        if name not in _QUICK or kind is str or (name == "pop" and kind is list and given):
            took = size(value) >> 5
        if name in ("extend", "update", "extendleft", "union"):
            held(node, size(value) + sum(map(size, given)), MAX_LENGTH)
            took += sum(map(size, given)) >> 3
        elif name != "append":
            took += sum(comparable(one, node) for one in given)
            took += _searched(value, name, given, node)
        result = getattr(value, name)(*given, **options)
        return result, took
    if kind is str:
        return _of_text(value, name, given, options, node)
    raise Unknown


def _searched(value: Any, name: str, given: list[Any], node: ast.AST) -> int:
    """What a search takes besides, in steps."""
    if name in _COUNTING and isinstance(value, Counter):
        _counts_only(value)
    if isinstance(value, dict | set):
        return probes(given[0], value) if given else 0
    if isinstance(value, str):
        if name == "translate":
            return _translated(value, *given)
        return size(value) * sum(map(size, given)) >> 10 if name in _BACKWARD else 0
    if name in _FINDING and isinstance(value, list | tuple | deque) and given:
        return comparable(value, node) if not isinstance(given[0], int | float | None) else 0
    return 0


def _translated(text: str, table: Any) -> int:
    if not isinstance(table, dict):
        raise Unknown
    longest = max((len(one) for one in table.values() if isinstance(one, str)), default=1)
    if len(text) * longest > MAX_LENGTH:
        raise Unknown
    return len(table) >> 3


_COUNTING = words("most_common total")
_FINDING = words("index count remove")
_BACKWARD = words("rfind rindex rpartition rsplit strip lstrip rstrip")


def _of_text(value: str, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> tuple[Any, int]:
    if not all(isinstance(one, int | float | str) for one in (*given, *options.values())):
        raise Unknown
    if name == "format" and value.count("{") * max(map(size, (*given, *options.values())), default=0) > MAX_LENGTH:
        raise Unknown
    match name, given:
        case "replace", [str(old), str(new), *rest]:
            times = value.count(old)
            held(node, len(value) + times * (len(new) - len(old)), MAX_LENGTH)
            return value.replace(old, new, *rest), (len(value) >> 4) + times // 4
        case "zfill" | "ljust" | "rjust" | "center", [int(wide), *_]:
            held(node, wide, MAX_LENGTH)
            return getattr(value, name)(*given), wide >> 4
        case "format", _:
            return pure.method(value, name, given, options), len(value) >> 4
        case "encode", _:
            return pure.method(value, name, given, options), len(value) >> 4
        case _:
            raise Unknown
