"""What a function is at a glance: whether it only computes, whether it is a generator, what it takes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

from azr_monitor.rules.recursions import GATHERS, is_own, riding
from azr_monitor.rules.syntax import Function, own_nodes, walk


class Nature(NamedTuple):
    """What a function is.

    Attributes:
        names: of its parameters, in order.
        pure: it keeps nothing and changes nothing, as far as its own text shows: no stores but to names of its own, no
            methods, no memory of results that it looks into.
        steady: it takes as long for the same numbers each time: it keeps no memory of results to look into, and what it
            is given to gather them in it only adds to.
        recursive: it calls itself, by its name or as a method.
        generator: calling it runs nothing of it yet.
        idle: parameters that only carry results along a recursion: how it goes on hangs on none of them.
        measured: parameters of which it hangs on the length alone.
    """

    names: list[str]
    pure: bool
    steady: bool
    recursive: bool
    generator: bool
    idle: frozenset[str]
    measured: frozenset[str]


_LATER = frozenset({ast.Yield, ast.YieldFrom, ast.Await})
_UNTOLD = _LATER | {ast.Global, ast.Nonlocal, ast.Try, ast.NamedExpr, ast.Delete}


def nature(function: Function) -> Nature:
    """What a function is, at one look."""
    nodes = list(own_nodes(function))
    kinds = set(map(type, nodes))
    idle: frozenset[str] = frozenset()
    measured: frozenset[str] = frozenset()
    if isinstance(function, ast.FunctionDef):
        idle, measured = riding(function, parameters(function), nodes)
    me = (parameters(function) or [""])[0]
    told = kinds.isdisjoint(_UNTOLD) and (isinstance(function, ast.Lambda) or not function.decorator_list)
    return Nature(
        parameters(function),
        pure=told
        and not any(map(_changes, nodes))
        and all(_only_reads(node, me, function) for node in nodes if isinstance(node, ast.Attribute | ast.Call)),
        recursive=isinstance(function, ast.FunctionDef) and any(is_own(node, function, me) for node in nodes),
        steady=told and not isinstance(function, ast.Lambda) and not any(_looks_into(node, me) for node in nodes),
        generator=not kinds.isdisjoint(_LATER),
        idle=idle,
        measured=measured,
    )


def arranged(function: Function, given: list[Any], options: Mapping[str, Any]) -> list[Any] | None:
    """What a call hands over, in the order of the parameters; expressions where defaults stand in; None where the two
    do not fit, or that is not plain."""
    arguments = function.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        return None
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    instead = dict(zip(names[len(names) - len(arguments.defaults) :], arguments.defaults, strict=True))
    rest = names[len(given) :]
    if (
        len(given) > len(names)
        or not options.keys() <= set(rest)
        or any(n not in options and n not in instead for n in rest)
    ):
        return None
    return [*given, *(options[name] if name in options else instead[name] for name in rest)]


def _only_reads(node: ast.Attribute | ast.Call, me: str, function: Function) -> bool:
    """Whether an attribute is a field of the object that is read, and a call is none of another method of it."""
    if isinstance(node, ast.Call):
        return not isinstance(node.func, ast.Attribute) or is_own(node, function, me)
    return isinstance(node.value, ast.Name) and node.value.id == me and isinstance(node.ctx, ast.Load)


def _changes(node: ast.AST) -> bool:
    """Whether a statement changes something that is no name of the function's."""
    match node:
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return True
        case ast.AugAssign(target=target):
            return not isinstance(target, ast.Name)
        case _:
            return False


def _looks_into(node: ast.AST, me: str) -> bool:
    """Whether an expression asks what something holds, or does more to it than add."""
    match node:
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return True
        case ast.If(test=asked) | ast.IfExp(test=asked) | ast.While(test=asked):
            return any(isinstance(one, ast.Subscript) for one in walk(asked))
        case ast.Attribute(value=ast.Name(id=name), ctx=ast.Load()) if name == me:
            return False  # the object that it is a method of, or a field of what it is given
        case ast.Attribute(attr=attr, ctx=ctx):
            return attr not in GATHERS or not isinstance(ctx, ast.Load)
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
