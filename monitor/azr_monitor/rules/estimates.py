"""Expressions of a dry run: what they come to and how long they take, by values while small and by sizes after that."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NamedTuple

from azr_monitor.rules.functions import Nature, nature
from azr_monitor.rules.inside import Inside, inside
from azr_monitor.rules.outcomes import Env, Excess, Known, Spent, Uncertain
from azr_monitor.rules.syntax import Function
from azr_monitor.rules.volumes import (
    UNKNOWN,
    Large,
    Many,
    added,
    capped,
    cells,
    compared,
    multiplied,
    negated,
    operated,
    powered,
    truth_of,
)

STEPS = 25_000
"""Nodes looked at for one function, or one call."""
RESERVE = STEPS
"""Nodes looked at beyond those, for statements behind others that took all there were."""
MAX_DEPTH = 70
MAX_WIDE_DEPTH = 45
"""Calls within calls: of functions of one parameter, and of several, which have many more states."""
TOO_MANY_CELLS = 10**8
TOO_MANY_BITS = 10**8
TOO_MANY_TURNS = 5 * 10**8
MAX_ITEMS = 2_000
_MAX_INSIDE = 10_000
_FAR = 10**100
_MOST_FOUND = 5
_CHANGING = (list, dict, set)
_CHEAPER = 4
"""What goes through items at one go is so many times doubled as fast as what looks at nodes."""


class Looks(NamedTuple):
    """What was seen at the nodes of a tree: one run after another of the same program looks at each once."""

    insides: dict[ast.AST, Inside]
    natures: dict[Function, Nature]


class Estimates:
    """Expressions in one program, estimated; ``found`` is where they come to too much, ``turns`` how long it took."""

    def __init__(self, looks: Looks | None = None) -> None:
        self.found: list[Excess] = []
        self.turns = 0.0
        self._steps = STEPS
        self._floor = -RESERVE
        self._nested = 0
        self._depth = 0
        self._memo: dict[tuple[Any, ...], tuple[Any, float]] = {}
        self._globals: Env = {}
        self._lost: dict[int, Any] = {}
        self._looks = looks or Looks({}, {})

    def _block(self, body: list[ast.stmt], env: Env) -> None:
        """Run statements."""
        raise NotImplementedError

    def _call(self, node: ast.Call, env: Env) -> Any:
        """What a call comes to."""
        raise NotImplementedError

    def _store(self, target: ast.expr, given: Any, env: Env) -> None:
        """Assign."""
        raise NotImplementedError

    def _excess(self, node: ast.AST, why: str, sure: bool = True) -> None:
        known = [one for one in self.found if one.sure or not sure]
        if len(known) < _MOST_FOUND and all(one.node is not node for one in known):
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
            held = self._inside(node)
            self._charge(len(held.mentioned))
            for name in env.keys() & held.mentioned:
                if name in held.stored or isinstance(env[name], _CHANGING):
                    env[name] = UNKNOWN

    def _lose(self, value: Any) -> None:
        """An object went where it cannot be followed: whoever holds it, it is unknown."""
        if isinstance(value, _CHANGING):
            self._lost[id(value)] = value

    def _grow(self, kept: list[Any], more: list[Any], node: ast.AST) -> None:
        if len(kept) + len(more) > MAX_ITEMS:
            raise Uncertain
        kept.extend(more)

    # -- expressions ------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < self._floor:
            raise Spent(self._depth)

    def _charge(self, size: int) -> None:
        """Going through so many items costs as much as some steps."""
        self._steps -= size >> _CHEAPER
        if self._steps < self._floor:
            raise Spent(self._depth)

    def _copied(self, env: Env) -> Env:
        self._charge(len(env))
        return dict(env)

    def _inside(self, node: ast.AST) -> Inside:
        known = self._looks.insides.get(node)
        if known is None:
            known = self._looks.insides[node] = inside(node)
        return known

    def _nature(self, function: Function) -> Nature:
        known = self._looks.natures.get(function)
        if known is None:
            known = self._looks.natures[function] = nature(function)
        return known

    def _value(self, node: ast.AST, env: Env) -> Any:
        self._steps -= 1
        if self._steps < self._floor:
            raise Spent(self._depth)
        handler = _EXPRESSIONS.get(node.__class__)
        if handler is None:
            loaded = self._inside(node).loaded
            self._charge(len(loaded))
            for name in loaded:
                self._lose(env.get(name))
            return UNKNOWN
        return handler(self, node, env)

    def _name(self, node: ast.Name, env: Env) -> Any:
        value = env[node.id] if node.id in env else self._globals.get(node.id, UNKNOWN)
        return UNKNOWN if id(value) in self._lost else value

    def _attribute(self, node: ast.Attribute, env: Env) -> Any:
        """Read a field."""
        raise NotImplementedError

    def _binary(self, node: ast.BinOp, env: Env) -> Any:
        chain = [node]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)  # however long the sum, it goes no deeper
        value = self._value(chain[-1].left, env)
        for one in reversed(chain):
            self._step()
            value = self._operation(one.op, value, self._value(one.right, env), one)
        return value

    def _operation(self, op: ast.operator, left: Any, right: Any, node: ast.AST) -> Any:
        if isinstance(op, ast.Mod) and isinstance(left, str):
            if "*" in left and isinstance(right, tuple) and any(is_wide(one) for one in right):
                self._excess(node, "a text of millions of characters")
            return UNKNOWN
        try:
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
                    result = operated(op, left, right)
        except (ArithmeticError, ValueError):
            raise Uncertain from None  # the program's own mistake
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
        if isinstance(value, int | float | Large):
            return (
                negated(value) if isinstance(node.op, ast.USub) else value if isinstance(node.op, ast.UAdd) else UNKNOWN
            )
        return UNKNOWN

    def _compare(self, node: ast.Compare, env: Env) -> Any:
        left = self._value(node.left, env)
        outcome: Any = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._value(comparator, env)
            if isinstance(op, ast.In | ast.NotIn) and isinstance(right, list | tuple | str):
                self._charge(len(right))
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
        self._charge(len(node.elts))
        values = [part.value if isinstance(part, ast.Constant) else self._value(part, env) for part in node.elts]
        if any(isinstance(part, ast.Starred) for part in node.elts):
            return UNKNOWN
        seen: dict[int, float] = {}
        held = sum(cells(value, seen) for value in values)
        if held > _MAX_INSIDE:
            made = Many(len(values), held)
            self._weigh(made, node)
            return made
        if isinstance(node, ast.Set):
            return set(values) if all(is_key(value) and value is not UNKNOWN for value in values) else UNKNOWN
        return values if isinstance(node, ast.List) else tuple(values)

    def _dict(self, node: ast.Dict, env: Env) -> Any:
        table: dict[Any, Any] = {}
        wide = 0.0
        for key, value in zip(node.keys, node.values, strict=True):
            name = UNKNOWN if key is None else self._value(key, env)
            given = self._value(value, env)
            if key is None and isinstance(given, Many):
                wide += given.length
            elif not isinstance(name, int | str):
                return UNKNOWN
            table[name] = given
        if wide:
            grown = Many(wide + len(table), wide + len(table))
            self._weigh(grown, node)
            return grown
        return table

    def _subscript(self, node: ast.Subscript, env: Env) -> Any:
        holder = self._value(node.value, env)
        if isinstance(node.slice, ast.Slice):
            return self._sliced(holder, node.slice, env)
        key = self._value(node.slice, env)
        if isinstance(holder, list | tuple | dict | str) and isinstance(key, int | str):
            try:
                return holder[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                raise Uncertain from None
        return UNKNOWN

    def _sliced(self, holder: Any, part: ast.Slice, env: Env) -> Any:
        bounds = [None if one is None else self._value(one, env) for one in (part.lower, part.upper, part.step)]
        if isinstance(holder, list | tuple | str) and all(one is None or isinstance(one, int) for one in bounds):
            self._charge(len(holder))
            if bounds[2] != 0:
                return holder[slice(*bounds)]
        plain = bounds[2] != 0 and all(one is None or isinstance(one, int) for one in bounds)
        if isinstance(holder, Many) and holder.length < MAX_ITEMS and plain:
            left = len(range(int(holder.length))[slice(*bounds)])
            return Many(float(left), left * holder.cells / max(1.0, holder.length))
        return holder if not any(one is not None for one in bounds) and not isinstance(holder, list) else UNKNOWN

    def _comprehension(self, node: ast.AST, env: Env) -> Any:
        """What a comprehension makes."""
        raise NotImplementedError

    def _shown(self, node: ast.JoinedStr, env: Env) -> Any:
        text: str | None = ""
        for part in node.values:
            value = self._value(part.value, env) if isinstance(part, ast.FormattedValue) else self._value(part, env)
            if isinstance(part, ast.FormattedValue) and isinstance(part.format_spec, ast.JoinedStr):
                inner = [one.value for one in part.format_spec.values if isinstance(one, ast.FormattedValue)]
                if any(is_wide(self._value(one, env)) for one in inner):
                    self._excess(node, "a text of millions of characters")
                text = None
            known = isinstance(value, str) or (isinstance(value, int) and abs(value) < _FAR)
            text = f"{text}{value}" if known and text is not None and len(text) < MAX_ITEMS else None
        return UNKNOWN if text is None else text

    def _named(self, node: ast.NamedExpr, env: Env) -> Any:
        value = self._value(node.value, env)
        self._store(node.target, value, env)
        return value


def is_key(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str) or value is UNKNOWN


def is_wide(value: Any) -> bool:
    """Whether a text of that width is too much."""
    return isinstance(size := capped(value), int) and size > TOO_MANY_CELLS


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
    ast.ListComp: lambda self, node, env: self._comprehension(node, env),
    ast.SetComp: lambda self, node, env: self._comprehension(node, env),
    ast.DictComp: lambda self, node, env: self._comprehension(node, env),
    ast.GeneratorExp: lambda self, node, env: self._comprehension(node, env),
    ast.Attribute: lambda self, node, env: self._attribute(node, env),
    ast.JoinedStr: Estimates._shown,
    ast.NamedExpr: Estimates._named,
    ast.Call: lambda self, node, env: self._call(node, env),
    ast.Lambda: lambda self, node, env: Known(node, env),
}
