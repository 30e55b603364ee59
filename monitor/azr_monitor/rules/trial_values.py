"""Values of a trial: functions, classes and objects of the program's, names of the libraries, iterators that go round.

Plain values are Python's own, each small; nothing that a program defines is ever run by Python itself.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.syntax import Function as Definition

MAX_LENGTH = 40_000
MAX_BITS = 40_000
TOO_MANY = 10**8
"""The longest sequence and the widest number that are kept, and what is too much for anybody."""
_MOST_FROZEN = 600
_MOST_WEIGHED = 5_000
_DEEPEST = 60
MISSING: Any = object()


class Exhausted(Exception):
    """All steps were taken."""


class Outgrown(Exception):
    """A value became larger than what is kept."""


class TooMuch(Exception):
    """A program makes, or does, more than anybody can wait for."""

    def __init__(self, node: ast.AST, why: str, sure: bool = True) -> None:
        self.node, self.why, self.sure = node, why, sure


class Raised(Exception):
    """An exception of a class of the program's."""

    def __init__(self, value: Instance) -> None:
        self.value = value


class Scope:
    """The names of one call of a function, of a class body, of a comprehension, or of the module."""

    __slots__ = ("is_class", "owners", "parent", "values")

    def __init__(self, parent: Scope | None, is_class: bool = False) -> None:
        self.values: dict[str, Any] = {}
        self.parent = parent
        self.owners: dict[str, Scope] | None = None
        self.is_class = is_class

    def find(self, name: str) -> Any:
        """What a name stands for, or ``MISSING``."""
        scope: Scope | None = self
        while scope is not None:
            value = scope.values.get(name, MISSING)
            if value is not MISSING:
                return value
            scope = scope.parent
        return MISSING

    def store(self, name: str, value: Any) -> None:
        """Assign to a name, be it one of another scope's."""
        if self.owners is not None and name in self.owners:
            self.owners[name].values[name] = value
        else:
            self.values[name] = value


@dataclass(eq=False, repr=False, slots=True)
class Function:
    """A function of the program's, with the scope around it; ``kept`` is what it remembers by ``lru_cache``."""

    node: Definition
    scope: Scope
    defaults: dict[str, Any]
    is_generator: bool
    kept: dict[Any, Any] | None = None


@dataclass(eq=False, repr=False, slots=True)
class Method:
    """A function bound to an object."""

    function: Function
    holder: Any


@dataclass(eq=False, repr=False, slots=True)
class Native:
    """A method of a plain value, not yet called."""

    name: str
    holder: Any


@dataclass(eq=False, repr=False, slots=True)
class Class:
    """A class of the program's; ``exception`` where it is one that can be raised."""

    name: str
    bases: list[Class]
    members: dict[str, Any]
    exception: bool

    def member(self, name: str) -> Any:
        """A member by its name, of the class or of what it is made from."""
        return next((one.members[name] for one in self._line() if name in one.members), MISSING)

    def derives(self, other: Class) -> bool:
        """Whether it is the other class or made from it."""
        return any(one is other for one in self._line())

    def _line(self) -> Iterator[Class]:
        """It and the classes it is made from, each once however often it is inherited."""
        seen: set[int] = set()
        ahead = [self]
        while ahead:
            one = ahead.pop()
            if id(one) not in seen:
                seen.add(id(one))
                yield one
                ahead += reversed(one.bases)


@dataclass(eq=False, repr=False, slots=True)
class Instance:
    """An object of a class of the program's."""

    kind: Class
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Library:
    """A function, a class or a module of the libraries, by its dotted name."""

    name: str


class Marked:
    """``staticmethod``, ``classmethod`` and ``property``."""

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Function) -> None:
        self.name, self.function = name, function


class Defaulting(dict[Any, Any]):
    """``defaultdict``: what stands for a missing key is made by whoever looks it up."""

    factory: Any = None


