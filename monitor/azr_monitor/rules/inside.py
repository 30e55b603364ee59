"""What stands inside a statement or an expression: the names it mentions and the kinds of its nodes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from azr_monitor.rules.syntax import COMPREHENSIONS, walk

LEAVES = frozenset({ast.Return, ast.Break, ast.Continue, ast.Raise})
LOOPS = frozenset({ast.For, ast.While})
BUILDS = frozenset(COMPREHENSIONS)
_CONDITIONS = (ast.If, ast.IfExp)


class Inside(NamedTuple):
    """What stands inside a node: the names it stores, loads, mentions at all; the kinds of its nodes, and of those in
    its body alone; the names that conditions in its body ask for, and those on
    which hangs, be it from turn to turn, whether it goes on; the names that its body stores or calls methods of."""

    stored: frozenset[str]
    loaded: frozenset[str]
    mentioned: frozenset[str]
    kinds: frozenset[type[ast.AST]]
    body: frozenset[type[ast.AST]]
    asked: tuple[str, ...]
    steering: frozenset[str]
    changed: tuple[str, ...]


def inside(node: ast.AST) -> Inside:
    """What stands inside a node."""
    nodes = walk(node)
    names = [one for one in nodes if isinstance(one, ast.Name)]
    statements = node.body if isinstance(node, ast.For | ast.While) else []
    body = [one for statement in statements for one in walk(statement)]
    tests = [one.test for one in body if isinstance(one, _CONDITIONS)]
    return Inside(
        stored=frozenset(name.id for name in names if not isinstance(name.ctx, ast.Load)),
        loaded=frozenset(name.id for name in names if isinstance(name.ctx, ast.Load)),
        mentioned=frozenset(name.id for name in names),
        kinds=frozenset(map(type, nodes)),
        body=frozenset(map(type, body)),
        asked=tuple(sorted(_names(tests))),
        steering=_steering(node, tests, body) if isinstance(node, ast.While) else frozenset(),
        changed=tuple(sorted({name for one in body for name in _changed(one)})),
    )


def _changed(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
            yield name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
            yield name
        case _:
            pass


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in walk(node) if isinstance(one, ast.Name)}


def _steering(loop: ast.While, tests: list[ast.expr], body: list[ast.AST]) -> frozenset[str]:
    """The names on which hangs whether a loop goes on: those its tests ask for, and those that these are made of."""
    steering = _names([loop.test, *tests])
    flows = [(_names(into), _names(of)) for into, of in map(flow, body) if into]
    return frozenset(closed(steering, flows))


def closed(steering: set[str], flows: Iterable[tuple[set[str], set[str]]]) -> set[str]:
    """Names, and those that they are made of."""
    before = -1
    while before != len(steering):
        before = len(steering)
        for into, of in flows:
            if not into.isdisjoint(steering):
                steering |= of
    return steering


def flow(node: ast.AST) -> tuple[list[ast.expr], list[ast.AST]]:
    """What a node changes, and what of: ``n = a + b``, ``for i in xs``, ``xs.append(n)``, ``g(xs, n)``."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return targets, [value, *targets]
        case ast.AugAssign(target=target, value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            return [target], [target, value]
        case ast.NamedExpr(target=target, value=value):
            return [target], [value]
        case ast.For(target=target, iter=walked):
            return [target], [walked]
        case ast.Call(func=func, args=args):
            return [*([func.value] if isinstance(func, ast.Attribute) else []), *args], [func, *args]
        case _:
            return [], []
