"""Which format a file is in, by the looks of its first rows, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from azr_monitor.records import printable
from azr_platform.logs.azr import Azr
from azr_platform.logs.inspect import Inspect
from azr_platform.logs.limits import MAX_DEPTH
from azr_platform.logs.openrlhf import OpenRlhf
from azr_platform.logs.plain import Plain
from azr_platform.logs.records import Entry, Format, Reason, Row, Skip
from azr_platform.logs.trl import Trl
from azr_platform.logs.verifiers import Verifiers
from azr_platform.logs.verl import Verl

FORMATS: Final[tuple[Format, ...]] = (Inspect(), Verifiers(), Azr(), Verl(), Trl(), OpenRlhf(), Plain())
"""The narrowest first: where several fit equally many rows, the first is taken."""
LOOKED_AT: Final = 20
"""Rows that are looked at before a format is chosen."""


class Chosen(NamedTuple):
    """A format and the reason in words; without a format, what was seen instead."""

    format: Format | None
    why: str


def format_named(name: str) -> Format:
    """The format of this name.

    Raises:
        ValueError: there is none; the text lists them.
    """
    for candidate in FORMATS:
        if candidate.name == name:
            return candidate
    raise ValueError(f"there is no format {name!r}; there are {', '.join(f.name for f in FORMATS)}")


def choose(rows: Iterable[Row]) -> Chosen:
    """The format that most of the rows look like."""
    objects = [found for row in rows if isinstance(found := decoded(row), dict)]
    votes: dict[str, list[str]] = {}
    for found in objects:
        for candidate in FORMATS:
            if why := candidate.looks(found):
                votes.setdefault(candidate.name, []).append(why)
    if votes:
        best = max(FORMATS, key=lambda candidate: len(votes.get(candidate.name, ())))
        return Chosen(best, votes[best.name][0])
    if not objects:
        return Chosen(None, "no row of it could be read")
    names = ", ".join(printable(name, 30) for name in list(objects[0])[:8])
    return Chosen(None, f"no format has rows with {names or 'nothing in them'}; say where things stand with --map")


def entries(row: Row, of: Format) -> list[Entry] | Skip:
    """The cases in a row, or why there is none."""
    found = decoded(row)
    if isinstance(found, Skip):
        return found
    try:
        cases = of.entries(found)
    except ValueError as error:
        return Skip(row.place, Reason.SHAPE, printable(str(error), 200))
    cases = [case for case in cases if case.holds_text]
    return cases or Skip(row.place, Reason.EMPTY, "nothing that a model wrote")


def decoded(row: Row) -> dict[str, Any] | Skip:
    """The object in a row."""
    try:
        text = row.data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Skip(row.place, Reason.ENCODING, f"byte {error.start + 1} is no UTF-8")
    try:
        found = json.loads(text, parse_constant=lambda _: None)
        too_deep = _is_deeper(found, MAX_DEPTH)
    except RecursionError:
        too_deep = True
    except ValueError as error:
        if row.last:
            return Skip(row.place, Reason.TRUNCATED, "the file ends within it")
        return Skip(row.place, Reason.BROKEN, printable(str(error), 120))
    if too_deep:
        return Skip(row.place, Reason.DEEP, f"more than {MAX_DEPTH} levels")
    if not isinstance(found, dict):
        return Skip(row.place, Reason.SHAPE, "not a JSON object")
    return found


def _is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects go further into one another; found out level by level, without recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)