class Cycle(Iterator[Any]):
    """``itertools.cycle`` of a list, whose place can be told."""

    def __init__(self, items: list[Any], step: Callable[[], None]) -> None:
        self.items, self.place, self._step = items, -1, step

    def __next__(self) -> Any:
        self._step()
        if not self.items:
            raise StopIteration
        self.place = (self.place + 1) % len(self.items)
        return self.items[self.place]


class Counted(Iterator[Any]):
    """Choices of items, and how many there are of them."""

    def __init__(self, items: Iterator[Any], many: float) -> None:
        self._items, self.many = items, many

    def __next__(self) -> Any:
        return next(self._items)


class Unfrozen(Exception):
    """A value whose state cannot be told."""


def frozen(value: Any, seen: dict[int, int], room: list[int], depth: int = 0) -> Any:
    """The state of a value, to be compared with what it is later.

    Raises:
        Unfrozen: it cannot be told, or is too large for that.
    """
    if value is None or isinstance(value, bool | int | float | str | bytes | range | Fraction | Library | Class):
        return value
    room[0] -= 1
    if room[0] < 0 or depth > _DEEPEST:
        raise Unfrozen
    if id(value) in seen:
        return ("seen", seen[id(value)])
    seen[id(value)] = len(seen)

    def inner(items: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(frozen(item, seen, room, depth + 1) for item in items)

    match value:
        case list() | tuple() | deque():
            room[0] -= len(value) // 8
            if room[0] < 0:
                raise Unfrozen
            return (type(value), inner(value))
        case set() | frozenset():
            if len(value) > _MOST_FROZEN or not all(isinstance(one, int | str | tuple) for one in value):
                raise Unfrozen
            return frozenset(value)
        case dict():
            if len(value) > _MOST_FROZEN:
                raise Unfrozen
            return (dict, inner(value), inner(value.values()))
        case Instance():
            return (id(value.kind), tuple(value.fields), inner(value.fields.values()))
        case Method():
            return (id(value.function.node), inner([value.function, value.holder]))
        case Function():
            nodes = list(islice(ast.walk(value.node), 4 * room[0] + 4))
            room[0] -= len(nodes) // 4
            if room[0] < 0:
                raise Unfrozen
            names = sorted({n.id for n in nodes if isinstance(n, ast.Name)})
            around = [value.scope.find(name) for name in names]
            return (id(value.node), inner(one for one in around if one is not MISSING))
        case Cycle():
            return (id(value.items), value.place)
        case _:
            raise Unfrozen


def freeze(values: Iterable[Any]) -> tuple[Any, int]:
    """The state of several values, one tuple, and what telling it took; None where it cannot be told."""
    room = [_MOST_FROZEN]
    seen: dict[int, int] = {}
    try:
        state = tuple([frozen(value, seen, room) for value in values])
    except (Unfrozen, RecursionError):
        state = None
    return state, _MOST_FROZEN - max(0, room[0])


def weight(value: Any) -> float:
    """How many plain values a value holds, each as often as it is held: what comparing or showing it would take.

    Raises:
        Unknown: it holds too much to be gone through, or itself, or what is not plain.
    """
    return _weighed(value, {}, 0)


def _weighed(value: Any, seen: dict[int, float], depth: int) -> float:
    match value:
        case int():
            return 1.0 + (value.bit_length() >> 6)
        case None | float():
            return 1.0
        case str() | bytes():
            return 1.0 + len(value) / 8
        case list() | tuple() | deque() | set() | frozenset() | dict():
            known = seen.get(id(value))
            if known is not None:
                if known < 0:
                    raise Unknown
                return known
            if len(seen) > _MOST_WEIGHED or depth > _DEEPEST * 4:
                raise Unknown
            seen[id(value)] = -1.0
            total = 1.0 + sum(_weighed(one, seen, depth + 1) for one in value)
            if isinstance(value, dict):
                total += sum(_weighed(one, seen, depth + 1) for one in value.values())
            seen[id(value)] = total
            return total
        case _:
            return 1.0
