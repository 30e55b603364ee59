"""Functions of a trial: called with what they are given, generators run as far as they are walked."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.syntax import own_nodes
from azr_monitor.rules.trial_costs import comparable
from azr_monitor.rules.trial_expressions import EXPRESSIONS
from azr_monitor.rules.trial_library import Builtins
from azr_monitor.rules.trial_loops import Loops
from azr_monitor.rules.trial_values import MISSING, Exhausted, Function, Outgrown, Scope


class Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class Break(Exception):
    pass


class Continue(Exception):
    pass


class Functions(Loops, Builtins):
    """Functions of one program."""

    statements: ClassVar[Mapping[type[ast.AST], Callable[[Any, Any, Scope], None]]]
    """How each statement is run."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self._yields: dict[ast.AST, bool] = {}
        self._generators: dict[ast.AST, bool] = {}

    def block(self, body: list[ast.stmt], scope: Scope) -> None:
        """Run statements."""
        for statement in body:
            self.statements[statement.__class__](self, statement, scope)

    def function(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> Function:
        """A function where it is defined."""
        arguments = node.args
        defaults: dict[str, Any] = {}
        names = [*arguments.posonlyargs, *arguments.args]
        for name, default in zip(names[len(names) - len(arguments.defaults) :], arguments.defaults, strict=True):
            defaults[name.arg] = self.value(default, scope)
        for name, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if given is not None:
                defaults[name.arg] = self.value(given, scope)
        around = scope
        while around.is_class and around.parent is not None:
            around = around.parent
        if node not in self._generators:
            self._generators[node] = isinstance(node, ast.FunctionDef) and any(
                isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node)
            )
        return Function(node, around, defaults, self._generators[node])

    def follow(self, function: Function, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Call a function of the program's."""
        self.steps -= 2
        if self.steps < 0:
            self.step()
        key: Any = None
        if function.kept is not None:
            key = (*given, *sorted(options.items()))
            self.take(comparable(key, node))
            if key in function.kept:
                return function.kept[key]
        known = None if options else self.known(function, given)
        if known is not None:
            key = (id(function.scope), *given)
            if key in known:
                value, took = known[key]
                self.spare(took, function.node)
                return value
        began = self.clock
        scope = self._opened(function, given, options)
        definition = function.node
        if isinstance(definition, ast.Lambda):
            return EXPRESSIONS[definition.body.__class__](self, definition.body, scope)
        if function.is_generator:
            return self._generated(definition, definition.body, scope)
        self.enter(function)
        value = None
        try:
            for statement in definition.body:
                self.statements[statement.__class__](self, statement, scope)
        except Return as back:
            value = back.value
        except (Exhausted, Outgrown):
            self.stopped = True
            raise
        finally:
            self.leave()
        if function.kept is not None:
            function.kept[key] = value
        elif known is not None and not isinstance(value, list | dict | set):
            known[key] = value, began - self.clock
        return value

    def _opened(self, function: Function, given: list[Any], options: dict[str, Any]) -> Scope:
        """The scope of a call, its parameters bound."""
        arguments = function.node.args
        scope = Scope(function.scope)
        values = scope.values
        values.update(function.defaults)
        names = [*arguments.posonlyargs, *arguments.args] if arguments.posonlyargs else arguments.args
        if len(given) > len(names) and arguments.vararg is None:
            raise TypeError
        if arguments.vararg is not None:
            values[arguments.vararg.arg] = tuple(given[len(names) :])
        for name, value in zip(names, given, strict=False):
            values[name.arg] = value
        if options or arguments.kwarg is not None:
            known = {one.arg for one in (*names, *arguments.kwonlyargs)}
            more = {name: value for name, value in options.items() if name not in known}
            values.update({name: value for name, value in options.items() if name in known})
            if arguments.kwarg is not None:
                values[arguments.kwarg.arg] = more
            elif more:
                raise TypeError
        if len(given) < len(names) and any(name.arg not in values for name in names):
            raise TypeError
        return scope

    # -- generators -------------------------------------------------------------------------------------

    def _generated(self, node: ast.AST, body: list[ast.stmt], scope: Scope) -> Iterator[Any]:
        """A generator of the program's: its body run as far as it is walked, counted as a call while it runs."""
        depth = self._depths.get(node, 0)
        items = self._yielding(body, scope)
        took = 0
        while True:
            outer, began = self._depths.get(node, 0), self.clock
            self._depths[node] = depth + 1
            try:
                item = next(items)
            except (StopIteration, Return):
                self._depths[node] = outer
                if depth:
                    self.tell(node, depth, took + began - self.clock)
                return
            self._depths[node] = outer
            took += began - self.clock
            yield item

    def _yielding(self, body: list[ast.stmt], scope: Scope) -> Iterator[Any]:
        for statement in body:
            if statement not in self._yields:
                self._yields[statement] = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(statement))
            if not self._yields[statement] or isinstance(statement, ast.FunctionDef):
                self.statements[statement.__class__](self, statement, scope)
                continue
            self.step()
            match statement:
                case ast.Expr(value=ast.Yield(value=value)):
                    yield None if value is None else self.value(value, scope)
                case ast.Expr(value=ast.YieldFrom(value=value)):
                    yield from self.walk(self.value(value, scope))
                case ast.If(test=test, body=inner, orelse=orelse):
                    yield from self._yielding(inner if self.truth(self.value(test, scope)) else orelse, scope)
                case ast.For() | ast.While():
                    yield from self._yielding_loop(statement, scope)
                case _:
                    raise Unknown

    def _yielding_loop(self, node: ast.For | ast.While, scope: Scope) -> Iterator[Any]:
        items = self.walk(self.value(node.iter, scope)) if isinstance(node, ast.For) else None
        while True:
            self.step()
            if isinstance(node, ast.While):
                if not self.truth(self.value(node.test, scope)):
                    break
            elif items is not None:
                item = next(items, MISSING)
                if item is MISSING:
                    break
                self.assign(node.target, item, scope)
            try:
                yield from self._yielding(node.body, scope)
            except Break:
                return
            except Continue:
                pass
        yield from self._yielding(node.orelse, scope)
