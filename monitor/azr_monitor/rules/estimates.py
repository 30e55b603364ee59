"""Expressions of a dry run: what they come to and how long they take, by values while small and by sizes after that."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from azr_monitor.rules.functions import is_generator, is_pure, parameters
from azr_monitor.rules.outcomes import Env, Excess, Known, Leave, Return, Spent, Uncertain
from azr_monitor.rules.syntax import COMPREHENSIONS, walk
from azr_monitor.rules.volumes import (
    UNKNOWN,
    Large,
    Many,
    added,
    cells,
    compared,
    count,
    multiplied,
    operated,
    powered,
    truth_of,
)

STEPS = 10_000
"""Nodes looked at for one program."""
MAX_DEPTH = 70
TOO_MANY_CELLS = 10**8
TOO_MANY_BITS = 10**8
TOO_MANY_TURNS = 5 * 10**8
_MAX_ITEMS = 2_000
_MAX_INSIDE = 10_000


class Estimates:
    """Expressions in one program, estimated; ``found`` is where they come to too much, ``turns`` how long it took."""

    def __init__(self) -> None:
        self.found: list[Excess] = []
        self.turns = 0.0
        self._steps = STEPS
        self._nested = 0
        self._depth = 0
        self._memo: dict[tuple[Any, ...], tuple[Any, float]] = {}
        self._globals: Env = {}
        self._lost: dict[int, Any] = {}

    def _block(self, body: list[ast.stmt], env: Env) -> None:
        """Run statements."""
        raise NotImplementedError

    def _excess(self, node: ast.AST, why: str, sure: bool = True) -> None:
        if len(self.found) < 5 and all(one.node is not node for one in self.found):
            self.found.append(Excess(node, why, sure))

    def _count(self, node: ast.AST, turns: float) -> None:
        self.turns = min(self.turns + turns, 1e30)
        if self.turns > TOO_MANY_TURNS:
            self._excess(node, "work of more turns than can be waited for")
            self.turns = 0.0

    # -- what is no longer known ------------------------------------------------------------------------

    def _forget(self, nodes: list[ast.stmt], env: Env) -> None:
        """What statements may have changed is unknown: names they store, containers they mention."""
        for node in nodes:
            for inner in walk(node):
                if isinstance(inner, ast.Name) and inner.id in env:
                    value = env[inner.id]
                    if isinstance(inner.ctx, ast.Store | ast.Del) or isinstance(value, list | dict | set):
                        env[inner.id] = UNKNOWN

    def _lose(self, value: Any) -> None:
        """An object went where it cannot be followed: whoever holds it, it is unknown."""
        if isinstance(value, list | dict | set):
            self._lost[id(value)] = value

    def _grow(self, kept: list[Any], more: list[Any], node: ast.AST) -> None:
        if len(kept) + len(more) > _MAX_ITEMS:
            raise Uncertain
        kept.extend(more)

    # -- expressions ------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise Spent

    def _value(self, node: ast.AST, env: Env) -> Any:
        self._step()
        handler = _EXPRESSIONS.get(node.__class__)
        if handler is None:
            for inner in walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                    self._lose(env.get(inner.id))
            return UNKNOWN
        return handler(self, node, env)

    def _name(self, node: ast.Name, env: Env) -> Any:
        value = env[node.id] if node.id in env else self._globals.get(node.id, UNKNOWN)
        return UNKNOWN if id(value) in self._lost else value

    def _binary(self, node: ast.BinOp, env: Env) -> Any:
        return self._operation(node.op, self._value(node.left, env), self._value(node.right, env), node)

    def _operation(self, op: ast.operator, left: Any, right: Any, node: ast.AST) -> Any:
        match op:
            case ast.Add():
                result = added(left, right)
            case ast.Mult():
                result = multiplied(left, right)
            case ast.Pow():
                result = powered(left, right)
            case ast.LShift():
                result = multiplied(left, powered(2, right))
            case _:
                try:
                    result = operated(op, left, right)
                except (ArithmeticError, ValueError):
                    raise Uncertain from None
        self._weigh(result, node)
        return result

    def _weigh(self, value: Any, node: ast.AST) -> None:
        if isinstance(value, Large) and value.bits > TOO_MANY_BITS:
            self._excess(node, "a number of millions of digits")
        elif isinstance(value, Many) and value.cells > TOO_MANY_CELLS:
            self._excess(node, "something of hundreds of millions of cells")

    def _unary(self, node: ast.UnaryOp, env: Env) -> Any:
        value = self._value(node.operand, env)
        if isinstance(node.op, ast.Not):
            truth = truth_of(value)
            return UNKNOWN if truth is None else not truth
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value if isinstance(node.op, ast.UAdd) else UNKNOWN
        return value if isinstance(value, Large) else UNKNOWN

    def _compare(self, node: ast.Compare, env: Env) -> Any:
        left = self._value(node.left, env)
        outcome: Any = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._value(comparator, env)
            one = compared(op, left, right)
            if one is False:
                return False
            outcome = UNKNOWN if one is UNKNOWN else outcome
            left = right
        return outcome

    def _boolean(self, node: ast.BoolOp, env: Env) -> Any:
        ends = isinstance(node.op, ast.Or)
        outcome: Any = not ends
        for part in node.values:
            value = self._value(part, env)
            truth = truth_of(value)
            if truth is ends and outcome is not UNKNOWN:
                return value
            outcome = UNKNOWN if truth is None or outcome is UNKNOWN else value
        return outcome

    def _choice(self, node: ast.IfExp, env: Env) -> Any:
        truth = truth_of(self._value(node.test, env))
        if truth is None:
            began = self.turns
            for branch in (node.body, node.orelse):
                self._value(branch, env)
                self.turns = began
            return UNKNOWN
        return self._value(node.body if truth else node.orelse, env)

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set, env: Env) -> Any:
        values = [self._value(part, env) for part in node.elts]
        if any(isinstance(part, ast.Starred) for part in node.elts):
            return UNKNOWN
        inside = sum(cells(value) for value in values)
        if inside > _MAX_INSIDE:
            made = Many(len(values), inside)
            self._weigh(made, node)
            return made
        return values if isinstance(node, ast.List) else tuple(values) if isinstance(node, ast.Tuple) else UNKNOWN

    def _dict(self, node: ast.Dict, env: Env) -> Any:
        table: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = UNKNOWN if key is None else self._value(key, env)
            given = self._value(value, env)
            if not isinstance(name, int | str):
                return UNKNOWN
            table[name] = given
        return table

    def _subscript(self, node: ast.Subscript, env: Env) -> Any:
        holder = self._value(node.value, env)
        if isinstance(node.slice, ast.Slice):
            whole = node.slice.lower is None and node.slice.upper is None
            return (list(holder) if isinstance(holder, list) else holder) if whole else UNKNOWN
        key = self._value(node.slice, env)
        if isinstance(holder, list | tuple | dict | str) and isinstance(key, int | str):
            try:
                return holder[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                raise Uncertain from None
        return UNKNOWN

    def _comprehension(self, node: ast.AST, env: Env) -> Any:
        assert isinstance(node, COMPREHENSIONS)
        inner = dict(env)
        total = 1.0
        for generator in node.generators:
            walked = self._value(generator.iter, inner)
            many = count(walked)
            if many is None:
                total = -1.0
            for name in _stored(generator.target):
                inner[name] = UNKNOWN
            total *= many or 0 if total > 0 else 1
            if generator.ifs:
                total = min(total, 0.0)
        if isinstance(node, ast.GeneratorExp):
            return UNKNOWN
        began = self.turns
        value = self._value(node.value if isinstance(node, ast.DictComp) else node.elt, inner)
        within = max(1.0, self.turns - began)
        self.turns = began
        if total <= 0:
            return UNKNOWN
        self._count(node, total * within)
        if not isinstance(node, ast.ListComp):
            return UNKNOWN
        made = Many(total, total * cells(value))
        self._weigh(made, node)
        return made

    # -- calls ------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, env: Env) -> Any:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self._lose(self._value(argument, env))
            return UNKNOWN
        if isinstance(node.func, ast.Attribute):
            return self._method(node.func, [self._value(a, env) for a in node.args], env, node)
        function = self._value(node.func, env)
        given = [self._value(argument, env) for argument in node.args]
        if isinstance(function, Known):
            return self._followed(function, given, node, env)
        name = node.func.id if isinstance(node.func, ast.Name) and function is UNKNOWN else ""
        return self._builtin(name, given, node, env)

    def _builtin(self, name: str, given: list[Any], node: ast.Call, env: Env) -> Any:
        match name, given:
            case "range", [*bounds] if bounds and all(isinstance(b, int) for b in bounds) and bounds[2:] != [0]:
                return range(*bounds)
            case "len", [value]:
                many = count(value)
                return UNKNOWN if many is None else int(many) if many < 1e15 else Large(50)
            case "list" | "tuple" | "sorted" | "set" | "sum" | "max" | "min", [value]:
                many = count(value)
                if many is not None and not isinstance(value, list | tuple):
                    self._count(node, many)
                    if name in ("list", "tuple", "sorted"):
                        made = list(value) if isinstance(value, range) and many <= 500 else Many(many, many)
                        self._weigh(made, node)
                        return made
                if name in ("list", "sorted") and isinstance(value, list | tuple):
                    return list(value)
                return UNKNOWN
            case "str" | "repr", [value] if cells(value) > TOO_MANY_CELLS:
                self._excess(node, "something of hundreds of millions of cells")
                return UNKNOWN
            case (("int" | "abs"), [int(value)]):
                return value if name == "int" else abs(value)
            case "set", []:
                return set()
            case "pow", [base, power]:
                result = powered(base, power)
                self._weigh(result, node)
                return result
            case _:
                for value in given:
                    if name not in _READERS:
                        self._lose(value)
                return UNKNOWN

    def _method(self, function: ast.Attribute, given: list[Any], env: Env, node: ast.Call) -> Any:
        holder = self._value(function.value, env)
        match holder, function.attr, given:
            case list(), "append", [value]:
                self._grow(holder, [value], node)
                return None
            case list(), "extend", [value] if isinstance(value, list | tuple):
                self._grow(holder, list(value), node)
                return None
            case list(), "insert", [_, value]:
                self._grow(holder, [value], node)
                return None
            case set(), "add", [value] if is_key(value) and value is not UNKNOWN and len(holder) < _MAX_ITEMS:
                holder.add(value)
                return None
            case list(), "pop", ([] | [0] | [-1]) if holder:
                return holder.pop(*given)
            case dict(), "get", [key, *default] if isinstance(key, int | str):
                return holder.get(key, default[0] if default else None)
            case str(), _, _:
                return UNKNOWN
            case list() | dict() | set() | tuple(), attr, _ if attr in ("items", "keys", "values", "count", "index"):
                return UNKNOWN
            case _:
                self._lose(holder)
                for value in given:
                    self._lose(value)
                return UNKNOWN

    def _followed(self, called: Known, given: list[Any], node: ast.Call, env: Env) -> Any:
        function = called.function
        names = parameters(function)
        self.turns += 1
        pure = is_pure(function)
        if len(names) != len(given) or self._depth >= MAX_DEPTH or is_generator(function):
            for one in given:
                self._lose(one)
            return UNKNOWN
        key = (function, *given) if pure and all(is_key(one) for one in given) else None
        if key is not None and key in self._memo:
            known, turns = self._memo[key]
            self._count(node, turns)
            return known
        began, nested = self.turns, self._nested
        self._depth += 1
        inner = dict(called.env) if called.env is not self._globals else {}
        inner.update(zip(names, given, strict=True))
        try:
            value = None
            if isinstance(function, ast.Lambda):
                value = self._value(function.body, inner)
            else:
                self._block(function.body, inner)
        except Return as back:
            value = back.value
        except (Uncertain, Leave):
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


def is_key(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str) or value is UNKNOWN


def _stored(target: ast.expr) -> list[str]:
    return [node.id for node in walk(target) if isinstance(node, ast.Name)]


_READERS = frozenset(
    {"print", "isinstance", "any", "all", "enumerate", "zip", "reversed", "repr", "str", "bool", "type"}
)

_EXPRESSIONS: dict[type, Callable[[Estimates, Any, Env], Any]] = {
    ast.Constant: lambda self, node, env: node.value,
    ast.Name: Estimates._name,
    ast.BinOp: Estimates._binary,
    ast.UnaryOp: Estimates._unary,
    ast.Compare: Estimates._compare,
    ast.BoolOp: Estimates._boolean,
    ast.IfExp: Estimates._choice,
    ast.List: Estimates._sequence,
    ast.Tuple: Estimates._sequence,
    ast.Set: Estimates._sequence,
    ast.Dict: Estimates._dict,
    ast.Subscript: Estimates._subscript,
    ast.ListComp: Estimates._comprehension,
    ast.SetComp: Estimates._comprehension,
    ast.DictComp: Estimates._comprehension,
    ast.GeneratorExp: Estimates._comprehension,
    ast.Call: Estimates._call,
    ast.Lambda: lambda self, node, env: Known(node, env),
}
