"""What SQLite gives back for a value that it is given, so that a row can be hashed before it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

_LEAST, _MOST = -(2**63), 2**63 - 1


def storable(value: object, kind: type) -> object:
    """A value as a column of a kind (int, float or str) keeps it.

    Booleans become integers; NaN and infinities NULL; an integer beyond 64 bits the nearest one that fits; -0.0
    is 0.0; a lone surrogate, which UTF-8 has no bytes for, its escape.

    Raises:
        TypeError: the value does not belong in such a column.
    """
    return MADE_FOR[kind](value)


def _integer(value: object) -> object:
    if value is None or (type(value) is int and _LEAST <= value <= _MOST):
        return value
    if isinstance(value, int):
        return max(_LEAST, min(_MOST, int(value)))
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer():
            return _integer(int(value))
    raise TypeError(f"{value!r} is no int")


def _real(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, float | int):
        raise TypeError(f"{value!r} is no float")
    try:
        return float(value) + 0.0 if math.isfinite(value) else None
    except OverflowError:  # an integer that no float comes near
        return None


def _text(value: object) -> object:
    if value is None or (type(value) is str and value.isascii()):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    raise TypeError(f"{value!r} is no str")


MADE_FOR: Mapping[type, Callable[[object], object]] = {int: _integer, float: _real, str: _text}


class Form:
    """How the rows of one table are made storable."""

    def __init__(self, table: str, columns: Mapping[str, type]) -> None:
        self._table = table
        self._columns = columns
        places = list(enumerate(columns.values(), 1))  # the id comes first
        self._texts = [place for place, kind in places if kind is str]
        self._numbers = [(place, MADE_FOR[kind]) for place, kind in places if kind is not str]

    def row(self, number: int, given: Mapping[str, object]) -> list[object]:
        """A row's id and its columns; a missing column is NULL.

        Raises:
            KeyError, TypeError: no such column, or a value that does not belong in it.
        """
        columns = self._columns.keys()
        if not given.keys() <= columns:
            raise KeyError(f"ledger table {self._table} has no column {sorted(given.keys() - columns)}")
        values: list[object] = [number, *map(given.get, columns)]
        place = 0
        try:
            for place in self._texts:
                text = values[place]
                # Nearly all are so; a call for each would cost as much as all else here.
                if text is not None and not (type(text) is str and text.isascii()):
                    values[place] = _text(text)
            for place, made in self._numbers:
                values[place] = made(values[place])
        except TypeError as error:
            raise TypeError(f"ledger column {self._table}.{list(columns)[place - 1]}: {error}") from None
        return values
