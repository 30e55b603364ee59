"""Whether the value of an expression leaves its function, as it is and in its order."""

from __future__ import annotations

import ast

from azr_monitor.rules.syntax import own_nodes, words
from azr_monitor.rules.tree import Program

_ORDERLESS = words(
    "sorted len sum min max set frozenset any all bool Counter isinstance dict sort union intersection difference "
    "issubset issuperset isdisjoint issubset symmetric_difference add update discard fsum prod count fromkeys"
)


def leaves(program: Program, node: ast.AST) -> bool:
    """Whether a value leaves its function, or a name that is returned holds it, with its order."""
    function = next((o for o in program.syntax.around(node) if isinstance(o, ast.FunctionDef | ast.Lambda)), None)
    if not isinstance(function, ast.FunctionDef):
        return False
    parent = _outermost(program, node)
    match parent:
        case ast.Return():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name_leaves(program, parent, name)
        case _:
            return False


def _outermost(program: Program, node: ast.AST) -> ast.AST | None:
    """The statement that the order of a value reaches; None where it is lost on the way: counted, compared, sorted."""
    parent = program.parents.get(node)
    while isinstance(parent, ast.expr | ast.keyword | ast.comprehension):
        if isinstance(parent, ast.Compare | ast.Lambda | ast.Set | ast.SetComp):
            return None
        if isinstance(parent, ast.Subscript) and parent.slice is node:
            return None
        if (isinstance(parent, ast.IfExp) and parent.test is node) or (
            isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
        ):
            return None  # whether there is anything in it
        if isinstance(parent, ast.comprehension) and isinstance(
            program.parents.get(parent), ast.SetComp | ast.DictComp
        ):
            return None
        if isinstance(parent, ast.Call) and _callee(parent) in _ORDERLESS and parent.func is not node:
            return None
        node, parent = parent, program.parents.get(parent)
    return parent


def name_leaves(program: Program, place: ast.AST, name: str) -> bool:
    """Whether what a name holds is returned as it is, and nowhere put in order before."""
    function = next((o for o in program.syntax.around(place) if isinstance(o, ast.FunctionDef)), None)
    if function is None:
        return False
    loads: list[ast.Name] = []
    for node in own_nodes(function):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=given), attr="sort")) if given == name:
                return False
            case ast.Assign(targets=[ast.Name(id=given)], value=ast.Call(func=ast.Name(id="sorted"))) if given == name:
                return False
            case ast.Name(id=given, ctx=ast.Load()) if given == name:
                loads.append(node)
            case _:
                pass
    return any(_is_returned(program, load) for load in loads)


def _is_returned(program: Program, node: ast.AST) -> bool:
    return isinstance(_outermost(program, node), ast.Return)


def _callee(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
