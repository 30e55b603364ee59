"""Expressions of a trial: what they come to, every node that has others inside one step."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.trial_costs import comparable, crowd, held, probes
from azr_monitor.rules.trial_operators import Operators
from azr_monitor.rules.trial_values import (
    MAX_LENGTH,
    MISSING,
    Defaulting,
    Function,
    Instance,
    Library,
    Scope,
)


class Expressions(Operators):
    """Expressions of one program."""

    def attribute(self, holder: Any, name: str, node: ast.AST) -> Any:
        """An attribute of a value."""
        raise NotImplementedError

    def walk(self, value: Any) -> Iterator[Any]:
        """The items of a value, each a step; a list is read as it is then."""
        raise NotImplementedError

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Assign a value to a target."""
        raise NotImplementedError

    def function(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> Function:
        """A function where it is defined."""
        raise NotImplementedError

    def value(self, node: ast.AST, scope: Scope) -> Any:
        """What an expression comes to."""
        self.steps -= 1
        return EXPRESSIONS[node.__class__](self, node, scope)

    # -- names and operators ----------------------------------------------------------------------------

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        name = node.id
        one: Scope | None = scope
        while one is not None:
            value = one.values.get(name, MISSING)
            if value is not MISSING:
                return value
            one = one.parent
        return Library(name)

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        self.steps -= 1
        left = EXPRESSIONS[node.left.__class__](self, node.left, scope)
        right = EXPRESSIONS[node.right.__class__](self, node.right, scope)
        return self.operate(node.op, left, right, node)

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Any:
        self.steps -= 1
        value = EXPRESSIONS[node.operand.__class__](self, node.operand, scope)
        if isinstance(node.op, ast.Not):
            return not self.truth(value)
        if not isinstance(value, int | float):
            raise Unknown
        return -value if isinstance(node.op, ast.USub) else +value if isinstance(node.op, ast.UAdd) else ~int(value)

    def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        self.steps -= 1
        left = EXPRESSIONS[node.left.__class__](self, node.left, scope)
        result: Any = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = EXPRESSIONS[comparator.__class__](self, comparator, scope)
            if node in self.watched:
                self.watched[node].append((left, right))
            result = self.compare(op, left, right, node)
            if not result:
                return result
            left = right
        return result

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Any:
        self.steps -= 1
        ends = node.op.__class__ is ast.Or
        value: Any = None
        for part in node.values:
            value = EXPRESSIONS[part.__class__](self, part, scope)
            if self.truth(value) is ends:
                return value
        return value

    def _choice(self, node: ast.IfExp, scope: Scope) -> Any:
        self.steps -= 1
        test = EXPRESSIONS[node.test.__class__](self, node.test, scope)
        branch = node.body if self.truth(test) else node.orelse
        return EXPRESSIONS[branch.__class__](self, branch, scope)

    def _named(self, node: ast.NamedExpr, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        scope.store(node.target.id, value)
        return value

    # -- containers -------------------------------------------------------------------------------------

    def _items(self, nodes: list[ast.expr], scope: Scope) -> list[Any]:
        self.steps -= 1 + (len(nodes) >> 2)
        items: list[Any] = []
        for node in nodes:
            if node.__class__ is ast.Starred:
                items.extend(self.gathered(self.value(node.value, scope)))
            else:
                items.append(EXPRESSIONS[node.__class__](self, node, scope))
        return items

    def gathered(self, value: Any) -> list[Any]:
        """All items of a value."""
        if value.__class__ is list or value.__class__ is tuple:
            self.take(len(value) >> 3)
            return list(value)
        items: list[Any] = []
        for item in self.walk(value):
            items.append(item)
            if len(items) >= MAX_LENGTH:
                held(ast.Pass(), len(items) + 1, MAX_LENGTH)
        return items

    def _dict(self, node: ast.Dict, scope: Scope) -> Any:
        self.steps -= 1
        table: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                more = self.value(value, scope)
                self.take(len(more) >> 3)
                table.update(more)
            else:
                name = self.value(key, scope)
                self.take(comparable(name, node) + probes(name, table))
                table[name] = self.value(value, scope)
        return table

    def _set(self, node: ast.Set, scope: Scope) -> Any:
        items = self._items(node.elts, scope)
        self.take(sum(comparable(one, node) for one in items) + crowd(items))
        return set(items)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        self.steps -= 1
        holder = EXPRESSIONS[node.value.__class__](self, node.value, scope)
        if node.slice.__class__ is ast.Slice:
            part: Any = node.slice
            bounds = [None if one is None else self.value(one, scope) for one in (part.lower, part.upper, part.step)]
            if not isinstance(holder, str | list | tuple | bytes | range):
                raise Unknown
            cut = holder[slice(*bounds)]
            self.take(len(cut) >> 4)
            return cut
        return self.item(holder, self.value(node.slice, scope), node)

    def item(self, holder: Any, key: Any, node: ast.AST) -> Any:
        """``holder[key]``."""
        if isinstance(holder, Instance):
            method = holder.kind.member("__getitem__")
            if not isinstance(method, Function):
                raise Unknown
            return self.call(method, [holder, key], {}, node)
        if isinstance(holder, dict):
            if key.__class__ is tuple:
                self.take(comparable(key, node))
            if len(holder) > _MANY:
                self.take(probes(key, holder))
            if isinstance(holder, Defaulting) and key not in holder:
                holder[key] = self.call(holder.factory, [], {}, node)
            return holder[key]
        if isinstance(holder, str | list | tuple | bytes | deque | range):
            return holder[key]
        raise Unknown  # ``list[int]`` too

    def _listing(self, node: ast.ListComp, scope: Scope) -> Any:
        inner = Scope(scope)
        elt = node.elt
        made: list[Any] = []
        for _ in self._turns(node.generators, inner):
            made.append(EXPRESSIONS[elt.__class__](self, elt, inner))
            if len(made) > MAX_LENGTH:
                held(node, len(made), MAX_LENGTH)
        return self.kept(made)

    def _gathering(self, node: ast.SetComp, scope: Scope) -> Any:
        inner = Scope(scope)
        made: set[Any] = set()
        for _ in self._turns(node.generators, inner):
            item = self.value(node.elt, inner)
            self.take(comparable(item, node) + probes(item, made))
            made.add(item)
            held(node, len(made), MAX_LENGTH)
        return self.kept(made)

    def _mapping(self, node: ast.DictComp, scope: Scope) -> Any:
        inner = Scope(scope)
        made: dict[Any, Any] = {}
        for _ in self._turns(node.generators, inner):
            key = self.value(node.key, inner)
            self.take(comparable(key, node) + probes(key, made))
            made[key] = self.value(node.value, inner)
            held(node, len(made), MAX_LENGTH)
        return self.kept(made)

    def _generating(self, node: ast.GeneratorExp, scope: Scope) -> Any:
        inner = Scope(scope)
        first = self.walk(self.value(node.generators[0].iter, scope))
        return (self.value(node.elt, inner) for _ in self._turns(node.generators, inner, first))

    def _turns(
        self, generators: list[ast.comprehension], scope: Scope, items: Iterable[Any] | None = None
    ) -> Iterator[None]:
        first = generators[0]
        rest = generators[1:]
        for item in items if items is not None else self.walk(self.value(first.iter, scope)):
            self.step()
            if first.target.__class__ is ast.Name:
                scope.values[first.target.id] = item
            else:
                self.assign(first.target, item, scope)
            for test in first.ifs:
                if not self.truth(EXPRESSIONS[test.__class__](self, test, scope)):
                    break
            else:
                if rest:
                    yield from self._turns(rest, scope)
                else:
                    yield None

    # -- the rest ---------------------------------------------------------------------------------------

    def _shown(self, node: ast.JoinedStr, scope: Scope) -> Any:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
                continue
            assert isinstance(part, ast.FormattedValue)
            value = self.value(part.value, scope)
            if part.conversion not in (-1, 115) and not isinstance(value, int):
                value = self.call(Library("repr"), [value], {}, node)
            if part.format_spec is None:
                parts.append(self.call(Library("str"), [value], {}, node))
                self.take(len(parts[-1]) >> 4)
                continue
            spec = self.value(part.format_spec, scope)
            if len(spec) > _LONG_SPEC or not isinstance(value, int | float | str):
                raise Unknown
            wide = max((int(digits) for digits in _numbers(spec)), default=0)
            held(node, wide, MAX_LENGTH)
            parts.append(format(value, spec))
            self.take(len(parts[-1]) >> 4)
        text = "".join(parts)
        held(node, len(text), MAX_LENGTH)
        self.take(len(text) >> 4)
        return self.kept(text)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        self.steps -= 1
        holder = EXPRESSIONS[node.value.__class__](self, node.value, scope)
        if isinstance(holder, Instance):
            found = holder.fields.get(node.attr, MISSING)
            if found is not MISSING:
                return found
        return self.attribute(holder, node.attr, node)

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        self.step()
        func = node.func
        holder: Any = MISSING
        name = ""
        if isinstance(func, ast.Attribute):
            name = func.attr
            holder = EXPRESSIONS[func.value.__class__](self, func.value, scope)
        function = MISSING if holder is not MISSING else EXPRESSIONS[func.__class__](self, func, scope)
        given = self._items(node.args, scope) if node.args else []
        options: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                more = self.value(keyword.value, scope)
                self.take(len(more) >> 3)
                options.update(more)
            else:
                options[keyword.arg] = self.value(keyword.value, scope)
        if holder is MISSING:
            return self.call(function, given, options, node)
        return self.method(holder, name, given, options, node)

    def method(self, holder: Any, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """``holder.name(...)``."""
        raise NotImplementedError

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Any:
        return self.function(node, scope)


def _numbers(spec: str) -> Iterator[str]:
    digits = ""
    for sign in f"{spec} ":
        if sign.isdecimal():
            digits += sign
        elif digits:
            yield digits
            digits = ""


_LONG_SPEC = 20
_MANY = 255


class _Table(dict[type, Callable[[Any, Any, Scope], Any]]):
    def __missing__(self, kind: type) -> Any:
        raise Unknown


EXPRESSIONS = _Table(
    {
        ast.Constant: lambda self, node, scope: node.value,
        ast.Name: Expressions._name,
        ast.BinOp: Expressions._binary,
        ast.UnaryOp: Expressions._unary,
        ast.Compare: Expressions._compare,
        ast.BoolOp: Expressions._boolean,
        ast.IfExp: Expressions._choice,
        ast.NamedExpr: Expressions._named,
        ast.List: lambda self, node, scope: self._items(node.elts, scope),
        ast.Tuple: lambda self, node, scope: tuple(self._items(node.elts, scope)),
        ast.Set: Expressions._set,
        ast.Dict: Expressions._dict,
        ast.Subscript: Expressions._subscript,
        ast.ListComp: Expressions._listing,
        ast.SetComp: Expressions._gathering,
        ast.DictComp: Expressions._mapping,
        ast.GeneratorExp: Expressions._generating,
        ast.JoinedStr: Expressions._shown,
        ast.Attribute: Expressions._attribute,
        ast.Call: Expressions._call,
        ast.Lambda: Expressions._lambda,
    }
)
