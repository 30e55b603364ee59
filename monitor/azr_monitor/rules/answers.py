"""What a comparison answers whatever it is given: followed through helpers, fields of its class and its own names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.rules.syntax import FUNCTIONS, Function, own, own_nodes, returned, walk
from azr_monitor.rules.tree import Program
from azr_monitor.rules.truth import truth

_MAX_DEPTH = 3
_OPERATORS: dict[str, type[ast.cmpop]] = {"__lt__": ast.Lt, "__le__": ast.LtE, "__gt__": ast.Gt, "__ge__": ast.GtE}
_PLAIN = (ast.Assign, ast.AnnAssign, ast.Expr, ast.Return, ast.Pass)


def always(program: Program, function: Function, wanted: bool, owner: ast.ClassDef | None = None) -> bool:
    """Whether every way through a function gives that truth value, whatever the other side is.

    ``isinstance(other, Own)`` before it, or a return of ``NotImplemented``, makes it an honest answer for some.
    """
    return _Answers(program, function, owner).are(wanted)


class _Answers:
    """The answers of one function, and what its names, fields and calls stand for in them."""

    def __init__(self, program: Program, function: Function, owner: ast.ClassDef | None, depth: int = 0) -> None:
        self._program = program
        self._function = function
        self._owner = owner
        self._depth = depth

    def are(self, wanted: bool) -> bool:
        function = self._function
        ways = [function.body] if isinstance(function, ast.Lambda) else list(self._ways(function.body))
        return bool(ways) and all(truth(value, known=self._known) is wanted for value in ways)

    def _ways(self, body: list[ast.stmt]) -> Iterator[ast.expr]:
        """What a body returns, on the ways that it can take."""
        for statement in body:
            if isinstance(statement, ast.If) and (taken := truth(statement.test, known=self._known)) is not None:
                branch = statement.body if taken else statement.orelse
                yield from self._ways(branch)
                if branch and isinstance(branch[-1], ast.Return):
                    return
                continue
            yield from (one.value for one in own([statement]) if isinstance(one, ast.Return) and one.value is not None)

    def _known(self, node: ast.expr) -> ast.expr | None:
        """An expression of the same truth that says more."""
        if self._depth > _MAX_DEPTH:
            return None
        match node:
            case ast.Name(id=name):
                return self._local(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if self._owner is not None and name == self._me:
                return self._field(self._owner, attr)
            case ast.Call(func=ast.Name() as called):
                return self._result(called)
            case ast.Call(func=ast.Lambda(body=body)):
                return None if (settled := truth(body)) is None else ast.Constant(settled)
            case ast.Compare(left=ast.Name(), ops=[op], comparators=[ast.Name()]) if self._owner is not None:
                return self._compared(self._owner, op)
            case _:
                return None

    @property
    def _me(self) -> str:
        given = self._function.args
        return next((argument.arg for argument in (*given.posonlyargs, *given.args)), "")

    def _local(self, name: str) -> ast.expr | None:
        """What was last assigned to a name of the function's, where nothing branches before it is returned."""
        body = [] if isinstance(self._function, ast.Lambda) else self._function.body
        if not all(isinstance(statement, _PLAIN) for statement in body):
            return None
        found = [
            statement.value
            for statement in body
            if isinstance(statement, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in statement.targets)
        ]
        if not found or any(isinstance(one, ast.Name) and one.id == name for one in walk(found[-1])):
            # What is made of its own earlier value: its truth may show all the same.
            settled = truth(found[-1]) if found else None
            return None if settled is None else ast.Constant(settled)
        return found[-1]

    def _field(self, owner: ast.ClassDef, attr: str) -> ast.expr | None:
        """What a class says a field is, where nothing ever sets it."""
        if any(a.attr == attr and not isinstance(a.ctx, ast.Load) for a in self._program.all(ast.Attribute)):
            return None
        for statement in owner.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() as value) if name == attr:
                    return value
                case _:
                    pass
        return None

    def _result(self, called: ast.Name) -> ast.expr | None:
        """What a helper answers, where it always answers the same."""
        for one in self._program.meaning.objects(called):
            if isinstance(one, FUNCTIONS):
                for answer in (True, False):
                    if _Answers(self._program, one, None, self._depth + 1).are(answer):
                        return ast.Constant(answer)
        return None

    def _compared(self, owner: ast.ClassDef, op: ast.cmpop) -> ast.expr | None:
        """What an order of the class's own answers, where it always answers the same."""
        for method in owner.body:
            if isinstance(method, ast.FunctionDef) and _OPERATORS.get(method.name) is op.__class__:
                for answer in (True, False):
                    if method is not self._function and _Answers(self._program, method, None, self._depth + 1).are(
                        answer
                    ):
                        return ast.Constant(answer)
        return None


def remembers(function: Function) -> bool:
    """Whether a method changes its object, or a class, and answers by what it has changed: another time otherwise."""
    changed: set[str] = set()
    for node in own_nodes(function):
        match node:
            case ast.AugAssign(target=ast.Attribute(attr=attr)):
                changed.add(attr)
            case ast.Assign(targets=[ast.Attribute(attr=attr)], value=value):
                if any(isinstance(one, ast.Attribute) and one.attr == attr for one in walk(value)):
                    changed.add(attr)
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=attr), attr="append" | "add" | "pop" | "update")):
                changed.add(attr)
            case _:
                pass
    if not changed:
        return False
    tests = [node.test for node in own_nodes(function) if isinstance(node, ast.If | ast.IfExp)]
    asked = [value for value in returned(function) if value is not None]
    return any(
        isinstance(one, ast.Attribute) and one.attr in changed and isinstance(one.ctx, ast.Load)
        for value in (*asked, *tests)
        for one in walk(value)
    )
