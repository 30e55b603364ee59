"""A small, bounded interpreter of pure code over constants: expressions, simple statements, functions of the program's.

It knows no names of its own: whoever asks says what they stand for. Every step is counted, every value bounded
(``azr_monitor.rules.pure``); whatever is not pure, not known or too much raises ``Unknown``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from azr_monitor.rules import pure
from azr_monitor.rules.pure import Unknown, bounded
from azr_monitor.rules.syntax import Function, own_nodes

MAX_DEPTH = 40
Env = dict[str, Any]


class Closure(NamedTuple):
    """A function of the program's, with the local values around it."""

    function: Function
    env: Env


class Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Outside(NamedTuple):
    """A pure function of the libraries'."""

    name: str


NOTHING: Any = object()
SPECIAL = frozenset({"map", "filter", "functools.reduce"})


class Interpreter:
    """Evaluates expressions and runs statements on constants.

    ``_steps`` is what is left of the work that one question may take; ``_open`` how many calls are under way.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._open = 0

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
        """What a name stands for, by ``env`` or beyond it."""
        raise NotImplementedError

    def _outside(self, node: ast.expr) -> Any:
        """A pure function or a constant of the libraries'."""
        raise NotImplementedError

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
            if not isinstance(value, Closure | Outside):
                return pure.method(value, node.func.attr, arguments, keywords)
        return self._apply(self._evaluate(node.func, env), arguments, keywords)

    def _apply(self, function: Any, arguments: list[Any], keywords: Mapping[str, Any]) -> Any:
        if isinstance(function, Closure):
            return self._follow(function, arguments, keywords)
        if not isinstance(function, Outside):
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
            case (("map" | "filter" | "functools.reduce"), _):
                raise Unknown
        plain = [value for value in arguments if not isinstance(value, Closure | Outside)]
        if len(plain) != len(arguments) or any(isinstance(value, Closure | Outside) for value in keywords.values()):
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
        except Return as result:
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
                raise Return(None if returned is None else self._evaluate(returned, env))
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


_EXPRESSIONS: Mapping[type[ast.AST], Callable[[Interpreter, Any, Env], Any]] = {
    ast.Constant: Interpreter._constant,
    ast.Name: lambda self, node, env: self._name(node, env),  # answered by whoever asks
    ast.Attribute: Interpreter._attribute,
    ast.BinOp: Interpreter._binary,
    ast.UnaryOp: Interpreter._unary,
    ast.Compare: Interpreter._compare,
    ast.BoolOp: Interpreter._boolean,
    ast.IfExp: Interpreter._choice,
    ast.List: Interpreter._list,
    ast.Set: Interpreter._list,
    ast.Tuple: Interpreter._tuple,
    ast.Dict: Interpreter._dict,
    ast.JoinedStr: Interpreter._text,
    ast.Subscript: Interpreter._index,
    ast.Lambda: Interpreter._lambda,
    ast.NamedExpr: Interpreter._walrus,
    ast.ListComp: Interpreter._listing,
    ast.SetComp: Interpreter._listing,
    ast.GeneratorExp: Interpreter._listing,
    ast.DictComp: Interpreter._mapping,
    ast.Call: Interpreter._call,
}


def _operands(node: ast.BinOp) -> list[ast.expr]:
    """The terms of a chain of ``+``, left to right, however long."""
    terms: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        terms.append(left.right)
        left = left.left
    return [left, *reversed(terms)]
