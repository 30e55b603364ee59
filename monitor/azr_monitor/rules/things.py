"""Objects of a program's own classes in a dry run: what their fields hold, until somebody may have changed them."""

from __future__ import annotations

import ast
from typing import Any

from azr_monitor.rules.estimates import Looks
from azr_monitor.rules.listings import Listings
from azr_monitor.rules.outcomes import Env, Kind, Known, Thing
from azr_monitor.rules.volumes import UNKNOWN


def kind_of(definition: ast.ClassDef, env: Env) -> Kind | None:
    """A class that is no more than methods and plain fields; None of others."""
    if definition.bases or definition.keywords or definition.decorator_list:
        return None
    methods = {s.name: s for s in definition.body if isinstance(s, ast.FunctionDef) and not s.decorator_list}
    decorated = any(isinstance(s, ast.FunctionDef) and s.decorator_list for s in definition.body)
    special = any(name.startswith("__") and name not in ("__init__", "__repr__", "__str__") for name in methods)
    if decorated or special:
        return None
    fields = {
        target.id: s.value
        for s in definition.body
        if isinstance(s, ast.Assign)
        for target in s.targets
        if isinstance(target, ast.Name)
    }
    return Kind(methods, fields, env)


class Things(Listings):
    """Objects in one program."""

    def __init__(self, looks: Looks | None = None) -> None:
        super().__init__(looks)
        self._things: list[Thing] = []

    def _made(self, kind: Kind) -> Thing:
        thing = Thing(kind)
        self._things.append(thing)
        return thing

    def _lose(self, value: Any) -> None:
        super()._lose(value)
        if isinstance(value, Thing):
            self._lose_things()

    def _forget(self, nodes: list[ast.stmt], env: Env) -> None:
        super()._forget(nodes, env)
        if self._things and any(ast.Attribute in self._inside(node).kinds for node in nodes):
            self._lose_things()

    def _lose_things(self) -> None:
        """Objects hold one another: of none it is known any more what it holds."""
        for thing in self._things:
            thing.lost = True
        self._things.clear()

    def _attribute(self, node: ast.Attribute, env: Env) -> Any:
        holder = self._value(node.value, env)
        if not isinstance(holder, Thing) or holder.lost:
            return UNKNOWN
        if node.attr in holder.fields:
            held = holder.fields[node.attr]
            return UNKNOWN if id(held) in self._lost else held
        if node.attr in holder.kind.methods:
            return UNKNOWN
        constant = holder.kind.fields.get(node.attr)
        return constant.value if isinstance(constant, ast.Constant) else UNKNOWN

    def _method_of(self, holder: Any, name: str) -> Known | None:
        """What a call of a method runs."""
        if isinstance(holder, Thing) and not holder.lost and name not in holder.fields:
            method = holder.kind.methods.get(name)
            return None if method is None else Known(method, holder.kind.env)
        return None

    def _put(self, target: ast.Attribute, given: Any, env: Env) -> None:
        """Set a field."""
        holder = self._value(target.value, env)
        if isinstance(holder, Thing):
            holder.fields[target.attr] = given
        else:
            self._lose(given)
