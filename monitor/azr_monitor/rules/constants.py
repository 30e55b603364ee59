"""The constant values an expression may have: a small, bounded interpreter of pure code, run where it is asked.

A name may have several values (the items of a loop, the arguments of all calls), so an answer is a tuple of values.
A helper that only builds a value (``def d(s): return ''.join(chr(ord(c) - 1) for c in s)``) is followed with its
arguments, and so are the loops that build one. Whatever is not constant, not pure, too long or too costly has no value.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from azr_monitor.rules import pure
from azr_monitor.rules.names import BUILTINS, Names
from azr_monitor.rules.pure import Unknown, bounded
from azr_monitor.rules.syntax import Function, own_nodes

MAX_VALUES = 24
MAX_DEPTH = 40
STEPS = 3_000
"""Steps of the interpreter for one question; ``ALL_STEPS`` for all questions about a program."""
ALL_STEPS = 60_000

Env = dict[str, Any]
CallSites = Callable[[Function], list[tuple[ast.Call | None, list[ast.expr], Mapping[str, ast.expr]]]]


class Closure(NamedTuple):
    """A function of the program's, with the local values around it."""

    function: Function
    env: Env


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Constants:
    """Constant values of one program's expressions, memoised."""

    def __init__(self, names: Names, resolve: Callable[[ast.AST], tuple[str, ...]], calls: CallSites) -> None:
        self._names = names
        self._resolve = resolve
        self._calls = calls
        self._known: dict[ast.AST, tuple[Any, ...]] = {}
        self._ends: dict[ast.AST, Env] = {}
        self._left = ALL_STEPS
        self._steps = 0
        self._open = 0

    # -- questions --------------------------------------------------------------------------------------

    def values(self, node: ast.AST) -> tuple[Any, ...]:
        """Every constant value the expression may have, at most ``MAX_VALUES``; () when none is known."""
        if node.__class__ is ast.Constant:
            return (node.value,)  # type: ignore[attr-defined]
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
            if value is not _NOTHING:
                yield value

    def _once(self, node: ast.AST, env: Env) -> Any:
        """The value of an expression under ``env``, or ``_NOTHING``."""
        before, self._steps = self._steps, min(STEPS, self._left)
        try:
            return self._evaluate(node, env)
        except (Unknown, _Return, RecursionError):
            return _NOTHING
        except Exception:  # the program's own error: a wrong index, a text that is no base64
            return _NOTHING
        finally:
            self._left = max(0, self._left - (min(STEPS, self._left) - self._steps))
            self._steps = before

    def _of_name(self, node: ast.Name) -> Iterator[Any]:
        bindings, _ = self._names.lookup(node)
        kinds = {binding.kind for binding in bindings}
        if "changed" in kinds or self._grown(node.id):
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

    def _grown(self, name: str) -> bool:
        """Whether the program changes what ``name`` holds by a method or an index."""
        if not hasattr(self, "_changed_names"):
            changed: set[str] = set()
            for call in self._names.syntax.all(ast.Call):
                if isinstance(call.func, ast.Attribute) and call.func.attr in _CHANGING:
                    if isinstance(call.func.value, ast.Name):
                        changed.add(call.func.value.id)
            for place in self._names.syntax.all(ast.Subscript):
                if isinstance(place.ctx, ast.Store) and isinstance(place.value, ast.Name):
                    changed.add(place.value.id)
            self._changed_names = changed
        return name in self._changed_names

    def _arguments(self, function: ast.AST, name: str) -> Iterator[ast.expr]:
        """The expressions that calls in the program hand to a parameter."""
        assert isinstance(function, Function)
        position = _positions(function).get(name)
        for _, positional, keywords in self._calls(function):
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
        for name in [name for name, value in env.items() if value is _NOTHING]:
            del env[name]
        return env

    def _attempt(self, statement: ast.stmt, env: Env) -> None:
        """Run one statement of a body of which not everything is known; what it may have changed is then unknown."""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Return):
            return
        try:
            self._run(statement, env)
        except Exception:  # unknown, or the program's own error
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Name):
                    name = inner.id
                    if isinstance(inner.ctx, ast.Store) or isinstance(env.get(name), list | dict):
                        env[name] = _NOTHING

    # -- expressions ------------------------------------------------------------------------------------

    def _evaluate(self, node: ast.AST, env: Env) -> Any:
        self._steps -= 1
        if self._steps < 0:
            raise Unknown
        handler = _EXPRESSIONS.get(node.__class__)
        if handler is None:
            raise Unknown
        return bounded(handler(self, node, env))

    def _constant(self, node: ast.Constant, env: Env) -> Any:
        return node.value

    def _name(self, node: ast.Name, env: Env) -> Any:
        if node.id in env:
            value = env[node.id]
            if value is _NOTHING:
                raise Unknown
            return value
        known = self.values(node)
        if len(known) == 1:
            return list(known[0]) if isinstance(known[0], list) else dict(known[0]) if isinstance(known[0], dict) else known[0]
        for binding in self._names.lookup(node)[0]:
            match binding.kind, binding.node:
                case "definition", (ast.FunctionDef() | ast.AsyncFunctionDef()) as function:
                    return Closure(function, {})
                case "value", ast.Lambda() as function:
                    return Closure(function, {})
        return self._outside(node)

    def _outside(self, node: ast.expr) -> Any:
        """A pure function or a constant of the libraries', by the name it resolves to."""
        for name in self._resolve(node):
            plain = name.removeprefix("builtins.")
            if plain in pure.CONSTANTS:
                return pure.CONSTANTS[plain]
            if plain in _SPECIAL or plain in pure.FUNCTIONS:
                return _Outside(plain)
        raise Unknown

    def _attribute(self, node: ast.Attribute, env: Env) -> Any:
        return self._outside(node)

    def _binary(self, node: ast.BinOp, env: Env) -> Any:
        if isinstance(node.op, ast.Add):
            terms = _operands(node)
            total = self._evaluate(terms[0], env)
            for term in terms[1:]:
                total = bounded(total + self._evaluate(term, env))
            return total
        operation = pure.OPERATORS.get(type(node.op))
        if operation is None:
            raise Unknown
        return operation(self._evaluate(node.left, env), self._evaluate(node.right, env))

    def _unary(self, node: ast.UnaryOp, env: Env) -> Any:
        return pure.UNARY[type(node.op)](self._evaluate(node.operand, env))

    def _compare(self, node: ast.Compare, env: Env) -> Any:
        left = self._evaluate(node.left, env)
        for operation, right_node in zip(node.ops, node.comparators, strict=True):
            right = self._evaluate(right_node, env)
            if not pure.COMPARISONS[type(operation)](left, right):
                return False
            left = right
        return True

    def _boolean(self, node: ast.BoolOp, env: Env) -> Any:
        value: Any = None
        for part in node.values:
            value = self._evaluate(part, env)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _choice(self, node: ast.IfExp, env: Env) -> Any:
        return self._evaluate(node.body if self._evaluate(node.test, env) else node.orelse, env)

    def _items(self, nodes: list[ast.expr], env: Env) -> list[Any]:
        items: list[Any] = []
        for node in nodes[: pure.MAX_ITEMS]:
            if isinstance(node, ast.Starred):
                items.extend(self._evaluate(node.value, env))
            else:
                items.append(self._evaluate(node, env))
        return items

    def _list(self, node: ast.List, env: Env) -> Any:
        return self._items(node.elts, env)

    def _tuple(self, node: ast.Tuple, env: Env) -> Any:
        return tuple(self._items(node.elts, env))

    def _dict(self, node: ast.Dict, env: Env) -> Any:
        table: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                table.update(self._evaluate(value, env))
            else:
                table[self._evaluate(key, env)] = self._evaluate(value, env)
        return table

    def _text(self, node: ast.JoinedStr, env: Env) -> Any:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                if part.format_spec is not None or part.conversion not in (-1, 115):
                    raise Unknown
                value = self._evaluate(part.value, env)
                if not isinstance(value, str | int | float):
                    raise Unknown
                parts.append(str(value))
            else:
                parts.append(str(self._evaluate(part, env)))
        return "".join(parts)

    def _index(self, node: ast.Subscript, env: Env) -> Any:
        value = self._evaluate(node.value, env)
        if isinstance(node.slice, ast.Slice):
            parts = [
                None if part is None else self._evaluate(part, env)
                for part in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            return value[slice(*parts)]
        return value[self._evaluate(node.slice, env)]

    def _lambda(self, node: ast.Lambda, env: Env) -> Any:
        return Closure(node, dict(env))

    def _walrus(self, node: ast.NamedExpr, env: Env) -> Any:
        env[node.target.id] = self._evaluate(node.value, env)
        return env[node.target.id]

    def _listing(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, env: Env) -> Any:
        return [self._evaluate(node.elt, inner) for inner in self._turns(node.generators, dict(env))]

    def _mapping(self, node: ast.DictComp, env: Env) -> Any:
        return {
            self._evaluate(node.key, inner): self._evaluate(node.value, inner)
            for inner in self._turns(node.generators, dict(env))
        }

    def _turns(self, generators: list[ast.comprehension], env: Env) -> Iterator[Env]:
        if not generators:
            yield env
            return
        first, *rest = generators
        for item in self._each(self._evaluate(first.iter, env)):
            self._assign(first.target, item, env)
            if all(self._evaluate(test, env) for test in first.ifs):
                yield from self._turns(rest, env)

    def _each(self, value: Any) -> Iterator[Any]:
        if not isinstance(value, str | bytes | list | tuple | dict):
            raise Unknown
        for item in list(value):
            self._steps -= 1
            if self._steps < 0:
                raise Unknown
            yield item

    # -- calls ------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, env: Env) -> Any:
        arguments = self._items(node.args, env)
        keywords = {k.arg: self._evaluate(k.value, env) for k in node.keywords if k.arg}
        if isinstance(node.func, ast.Attribute):
            try:
                value = self._evaluate(node.func.value, env)
            except Unknown:
                return self._apply(self._outside(node.func), arguments, keywords)
            if not isinstance(value, Closure | _Outside):
                return pure.method(value, node.func.attr, arguments, keywords)
        return self._apply(self._evaluate(node.func, env), arguments, keywords)

    def _apply(self, function: Any, arguments: list[Any], keywords: Mapping[str, Any]) -> Any:
        if isinstance(function, Closure):
            return self._follow(function, arguments, keywords)
        if not isinstance(function, _Outside):
            raise Unknown
        match function.name, arguments:
            case "map", [inner, *many]:
                return [self._apply(inner, list(row), {}) for row in zip(*map(self._each, many), strict=False)]
            case "filter", [inner, values]:
                return [v for v in self._each(values) if (v if inner is None else self._apply(inner, [v], {}))]
            case "functools.reduce", [inner, values, *start]:
                items = [*start, *self._each(values)]
                total = items[0]
                for item in items[1:]:
                    total = bounded(self._apply(inner, [total, item], {}))
                return total
            case ("map" | "filter" | "functools.reduce"), _:
                raise Unknown
        plain = [value for value in arguments if not isinstance(value, Closure | _Outside)]
        if len(plain) != len(arguments) or any(isinstance(value, Closure | _Outside) for value in keywords.values()):
            raise Unknown
        return bounded(pure.FUNCTIONS[function.name](*arguments, **keywords))

    def _follow(self, closure: Closure, arguments: list[Any], keywords: Mapping[str, Any]) -> Any:
        """Call a function of the program's with constant arguments."""
        function = closure.function
        if self._open > MAX_DEPTH or isinstance(function, ast.AsyncFunctionDef):
            raise Unknown
        env = dict(closure.env)
        parameters = [*function.args.posonlyargs, *function.args.args]
        defaults = function.args.defaults
        for parameter, default in zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True):
            env[parameter.arg] = self._evaluate(default, closure.env)
        for parameter, value in zip(parameters, arguments, strict=False):
            env[parameter.arg] = value
        if function.args.vararg is not None:
            env[function.args.vararg.arg] = tuple(arguments[len(parameters) :])
        env.update(keywords)
        if any(parameter.arg not in env for parameter in parameters):
            raise Unknown
        self._open += 1
        try:
            if isinstance(function, ast.Lambda):
                return self._evaluate(function.body, env)
            if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(function)):
                raise Unknown
            self._block(function.body, env)
        except _Return as result:
            return result.value
        finally:
            self._open -= 1
        return None

    # -- statements -------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], env: Env) -> None:
        for statement in body:
            self._run(statement, env)

    def _run(self, statement: ast.stmt, env: Env) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise Unknown
        match statement:
            case ast.Assign(targets=targets, value=value):
                result = self._evaluate(value, env)
                for target in targets:
                    self._assign(target, result, env)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self._evaluate(value, env), env)
            case ast.AugAssign(target=target, op=op, value=value):
                current = self._evaluate(target, env)
                changed = pure.OPERATORS[type(op)](current, self._evaluate(value, env))
                self._assign(target, bounded(changed), env)
            case ast.Expr(value=value):
                self._evaluate(value, env)
            case ast.Return(value=returned):
                raise _Return(None if returned is None else self._evaluate(returned, env))
            case ast.If(test=test, body=body, orelse=orelse):
                self._block(body if self._evaluate(test, env) else orelse, env)
            case ast.For(target=target, iter=iterable, body=body):
                self._for(target, iterable, body, env)
            case ast.While(test=test, body=body):
                while self._evaluate(test, env):
                    if not self._turn(body, env):
                        break
            case ast.FunctionDef():
                env[statement.name] = Closure(statement, env)
            case ast.Break():
                raise _Break
            case ast.Continue():
                raise _Continue
            case ast.Pass() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal():
                pass
            case _:
                raise Unknown

    def _for(self, target: ast.expr, iterable: ast.expr, body: list[ast.stmt], env: Env) -> None:
        for item in self._each(self._evaluate(iterable, env)):
            self._assign(target, item, env)
            if not self._turn(body, env):
                break

    def _turn(self, body: list[ast.stmt], env: Env) -> bool:
        """One turn of a loop; False when it was left."""
        try:
            self._block(body, env)
        except _Break:
            return False
        except _Continue:
            pass
        return True

    def _assign(self, target: ast.expr, value: Any, env: Env) -> None:
        match target:
            case ast.Name(id=name):
                env[name] = bounded(value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                items = list(value)
                if len(items) != len(parts):
                    raise Unknown
                for part, item in zip(parts, items, strict=True):
                    self._assign(part, item, env)
            case ast.Subscript(value=place, slice=index):
                holder = self._evaluate(place, env)
                if not isinstance(holder, list | dict):
                    raise Unknown
                holder[self._evaluate(index, env)] = value
            case _:
                raise Unknown


class _Outside(NamedTuple):
    """A pure function of the libraries'."""

    name: str


_NOTHING: Any = object()
_SPECIAL = frozenset({"map", "filter", "functools.reduce"})
_CHANGING = frozenset("append extend insert update setdefault pop reverse sort remove".split())
_EXPRESSIONS: Mapping[type[ast.AST], Callable[[Constants, Any, Env], Any]] = {
    ast.Constant: Constants._constant,
    ast.Name: Constants._name,
    ast.Attribute: Constants._attribute,
    ast.BinOp: Constants._binary,
    ast.UnaryOp: Constants._unary,
    ast.Compare: Constants._compare,
    ast.BoolOp: Constants._boolean,
    ast.IfExp: Constants._choice,
    ast.List: Constants._list,
    ast.Set: Constants._list,
    ast.Tuple: Constants._tuple,
    ast.Dict: Constants._dict,
    ast.JoinedStr: Constants._text,
    ast.Subscript: Constants._index,
    ast.Lambda: Constants._lambda,
    ast.NamedExpr: Constants._walrus,
    ast.ListComp: Constants._listing,
    ast.SetComp: Constants._listing,
    ast.GeneratorExp: Constants._listing,
    ast.DictComp: Constants._mapping,
    ast.Call: Constants._call,
}


def _operands(node: ast.BinOp) -> list[ast.expr]:
    """The terms of a chain of ``+``, left to right, however long."""
    terms: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        terms.append(left.right)
        left = left.left
    return [left, *reversed(terms)]


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
        stack.extend(ast.iter_child_nodes(inner))
    return [name for text, name in found.items() if text not in own]


def _positions(function: Function) -> dict[str, int]:
    return {p.arg: place for place, p in enumerate([*function.args.posonlyargs, *function.args.args])}
