"""Which format a file is in, by the looks of its first rows, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
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
    """A format and the reason in words; without a format, what was seen instead: rows unread, and how many others."""

    format: Format | None
    why: str
    faults: tuple[Skip, ...] = ()
    others: int = 0


def format_named(name: str) -> Format:
    """The format of this name.

    Raises:
        ValueError: there is none; the text lists them.
    """
    for candidate in FORMATS:
        if candidate.name == name:
            return candidate
    raise ValueError(f"there is no format {name!r}; there are {', '.join(f.name for f in FORMATS)}")


def choose(rows: Iterable[Row | Skip]) -> Chosen:
    """The format that most of the rows look like. One row is decoded at a time: it may take much more than its text."""
    votes: Counter[str] = Counter()
    whys: dict[str, str] = {}
    faults: list[Skip] = []
    names: list[str] = []
    others = 0
    for row in rows:
        found = row if isinstance(row, Skip) else decoded(row)
        if isinstance(found, Skip):
            faults.append(found)
            continue
        others += 1
        names = names or [printable(name, 30) for name in islice(found, 8)]
        for candidate in FORMATS:
            if why := candidate.looks(found):
                votes[candidate.name] += 1
                whys.setdefault(candidate.name, why)
        del found  # else the next is decoded while this one is still held
    if votes:
        best = max(FORMATS, key=lambda candidate: votes[candidate.name])
        return Chosen(best, whys[best.name])
    seen = f"no format has rows with {', '.join(names) or 'nothing in them'}; say where things stand with --map"
    return Chosen(None, seen if others else "no row of it could be read", tuple(faults), others)


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
