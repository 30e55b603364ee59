"""What a function is at a glance: whether it only computes, whether it is a generator, what it takes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

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
        idle: parameters that only carry results along a recursion: how it goes on hangs on none of them.
    """

    names: list[str]
    pure: bool
    steady: bool
    generator: bool
    idle: frozenset[str]


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
        steady=told and not isinstance(function, ast.Lambda) and not any(map(_looks_into, nodes)),
        generator=not kinds.isdisjoint(_LATER),
        idle=_idle(function, nodes) if isinstance(function, ast.FunctionDef) else frozenset(),
    )


def _idle(function: ast.FunctionDef, nodes: list[ast.AST]) -> frozenset[str]:
    """The parameters of a function that calls itself in several places, or in a loop, on which no branch, loop or other
    call hangs."""
    own = [node for node in nodes if isinstance(node, ast.Call) and _is_call_of(node, function.name)]
    if not own or (len(own) < 2 and not any(isinstance(node, _TURNING) for node in nodes)):
        return frozenset()
    names = parameters(function)
    steering: set[str] = set()
    flows: list[tuple[set[str], set[str]]] = []
    for node in nodes:
        match node:
            case ast.If(test=asked) | ast.While(test=asked) | ast.For(iter=asked):
                steering |= _names(asked)
            case ast.IfExp(test=asked, body=body, orelse=orelse):
                if any(isinstance(inner, ast.Call) for branch in (body, orelse) for inner in walk(branch)):
                    steering |= _names(asked)
            case ast.BoolOp() | ast.comprehension():
                steering |= _names(node)
            case ast.Assign(targets=targets, value=value):
                flows += [(_names(target), _names(value)) for target in targets]
            case ast.AugAssign(target=target, value=value):
                flows.append((_names(target), _names(value)))
            case ast.Call(args=args, keywords=keywords) if node in own:
                flows += [({name}, _names(given)) for name, given in zip(names, args, strict=False)]
                flows += [({keyword.arg or ""}, _names(keyword.value)) for keyword in keywords]
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in _GATHERS:
                pass
            case ast.Call(args=args) | ast.Subscript(slice=ast.expr() as args):
                steering |= {name for given in (args if isinstance(args, list) else [args]) for name in _names(given)}
            case _:
                pass
    before = -1
    while before != len(steering):
        before = len(steering)
        for into, of in flows:
            if not into.isdisjoint(steering):
                steering |= of
    return frozenset(names) - steering


_TURNING = (ast.For, ast.While, ast.comprehension)


def _is_call_of(call: ast.Call, name: str) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == name


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in walk(node) if isinstance(one, ast.Name)}


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
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return True
        case ast.If(test=asked) | ast.IfExp(test=asked) | ast.While(test=asked):
            return any(isinstance(one, ast.Subscript) for one in walk(asked))
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
