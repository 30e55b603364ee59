"""What a name in a program may be bound to: scopes and bindings, by Python's own rules.

A name bound anywhere in a function is local to it and can never fall through to a builtin, so it is safely
shadowed; a module-level binding can, so only an unconditional earlier one counts. Scopes are found when asked for,
by climbing from a node; every node is climbed over once.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import Literal, NamedTuple

from azr_monitor.rules.syntax import COMPREHENSIONS, Function, Syntax, walk

MAX_NAMES = 12
BUILTINS = frozenset(dir(builtins)) | {"__builtins__", "__loader__", "__spec__", "__file__"}

_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_OF_BODY = (ast.stmt, ast.arguments)
_NAMELESS = (ast.Lambda, *COMPREHENSIONS)
_SCOPED = frozenset((*_DEFINITIONS, *_NAMELESS, ast.arguments, ast.comprehension))
"""Nodes in which not everything is evaluated in the scope that they stand in; most nodes are none of them."""

Kind = Literal["value", "module", "each", "parameter", "definition", "changed", "opaque"]


class Binding(NamedTuple):
    """One way in which a name comes to stand for something.

    ``value``: the expression ``node`` was assigned to it. ``module``: it was imported as ``name``. ``each``: it stands
    for the items of ``node`` in turn. ``parameter``: it is one of the function ``node``. ``definition``: ``node``
    defines it. ``changed``: the statement ``node`` changes it in place. ``opaque``: nothing is known.
    """

    kind: Kind
    node: ast.AST
    name: str = ""


class Scope:
    """One scope: what is bound in it.

    ``kind`` is ``module``, ``class``, ``function`` or ``comprehension``; the last two are local. ``certain`` maps
    each name to the line of its first binding that always happens (0 in a local scope, where any binding counts).
    """

    def __init__(self, kind: str, node: ast.AST, parent: Scope | None) -> None:
        self.kind = kind
        self.node = node
        self.parent = parent
        self.certain: dict[str, int] = {}
        self.bindings: dict[str, list[Binding]] = {}
        self.globals: set[str] = set()
        self.stars: list[str] = []

    @property
    def local(self) -> bool:
        """Whether a binding here hides the outer name whenever it happens."""
        return self.kind in ("function", "comprehension")

    def bind(self, name: str, line: int, certain: bool, binding: Binding) -> None:
        """Record one binding; in a module or class only a ``certain`` one shadows what lies outside."""
        scope = self
        if name in self.globals:
            while scope.parent is not None:
                scope = scope.parent
            certain = False
        if scope.local:
            scope.certain[name] = 0
        elif certain:
            scope.certain[name] = min(line, scope.certain.get(name, line))
        known = scope.bindings.setdefault(name, [])
        if len(known) < MAX_NAMES:
            known.append(binding)


class Names:
    """The scopes of one tree and the bindings in them."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self._scopes: dict[ast.AST, Scope] = {}
        self.module = self._scopes[syntax.tree] = Scope("module", syntax.tree, None)
        self._around: dict[ast.AST, Scope] = {}
        for statement in syntax.all(ast.Global):
            self.scope(statement).globals.update(statement.names)
        self._bind_all()

    # -- scopes -----------------------------------------------------------------------------------------

    def scope(self, node: ast.AST) -> Scope:
        """The scope in which a node is evaluated (for a function: the one that defines it)."""
        parents = self.syntax.parents
        climbed: list[ast.AST] = []
        child = node
        while True:
            known = self._around.get(child)
            if known is not None:
                break
            climbed.append(child)
            parent = parents.get(child)
            if parent is None:
                known = self.module
                break
            if parent.__class__ not in _SCOPED:
                child = parent
            elif isinstance(parent, ast.arguments) and isinstance(child, ast.expr):
                # Defaults are evaluated where the function is defined.
                child = parents[parent]
            elif isinstance(parent, ast.comprehension) and child is parent.iter and self._first(parent):
                child = parents[parent]
            elif self._holds(parent, child):
                known = self.inner(parent)
                break
            else:
                child = parent
        for passed in climbed:
            self._around[passed] = known
        return known

    def inner(self, node: ast.AST) -> Scope:
        """The scope that a function, a class or a comprehension makes."""
        known = self._scopes.get(node)
        if known is None:
            kind = (
                "class"
                if isinstance(node, ast.ClassDef)
                else "comprehension"
                if isinstance(node, COMPREHENSIONS)
                else "function"
            )
            known = self._scopes[node] = Scope(kind, node, None)
            known.parent = self.scope(node)
        return known

    def _first(self, node: ast.comprehension) -> bool:
        owner = self.syntax.parents[node]
        return owner.generators[0] is node  # type: ignore[attr-defined]

    @staticmethod
    def _holds(parent: ast.AST, child: ast.AST) -> bool:
        """Whether ``child`` is evaluated inside the scope that ``parent`` makes."""
        if isinstance(parent, _DEFINITIONS):
            return isinstance(child, _OF_BODY)
        return isinstance(parent, _NAMELESS)

    # -- bindings ---------------------------------------------------------------------------------------

    def _bind_all(self) -> None:
        syntax = self.syntax
        for statement in syntax.all(ast.Import):
            for alias in statement.names:
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                self._bind(alias.asname or whole, statement, Binding("module", statement, whole))
        for source in syntax.all(ast.ImportFrom):
            for alias in source.names:
                whole = f"{source.module or ''}.{alias.name}" if not source.level else ""
                if alias.name == "*":
                    self.scope(source).stars.append(source.module or "")
                else:
                    self._bind(alias.asname or alias.name, source, Binding("module", source, whole))
        for assign in syntax.all(ast.Assign):
            for target in assign.targets:
                self._bind_target(target, assign.value, assign)
        for annotated in syntax.all(ast.AnnAssign):
            if annotated.value is not None:
                self._bind_target(annotated.target, annotated.value, annotated)
        for named in syntax.all(ast.NamedExpr):
            owner = self.scope(named)
            while owner.parent is not None and owner.kind == "comprehension":
                owner = owner.parent
            owner.bind(named.target.id, named.lineno, False, Binding("value", named.value))
        for definition in syntax.all(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
            self._bind(definition.name, definition, Binding("definition", definition))
        for function in syntax.all(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda):
            self._bind_parameters(function)
        for loop in syntax.all(ast.For, ast.AsyncFor):
            for name in targets(loop.target):
                self.scope(loop).bind(name, loop.lineno, False, Binding("each", loop.iter))
        for part in syntax.all(ast.comprehension):
            scope = self.inner(syntax.parents[part])
            for name in targets(part.target):
                scope.bind(name, 0, True, Binding("each", part.iter))
        for item in syntax.all(ast.withitem):
            if item.optional_vars is not None:
                scope = self.scope(item)
                if isinstance(item.optional_vars, ast.Name):
                    scope.bind(item.optional_vars.id, 0, False, Binding("value", item.context_expr))
                else:
                    for name in targets(item.optional_vars):
                        scope.bind(name, 0, False, Binding("opaque", item))
        for caught in syntax.all(ast.ExceptHandler, ast.MatchAs, ast.MatchStar):
            if caught.name:
                self.scope(caught).bind(caught.name, 0, False, Binding("opaque", caught))
        for change in syntax.all(ast.AugAssign):
            if isinstance(change.target, ast.Name):
                self.scope(change).bind(change.target.id, change.lineno, False, Binding("changed", change))

    def _bind(self, name: str, statement: ast.stmt, binding: Binding) -> None:
        certain = self.syntax.parents.get(statement).__class__ is ast.Module
        self.scope(statement).bind(name, statement.lineno, certain, binding)

    def _bind_target(self, target: ast.expr, value: ast.expr, statement: ast.stmt) -> None:
        match target, value:
            case ast.Name(id=name), _:
                self._bind(name, statement, Binding("value", value))
            case (ast.Tuple(elts=left) | ast.List(elts=left), ast.Tuple(elts=right) | ast.List(elts=right)) if len(
                left
            ) == len(right):
                for one, what in zip(left, right, strict=True):
                    for name in targets(one):
                        self._bind(name, statement, Binding("value", what))
            case ((ast.Tuple() | ast.List() | ast.Starred()), _):
                for name in targets(target):
                    self._bind(name, statement, Binding("each", value))
            case _:
                pass

    def _bind_parameters(self, function: Function) -> None:
        """Bind every parameter; one with a default may stand for that default (``def f(e=eval)``)."""
        scope = self.inner(function)
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        undefaulted = len(positional) - len(arguments.defaults)
        defaults: list[ast.expr | None] = [*[None] * undefaulted, *arguments.defaults, *arguments.kw_defaults]
        for parameter, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True):
            scope.bind(parameter.arg, 0, True, Binding("parameter", function, parameter.arg))
            if default is not None:
                scope.bind(parameter.arg, 0, True, Binding("value", default))
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                scope.bind(rest.arg, 0, True, Binding("parameter", function, rest.arg))

    # -- answers ----------------------------------------------------------------------------------------

    def lookup(self, name: ast.Name) -> tuple[list[Binding], bool]:
        """Every binding a name may have where it stands, and whether it may be the builtin of that name."""
        found: list[Binding] = []
        inner = scope = self.scope(name)
        current: Scope | None = scope
        while current is not None:
            if current.kind != "class" or current is inner:
                found.extend(current.bindings.get(name.id, ()))
                line = current.certain.get(name.id)
                if line is not None and (current.local or line < name.lineno):
                    return found, False
                for module in current.stars:
                    found.append(Binding("module", current.node, f"{module}.{name.id}"))
            current = current.parent
        return found, name.id in BUILTINS


def targets(node: ast.expr) -> Iterator[str]:
    """The plain names that an assignment to ``node`` binds."""
    if isinstance(node, ast.Name):
        yield node.id
        return
    for inner in walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
