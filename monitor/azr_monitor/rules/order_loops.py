"""How the order of a set shows in what a loop over it leaves: the last item, a fold, places, the first that fits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit
from azr_monitor.rules.names import targets
from azr_monitor.rules.sets import holds_texts, is_set, is_text, name_leaves
from azr_monitor.rules.syntax import walk
from azr_monitor.rules.tree import Program

_ORDERED = (ast.Mult, ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift)
"""What makes something else of the same items in another order, when it is done over and over."""


def shown_by_loops(program: Program) -> Iterator[Hit]:
    """Loops over sets of texts that leave something that hangs on the order."""
    for loop in program.all(ast.For):
        walked, items = loop.iter, set(targets(loop.target))
        match loop:
            case ast.For(
                target=ast.Tuple(elts=[_, ast.expr() as item]),
                iter=ast.Call(func=ast.Name(id="enumerate"), args=[walked, *_]),
            ):
                items = set(targets(item))
            case _:
                pass
        if not holds_texts(program, walked):
            continue
        counted = {name for s in loop.body for node in walk(s) for name in _counts(node)}
        for statement in loop.body:
            for node in walk(statement):
                yield from _shown(program, loop, node, items, counted, certain=node is statement)


def put_together(program: Program) -> Iterator[Hit]:
    """Loops over sets whose items make up a text or a list in the order in which they come."""
    for loop in program.all(ast.For):
        if is_set(program, loop.iter) and isinstance(loop.target, ast.Name):
            yield from _put(program, loop, loop.target.id)


def _put(program: Program, loop: ast.For, item: str) -> Iterator[Hit]:
    """``for w in words: text += w``: what is added to a text is a text, and texts add up in order."""
    for node in (inner for statement in loop.body for inner in walk(statement)):
        match node:
            case ast.AugAssign(target=ast.Name() as total, op=ast.Add(), value=value) if _begins_as_text(
                program, total.id
            ):
                if item in _names(value):
                    yield Hit(loop, "a set, put together in the order it happens to have")
            case ast.Call(func=ast.Attribute(value=kept, attr="append"), args=[added]) if item in _names(added):
                if holds_texts(program, loop.iter):
                    sure = (isinstance(kept, ast.Name) and name_leaves(program, loop, kept.id)) or (
                        "sort" not in program.text and _is_in_table(program, loop, kept)
                    )
                    yield Hit(loop, "the order of a set", None if sure else Severity.LOW)
            case _:
                pass


def _is_in_table(program: Program, loop: ast.For, kept: ast.expr) -> bool:
    """Whether something is an item of a table that leaves: ``groups[len(w)]``, ``groups.setdefault(len(w), [])``."""
    match kept:
        case (
            ast.Subscript(value=ast.Name(id=table))
            | ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="setdefault"))
        ):
            return name_leaves(program, loop, table)
        case _:
            return False


def _counts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _shown(
    program: Program, loop: ast.For, node: ast.AST, items: set[str], counted: set[str], certain: bool
) -> Iterator[Hit]:
    match node:
        case ast.Return(value=ast.expr() as value) if not items.isdisjoint(_names(value)):
            yield Hit(loop, "whichever item of a set comes first", None if certain else Severity.LOW)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if not items.isdisjoint(_names(value)):
            if not name_leaves(program, loop, name):
                return
            if name not in _names(value):
                yield Hit(loop, "whichever item of a set comes last", None if certain else Severity.LOW)
            elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and _begins_as_text(program, name):
                yield Hit(loop, "a set, put together in the order it happens to have")
            elif any(_is_ordered(one) and name in _names(one) for one in walk(value)):
                yield Hit(loop, "a set, folded in the order it happens to have")
        case ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="setdefault"), args=[key, ast.Name(id=item)]):
            if item in items and item not in _plain(key) and name_leaves(program, loop, table):
                yield Hit(loop, "whichever item of a set comes first")
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=table), slice=key)], value=value):
            places = (counted - items) | {table}
            by_place = not items.isdisjoint(_names(key)) and not places.isdisjoint(_names(value))
            by_place &= table not in _names(value) or _asks_length(value, table)
            if by_place and name_leaves(program, loop, table):
                yield Hit(loop, "items of a set by their places")
        case _:
            pass


def _begins_as_text(program: Program, name: str) -> bool:
    return any(
        isinstance(assign.value, ast.Constant | ast.JoinedStr)
        and is_text(program, assign.value)
        and any(isinstance(target, ast.Name) and target.id == name for target in assign.targets)
        for assign in program.all(ast.Assign)
    )


def _is_ordered(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, _ORDERED)


def _plain(key: ast.expr) -> set[str]:
    """The name that a key is, where it is no more than that."""
    return {key.id} if isinstance(key, ast.Name) else set()


def _asks_length(value: ast.expr, table: str) -> bool:
    match value:
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]):
            return name == table
        case ast.BinOp(left=left, right=right):
            return _asks_length(left, table) or _asks_length(right, table)
        case _:
            return False


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in walk(node) if isinstance(one, ast.Name)}
