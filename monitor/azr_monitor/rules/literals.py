"""Whether the arguments of a call are plain values, with nothing to run."""

from __future__ import annotations

import ast

from azr_monitor.rules.syntax import parsed

_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.USub, ast.UAdd)


def is_plain_call(text: str) -> bool:
    """Whether the text between the parentheses of ``f(...)`` is literals only: values, with nothing to run.

    False for anything else, also for text that does not parse.
    """
    try:
        tree = parsed(f"f({text}\n)", "eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.func.id != "f":
        return False
    stack: list[ast.AST] = [*tree.args, *(keyword.value for keyword in tree.keywords)]
    while stack:
        node = stack.pop()
        if not isinstance(node, _LITERALS):
            return False
        if not isinstance(node, ast.Constant):
            stack.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context))
    return True
