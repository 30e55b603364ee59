"""Builtins and the libraries in a trial: what is lazy stays lazy, what takes all of something pays for each item."""

from __future__ import annotations

import ast
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.sizes import made
from azr_monitor.rules.syntax import words
from azr_monitor.rules.trial_calls import Calls
from azr_monitor.rules.trial_costs import comparable, crowd, flat, held, size
from azr_monitor.rules.trial_operations import EXCEPTIONS, FUNCTIONS
from azr_monitor.rules.trial_values import (
    MAX_LENGTH,
    Class,
    Counted,
    Cycle,
    Defaulting,
    Function,
    Instance,
    Library,
    Method,
)
from azr_monitor.rules.volumes import Walk

_MOST_CHOSEN = 64
_BY_NAME = words("print min max sorted dict collections.OrderedDict enumerate itertools.groupby itertools.product")
"""Builtins that are read with what they are given by name."""
_CALLABLE = (Function, Method, Class, Library)


class Builtins(Calls):
    """Builtins and functions of the libraries, called by one program."""

    def library(self, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Call a builtin or a function of the libraries."""
        self.step()
        special = _SPECIAL.get(name)
        if special is not None:
            if options and name not in _BY_NAME:
                raise Unknown
            return special(self, given, options, node)
        function = FUNCTIONS.get(name)
        if function is not None:
            if name in ("str", "repr") and given and isinstance(given[0], Instance):
                return self._text_of(given[0], name, node)
            if any(isinstance(one, _CALLABLE) for one in given):
                raise Unknown
            for one in given:
                self.take(comparable(one, node))
            result = self.kept(function(*given, **options))
            self.take(size(result) >> 6)
            return result
        kind, _, attribute = name.partition(".")
        if kind in _TYPES and attribute and given:
            return self.method(given[0], attribute, given[1:], options, node)
        exception = EXCEPTIONS.get(name)
        if exception is not None:
            return exception(*given)
        raise Unknown

    def _text_of(self, thing: Instance, name: str, node: ast.AST) -> Any:
        for shown in ("__str__", "__repr__") if name == "str" else ("__repr__",):
            function = thing.kind.member(shown)
            if isinstance(function, Function):
                return self.follow(function, [thing], {}, node)
        raise Unknown

    def _extreme(self, least: bool, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        items = self.gathered(given[0]) if len(given) == 1 else given
        if not items and "default" in options:
            return options["default"]
        key = options.get("key")
        keys = items if key is None else [self.call(key, [one], {}, node) for one in items]
        if any(isinstance(one, Instance) for one in keys):
            raise Unknown
        self.take(comparable(keys, node))
        return items[keys.index((min if least else max)(keys))]

    def _summed(self, given: list[Any], node: ast.AST) -> Any:
        total = given[1] if len(given) > 1 else 0
        for item in self.walk(given[0]):
            if total.__class__ is int and item.__class__ is int and size(total) < 200:
                total += item
            else:
                total = self.operate(ast.Add(), total, item, node)
        return total

    def _all_of(self, ends: bool, given: list[Any]) -> bool:
        return any(self.truth(item) is ends for item in self.walk(given[0])) is ends

    def _mapped(self, given: list[Any], node: ast.AST) -> Iterator[Any]:
        function, *many = given
        walks = [self.walk(one) for one in many]
        return (self.call(function, list(row), {}, node) for row in zip(*walks, strict=False))

    def _filtered(self, given: list[Any], node: ast.AST) -> Iterator[Any]:
        keep, values = given
        return (
            one for one in self.walk(values) if self.truth(one if keep is None else self.call(keep, [one], {}, node))
        )

    def _folded(self, given: list[Any], node: ast.AST) -> Any:
        function, values, *start = given
        items = itertools.chain(start, self.walk(values))
        total = next(items)
        for item in items:
            total = self.kept(self.call(function, [total, item], {}, node))
        return total

    def _next(self, given: list[Any], node: ast.AST) -> Any:
        if isinstance(given[0], Instance):
            following = given[0].kind.member("__next__")
            if isinstance(following, Function):
                return self.follow(following, [given[0]], {}, node)
        if not isinstance(given[0], Iterator):
            raise Unknown
        return next(given[0], *given[1:])

    def _length(self, given: list[Any], node: ast.AST) -> int:
        [value] = given
        if isinstance(value, Instance):
            method_ = value.kind.member("__len__")
            if isinstance(method_, Function):
                return int(self.follow(method_, [value], {}, node))
        return len(value)

    def _isinstance(self, given: list[Any]) -> bool:
        value, kinds = given
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            match kind:
                case Class() if isinstance(value, Instance) and value.kind.derives(kind):
                    return True
                case Library(name=name) if name in _TYPES:
                    if isinstance(value, _TYPES[name]):
                        return True
                case Class():
                    pass
                case _:
                    raise Unknown
        return False

    def _chosen(self, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """``permutations``, ``combinations`` and ``product``, and how many there are."""
        pools = [self.gathered(one) for one in (given if name == "product" else given[:1])]
        rest = [] if name == "product" else given[1:]
        repeat = options.get("repeat", 1)
        if max((*map(len, pools), *rest, repeat), default=0) > _MOST_CHOSEN * 16 or len(pools) * repeat > _MOST_CHOSEN:
            raise Unknown
        many = made(name, [*pools, *rest], options)
        found = getattr(itertools, name)(*pools, *rest, **options)
        return Counted(self._stepped(found), many.length if isinstance(many, Walk) else 0.0)

    def _copied(self, given: list[Any], node: ast.AST) -> Any:
        [value] = given
        if value is None or isinstance(value, int | float | str):
            return value
        self.take(comparable(value, node))
        return _copy(value)


def _copy(value: Any) -> Any:
    match value:
        case list():
            return [_copy(one) for one in value]
        case tuple():
            return tuple(_copy(one) for one in value)
        case dict() if not isinstance(value, Defaulting | Counter):
            return {key: _copy(one) for key, one in value.items()}
        case set():
            return set(value)
        case int() | float() | str() | None | Fraction():
            return value
        case _:
            raise Unknown


_TYPES: dict[str, Any] = {
    "int": int,
    "str": str,
    "float": float,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "set": set,
    "frozenset": frozenset,
    "bytes": bytes,
    "collections.deque": deque,
    "fractions.Fraction": Fraction,
}

_OBJECT = Class("object", [], {}, False)
_Special = Callable[[Builtins, list[Any], dict[str, Any], ast.AST], Any]


def _counted(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    counter: Counter[Any] = Counter()
    for one in given:
        items = one if isinstance(one, dict) else self.gathered(one)
        self.take(len(items) + comparable(items, node) + crowd(items))
        if counter:
            raise Unknown
        counter.update(items)
    return counter


def _defaulting(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    table = Defaulting()
    if not given:
        raise Unknown
    table.factory = given[0]
    return table


def _table(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    table: dict[Any, Any] = {}
    for one in given:
        items = one if isinstance(one, dict) else [tuple(self.gathered(pair)) for pair in self.gathered(one)]
        keys = [pair[0] for pair in items if pair] if isinstance(items, list) else []
        self.take(len(items) >> 3)
        self.take(comparable(keys, node) + crowd(keys))
        table.update(items)
    table.update(options)
    return table


def _as_set(kind: Any) -> _Special:
    def made_of(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        items = self.gathered(given[0]) if given else []
        self.take(comparable(items, node) + crowd(items))
        return self.kept(kind(items))

    return made_of


def _as_list(kind: Any) -> _Special:
    def made_of(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if len(given) > 1:
            raise Unknown  # a deque of a fixed length
        return self.kept(kind(self.gathered(given[0]) if given else []))

    return made_of


def _heap(name: str) -> _Special:
    def done(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if not isinstance(given[0], list) or any(isinstance(one, Instance) for one in given):
            raise Unknown
        self.take(len(given[0]) >> (4 if name in ("heappush", "heappop") else 1))
        held(node, len(given[0]), MAX_LENGTH)
        if not flat(given[0]) or not flat(given[1:]):
            self.take(comparable(given, node))
        elif given[0] and isinstance(given[0][0], tuple):
            self.take(comparable(given[0][0], node))
        return getattr(heapq, name)(*given)

    return done


def _zipped(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    return zip(*[self.walk(one) for one in given], strict=False)


def _enumerated(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    counted = enumerate(self.walk(given[0]), *given[1:], **options)
    return Counted(counted, given[0].many) if isinstance(given[0], Counted) else counted


def _reversed(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    if isinstance(given[0], list | tuple | str | range | deque):
        return self._stepped(reversed(given[0]))
    raise Unknown


def _iterated(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    if len(given) == 1:
        return self.walk(given[0])
    function, end = given
    if not isinstance(end, int | float | str | None):
        raise Unknown

    def called() -> Any:
        self.step()
        return self.call(function, [], {}, node)

    return iter(called, end)


def _repeated(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    return self._stepped(itertools.repeat(*given))


def _accumulated(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    function = given[1] if len(given) > 1 else Library("operator.add")
    return itertools.accumulate(self.walk(given[0]), lambda a, b: self.kept(self.call(function, [a, b], {}, node)))


def _sliced(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    return itertools.islice(self.walk(given[0]), *given[1:])


def _choosing(name: str) -> _Special:
    return lambda self, given, options, node: self._chosen(name, given, options, node)


def _predicate(function: Any) -> _Special:
    return lambda self, given, options, node: function(
        lambda *one: self.truth(self.call(given[0], list(one), {}, node)), self.walk(given[1])
    )


def _grouped(self: Builtins, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
    key = given[1] if len(given) > 1 else options.get("key")

    def told(one: Any) -> Any:
        found = one if key is None else self.call(key, [one], {}, node)
        self.take(comparable(found, node))
        return found

    return itertools.groupby(self.walk(given[0]), told)


_SPECIAL: dict[str, _Special] = {
    "print": lambda self, given, options, node: None,
    "bool": lambda self, given, options, node: self.truth(given[0]) if given else False,
    "len": lambda self, given, options, node: self._length(given, node),
    "range": lambda self, given, options, node: range(*given),
    "isinstance": lambda self, given, options, node: self._isinstance(given),
    "sum": lambda self, given, options, node: self._summed(given, node),
    "any": lambda self, given, options, node: self._all_of(True, given),
    "all": lambda self, given, options, node: self._all_of(False, given),
    "min": lambda self, given, options, node: self._extreme(True, given, options, node),
    "max": lambda self, given, options, node: self._extreme(False, given, options, node),
    "sorted": lambda self, given, options, node: self.sorted(given[0], options, node),
    "list": _as_list(list),
    "tuple": _as_list(tuple),
    "set": _as_set(set),
    "frozenset": _as_set(frozenset),
    "dict": _table,
    "map": lambda self, given, options, node: self._mapped(given, node),
    "filter": lambda self, given, options, node: self._filtered(given, node),
    "zip": _zipped,
    "enumerate": _enumerated,
    "reversed": _reversed,
    "iter": _iterated,
    "next": lambda self, given, options, node: self._next(given, node),
    "object": lambda self, given, options, node: Instance(_OBJECT),
    "functools.reduce": lambda self, given, options, node: self._folded(given, node),
    "copy.copy": lambda self, given, options, node: self.method(given[0], "copy", [], {}, node),
    "copy.deepcopy": lambda self, given, options, node: self._copied(given, node),
    "collections.deque": _as_list(deque),
    "collections.Counter": _counted,
    "collections.OrderedDict": _table,
    "collections.defaultdict": _defaulting,
    "itertools.count": lambda self, given, options, node: self._stepped(itertools.count(*given)),
    "itertools.cycle": lambda self, given, options, node: Cycle(self.gathered(given[0]), self.step),
    "itertools.repeat": _repeated,
    "itertools.accumulate": _accumulated,
    "itertools.chain": lambda self, given, options, node: itertools.chain(*[self.walk(one) for one in given]),
    "itertools.chain.from_iterable": lambda self, given, options, node: (
        item for one in self.walk(given[0]) for item in self.walk(one)
    ),
    "itertools.islice": _sliced,
    "itertools.takewhile": _predicate(itertools.takewhile),
    "itertools.dropwhile": _predicate(itertools.dropwhile),
    "itertools.groupby": _grouped,
    "itertools.pairwise": lambda self, given, options, node: itertools.pairwise(self.walk(given[0])),
    **{
        f"itertools.{name}": _choosing(name)
        for name in ("permutations", "combinations", "combinations_with_replacement", "product")
    },
    **{f"heapq.{name}": _heap(name) for name in ("heappush", "heappop", "heapify")},
    "math.prod": lambda self, given, options, node: self._folded([Library("operator.mul"), given[0], 1], node),
}
