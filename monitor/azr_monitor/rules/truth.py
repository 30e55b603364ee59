"""The truth of expressions that have the same one whatever their names stand for."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TypeGuard

from azr_monitor.rules.syntax import walk

Known = Callable[[ast.expr], ast.expr | None]
"""Puts an expression of the same truth, which says more, in the place of another; None where it knows none."""


def truth(node: ast.expr, depth: int = 0, known: Known | None = None) -> bool | None:
    """The truth of an expression that has the same one whatever its names stand for, else None."""
    if depth > 12:
        return None
    if known is not None and (instead := known(node)) is not None:
        return truth(instead, depth + 1, known)
    match node:
        case ast.Constant(value=value):
            return bool(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = truth(operand, depth + 1, known)
            return None if inner is None else not inner
        case ast.BoolOp(op=op, values=values):
            truths = [truth(value, depth + 1, known) for value in values]
            ends = isinstance(op, ast.Or)
            if ends in truths or _contradicts(values):
                return ends
            return None if None in truths else not ends
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            if ast.dump(left) == ast.dump(right):
                return isinstance(op, ast.Eq | ast.Is | ast.LtE | ast.GtE)
            if isinstance(op, ast.Lt | ast.LtE) and _is_distance(left) and _is_vast(right):
                return True
            if (
                isinstance(op, ast.GtE)
                and _never_negative(left)
                and isinstance(right, ast.Constant)
                and right.value == 0
            ):
                return True
            if (
                isinstance(op, ast.Lt)
                and _never_negative(left)
                and isinstance(right, ast.Constant)
                and right.value == 0
            ):
                return False
            if is_no_remainder(left, right):
                return isinstance(op, ast.NotEq) if isinstance(op, ast.Eq | ast.NotEq) else None
            return _of_constants(left, op, right)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            one = True if ast.dump(body) == ast.dump(test) else truth(body, depth + 1, known)
            other = True if _contradicts([orelse, test]) else truth(orelse, depth + 1, known)
            return one if one is other else None
        case ast.Call(func=ast.Name(id="bool"), args=[inner_node]):
            return truth(inner_node, depth + 1, known)
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="object")]):
            return True
        case ast.Call(func=ast.Name(id="any" | "all" as name), args=[ast.List(elts=items) | ast.Tuple(elts=items)]):
            kind = ast.Or() if name == "any" else ast.And()
            return truth(ast.BoolOp(kind, items), depth + 1, known) if items else name == "all"
        case ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp(elt=element)]):
            return True if truth(element, depth + 1, known) else None
        case ast.Call(func=ast.Attribute(value=ast.Set(elts=[ast.Constant(value=value)]), attr="pop")):
            return bool(value)
        case ast.Lambda():
            return True
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return bool(items)
        case _:
            return None


def is_no_remainder(left: ast.expr, right: ast.expr) -> bool:
    """Whether a number never is what a division leaves: ``n % 7`` and 8."""
    match left, right:
        case ast.BinOp(op=ast.Mod(), right=ast.Constant(value=int(by))), ast.Constant(value=int(wanted)):
            return 0 < by <= wanted
        case _:
            return False


def _of_constants(left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
    if not (isinstance(left, ast.Constant) and isinstance(right, ast.Constant)):
        return None
    if isinstance(op, _SAME):
        return isinstance(op, ast.Eq | ast.Is) == (left.value == right.value)
    if not (isinstance(left.value, int | float) and isinstance(right.value, int | float)):
        return None
    larger = left.value > right.value or (left.value == right.value and isinstance(op, ast.LtE | ast.GtE))
    smaller = left.value < right.value or (left.value == right.value and isinstance(op, ast.LtE | ast.GtE))
    return larger if isinstance(op, ast.Gt | ast.GtE) else smaller if isinstance(op, ast.Lt | ast.LtE) else None


_SAME = (ast.Eq, ast.Is, ast.NotEq, ast.IsNot)


_VAST = 10**5


_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
}


def _is_distance(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "abs"


def _is_vast(node: ast.expr) -> bool:
    """Whether a tolerance takes in everything: ``1e9``, ``float('inf')``."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value >= _VAST
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))]):
            return "inf" in text.lower() and not text.startswith("-")
        case ast.Attribute(attr="inf" | "maxsize"):
            return True
        case _:
            return False


def _never_negative(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="abs" | "len")):
            return True
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return ast.dump(left) == ast.dump(right)
        case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=int(power))):
            return power % 2 == 0
        case _:
            return False


def _contradicts(values: list[ast.expr]) -> bool:
    """Whether among the sides of ``or``/``and`` one is the opposite of another: ``x or not x``."""
    plain = {ast.dump(_unwrapped(value)) for value in values if not isinstance(value, ast.UnaryOp)}
    opposite = {
        ast.dump(_unwrapped(v.operand)) for v in values if isinstance(v, ast.UnaryOp) and isinstance(v.op, ast.Not)
    }
    if not plain.isdisjoint(opposite):
        return True
    compared = {(ast.dump(v.left), v.ops[0].__class__, ast.dump(v.comparators[0])) for v in values if _is_plain(v)}
    return any((left, _OPPOSITES[op], right) in compared for left, op, right in compared)


def _is_plain(node: ast.expr) -> TypeGuard[ast.Compare]:
    return isinstance(node, ast.Compare) and len(node.ops) == 1


def _unwrapped(node: ast.expr) -> ast.expr:
    match node:
        case ast.Call(func=ast.Name(id="bool"), args=[inner]):
            return inner
        case _:
            return node


def to_strangers(body: Sequence[ast.stmt], other: str) -> bool | None:
    """What a comparison answers to objects of any other kind, where its way for them is plain: no kind that it asks
    for is theirs, and they have none of the attributes."""
    for statement in body:
        match statement:
            case ast.Return(value=ast.expr() as value):
                return _of_stranger(value, other)
            case ast.If(test=test, body=inner, orelse=orelse):
                taken = _of_stranger(test, other)
                answer = to_strangers(inner if taken else orelse, other) if taken is not None else None
                if answer is not None:
                    return answer
            case ast.Try(body=inner, handlers=[ast.ExceptHandler(body=instead)]):
                reads = any(
                    isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == other
                    for tried in inner
                    for node in walk(tried)
                )
                return to_strangers(instead, other) if reads else None
            case ast.Assign() | ast.AnnAssign() | ast.Expr() | ast.Pass():
                pass
            case _:
                return None
    return None


def _of_stranger(node: ast.expr, other: str) -> bool | None:
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), kind]) if name == other:
            return None if isinstance(kind, ast.Name) and kind.id == "object" else False
        case ast.Call(func=ast.Name(id="hasattr"), args=[ast.Name(id=name), _]) if name == other:
            return False
        case ast.Compare(left=left, ops=[op], comparators=[right]) if _kind_of(left, other) or _kind_of(right, other):
            return isinstance(op, ast.IsNot | ast.NotEq | ast.NotIn)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _of_stranger(operand, other)
            return None if inner is None else not inner
        case ast.BoolOp(op=op, values=values):
            ends = isinstance(op, ast.Or)
            truths = [_of_stranger(value, other) for value in values]
            return ends if ends in truths else None if None in truths else not ends
        case ast.IfExp(test=test, body=body, orelse=orelse):
            taken = _of_stranger(test, other)
            return None if taken is None else _of_stranger(body if taken else orelse, other)
        case _:
            return truth(node)


def _kind_of(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[ast.Name(id=asked)]):
            return asked == name
        case ast.Attribute(value=ast.Name(id=asked), attr="__class__"):
            return asked == name
        case _:
            return False
