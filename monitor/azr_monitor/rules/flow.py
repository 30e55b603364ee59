"""What flows where in a program, by name: the calls of its functions, and what is put into attributes and containers.

Calls are found by the name they call, not by the object, so nothing has to be resolved to find them: a method and a
function of one name share their calls.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

from azr_monitor.rules.names import MAX_NAMES
from azr_monitor.rules.syntax import Function, Syntax, words

_STORES = words("append add insert extend update setdefault appendleft")

_CHANGING = words("append extend insert update setdefault pop reverse sort remove")

CallSite = tuple[ast.Call | None, list[ast.expr], Mapping[str, ast.expr]]


class Flow:
    """Indices over one walked tree, each built when first asked for."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax

    def calls(self, function: Function) -> list[CallSite]:
        """The calls in the program that may be of this function, by the name they call: (call, arguments, keywords)."""
        if isinstance(function, ast.Lambda):
            parent = self.syntax.parents.get(function)
            if isinstance(parent, ast.Call) and parent.func is function:
                return [_site(parent)]
            name = self._lambda_names.get(function, "")
            return (
                [*self._calls_by_name.get(name, ()), *self._applied.get(function, ())]
                if name
                else (list(self._applied.get(function, ())) or list(self._calls_of_items))
            )
        names = [function.name]
        owner = self.syntax.parents.get(function)
        if function.name in ("__init__", "__new__", "__call__") and isinstance(owner, ast.ClassDef):
            names.append(owner.name)
        return [site for name in names for site in self._calls_by_name.get(name, ())]

    @cached_property
    def _calls_by_name(self) -> Mapping[str, list[CallSite]]:
        found: defaultdict[str, list[CallSite]] = defaultdict(list)
        for call in self.syntax.all(ast.Call):
            match call.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    if len(found[name]) < 4 * MAX_NAMES:
                        found[name].append(_site(call))
                    if name in ("map", "filter") and len(call.args) == 2 and isinstance(call.args[0], ast.Name):
                        rows = call.args[1].elts if isinstance(call.args[1], ast.List | ast.Tuple) else []
                        found[call.args[0].id].extend((None, [row], {}) for row in rows[:MAX_NAMES])
                case _:
                    pass
        for definition in self.syntax.all(ast.FunctionDef, ast.ClassDef):
            for decorator in definition.decorator_list:
                if isinstance(decorator, ast.Name):
                    argument = ast.copy_location(ast.Name(definition.name, ast.Load()), definition)
                    found[decorator.id].append((None, [argument], {}))
        return found

    @cached_property
    def _calls_of_items(self) -> list[CallSite]:
        """Calls of what is taken out of a container: ``table[k](x)``; a function without a name may be meant."""
        return [_site(c) for c in self.syntax.all(ast.Call) if isinstance(c.func, ast.Subscript | ast.Call)][:MAX_NAMES]

    @cached_property
    def _applied(self) -> Mapping[ast.AST, list[CallSite]]:
        """Lambdas handed to ``map`` and its like, with the items they are applied to."""
        found: defaultdict[ast.AST, list[CallSite]] = defaultdict(list)
        for call in self.syntax.all(ast.Call):
            if len(call.args) >= 2 and isinstance(call.args[0], ast.Lambda):
                rows = call.args[1].elts if isinstance(call.args[1], ast.List | ast.Tuple) else []
                found[call.args[0]].extend((None, [row], {}) for row in rows[:MAX_NAMES])
        return found

    @cached_property
    def _lambda_names(self) -> Mapping[ast.AST, str]:
        found: dict[ast.AST, str] = {}
        for assign in self.syntax.all(ast.Assign):
            if isinstance(assign.value, ast.Lambda):
                match assign.targets[0]:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        found[assign.value] = name
                    case _:
                        pass
        for named in self.syntax.all(ast.NamedExpr):
            if isinstance(named.value, ast.Lambda):
                found[named.value] = named.target.id
        return found

    @cached_property
    def changed(self) -> frozenset[str]:
        """Names of which the program changes what they hold, by a method or an index."""
        found: set[str] = set()
        for call in self.syntax.all(ast.Call):
            match call.func:
                case ast.Attribute(value=ast.Name(id=holder), attr=attr) if attr in _CHANGING:
                    found.add(holder)
                case _:
                    pass
        for place in self.syntax.all(ast.Subscript):
            if isinstance(place.ctx, ast.Store) and isinstance(place.value, ast.Name):
                found.add(place.value.id)
        return frozenset(found)

    @cached_property
    def attribute_stores(self) -> Mapping[str, list[ast.expr]]:
        """Values assigned to attributes, by the attribute's name: ``self.run = eval``."""
        found: defaultdict[str, list[ast.expr]] = defaultdict(list)
        for assign in self.syntax.all(ast.Assign):
            for target in assign.targets:
                if isinstance(target, ast.Attribute):
                    found[target.attr].append(assign.value)
        return found

    @cached_property
    def container_stores(self) -> Mapping[str, list[ast.expr]]:
        """Values put into containers, by the container's name: ``d['k'] = eval``, ``d.update(k=eval)``."""
        found: defaultdict[str, list[ast.expr]] = defaultdict(list)
        for assign in self.syntax.all(ast.Assign):
            for target in assign.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    found[target.value.id].append(assign.value)
        for call in self.syntax.all(ast.Call):
            match call.func:
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in _STORES:
                    found[name].extend([*call.args, *(keyword.value for keyword in call.keywords)])
                case _:
                    pass
        return {name: values[: 4 * MAX_NAMES] for name, values in found.items()}


def _site(call: ast.Call) -> CallSite:
    positional: list[ast.expr] = []
    for argument in call.args:
        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.List | ast.Tuple):
            positional.extend(argument.value.elts)
        else:
            positional.append(argument)
    return call, positional, {k.arg: k.value for k in call.keywords if k.arg}
