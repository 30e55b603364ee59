"""Whether anything in a program can lead outside of plain computing, told by names alone.

Every way out begins with an import, with one of the builtins that give access to more, or with an attribute of the
interpreter's own. The plain modules lead nowhere but by a few members and by other modules inside them. A program
without any of these needs no look at what its expressions stand for, and most have none.
"""

from __future__ import annotations

import ast

from azr_monitor.rules.names import BUILTINS
from azr_monitor.rules.objects import INNER_MODULES
from azr_monitor.rules.syntax import Syntax, words

PLAIN_MODULES = words(
    "__future__ abc bisect cmath collections collections.abc copy dataclasses decimal enum fractions functools "
    "graphlib heapq itertools json keyword math numbers queue re statistics string textwrap typing unicodedata"
)
"""Modules that neither lead outside nor vary, but for ``LEADING_MEMBERS``."""
LEADING_MEMBERS = words(
    "Formatter get_type_hints ForwardRef partial partialmethod _eval_type * get_field vformat load dump"
)
INNER_ATTRIBUTES = words(
    "f_back f_globals f_locals f_builtins f_code tb_frame tb_next gi_frame gi_code gi_yieldfrom cr_frame cr_code "
    "cr_await ag_frame ag_code ag_await mro func_globals func_code load_module exec_module find_spec get_data "
    "get_field vformat"
)
_WAYS_OUT = (
    BUILTINS
    - words(
        "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format "
        "frozenset hex int isinstance issubclass iter len list map max min next oct ord pow print range repr reversed "
        "round set slice sorted str sum tuple zip super property staticmethod classmethod True False None Ellipsis "
        "NotImplemented __name__ __doc__ object type id hash input"
    )
    - frozenset(name for name in BUILTINS if name.endswith(("Error", "Exception", "Warning", "Iteration", "Exit")))
)


def leads_outside(syntax: Syntax) -> bool:
    """Whether there is the beginning of any way out."""
    return (
        syntax.has(ast.MatchClass)
        or not _WAYS_OUT.isdisjoint(syntax.read)
        or not INNER_ATTRIBUTES.isdisjoint(syntax.attributes)
        or any(attr[0] == "_" for attr in syntax.attributes)
        or (syntax.has(ast.Import, ast.ImportFrom) and not _imports_plainly(syntax))
    )


def _imports_plainly(syntax: Syntax) -> bool:
    """Whether all imports are of plain modules, none of their members leads further, and none is changed."""
    bound: set[str] = set()
    for statement in syntax.all(ast.Import):
        if any(alias.name not in PLAIN_MODULES for alias in statement.names):
            return False
        bound.update(alias.asname or alias.name for alias in statement.names)
    for source in syntax.all(ast.ImportFrom):
        if source.level or source.module not in PLAIN_MODULES:
            return False
        names = {alias.name for alias in source.names}
        if not names.isdisjoint(LEADING_MEMBERS) or not names.isdisjoint(INNER_MODULES):
            return False
        bound.update(alias.asname or alias.name for alias in source.names)
    if not syntax.attributes.isdisjoint(LEADING_MEMBERS) or not syntax.attributes.isdisjoint(INNER_MODULES):
        return False
    return not any(
        node.ctx.__class__ is not ast.Load and isinstance(node.value, ast.Name) and node.value.id in bound
        for node in syntax.all(ast.Attribute)
    )
