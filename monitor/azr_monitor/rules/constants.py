"""The constant values an expression may have: a small, bounded interpreter of pure code, run where it is asked.

A name may have several values (the items of a loop, the arguments of all calls), so an answer is a tuple of values.
A helper that only builds a value (``def d(s): return ''.join(chr(ord(c) - 1) for c in s)``) is followed with its
arguments, and so are the loops that build one. Whatever is not constant, not pure, too long or too costly has no value.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from typing import Any, Protocol

from azr_monitor.rules import pure
from azr_monitor.rules.flow import Flow
from azr_monitor.rules.interpreter import MAX_DEPTH, NOTHING, SPECIAL, Closure, Env, Interpreter, Outside, Return
from azr_monitor.rules.names import BUILTINS, Names
from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.syntax import Function, children, walk

MAX_VALUES = 24
STEPS = 3_000
"""Steps of the interpreter for one question; ``ALL_STEPS`` for all questions about a program."""
ALL_STEPS = 60_000
_CHANGING = (list, dict)


class Resolver(Protocol):
    """Whoever knows which objects of the libraries an expression stands for."""

    def resolve(self, node: ast.AST) -> tuple[str, ...]: ...


class Constants(Interpreter):
    """Constant values of one program's expressions, memoised."""

    def __init__(self, names: Names, meaning: Resolver, flow: Flow) -> None:
        super().__init__()
        self._names = names
        self._meaning = meaning
        self._flow = flow
        self._known: dict[ast.AST, tuple[Any, ...]] = {}
        self._ends: dict[ast.AST, Env] = {}
        self._left = ALL_STEPS

    # -- questions --------------------------------------------------------------------------------------

    def values(self, node: ast.AST) -> tuple[Any, ...]:
        """Every constant value the expression may have, at most ``MAX_VALUES``; () when none is known."""
        if isinstance(node, ast.Constant):
            return (node.value,)
        known = self._known.get(node)
        if known is not None:
            return known
        if self._open > MAX_DEPTH:
            return ()
        self._known[node] = ()  # breaks cycles
        self._open += 1
        try:
            found = tuple(itertools.islice(self._values(node), MAX_VALUES))
        finally:
            self._open -= 1
        self._known[node] = found
        return found

    def texts(self, node: ast.AST) -> tuple[str, ...]:
        """The values that are texts, bytes read as Latin-1."""
        return tuple(
            value if isinstance(value, str) else value.decode("latin-1")
            for value in self.values(node)
            if isinstance(value, str | bytes)
        )

    def number(self, node: ast.AST) -> int | None:
        """The one integer an expression stands for (a float is cut), None when it has none or several."""
        values = self.values(node)
        if len(values) != 1 or not isinstance(values[0], int | float) or isinstance(values[0], bool):
            return None
        return int(values[0]) if abs(values[0]) < 1e300 else None

    def _values(self, node: ast.AST) -> Iterator[Any]:
        if isinstance(node, ast.Name):
            yield from self._of_name(node)
            return
        if isinstance(node, ast.IfExp):
            yield from self.values(node.body)
            yield from self.values(node.orelse)
            return
        free = _free_names(node)
        several = [(name, values) for name in free if len(values := self.values(name)) > 1]
        for combination in itertools.islice(itertools.product(*(values for _, values in several)), MAX_VALUES):
            env = {name.id: value for (name, _), value in zip(several, combination, strict=True)}
            value = self._once(node, env)
            if value is not NOTHING:
                yield value

    def _once(self, node: ast.AST, env: Env) -> Any:
        """The value of an expression under ``env``, or ``NOTHING``."""
        before, self._steps = self._steps, min(STEPS, self._left)
        try:
            return self._evaluate(node, env)
        except (Unknown, Return, RecursionError):
            return NOTHING
        except Exception:  # the program's own error: a wrong index, a text that is no base64
            return NOTHING
        finally:
            self._left = max(0, self._left - (min(STEPS, self._left) - self._steps))
            self._steps = before

    def _of_name(self, node: ast.Name) -> Iterator[Any]:
        bindings, _ = self._names.lookup(node)
        kinds = {binding.kind for binding in bindings}
        if "changed" in kinds or node.id in self._flow.changed:
            end = self._end(node)
            if node.id in end:
                yield end[node.id]
                return
        for binding in bindings:
            match binding.kind:
                case "value":
                    yield from self.values(binding.node)
                case "each":
                    for value in self.values(binding.node):
                        if isinstance(value, str | bytes | list | tuple | dict):
                            for item in itertools.islice(value, MAX_VALUES):
                                yield item
                                if isinstance(item, tuple | list):
                                    yield from item
                case "parameter":
                    for argument in self._arguments(binding.node, binding.name):
                        yield from self.values(argument)
                case _:
                    pass

    def _arguments(self, function: ast.AST, name: str) -> Iterator[ast.expr]:
        """The expressions that calls in the program hand to a parameter."""
        assert isinstance(function, Function)
        position = _positions(function).get(name)
        for _, positional, keywords in self._flow.calls(function):
            if name in keywords:
                yield keywords[name]
            elif position is not None and position < len(positional):
                yield positional[position]

    def _end(self, node: ast.Name) -> Env:
        """What the constants of the scope around a name are when all its statements have run."""
        scope = self._names.scope(node)
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        if node.id not in scope.bindings and scope.kind != "module":
            scope = self._names.module
        owner = scope.node
        known = self._ends.get(owner)
        if known is not None:
            return known
        env: Env = {}
        self._ends[owner] = env
        body = getattr(owner, "body", [])
        if isinstance(body, list):
            before, self._steps = self._steps, min(STEPS, self._left)
            start = self._steps
            for statement in body:
                self._attempt(statement, env)
            self._left = max(0, self._left - (start - self._steps))
            self._steps = before
        for name in [name for name, value in env.items() if value is NOTHING]:
            del env[name]
        return env

    def _attempt(self, statement: ast.stmt, env: Env) -> None:
        """Run one statement of a body of which not everything is known; what it may have changed is then unknown."""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Return):
            return
        try:
            self._run(statement, env)
        except Exception:  # unknown, or the program's own error
            for inner in walk(statement):
                if isinstance(inner, ast.Name):
                    name = inner.id
                    if isinstance(inner.ctx, ast.Store) or isinstance(env.get(name), _CHANGING):
                        env[name] = NOTHING

    def _name(self, node: ast.Name, env: Env) -> Any:
        if node.id in env:
            value = env[node.id]
            if value is NOTHING:
                raise Unknown
            return value
        known = self.values(node)
        if len(known) == 1:
            return (
                list(known[0])
                if isinstance(known[0], list)
                else dict(known[0])
                if isinstance(known[0], dict)
                else known[0]
            )
        for binding in self._names.lookup(node)[0]:
            match binding.kind, binding.node:
                case "definition", (ast.FunctionDef() | ast.AsyncFunctionDef()) as function:
                    return Closure(function, {})
                case "value", ast.Lambda() as function:
                    return Closure(function, {})
        return self._outside(node)

    def _outside(self, node: ast.expr) -> Any:
        """A pure function or a constant of the libraries', by the name it resolves to."""
        for name in self._meaning.resolve(node):
            plain = name.removeprefix("builtins.")
            if plain in pure.CONSTANTS:
                return pure.CONSTANTS[plain]
            if plain in SPECIAL or plain in pure.FUNCTIONS:
                return Outside(plain)
        raise Unknown


def _free_names(node: ast.AST) -> list[ast.Name]:
    """The names an expression reads, each once; those of functions and comprehensions inside it are their own."""
    found: dict[str, ast.Name] = {}
    stack = [node]
    own: set[str] = set()
    while stack:
        inner = stack.pop()
        if isinstance(inner, ast.Name):
            if isinstance(inner.ctx, ast.Store):
                own.add(inner.id)
            elif inner.id not in BUILTINS:
                found.setdefault(inner.id, inner)
        elif isinstance(inner, ast.arg):
            own.add(inner.arg)
        stack += children(inner)
    return [name for text, name in found.items() if text not in own]


def _positions(function: Function) -> dict[str, int]:
    return {p.arg: place for place, p in enumerate([*function.args.posonlyargs, *function.args.args])}
