"""What a function is at a glance: whether it only computes, whether it is a generator, what it takes."""

from __future__ import annotations

import ast
from typing import NamedTuple

from azr_monitor.rules.syntax import Function, own_nodes, walk, words


class Nature(NamedTuple):
    """What a function is.

    Attributes:
        names: of its parameters, in order.
        pure: it keeps nothing and changes nothing, as far as its own text shows: no stores but to names of its own, no
            methods, no memory of results that it looks into.
        steady: it takes as long for the same numbers each time: it keeps no memory of results to look into, and what it
            is given to gather them in it only adds to.
        generator: calling it runs nothing of it yet.
    """

    names: list[str]
    pure: bool
    steady: bool
    generator: bool


_LATER = frozenset({ast.Yield, ast.YieldFrom, ast.Await})
_UNTOLD = _LATER | {ast.Global, ast.Nonlocal, ast.Try, ast.NamedExpr, ast.Delete}
_GATHERS = words("append extend add")


def nature(function: Function) -> Nature:
    """What a function is, at one look."""
    nodes = list(own_nodes(function))
    kinds = set(map(type, nodes))
    told = kinds.isdisjoint(_UNTOLD) and (isinstance(function, ast.Lambda) or not function.decorator_list)
    return Nature(
        parameters(function),
        pure=told and ast.Attribute not in kinds and not any(map(_changes, nodes)),
        steady=told
        and not isinstance(function, ast.Lambda)
        and ast.Subscript not in kinds
        and not any(map(_looks_into, nodes)),
        generator=not kinds.isdisjoint(_LATER),
    )


def _changes(node: ast.AST) -> bool:
    """Whether a statement changes something that is no name of the function's."""
    match node:
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return True
        case ast.AugAssign(target=target):
            return not isinstance(target, ast.Name)
        case _:
            return False


def _looks_into(node: ast.AST) -> bool:
    """Whether an expression asks what something holds, or does more to it than add."""
    match node:
        case ast.Attribute(attr=attr):
            return attr not in _GATHERS
        case ast.Compare(ops=ops):
            return any(isinstance(op, ast.In | ast.NotIn) for op in ops)
        case _:
            return False


def calls_itself(function: ast.FunctionDef) -> bool:
    """Whether a function's own body names it."""
    return any(isinstance(node, ast.Name) and node.id == function.name for node in own_nodes(function))


def parameters(function: Function) -> list[str]:
    """The names of all parameters, in order."""
    given = function.args
    if given.vararg or given.kwarg or given.kwonlyargs:
        return [argument.arg for argument in walk(given) if isinstance(argument, ast.arg)]
    return [argument.arg for argument in (*given.posonlyargs, *given.args)]
