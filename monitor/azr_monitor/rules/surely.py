"""What a body evaluates for sure: before it can branch, return or fail."""

from __future__ import annotations

import ast

from azr_monitor.rules.syntax import COMPREHENSIONS, children

_STRAIGHT = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)
_PASSED = (ast.FunctionDef, ast.ClassDef, ast.Pass, ast.Global, ast.Nonlocal)
_PARTLY = frozenset((ast.Yield, ast.YieldFrom, ast.Await, ast.IfExp, ast.BoolOp, ast.Lambda, *COMPREHENSIONS))
"""Expressions of which not everything is evaluated at once."""


def surely_evaluated(body: list[ast.stmt]) -> list[ast.AST]:
    """The nodes that running a body reaches for sure; none where it is a generator's, which runs when it is walked."""
    found: list[ast.AST] = []
    for statement in body:
        if isinstance(statement, _PASSED):
            continue
        reached: list[ast.AST]
        match statement:
            case ast.If(test=test) | ast.While(test=test):
                reached = [test]
            case ast.For(iter=walked):
                reached = [walked]
            case _ if isinstance(statement, _STRAIGHT):
                reached = [statement]
            case _:
                break
        while reached:
            node = reached.pop()
            if node.__class__ not in _PARTLY:
                found.append(node)
                reached += children(node)
                continue
            match node:
                case ast.Yield() | ast.YieldFrom() | ast.Await():
                    return []
                case ast.IfExp(test=test):
                    reached.append(test)
                    continue
                case ast.BoolOp(values=[first, *_]):
                    reached.append(first)
                    continue
                case (
                    ast.ListComp(generators=[first, *_])
                    | ast.SetComp(generators=[first, *_])
                    | ast.DictComp(generators=[first, *_])
                ):
                    reached.append(first.iter)
                    continue
                case _:
                    continue  # what runs later, if at all
        if not isinstance(statement, _STRAIGHT) or isinstance(statement, ast.Return):
            break
    return found
