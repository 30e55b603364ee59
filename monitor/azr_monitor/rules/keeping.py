"""What functions change that outlives a call, and whether it shows in what they answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.rules.syntax import walk, words
from azr_monitor.rules.tree import Program

MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Call)
_GROWS = words("append add insert extend appendleft update pop popleft remove discard subtract")


def changes(node: ast.AST, shared: set[str]) -> Iterator[str]:
    """The names, or attributes, whose value a node changes in a way that the next call sees."""
    match node:
        case ast.AugAssign(target=ast.Name(id=name)):
            yield name
        case ast.AugAssign(target=ast.Subscript(value=ast.Name(id=name))):
            yield name
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Call(args=[ast.Name(id=held)]))]):
            if name == held:
                yield name  # under a key that tells how many there were before
        case ast.AugAssign(target=ast.Attribute(value=ast.Name(id=owner), attr=attr)):
            yield f"{owner}.{attr}"
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=owner), attr=attr)], value=value):
            if any(isinstance(n, ast.Constant) and n.value == attr for n in walk(value)) or any(
                isinstance(n, ast.Attribute) and n.attr == attr for n in walk(value)
            ):
                yield f"{owner}.{attr}"
        case ast.Assign(targets=[ast.Tuple(elts=parts)], value=value) if not shared.isdisjoint(_plain_names(parts)):
            read = {n.id for n in walk(value) if isinstance(n, ast.Name)}
            yield from shared & set(_plain_names(parts)) & read
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in shared:
            if any(isinstance(n, ast.Name) and n.id == name for n in walk(value)):
                yield name
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Constant())], value=value):
            if any(isinstance(n, ast.Name) and n.id == name for n in walk(value)):
                yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in _GROWS:
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=owner), attr=attr), attr=does)):
            if does in _GROWS:
                yield f"{owner}.{attr}"
        case ast.Call(
            func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=owner), attr="__dict__"), attr="setdefault"),
            args=[ast.Constant(value=str(attr)), *_],
        ):
            yield f"{owner}.{attr}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="setdefault"), args=[_, default]):
            if any(isinstance(n, ast.Name) and n.id == name for n in walk(default)):
                yield name
        case ast.Assign(
            targets=[ast.Subscript(value=ast.Name(id=name))],
            value=ast.BinOp(left=ast.Call(func=ast.Attribute(value=ast.Name(id=read), attr="get"))),
        ):
            if name == read:
                yield name
        case ast.Call(func=ast.Name(id="next"), args=[ast.Name(id=name), *_]):
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="__next__" | "send")):
            yield name
        case _:
            pass


def _plain_names(nodes: list[ast.expr]) -> list[str]:
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def declared(nodes: list[ast.AST]) -> set[str]:
    """The names of outer scopes that a function says it assigns to."""
    return {name for node in nodes if isinstance(node, _DECLARATIONS) for name in node.names}


_DECLARATIONS = (ast.Global, ast.Nonlocal)


def set_anew(definition: ast.FunctionDef) -> set[str]:
    """What each call begins by setting: ``count = 0``, ``Counter.total = 0``, ``seen.clear()``."""
    anew: set[str] = set()
    for statement in definition.body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                read = {n.id for n in walk(value) if isinstance(n, ast.Name)}
                for target in targets:
                    if isinstance(target, ast.Name) and target.id not in read:
                        anew.add(target.id)
                    match target:
                        case ast.Attribute(value=ast.Name(id=owner), attr=attr) if owner not in read:
                            anew.add(f"{owner}.{attr}")
                        case ast.Subscript(value=ast.Name(id=name), slice=index):
                            if isinstance(index, ast.Slice) or isinstance(value, ast.Constant):
                                anew.add(name)
                        case _:
                            pass
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="clear"))):
                anew.add(name)
            case ast.If(test=ast.Compare(left=ast.Name(id=name), ops=[ast.Is()])):
                anew.add(name)
            case _:
                pass
    return anew


def shows(program: Program, nodes: list[ast.AST], name: str) -> bool:
    """Whether a result hangs on it: it is read in a condition or in what is returned."""
    owner, _, attr = name.partition(".")
    holders = {owner}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=holder)], value=value) if not attr:
                if any(isinstance(n, ast.Name) and n.id == owner for n in walk(value)):
                    holders.add(holder)
            case ast.Assign(targets=[ast.Tuple(elts=parts)], value=value) if not attr:
                if any(isinstance(n, ast.Name) and n.id == owner for n in walk(value)):
                    holders.update(_plain_names(parts))
            case _:
                pass
    for node in nodes:
        match node:
            case ast.Return(value=seen) if seen is not None:
                pass
            case ast.If(test=seen) | ast.IfExp(test=seen) | ast.While(test=seen):
                pass
            case _:
                continue
        for inner in walk(seen):
            if isinstance(inner, ast.Name) and inner.id in holders and isinstance(inner.ctx, ast.Load):
                outer = program.parents.get(inner)
                if not attr or (isinstance(outer, ast.Attribute) and outer.attr == attr):
                    return True
    return False
