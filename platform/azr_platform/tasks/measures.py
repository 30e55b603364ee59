"""What can be measured of a task without running it: how large its program is, of what it is made, what it returns.

Text is parsed under the guards of `canonical.parsed`, never compiled or evaluated. A program that does not parse
measures nothing.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from azr_platform.records import Task
from azr_platform.tasks.canonical import parsed
from azr_platform.tasks.kinds import task_kind
from azr_sandbox import values

# Structure that says nothing beyond what stands inside it, or is counted by what it holds.
_SILENT = (ast.Module, ast.Expr, ast.expr_context, ast.arguments, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare)


class Words(NamedTuple):
    """A program's operators and operands as Halstead tells them apart, in no particular order."""

    operators: list[str]
    """Operators, calls, subscripts, literal displays, statements: by their names in Python's syntax."""
    operands: list[str]
    """Names, attributes, arguments and constants."""


def syntax_nodes(program: str) -> int:
    """How many nodes the program's syntax tree has, without those that only mark a name as read or written."""
    tree = parsed(program)
    return 0 if tree is None else sum(not isinstance(node, ast.expr_context) for node in ast.walk(tree))


def halstead_words(program: str) -> Words:
    """The words that Halstead's measures count."""
    words = Words([], [])
    tree = parsed(program)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Name(id=name) | ast.arg(arg=name):
                words.operands.append(name)
            case ast.Constant(value=value):
                # hex: Python refuses to write very long integers in decimal
                words.operands.append(hex(value) if type(value) is int else repr(value))
            case ast.Attribute(attr=name):
                words.operators.append("Attribute")
                words.operands.append(name)
            case node if not isinstance(node, _SILENT):
                words.operators.append(type(node).__name__)
    return words


def answer_kind(task: Task) -> str:
    """What a task's (first) output is: a type such as ``int`` or ``list``, or what the program raises; ``text`` where
    it is neither."""
    text = task.outputs[0]
    if task_kind(task.kind).raises:
        return text
    try:
        return values.parse(text).kind
    except values.NotALiteral:
        return "text"
