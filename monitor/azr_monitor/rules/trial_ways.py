"""What a loop hangs on: the ways out of it that can be measured, and the names by which it goes on."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from azr_monitor.rules.inside import closed, flow
from azr_monitor.rules.recursions import GATHERS
from azr_monitor.rules.syntax import children, own, walk
from azr_monitor.rules.walked import always_true


def ways_out(loop: ast.For | ast.While) -> list[ast.AST] | None:
    """What a loop asks before it ends: comparisons, or the statements whose whole test is measured; None where it ends
    in a way that is not told by them."""
    found: list[ast.AST] = []
    test = loop.test if isinstance(loop, ast.While) else ast.Constant(True)
    flag = test.operand if isinstance(test, ast.UnaryOp) else test
    flagged = ""
    if isinstance(flag, ast.Name) and any(
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and _stores(node, flag.id)
        for node in own(loop.body)
    ):
        flagged = flag.id
    elif not always_true(test):
        keys = _asked(test, loop, ast.And)
        if keys is None:
            return None
        found += keys
    for statement in loop.body:
        if not any(_ends(node, flagged) for node in _own_ends(statement)):
            continue
        if not isinstance(statement, ast.If) or any(
            _ends(node, flagged) for inner in statement.body for node in _deeper(inner)
        ):
            return None
        keys = _asked(statement.test, statement, ast.Or)
        if keys is None:
            return None
        found += keys
    return found or None


def _asked(test: ast.expr, owner: ast.AST, joined: type[ast.boolop]) -> list[ast.AST] | None:
    match test:
        case ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() | ast.Eq() | ast.NotEq()]):
            return [test]
        case ast.BoolOp(op=op, values=values) if isinstance(op, joined):
            parts = [_asked(value, value, joined) for value in values]
            return None if None in parts else [key for part in parts for key in part or ()]
        case ast.Name() | ast.Attribute() | ast.Call(func=ast.Name(id="len")):
            return [owner] if owner is not test else None
        case _:
            return None


def _stores(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _ends(node: ast.AST, flag: str) -> bool:
    return isinstance(node, ast.Break | ast.Return | ast.Raise) or (
        bool(flag) and isinstance(node, ast.Assign) and _stores(node, flag)
    )


def _own_ends(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement, without the functions inside it and the breaks of other loops."""
    inner = {
        node
        for one in own([statement])
        if isinstance(one, ast.For | ast.While)
        for node in own(one.body)
        if isinstance(node, ast.Break)
    }
    return (node for node in own([statement]) if node not in inner)


def _deeper(statement: ast.stmt) -> list[ast.AST]:
    return [node for child in children(statement) if isinstance(child, ast.stmt) for node in walk(child)]


def views(loop: ast.For | ast.While) -> dict[str, str]:
    """The names that a loop hangs on, and what of each: its ``last`` item, its ``length``, ``whole``; what only is
    ``called`` counts where it is a function of the program's."""
    nodes = list(own(loop.body))
    if isinstance(loop, ast.While):
        nodes += walk(loop.test)
    asked: list[ast.AST] = [loop.test] if isinstance(loop, ast.While) else []
    asked += [part for node in nodes for part in _hanging(node)]
    flows = [(_names(into), _names(of)) for into, of in map(_flow, nodes) if into]
    steering = closed({name for part in asked for name in _names([part])}, flows)
    around = {child: node for node in nodes for child in children(node)}
    uses: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses.setdefault(node.id, set()).add(_use(node, around))
    found: dict[str, str] = {}
    for name in sorted(uses):
        kinds = uses[name] - {"fed"}
        if name in steering and kinds:
            found[name] = kinds.pop() if len(kinds) == 1 else "whole"
        elif "called" in kinds:
            found[name] = "called"
    return found


def _flow(node: ast.AST) -> tuple[Sequence[ast.AST], Sequence[ast.AST]]:
    """What a node changes, and what of; what only gathers changes nothing of what it is given."""
    match node:
        case ast.Call(func=ast.Attribute(value=holder, attr=attr), args=args) if attr in GATHERS:
            return [holder], [holder, *args]
        case _:
            return flow(node)


def _hanging(node: ast.AST) -> list[ast.AST]:
    """What of a node decides how a loop goes on, or whether it fails."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return [test]
        case ast.For(iter=walked):
            return [walked]
        case ast.Subscript(ctx=ast.Load()):
            return [node]
        case ast.Call(func=ast.Attribute(value=holder, attr=attr)) if attr not in GATHERS:
            return [holder]
        case ast.Call(func=ast.Name(id="next" | "int"), args=args):
            return [*args]
        case ast.BinOp(op=ast.Div() | ast.Mod() | ast.FloorDiv(), right=right):
            return [right]
        case _:
            return []


def _use(node: ast.Name, around: dict[ast.AST, ast.AST]) -> str:
    match around.get(node):
        case ast.Attribute(attr=attr) as parent if attr in GATHERS and isinstance(
            around.get(around.get(parent, parent)), ast.Expr
        ):
            return "fed"
        case ast.Subscript(value=value, slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1))) as parent:
            return "last" if value is node and isinstance(parent.ctx, ast.Load) else "whole"
        case ast.Call(func=ast.Name(id="len")):
            return "length"
        case ast.Call(func=func) if func is node:
            return "called"
        case _:
            return "whole"


def _names(nodes: Sequence[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in walk(node) if isinstance(one, ast.Name)}
