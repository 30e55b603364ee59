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
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from math import sqrt
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.rules.syntax import parsed, words

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
    counts = Counter(chain.from_iterable(map(itemgetter(0), _rows(tree))))
    counts.update(row_of(f"# {word}") for comment in _COMMENT.findall(program) for word in _words(comment))
    rows = np.fromiter(counts, np.int64, len(counts))
    rising = rows.argsort()
    values = 1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts))[rising])
    return Encoded(rows[rising], (values / (sqrt(float(values @ values)) or 1.0)).astype(np.float32))


@lru_cache(1 << 16)
def row_of(name: str) -> int:
    """The row of a feature that has a name; the same on every machine."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % ROWS


def features(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """The row of every feature of a tree, as often as it is there, with the line on which it stands; 0 for none."""
    return ((row, line) for rows, line in _rows(tree) for row in rows)


def _rows(tree: ast.AST) -> Iterator[tuple[Sequence[int], int]]:
    """The rows of every node's features, with the line on which it stands."""
    nodes, own = _nodes(tree)
    kinds, names, places = [0], [0], [0]  # of what is above the tree, then of each node, and where what is above it is
    for node, kind, at, line in nodes:
        above, parent, row = kinds[places[at]], kinds[at], kind.row
        name = row_of(kind.naming(node, own)) if kind.naming is not None else 0
        sign = 0
        if kind.sign:
            signs = getattr(node, kind.sign)
            if isinstance(signs, list):
                for each in signs:
                    yield _of_node(parent, row, name, _KINDS[each.__class__].row, 0, 0), line
            else:
                sign = _KINDS[signs.__class__].row
        yield _of_node(above, parent, names[at], row, name, sign), line
        if kind.is_constant and isinstance(node.value, str):
            yield [row_of(f"says {word}") for word in _words(node.value)], line
        kinds.append(row)
        names.append(name)
        places.append(at)


def _nodes(tree: ast.AST) -> tuple[list[_Node], set[str]]:
    """Every node but signs, those above in front; and the names that a program gives to something, but for those that
    Python itself looks for."""
    nodes: list[_Node] = []
    own: set[str] = set()
    stack: list[tuple[Any, int, int]] = [(tree, 0, 0)]
    while stack:
        node, at, line = stack.pop()
        kind = _KINDS[node.__class__]
        if kind.has_line:
            line = node.lineno
        if kind.gives and not (kind.sign and node.ctx.__class__ is not ast.Store):
            own.add(getattr(node, kind.gives))
        nodes.append((node, kind, at, line))
        here = len(nodes)
        for field in kind.inner:
            value = getattr(node, field, None)
            if value.__class__ is list:
                stack += [(child, here, line) for child in value if isinstance(child, ast.AST)]
            elif isinstance(value, ast.AST):
                stack.append((value, here, line))
    return nodes, {name for name in own if not name.startswith("__")}


@lru_cache(1 << 16)
def _of_node(above: int, parent: int, parents_name: int, kind: int, name: int, sign: int) -> tuple[int, ...]:
    """The rows of a node's features, by its kind and its name, and by those of what is above it; and those of the sign
    that it has, which is a node below it."""
    rows = [kind, _under(parent, kind), _under(_under(above, parent), kind)]
    if name:
        rows += (name, _under(parent, name))
    if parents_name:
        rows.append(_under(parents_name, kind))
        if name:
            rows.append(_under(parents_name, name))
    return (*rows, *(_of_node(parent, kind, name, sign, 0, 0) if sign else ()))


def _under(parent: int, child: int) -> int:
    """The row of a feature that is one below another."""
    return (parent * 0x9E3779B1 + child * 0x85EBCA6B >> 7) % ROWS


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


# -- types of nodes -------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """A type of nodes: its row, the fields in which there may be others, and how such a node is called.

    ``sign`` is the field with a node that nothing is inside of: an operator, or how a name is used. ``gives`` is the
    field with a name that such a node may give to something.
    """

    row: int
    inner: tuple[str, ...]
    naming: Callable[[Any, set[str]], str] | None
    sign: str
    gives: str
    has_line: bool
    is_constant: bool


_Node = tuple[Any, _Kind, int, int]
"""A node of a tree, its kind, where the one above it is among all, counted from 1, and the line on which it stands."""

_SIGNS: Final = frozenset(("ctx", "op", "ops"))
_NO_NODES: Final = words(
    "id attr arg kind type_comment type_ignores conversion simple is_async level module asname rest kwd_attrs"
)
_GIVES: Final = {ast.Name: "id", ast.arg: "arg"} | dict.fromkeys(
    (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef), "name"
)


def _kind(kind: type[ast.AST]) -> _Kind:
    fields = [field for field in kind._fields if field not in _NO_NODES]
    return _Kind(
        row_of(kind.__name__),
        () if kind is ast.Constant else tuple(field for field in fields if field not in _SIGNS),
        _NAMING.get(kind),
        next((field for field in fields if field in _SIGNS), ""),
        _GIVES.get(kind, ""),
        "lineno" in kind._attributes,
        kind is ast.Constant,
    )


_KINDS: Final = {
    kind: _kind(kind) for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)
}


def _words(text: str) -> list[str]:
    return [match.group().lower() for _, match in zip(range(_MOST_WORDS), _WORD.finditer(text), strict=False)]
