"""Programs as numbers: what a syntax tree is made of, counted, and hashed to rows of a table of weights.

Kinds of nodes, each with its child and that child's child; names that are read, called, defined and imported; operators
with what they stand between; how long numbers are; words in texts and comments. What repeats counts by its logarithm,
and the whole has length 1, so that a long program says no more than a short one.
"""

from __future__ import annotations

import ast
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from math import log, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.rules.syntax import parsed

ROWS: Final = 1 << 16
"""Rows of the table of weights; each feature has one, and may share it."""
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_COMMENT: Final = re.compile(r"#.*")
_MOST_WORDS: Final = 40


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
    counts = Counter(name for name, _ in features(tree))
    counts.update(f"# {word.lower()}" for comment in _COMMENT.findall(program) for word in _words(comment))
    summed: dict[int, float] = {}
    for name, count in counts.items():
        row = row_of(name)
        summed[row] = summed.get(row, 0.0) + 1.0 + log(count)
    length = sqrt(sum(value * value for value in summed.values())) or 1.0
    rows = sorted(summed)
    return Encoded(np.array(rows, dtype=np.int64), np.array([summed[row] / length for row in rows], dtype=np.float32))


def row_of(name: str) -> int:
    """The row of a feature; the same on every machine."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % ROWS


def features(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every feature of a tree, as often as it is there, with the line on which it stands; 0 for none."""
    stack: list[tuple[ast.AST, str, str, int]] = [(tree, "", "", 0)]
    while stack:
        node, parent, above, line = stack.pop()
        kind = type(node).__name__
        line = getattr(node, "lineno", line)
        yield kind, line
        if parent:
            yield f"{parent}>{kind}", line
        if above:
            yield f"{above}>{parent}>{kind}", line
        for name in _of_node(node):
            yield name, line
        stack.extend((child, kind, parent, line) for child in ast.iter_child_nodes(node))


def _of_node(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            yield f"name {name}"
        case ast.Attribute(attr=name):
            yield f"attribute {name}"
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield f"defines {name}"
        case ast.Call(func=called, args=given):
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "?")
            yield f"calls {name}"
            yield from (f"calls {name} with {type(one).__name__}" for one in given)
        case ast.Constant(value=bool()):
            return
        case ast.Constant(value=int(number)):
            yield f"number of {number.bit_length() * 3 // 10 + 1} digits"
        case ast.Constant(value=str(text)):
            yield from (f"says {word.lower()}" for word in _words(text))
        case ast.Import(names=names):
            yield from (f"imports {alias.name}" for alias in names)
        case ast.ImportFrom(module=module, names=names):
            yield f"imports {module}"
            yield from (f"imports {module}.{alias.name}" for alias in names)
        case ast.BinOp(left=left, op=op, right=right):
            yield f"{type(left).__name__} {type(op).__name__} {type(right).__name__}"
        case ast.Compare(ops=[op, *_], comparators=[right, *_]):
            yield f"{type(op).__name__} {type(right).__name__}"


def _words(text: str) -> list[str]:
    return [match.group() for _, match in zip(range(_MOST_WORDS), _WORD.finditer(text), strict=False)]
