"""Where things stand in a row: ``a.b[0].c``, and typed values taken from there."""

from __future__ import annotations

import math
import re
from typing import Any, Final

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(-?\d{1,9})\]")
_MOST_EXTRA: Final = 16
_LONGEST_EXTRA: Final = 500
Path = tuple[str | int, ...]


def parse_path(text: str) -> Path:
    """A path of names, parted by dots, and of places in lists, in brackets.

    Raises:
        ValueError: it is no such path.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        at += text[at] == "." and bool(steps)
        found = _STEP.match(text, at)
        if found is None:
            break
        steps.append(found[1] if found[1] is not None else int(found[2]))
        at = found.end()
    if not steps or at < len(text):
        raise ValueError(f"{text!r} is no path; write names and places like responses[0].text")
    return tuple(steps)


def find(row: Any, path: Path) -> Any:
    """What stands there, or None."""
    for step in path:
        if isinstance(step, int) and isinstance(row, list) and -len(row) <= step < len(row):
            row = row[step]
        elif isinstance(step, str) and isinstance(row, dict):
            row = row.get(step)
        else:
            return None
    return row


def text(value: Any) -> str:
    """A text; of anything else, none."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> tuple[str, ...]:
    """One text or a list of them."""
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def identity(value: Any) -> str:
    """An id as text; ids are texts or whole numbers."""
    return str(value)[:200] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def number(value: Any) -> float | None:
    """A finite number."""
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def step(value: Any) -> int | None:
    """A step: a whole number that SQLite would hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None


def rest(row: dict[str, Any], without: frozenset[str]) -> dict[str, str | int | float | bool]:
    """The row's other simple values, a few, short: for reports."""
    found: dict[str, str | int | float | bool] = {}
    for name, value in row.items():
        if len(found) == _MOST_EXTRA:
            break
        if name in without or value is None or not isinstance(value, str | int | float | bool):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            continue
        if isinstance(value, int) and abs(value) >= 1 << 63:
            continue
        found[name[:80]] = value[:_LONGEST_EXTRA] if isinstance(value, str) else value
    return found
