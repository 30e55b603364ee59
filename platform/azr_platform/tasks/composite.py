"""Programs made of earlier ones (arXiv 2505.03335, appendix): a proposal is given functions g_0, g_1 … and must call
each of them.

Both sides derive the functions from tasks on record: the trainer to show them, the supervisor to put them in front of
what the model wrote, so that the program that is judged and run is whole. Text is parsed under the guards of
`canonical.parsed`, never compiled or evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from azr_platform.tasks.canonical import ENTRY, parsed

MAX_CHARS: Final = 2_000
"""Longer programs are not given as functions."""
_GIVEN: Final = re.compile(r"g_\d+")


def given_function(program: str, number: int) -> str | None:
    """The program's ``f`` as a function ``g_<number>`` that stands by itself, layout and comments lost.

    None for a program that cannot be one: one that holds more than a plain ``f``, that uses the name ``f`` for
    something else or a name of the form ``g_0`` at all, or is longer than `MAX_CHARS`.
    """
    tree = parsed(program) if len(program) <= MAX_CHARS else None
    if tree is None or len(tree.body) != 1:
        return None
    (function,) = tree.body
    if not isinstance(function, ast.FunctionDef) or function.name != ENTRY or function.decorator_list:
        return None
    names = [name for part in ast.iter_child_nodes(function) for name in _bound(part)]
    if ENTRY in names or any(_GIVEN.fullmatch(name) for name in [*names, *_read(tree)]):
        return None
    function.name = name = f"g_{number}"
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == ENTRY:  # it calls itself
            node.id = name
    try:
        return ast.unparse(tree)
    except (RecursionError, ValueError):
        return None


def definitions(programs: Sequence[str]) -> str:
    """The functions g_0, g_1 … of these programs, as one program text.

    Raises:
        ValueError: one of them cannot be given as a function.
    """
    functions = [given_function(program, number) for number, program in enumerate(programs)]
    if None in functions:
        raise ValueError(f"program {functions.index(None)} cannot be given as a function")
    return "\n\n".join(function for function in functions if function is not None)


def build(program: str, given: Sequence[str]) -> tuple[str, str]:
    """(the definitions of the given programs' functions, then ``program``; why it does not build on them).

    The first is what is judged and run, so that it stands by itself; where the programs cannot be given, ``program``.
    """
    try:
        before = definitions(given)
    except ValueError as error:
        return program, str(error)
    return f"{before}\n\n{program}", composition_problem(program, len(given))


def composition_problem(program: str, count: int) -> str:
    """Why a program does not build on the ``count`` functions it was given; an empty text when it does.

    It must call each by its name and bind none of their names, anywhere.
    """
    tree = parsed(program)
    if tree is None:
        return "the program does not parse"
    wanted = [f"g_{number}" for number in range(count)]
    bound = set(_bound(tree))
    for name in wanted:
        if name in bound:
            return f"the program redefines {name}, which is given"
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    for name in wanted:
        if name not in called:
            return f"the program does not call {name}"
    return ""


def _read(tree: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _bound(tree: ast.AST) -> Iterator[str]:
    """Every name that something in the tree binds, deletes or declares."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.alias(name=name, asname=alias):
                yield alias or name.partition(".")[0]
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from names
            case _ if type(node).__name__ in ("TypeVar", "ParamSpec", "TypeVarTuple"):  # from Python 3.12
                yield str(getattr(node, "name", ""))
