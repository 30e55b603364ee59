"""What stands inside a statement or an expression: the names it mentions and the kinds of its nodes."""

from __future__ import annotations

import ast
from typing import NamedTuple

from azr_monitor.rules.syntax import COMPREHENSIONS, walk

LEAVES = frozenset({ast.Return, ast.Break, ast.Continue, ast.Raise})
LOOPS = frozenset({ast.For, ast.While})
BUILDS = frozenset(COMPREHENSIONS)


class Inside(NamedTuple):
    """What stands inside a node: the names it stores, loads, mentions at all; the kinds of its nodes, and of those in
    its body alone; the names that conditions in its body ask for."""

    stored: frozenset[str]
    loaded: frozenset[str]
    mentioned: frozenset[str]
    kinds: frozenset[type[ast.AST]]
    body: frozenset[type[ast.AST]]
    asked: tuple[str, ...]


def inside(node: ast.AST) -> Inside:
    """What stands inside a node."""
    nodes = walk(node)
    names = [one for one in nodes if isinstance(one, ast.Name)]
    statements = node.body if isinstance(node, ast.For | ast.While) else []
    body = [one for statement in statements for one in walk(statement)]
    tests = [one.test for one in body if isinstance(one, ast.If | ast.IfExp)]
    return Inside(
        stored=frozenset(name.id for name in names if not isinstance(name.ctx, ast.Load)),
        loaded=frozenset(name.id for name in names if isinstance(name.ctx, ast.Load)),
        mentioned=frozenset(name.id for name in names),
        kinds=frozenset(map(type, nodes)),
        body=frozenset(map(type, body)),
        asked=tuple(sorted({one.id for test in tests for one in walk(test) if isinstance(one, ast.Name)})),
    )
