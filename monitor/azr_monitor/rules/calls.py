"""Calls of a dry run: builtins and the libraries by the sizes they make, the program's own functions followed."""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from azr_monitor.rules.estimates import MAX_DEPTH, MAX_ITEMS, MAX_WIDE_DEPTH, TOO_MANY_CELLS, is_key, is_wide
from azr_monitor.rules.functions import arranged
from azr_monitor.rules.outcomes import Env, Imported, Kind, Known, Leave, Return, Thing, Uncertain
from azr_monitor.rules.sizes import made, of_text, takes_all, waits, whole
from azr_monitor.rules.things import Things
from azr_monitor.rules.volumes import ENDLESS, UNKNOWN, Large, Many, Walk, capped, cells, compared, count, powered


class Calls(Things):
    """Calls in one program."""

    def _call(self, node: ast.Call, env: Env) -> Any:
        options = {keyword.arg or "": self._value(keyword.value, env) for keyword in node.keywords}
        if "" in options or any(isinstance(argument, ast.Starred) for argument in node.args):
            for argument in node.args:
                self._lose(self._value(argument, env))
            for option in options.values():
                self._lose(option)
            return UNKNOWN
        if isinstance(node.func, ast.Attribute):
            given = [self._value(a, env) for a in node.args]
            return self._method(node.func, given, env, node, options)
        function = self._value(node.func, env)
        given = [self._value(argument, env) for argument in node.args]
        if isinstance(function, Known):
            return self._run(function, given, options, node, env)
        if isinstance(function, Kind):
            thing = self._made(function)
            if (init := self._method_of(thing, "__init__")) is not None:
                self._run(init, [thing, *given], options, node, env)
            return thing
        if isinstance(function, Imported):
            return self._builtin(function.name, given, node, options)
        name = node.func.id if isinstance(node.func, ast.Name) and function is UNKNOWN else ""
        return self._builtin(name, given, node, options)

    def _run(self, called: Known, given: list[Any], options: Env, node: ast.Call, env: Env) -> Any:
        """Call a function of the program's."""
        arguments = arranged(called.function, given, options)
        if arguments is None:
            for one in (*given, *options.values()):
                self._lose(one)
            return UNKNOWN
        arguments[len(given) :] = [
            self._value(one, called.env) if isinstance(one, ast.expr) else one for one in arguments[len(given) :]
        ]
        return self._followed(called, arguments, node, env)

    def _builtin(self, name: str, given: list[Any], node: ast.Call, options: Env) -> Any:
        if given and isinstance(given[0], Walk) and takes_all(name):
            self._take(given[0], node)
        if waits(name, given):
            self._excess(node, "a wait of hours")
        match name, given:
            case "range", [*bounds] if (sizes := _bounds(bounds)) is not None:
                return range(*sizes)
            case "len", [value]:
                many = count(value)
                return UNKNOWN if many is None else int(many) if many < 1e15 else Large(math.log2(many), 1)
            case "list" | "tuple" | "sorted" | "deque", [list() | tuple() | str() as value] if len(value) <= MAX_ITEMS:
                self._charge(len(value))
                return list(value)
            case "sum", [list() | tuple() as numbers] if all(isinstance(number, int) for number in numbers):
                return sum(numbers)
            case "list" | "tuple" | "sorted" | "set" | "sum" | "max" | "min" | "deque", [value]:
                return self._gathered(name, value, node)
            case "str" | "repr", [value] if cells(value) > TOO_MANY_CELLS:
                self._excess(node, "something of hundreds of millions of cells")
                return UNKNOWN
            case (("int" | "abs"), [int(value)]):
                return value if name == "int" else abs(value)
            case ("reduce", [Known() as fold, list() | tuple() | range() | str() as items, *start]) | (
                "accumulate",
                [list() | tuple() | range() | str() as items, Known() as fold, *start],
            ):
                folded = self._folded(fold, list(items[:_FOLDED]), start, node)
                return folded if name == "reduce" else Walk(float(len(items)))
            case "format", [_, str(spec)] if _SPECIFIED.search(spec):
                self._excess(node, "a text of millions of characters")
                return UNKNOWN
            case "heappush", [list() as heap, value]:
                self._grow(heap, [value], node)
                return None
            case "heappop", [list() as heap] if heap and all(isinstance(one, int) for one in heap):
                return heap.pop(heap.index(min(heap)))
            case "enumerate", [list() | tuple() | str() as items] if len(items) <= _FOLDED:
                return [(place, item) for place, item in enumerate(items)]
            case "reversed", [list() | tuple() as items] if len(items) <= _FOLDED:
                return list(reversed(items))
            case "set", []:
                return set()
            case "list" | "deque", []:
                return []
            case "iter", [Known(function=ast.Lambda(body=ast.Name() | ast.Constant())) as always, end]:
                value = self._followed(always, [], node, {})
                return Walk(ENDLESS) if compared(ast.NotEq(), value, end) is True else UNKNOWN
            case "map", [_, list() as values] if _all_numbers(node, values):
                self._charge(len(values))
                return [whole(value) for value in values]
            case "pow", [base, power]:
                result = powered(base, power)
                self._weigh(result, node)
                return result
            case _:
                result = made(name, given, options)
                self._weigh(result, node)
                for value in (*given, *options.values()) if result is UNKNOWN and name not in _READERS else ():
                    self._lose(value)
                return result

    def _take(self, walk: Walk, node: ast.AST) -> None:
        """All of an iterator is walked."""
        if walk.length >= ENDLESS:
            self._excess(node, "all of an iterator that never ends")
        else:
            self._count(node, max(walk.length, walk.turns))

    def _folded(self, fold: Known, items: list[Any], start: list[Any], node: ast.Call) -> Any:
        """``reduce(fold, items, *start)``, of the first items."""
        rest = iter([*start[:1], *items])
        total = next(rest, UNKNOWN)
        for item in rest:
            total = self._followed(fold, [total, item], node, {})
        return total

    def _gathered(self, name: str, value: Any, node: ast.Call) -> Any:
        many = count(value)
        if many is None:
            return UNKNOWN
        if not isinstance(value, list | tuple | str | Walk):
            self._count(node, many)
        if name not in ("list", "tuple", "sorted", "deque"):
            return UNKNOWN
        kept = list(value) if isinstance(value, range) and many <= 500 else Many(many, max(many, cells(value)))
        self._weigh(kept, node)
        return kept

    def _method(self, function: ast.Attribute, given: list[Any], env: Env, node: ast.Call, options: Env) -> Any:
        holder = self._value(function.value, env)
        if (called := self._method_of(holder, function.attr)) is not None:
            return self._run(called, [holder, *given], options, node, env)
        match holder, function.attr, given:
            case list(), "append", [value]:
                self._grow(holder, [value], node)
                return None
            case list(), "appendleft", [value]:
                self._grow(holder, [value], node)
                return None
            case list(), "extend", [value] if isinstance(value, list | tuple):
                self._grow(holder, list(value), node)
                return None
            case list(), "insert", [_, value]:
                self._grow(holder, [value], node)
                return None
            case set(), "add", [value] if is_key(value) and value is not UNKNOWN and len(holder) < MAX_ITEMS:
                holder.add(value)
                return None
            case list(), "pop", ([] | [0] | [-1]) if holder:
                return holder.pop(*given)
            case list(), "popleft", [] if holder:
                return holder.pop(0)
            case dict(), "get", [key, *default] if isinstance(key, int | str):
                return holder.get(key, default[0] if default else None)
            case _, name, [other] if name in _OPERATORS:
                return self._operation(_OPERATORS[name], holder, other, node)
            case set(), "pop", [] if len(holder) == 1:
                return holder.pop()
            case str(), "format", _ if _WIDTH.search(holder) and any(map(is_wide, (*given, *options.values()))):
                self._excess(node, "a text of millions of characters")
                return UNKNOWN
            case str(), name, _:
                if name == "join" and given and isinstance(given[0], Walk):
                    self._take(given[0], node)
                result = of_text(holder, name, given)
                self._weigh(result, node)
                return result
            case dict(), "items" | "keys" | "values", []:
                return Walk(float(len(holder)))
            case Many(length=length), "items" | "keys" | "values", []:
                return Walk(length)
            case list() | dict() | set() | tuple(), attr, _ if attr in ("count", "index"):
                return UNKNOWN
            case _:
                if holder is UNKNOWN and isinstance(function.value, ast.Name) and function.value.id not in env:
                    return self._builtin(function.attr, given, node, options)
                self._lose(holder)
                for value in given:
                    self._lose(value)
                return UNKNOWN

    def _followed(self, called: Known, given: list[Any], node: ast.Call, env: Env) -> Any:
        function = called.function
        names, pure, steady, recursive, generator, idle, measured = self._nature(function)
        self.turns += 1
        deepest = MAX_DEPTH if len(names) < 2 else MAX_WIDE_DEPTH
        if len(names) != len(given) or self._depth >= deepest or generator:
            for one in given:
                self._lose(one)
            return UNKNOWN
        if idle and len(names) == len(given):
            given = [UNKNOWN if name in idle else one for name, one in zip(names, given, strict=True)]
        if measured and len(names) == len(given):
            given = [_length(one) if name in measured else one for name, one in zip(names, given, strict=True)]
        key = None
        if (pure or steady) and all(
            is_key(one) or isinstance(one, list | Many) or (recursive and isinstance(one, Thing)) for one in given
        ):
            key = (function, *((type(one), id(one)) if isinstance(one, list | Thing) else one for one in given))
            pure = pure and not any(isinstance(one, list) for one in given)
        if key is not None and key in self._memo:
            known, turns = self._memo[key]
            self._count(node, turns)
            if not pure:
                for one in given:
                    self._lose(one)
            return known if pure else UNKNOWN
        began, nested = self.turns, self._nested
        self._depth += 1
        inner = self._copied(called.env) if called.env is not self._globals else {}
        inner.update(zip(names, given, strict=True))
        try:
            value = None
            if isinstance(function, ast.Lambda):
                value = self._value(function.body, inner)
            else:
                self._block(function.body, inner)
        except Return as back:
            value = back.value
        except (Uncertain, Leave, RecursionError):
            value, self.turns = UNKNOWN, began
            for one in given:
                self._lose(one)
        finally:
            self._depth -= 1
            self._nested = nested
        if key is not None:
            self._memo[key] = value, self.turns - began
        self._count(node, 0)
        return value


