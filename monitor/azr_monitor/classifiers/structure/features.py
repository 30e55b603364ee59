"""Programs as numbers: what a syntax tree is made of, counted, and hashed to rows of a table of weights.

Each node counts by its kind and by what it is called (a call by what is called, a number by its length, an operator by
its sign), by itself and under its parent; kinds also under their grandparent. Which names a program gives to its own
things says nothing, so they count as one; the words of texts and comments count each. What repeats counts by its
logarithm, and the whole has length 1, so that a long program says no more than a short one.
"""

from __future__ import annotations

import ast
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.rules.syntax import parsed

ROWS: Final = 1 << 16
"""Rows of the table of weights; each feature has one, and may share it."""
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_COMMENT: Final = re.compile(r"#.*")
_MOST_WORDS: Final = 40
_OWN: Final = "*"
"""Stands for any name that the program itself gives to something."""


class Encoded(NamedTuple):
    """The rows of a program's features, rising, and their values, whose squares sum to 1."""

    rows: NDArray[np.int64]
    values: NDArray[np.float32]


def encode(program: str) -> Encoded | None:
    """A program's features; None where it does not parse, of which the rules speak."""
    try:
        tree = parsed(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    counts = Counter(row for row, _ in features(tree))
    counts.update(row_of(f"# {word}") for comment in _COMMENT.findall(program) for word in _words(comment))
    rows = np.array(sorted(counts), dtype=np.int64)
    values = 1.0 + np.log([counts[row] for row in rows.tolist()])
    return Encoded(rows, (values / (sqrt(float(values @ values)) or 1.0)).astype(np.float32))


@lru_cache(1 << 16)
def row_of(name: str) -> int:
    """The row of a feature that has a name; the same on every machine."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % ROWS


def features(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """The row of every feature of a tree, as often as it is there, with the line on which it stands; 0 for none."""
    own = _given(tree)
    stack: list[tuple[ast.AST, int, int, int, int]] = [(tree, 0, 0, 0, 0)]
    while stack:
        node, above, parent, parents_name, line = stack.pop()
        what = type(node)
        kind = row_of(what.__name__)
        line = getattr(node, "lineno", line)
        naming = _NAMING.get(what)
        name = 0 if naming is None else row_of(naming(node, own))
        yield kind, line
        yield _under(parent, kind), line
        yield _under(_under(above, parent), kind), line
        if name:
            yield name, line
            yield _under(parent, name), line
        if parents_name:
            yield _under(parents_name, kind), line
            if name:
                yield _under(parents_name, name), line
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for word in _words(node.value):
                yield row_of(f"says {word}"), line
        for child in ast.iter_child_nodes(node):
            stack.append((child, parent, kind, name, line))


def _under(parent: int, child: int) -> int:
    """The row of a feature that is one below another."""
    return (parent * 0x9E3779B1 + child * 0x85EBCA6B >> 7) % ROWS


def _given(tree: ast.AST) -> set[str]:
    """The names that a program gives to something, but for those that Python itself looks for."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
    return {name for name in found if not name.startswith("__")}


# -- what a node is called ------------------------------------------------------------------------------


def _known(name: str, own: set[str]) -> str:
    return _OWN if name in own else name


def _call(node: ast.Call, own: set[str]) -> str:
    called = node.func
    return f"{_known(called.id, own)}()" if isinstance(called, ast.Name) else f".{getattr(called, 'attr', '?')}()"


def _constant(node: ast.Constant, own: set[str]) -> str:
    value = node.value
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return str(value) if 0 <= value < 2 else f"{min(value.bit_length() * 3 // 10 + 1, 12)} digits"
    if isinstance(value, str):
        return f"text of {min(len(value).bit_length(), 7)} bits"
    return type(value).__name__


def _operator(node: Any, own: set[str]) -> str:
    return type(node.op).__name__


_NAMING: Final[dict[type[ast.AST], Callable[[Any, set[str]], str]]] = {
    ast.Name: lambda node, own: f"name {_known(node.id, own)}",
    ast.Attribute: lambda node, own: f".{node.attr}",
    ast.Call: _call,
    ast.Constant: _constant,
    ast.FunctionDef: lambda node, own: f"def {_known(node.name, own)}",
    ast.AsyncFunctionDef: lambda node, own: f"def {_known(node.name, own)}",
    ast.ClassDef: lambda node, own: f"class {_known(node.name, own)}",
    ast.alias: lambda node, own: f"imports {node.name}",
    ast.ImportFrom: lambda node, own: f"from {node.module}",
    ast.keyword: lambda node, own: f"{node.arg}=",
    ast.BinOp: _operator,
    ast.UnaryOp: _operator,
    ast.BoolOp: _operator,
    ast.AugAssign: _operator,
    ast.Compare: lambda node, own: type(node.ops[0]).__name__,
}


def _words(text: str) -> list[str]:
    return [match.group().lower() for _, match in zip(range(_MOST_WORDS), _WORD.finditer(text), strict=False)]
