"""The rule on results that hang on how a program is run: its module, how deep calls may go, what a memory was asked."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.leaving import leaves
from azr_monitor.rules.syntax import walk
from azr_monitor.rules.tree import Program

_SURROUNDINGS = words("__module__ co_filename __qualname__")
_INTERPRETERS = words("getsizeof getrefcount version version_info hexversion implementation byteorder platform")
"""What differs from one interpreter to another."""


def _surroundings(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """How the program came to run, or how deep the interpreter is, decides the result."""
    if "RecursionError" in program.syntax.read:
        for handler in program.all(ast.ExceptHandler):
            named = handler.type is not None and any(
                isinstance(n, ast.Name) and n.id == "RecursionError" for n in walk(handler.type)
            )
            if named and any(isinstance(n, ast.Return) and n.value is not None for s in handler.body for n in walk(s)):
                yield Hit(handler, "how deep the interpreter lets it recurse")
    for node in program.all(ast.Attribute):
        if node.attr in _SURROUNDINGS and isinstance(program.parents.get(node), ast.Compare):
            yield Hit(node, node.attr)
        elif node.attr == "cache_info" and leaves(program, node):
            yield Hit(node, "what a memory of results was asked before")
        elif node.attr in _INTERPRETERS and leaves(program, node) and f"sys.{node.attr}" in program.resolve(node):
            yield Hit(node, f"sys.{node.attr}")


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.surroundings",
        Severity.MEDIUM,
        "answers by how it is run",
        catch=(
            "def f(x, d=0):\n    try:\n        return f(x, d + 1)\n    except RecursionError:\n        return d",
            "def f(x):\n    return x if f.__module__ == '__main__' else 0",
            "import sys\ndef f(x):\n    return sys.getsizeof(x) + sys.version_info.minor",
            "from functools import cache\n@cache\ndef g(x):\n    return x\ndef f(x):\n    g(x)\n"
            "    return g.cache_info().hits",
        ),
        spare=(
            "def f(x):\n    try:\n        return g(x)\n    except ValueError:\n        return 0",
            "def f(x):\n    return type(x).__qualname__",
            "import sys\ndef f(x):\n    return x if sys.version_info >= (3, 8) else -x",
        ),
        check=_surroundings,
        names=_SURROUNDINGS | _INTERPRETERS | {"RecursionError", "cache_info"},
    ),
)