def _length(value: Any) -> Any:
    """A text or a list, cut down to its length where it is long."""
    return (
        Many(float(len(value)), cells(value)) if isinstance(value, list | tuple | str) and len(value) > _LONG else value
    )


def _bounds(given: list[Any]) -> list[int] | None:
    """What a range is given: of numbers beyond all sizes one at most, or what lies between them is not known."""
    sizes = [capped(bound) if isinstance(bound, Large) else bound for bound in given]
    beyond = sum(isinstance(bound, Large) for bound in given)
    known = all(isinstance(size, int) for size in sizes) and 0 < len(sizes) <= 3 and sizes[2:] != [0]
    return sizes if known and beyond <= 1 else None


def _all_numbers(node: ast.Call, values: list[Any]) -> bool:
    """Whether a call is ``map(int, ["3", "14"])``."""
    match node.args[0]:
        case ast.Name(id="int"):
            return all(isinstance(value, str) and value.strip().isdecimal() for value in values)
        case _:
            return False


_LONG = 8
"""Items of which a recursion is followed one by one."""
_FOLDED = 48
"""Items that a fold is followed through."""
_WIDTH = re.compile(r":[^{}]{0,8}\{")
"""A width that is given, not written out: ``{:>{width}}``."""
_SPECIFIED = re.compile(r"\d{9}")
_READERS = frozenset(
    {"print", "isinstance", "any", "all", "enumerate", "zip", "reversed", "repr", "str", "bool", "type"}
)

_OPERATORS: dict[str, ast.operator] = {
    "__pow__": ast.Pow(),
    "__mul__": ast.Mult(),
    "__lshift__": ast.LShift(),
    "__add__": ast.Add(),
}
