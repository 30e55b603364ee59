"""How iterators and loops are walked: to their end at once, or left early."""

from __future__ import annotations

import ast

from azr_monitor.rules.syntax import children, words
from azr_monitor.rules.tree import Program
from azr_monitor.rules.truth import is_no_remainder, truth

EAGER = words("list sum tuple set sorted max min dict frozenset len any all enumerate")
CONSUMERS = words("list sum tuple set sorted max min dict frozenset bytes bytearray deque Counter fsum prod")


def callee(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def consumed(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether all of an iterator is taken at once, it may be through others that only pass its items on."""
    parent = program.parents.get(node)
    if isinstance(parent, ast.Call) and node in parent.args:
        name = parent.func.attr if isinstance(parent.func, ast.Attribute) else callee(parent)
        if name in _LAZY and depth < 8:
            return (name not in SHORTEST or len(parent.args) - (name == "map") == 1) and consumed(
                program, parent, depth + 1
            )
        if isinstance(parent.func, ast.Attribute):
            return name in TAKES_ALL
        return name in CONSUMERS
    if isinstance(parent, ast.For) and parent.iter is node:
        return not leaves(parent)
    if isinstance(parent, ast.Starred):
        return isinstance(program.parents.get(parent), ast.List | ast.Tuple | ast.Set | ast.Call)
    if isinstance(parent, ast.comprehension):
        owner = program.parents.get(parent)
        if isinstance(owner, ast.GeneratorExp):
            return owner.generators[0] is parent and depth < 8 and consumed(program, owner, depth + 1)
        return isinstance(owner, ast.ListComp | ast.SetComp | ast.DictComp)
    return False


_LAZY = words("map filter enumerate zip chain accumulate starmap filterfalse pairwise iter from_iterable dropwhile")
SHORTEST = words("zip map")
TAKES_ALL = words("join extend update deque Counter fsum prod fromkeys")


def leaves(loop: ast.For | ast.While) -> bool:
    """Whether the loop's own body can leave it: a break of its own, or return, raise, yield, await, exit."""
    stack: list[tuple[ast.AST, bool]] = [(statement, True) for statement in loop.body]
    while stack:
        node, own = stack.pop()
        if isinstance(node, ast.Return | ast.Raise | ast.Yield | ast.YieldFrom | ast.Assert):
            return True
        if isinstance(node, ast.Await) and not _only_waits(node):
            return True
        if isinstance(node, ast.Try) and own and any(isinstance(last, ast.Continue) for last in node.finalbody):
            continue  # whatever happens inside, the loop goes on
        if isinstance(node, ast.Break) and own:
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        inner = own and not isinstance(node, ast.For | ast.While | ast.AsyncFor)
        stack += [(child, inner) for child in children(node)]
    return False


def _only_waits(node: ast.Await) -> bool:
    """``await asyncio.sleep(0)``: others get their turn, and the loop goes on."""
    match node.value:
        case ast.Call(func=ast.Attribute(attr="sleep")):
            return True
        case _:
            return False


def always_true(test: ast.expr) -> bool:
    """Whether the test of a loop is true whatever its names stand for."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)):
            return not value
        case ast.Compare(left=ast.Call(func=ast.Name(id="len")), ops=[ast.GtE()], comparators=[ast.Constant(value=0)]):
            return True
        case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
            return is_no_remainder(left, right)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()], comparators=[right]):
            if isinstance(test.ops[0], ast.GtE) and _callee_of(left) in ("len", "abs"):
                return isinstance(right, ast.Constant) and right.value == 0
            return not isinstance(left, ast.Call) and ast.dump(_plain(left)) == ast.dump(_plain(right))
        case ast.Compare(
            left=ast.Name(id=name), ops=[ast.In()], comparators=[ast.List(elts=held) | ast.Tuple(elts=held)]
        ):
            return any(isinstance(one, ast.Name) and one.id == name for one in held)
        case ast.BoolOp(op=ast.Or(), values=values):
            return truth(test) is True or any(always_true(value) for value in values)
        case _:
            return False


def _callee_of(node: ast.expr) -> str:
    return callee(node) if isinstance(node, ast.Call) else ""


def _plain(node: ast.expr) -> ast.expr:
    """A number without what does nothing to it: ``x + 0``, ``x * 1``, ``--x``; nought for ``x - x`` and ``x * 0``."""
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.BitOr() | ast.BitXor(), right=ast.Constant(value=0)):
            return _plain(left)
        case ast.BinOp(left=ast.Constant(value=0), op=ast.Add() | ast.BitOr() | ast.BitXor(), right=right):
            return _plain(right)
        case ast.BinOp(left=left, op=ast.Mult() | ast.FloorDiv() | ast.Pow(), right=ast.Constant(value=1)):
            return _plain(left)
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Mult(), right=right):
            return _plain(right)
        case (
            ast.BinOp(op=ast.Mult(), right=ast.Constant(value=0)) | ast.BinOp(left=ast.Constant(value=0), op=ast.Mult())
        ):
            return ast.Constant(0)
        case ast.BinOp(left=left, op=ast.Sub() | ast.BitXor(), right=right) if ast.dump(left) == ast.dump(right):
            return ast.Constant(0)
        case ast.UnaryOp(op=ast.USub(), operand=ast.UnaryOp(op=ast.USub(), operand=inner)):
            return _plain(inner)
        case _:
            return node
