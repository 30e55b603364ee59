"""The rule on names that nothing defines: the program fails, or something outside of it must define them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.names import BUILTINS
from azr_monitor.rules.tree import Program

_ALWAYS_THERE = BUILTINS | words(
    "__name__ __doc__ __annotations__ __class__ __debug__ __package__ __module__ __qualname__"
)


def _undefined(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    changed = _only_changed(program) if program.syntax.has(ast.AugAssign) else frozenset()
    unset = program.syntax.read - (program.syntax.bound - changed if changed else program.syntax.bound)
    unknown = unset - _ALWAYS_THERE if unset else unset
    return _first_of(program, unknown) if unknown else ()  # most programs


def _first_of(program: Program, unknown: frozenset[str]) -> Iterator[Hit]:
    """The first of the names, unless something may bring it."""
    declared = {name for statement in program.all(ast.Global, ast.Nonlocal) for name in statement.names}
    brought = any(alias.name == "*" for source in program.all(ast.ImportFrom) for alias in source.names)
    unknown -= declared
    if not unknown or brought or not program.syntax.has(ast.FunctionDef):
        return
    rest = {node.rest for node in program.all(ast.MatchMapping)}
    for node in program.all(ast.Name):
        if node.id in unknown - rest:
            yield Hit(node, node.id)
            return


def _only_changed(program: Program) -> frozenset[str]:
    """Names that are changed in place and never set: ``total = 0`` and then ``totl += x``."""
    changed = {c.target.id for c in program.all(ast.AugAssign) if isinstance(c.target, ast.Name)}
    if not changed:
        return frozenset()
    for assign in program.all(ast.Assign):
        changed.difference_update(target.id for target in assign.targets if isinstance(target, ast.Name))
    if not changed:
        return frozenset()
    parents = program.parents
    set_somewhere = {
        node.id
        for node in program.all(ast.Name)
        if node.id in changed and isinstance(node.ctx, ast.Store) and not isinstance(parents.get(node), ast.AugAssign)
    }
    set_somewhere.update(argument.arg for argument in program.all(ast.arg))
    return frozenset(changed - set_somewhere)


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.undefined",
        Severity.LOW,
        "reads a name that nothing defines",
        catch=(
            "def f(x):\n    return helper(x) + 1",
            "def f(x):\n    answer = x\n    return anwser",
            "def f(x):\n    total = 0\n    for i in x:\n        totl += i\n    return total",
        ),
        spare=(
            "def f(x):\n    return sum(i for i in x) + len(__name__)",
            "from math import *\ndef f(x):\n    return sqrt(x)",
            "def g(x):\n    global count\n    count = x\ndef f(x):\n    g(x)\n    return count",
            "def f(x):\n    match x:\n        case {'a': a, **rest}:\n            return a, rest\n"
            "        case [b, *c] as d:\n"
            "            return b, c, d",
        ),
        check=_undefined,
    ),
)
