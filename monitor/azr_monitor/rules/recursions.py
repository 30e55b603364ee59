"""What rides along a recursion: parameters on which nothing hangs, and those of which only the length counts.

With them left out, or cut down to their lengths, a recursion that visits every subset or every order of a list has
as many states as the list has items, and can be counted where it could not be followed.
"""

from __future__ import annotations

import ast

from azr_monitor.rules.inside import closed
from azr_monitor.rules.syntax import Function, children, walk, words

GATHERS = words("append extend add")
_TURNING = (ast.For, ast.While, ast.comprehension)
_LENGTHS = words("len range enumerate reversed")


def riding(function: ast.FunctionDef, names: list[str], nodes: list[ast.AST]) -> tuple[frozenset[str], frozenset[str]]:
    """The parameters of a function that calls itself in several places, or in a loop, on which no branch, loop or other
    call hangs; and those on which it does by their lengths alone."""
    own = [node for node in nodes if isinstance(node, ast.Call) and is_own(node, function, (names or [""])[0])]
    if not own or (len(own) < 2 and not any(isinstance(node, _TURNING) for node in nodes)):
        return frozenset(), frozenset()
    tests, flows = _hangs_on(nodes, own, names)
    steering = closed({name for test in tests for name in _names(test)}, flows)
    around = {child: node for node in (*nodes, function) for child in children(node)}
    inside_tests = {one for test in tests for one in walk(test)}
    measured = {
        name
        for name in steering.intersection(names)
        if all(
            _is_by_length(node, around, inside_tests, steering)
            for node in nodes
            if isinstance(node, ast.Name) and node.id == name
        )
    }
    asked = {n.value.id for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)} - {
        n.value.id
        for n in nodes
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.attr in GATHERS
    }
    return frozenset(names) - steering - asked, frozenset(measured)


def is_own(node: ast.AST, function: Function, me: str) -> bool:
    """Whether a node is a call of the function itself: ``go(n - 1)``, ``self.go(n - 1)``."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name == getattr(function, "name", "")
        case ast.Call(func=ast.Attribute(value=ast.Name(id=holder), attr=name)):
            return name == getattr(function, "name", "") and holder == me
        case _:
            return False


def _hangs_on(
    nodes: list[ast.AST], own: list[ast.Call], names: list[str]
) -> tuple[list[ast.AST], list[tuple[set[str], set[str]]]]:
    """The expressions on which it hangs how a function goes on; and what flows into which names."""
    tests: list[ast.AST] = []
    flows: list[tuple[set[str], set[str]]] = []
    for node in nodes:
        match node:
            case ast.If(test=asked) | ast.While(test=asked):
                tests.append(asked)
            case ast.For(target=target, iter=walked):
                tests.append(walked)
                flows.append((_names(target), _names(walked)))
            case ast.IfExp(test=asked, body=body, orelse=orelse):
                if any(isinstance(inner, ast.Call) for branch in (body, orelse) for inner in walk(branch)):
                    tests.append(asked)
            case ast.BoolOp() | ast.comprehension():
                tests.append(node)
            case ast.Assign(targets=targets, value=value):
                flows += [(_names(target), _names(value)) for target in targets]
            case ast.AugAssign(target=target, value=value):
                flows.append((_names(target), _names(value)))
            case ast.Call(args=args, keywords=keywords) if node in own:
                placed = names[isinstance(node.func, ast.Attribute) :]
                flows += [({name}, _names(given)) for name, given in zip(placed, args, strict=False)]
                flows += [({keyword.arg or ""}, _names(keyword.value)) for keyword in keywords]
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in GATHERS:
                pass
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name()]):
                pass  # where it counts, it stands in something that does
            case ast.Call(args=args):
                tests += args
            case ast.Subscript(slice=index) if not isinstance(index, ast.Slice):
                tests.append(index)
            case _:
                pass
    return tests, flows


def _is_by_length(name: ast.Name, around: dict[ast.AST, ast.AST], tests: set[ast.AST], steering: set[str]) -> bool:
    """Whether a name is asked for its length, cut, added to or handed on; or for an item on which nothing hangs."""
    parent = around.get(name)
    match parent:
        case ast.Call(func=ast.Name(id=function)):
            return function in _LENGTHS or name not in tests
        case ast.UnaryOp(op=ast.Not()) | ast.If() | ast.IfExp() | ast.BoolOp():
            return True
        case ast.For(target=target):
            return steering.isdisjoint(_names(target))
        case ast.Subscript(slice=ast.Slice()) | ast.BinOp(op=ast.Add()) | ast.Return():
            return True
        case ast.List() | ast.Tuple():
            return parent not in tests
        case ast.Subscript():
            while isinstance(parent, ast.expr):
                if parent in tests:
                    return False
                parent = around.get(parent)
            return not isinstance(parent, ast.Assign | ast.AugAssign)
        case _:
            return False


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in walk(node) if isinstance(one, ast.Name)}
