"""What a function is at a glance: whether it only computes, whether it is a generator, what it takes."""

from __future__ import annotations

import ast
from typing import NamedTuple

from azr_monitor.rules.syntax import Function, own_nodes, walk, words


class Nature(NamedTuple):
    """What a function is, told once."""

    names: list[str]
    pure: bool
    steady: bool
    generator: bool


def nature(function: Function) -> Nature:
    """All that can be told of a function at a glance."""
    return Nature(parameters(function), is_pure(function), is_steady(function), is_generator(function))


def is_pure(function: Function) -> bool:
    """Whether a function keeps nothing and changes nothing, as far as its own text shows: no stores but to names of
    its own, no methods, no memory of results that it looks into."""
    if not isinstance(function, ast.Lambda) and function.decorator_list:
        return False
    for node in own_nodes(function):
        match node:
            case ast.Global() | ast.Nonlocal() | ast.Attribute() | ast.Yield() | ast.YieldFrom() | ast.Await():
                return False
            case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Try() | ast.NamedExpr() | ast.Delete():
                return False
            case ast.AugAssign(target=target) if not isinstance(target, ast.Name):
                return False
            case _:
                pass
    return True


_GATHERS = words("append extend add")


def is_steady(function: Function) -> bool:
    """Whether a function takes as long for the same numbers each time: it keeps no memory of results to look into, and
    what it is given to gather them in it only adds to."""
    if isinstance(function, ast.Lambda) or function.decorator_list:
        return False
    for node in own_nodes(function):
        match node:
            case ast.Global() | ast.Nonlocal() | ast.Subscript() | ast.In() | ast.NotIn() | ast.Try() | ast.NamedExpr():
                return False
            case ast.Yield() | ast.YieldFrom() | ast.Await() | ast.Delete():
                return False
            case ast.Attribute(attr=attr) if attr not in _GATHERS:
                return False
            case _:
                pass
    return True


def calls_itself(function: ast.FunctionDef) -> bool:
    """Whether a function's own body names it."""
    return any(isinstance(node, ast.Name) and node.id == function.name for node in own_nodes(function))


def is_generator(function: Function) -> bool:
    """Whether calling a function runs nothing of it yet."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom | ast.Await) for node in own_nodes(function))


def parameters(function: Function) -> list[str]:
    """The names of all parameters, in order."""
    given = function.args
    if given.vararg or given.kwarg or given.kwonlyargs:
        return [argument.arg for argument in walk(given) if isinstance(argument, ast.arg)]
    return [argument.arg for argument in (*given.posonlyargs, *given.args)]
