"""What builtins and the libraries make of sizes: how long ``product(s, repeat=9)`` is, how wide ``math.comb(n, k)``."""

from __future__ import annotations

from collections.abc import Mapping
from math import factorial, log2
from typing import Any

from azr_monitor.rules.syntax import words
from azr_monitor.rules.volumes import ENDLESS, UNKNOWN, Large, Many, Walk, capped, cells, count

_SHORT = 600
_DIGITS = 150
"""Digits of a number that is kept."""
_FEW = 64
"""Items that are kept one by one."""
_SMALL = 10**6
_PADS = words("zfill ljust rjust center expandtabs")
_TEXT = words(
    "lower upper strip lstrip rstrip split rsplit splitlines replace title capitalize swapcase zfill ljust rjust "
    "center find count startswith endswith isdigit isalpha isupper islower removeprefix removesuffix"
)
TAKERS = words(
    "sum max min set frozenset sorted list tuple Counter deque dict len fsum prod heapify bytes bytearray array "
    "any all next"
)
"""What an iterator is given to; most take all of it."""
_EARLY = words("any all next len")
_SIZED = words(
    "bytes bytearray permutations combinations combinations_with_replacement product repeat factorial comb perm"
)
"""What makes of a number something of that size: a number beyond all sizes is as good as any."""
_WAIT = 3_600
_ROUNDS = 10**8


def takes_all(name: str) -> bool:
    """Whether a function of this name walks the whole of what it is given."""
    return name in TAKERS and name not in _EARLY


def made(name: str, given: list[Any], options: Mapping[str, Any]) -> Any:
    """What a builtin or a function of the libraries gives back, as far as sizes go; ``UNKNOWN`` otherwise."""
    if name in _SIZED:
        given = [capped(value) for value in given]
        options = {option: capped(value) for option, value in options.items()}
    match name, given:
        case "bytes" | "bytearray", [int(size)] if size > _SHORT:
            return Many(float(size), size / 8)
        case "permutations" | "combinations" | "combinations_with_replacement" | "product", [_, *_]:
            return _choices(name, given, options)
        case ("cycle", [_]) | ("count", [] | [_] | [_, _]) | ("repeat", [_]):
            return Walk(ENDLESS)
        case "repeat", [value, int(times)] if times <= _FEW:
            return [value] * times
        case "repeat", [value, int(times)]:
            return Walk(float(max(0, times)), max(0, times) * cells(value))
        case "enumerate" | "reversed" | "iter" | "pairwise" | "accumulate", [value, *_]:
            return _walk(count(value))
        case "map" | "zip", [*values] if values[name == "map" :]:
            many = [count(value) for value in values[name == "map" :]]
            return UNKNOWN if None in many else _walk(min(one for one in many if one is not None))
        case "factorial", [int(n)] if n >= 0:
            return factorial(n) if n < 60 else Large(n * log2(n), 1)
        case "factorial", [Large() as wide]:
            return Large(ENDLESS if wide.bits > 60 else 2**wide.bits, 1)
        case "comb", [int(n), int(k)] if 0 <= k <= n and n > _SHORT:
            return Large(max(64.0, min(k, n - k) * log2(n / max(1, min(k, n - k)))), 1)
        case "perm", [int(n), int(k)] if 0 <= k <= n and n > _SHORT:
            return Large(max(64.0, k * log2(n)), 1)
        case "Fraction" | "Decimal", [_, *_]:
            return Large(64)
        case "deepcopy" | "copy", [value]:
            return Many(float(len(value)), cells(value)) if isinstance(value, list) else value
        case "int", [str(text)]:
            return whole(text)
        case "int", [Large() as wide]:
            return wide
        case "int", [Many(length=length)] if length > _DIGITS:
            return Large(length * log2(10), 1)
        case "str", [Large(bits=wide_)]:
            return Many(wide_ / log2(10), wide_ / log2(10) / 8)
        case "str", [int(number)] if abs(number) < 10**300:
            return str(number)
        case _:
            return UNKNOWN


def waits(name: str, given: list[Any]) -> bool:
    """Whether a call of the libraries alone takes hours: a sleep, the rounds of a key derivation."""
    match name, [capped(value) for value in given]:
        case "sleep", [int(seconds) | float(seconds)]:
            return seconds > _WAIT
        case "pbkdf2_hmac", [_, _, _, int(rounds), *_]:
            return rounds > _ROUNDS
        case _:
            return False


def _walk(many: float | None) -> Any:
    return UNKNOWN if many is None else Walk(many)


def whole(text: str) -> Any:
    """The whole number that a text stands for."""
    if len(text) > _DIGITS:
        return Large(len(text.strip()) * log2(10), 1) if text.strip().isdecimal() else UNKNOWN
    try:
        return int(text)
    except ValueError:
        return UNKNOWN


def _choices(name: str, given: list[Any], options: Mapping[str, Any]) -> Any:
    if name == "product":
        total = 1.0
        for value in given:
            many = count(value)
            if many is None:
                return UNKNOWN
            total = min(total * many, ENDLESS)
        repeat = options.get("repeat", 1)
        if not isinstance(repeat, int):
            return UNKNOWN
        return _walk(min(total ** min(max(repeat, 0), 40), ENDLESS) if total < 10**6 or repeat <= 1 else ENDLESS)
    size = count(given[0])
    taken = given[1] if len(given) > 1 else size if name == "permutations" else None
    if size is None or taken is None or (len(given) > 1 and not isinstance(taken, int)) or taken < 0:
        return UNKNOWN
    total = 1.0
    for place in range(min(int(taken), 60)):
        total *= max(0.0, size - place) / (1 if name == "permutations" else place + 1)
    if name == "combinations" and taken > size / 2:
        return UNKNOWN if taken <= size and size > 60 else _walk(total if taken <= size else 0.0)
    return _walk(min(total, ENDLESS))


def of_text(text: str, name: str, given: list[Any]) -> Any:
    """What a method of a short text gives back."""
    if name in _PADS and given and isinstance(wide := capped(given[0]), int) and wide > _SHORT:
        return Many(float(wide), wide / 8)
    if name == "join" and len(given) == 1:
        return _joined(text, given[0])
    if name not in _TEXT or len(text) > _SHORT or not all(isinstance(one, int | str) for one in given):
        return UNKNOWN
    if any(isinstance(one, str) and len(one) > _SHORT for one in given):
        return UNKNOWN
    try:
        result = getattr(text, name)(*given)
    except (TypeError, ValueError):
        return UNKNOWN
    return Many(float(len(result)), len(result) / 8) if isinstance(result, str) and len(result) > _SHORT else result


def _joined(glue: str, parts: Any) -> Any:
    many = count(parts)
    if many is None or not isinstance(parts, list | tuple | str | Many | Walk):
        return UNKNOWN
    if isinstance(parts, list | tuple | str) and all(isinstance(part, str) for part in parts) and many <= _SHORT:
        text = glue.join(parts)
        return text if len(text) <= _SHORT else Many(float(len(text)), len(text) / 8)
    inside = cells(parts)
    return Many(max(many, inside), max(inside, many / 8))
