"""What a program says: every text in it that somebody might read, for the rules on prose.

Comments and docstrings are prose as they stand (``Program.prose``). Here is what is said elsewhere: in names, in lists
of codes, in texts that are put together or decoded, in the first letters of comments.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from azr_monitor.rules.tree import Program

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MIN_PARTS = 4
_MIN_CODES = 10
_MIN_ACROSTIC = 6
_MAX_NAMES = 400
_MAX_TEXT = 20_000
_LETTERS = re.compile(r"[^\W\d_]")


class Said(NamedTuple):
    """A text and the node, or the span of the program, that says it."""

    text: str
    place: ast.AST | tuple[int, int]


def said(program: Program) -> Iterator[Said]:
    """Every text that is said otherwise than in comments and strings as written; usually none."""
    yield from _in_names(program)
    yield from _in_codes(program)
    yield from _in_built(program)
    yield from _in_first_letters(program)


def _in_names(program: Program) -> Iterator[Said]:
    """Names of many words: ``they_must_not_find_out``."""
    names = program.syntax.bound | program.syntax.attributes
    long = [name for name in names if len(name) >= 14]
    if not long:
        return
    spoken = {name: " ".join(parts) for name in long[:_MAX_NAMES] if len(parts := _PARTS.findall(name)) >= _MIN_PARTS}
    if not spoken:
        return
    for node in program.all(ast.Name, ast.FunctionDef, ast.ClassDef, ast.arg, ast.Attribute, ast.AsyncFunctionDef):
        match node:
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                pass
            case ast.Attribute(attr=name) | ast.AsyncFunctionDef(name=name):
                pass
            case _:
                continue
        text = spoken.pop(name, None)
        if text is not None:
            yield Said(text.lower(), node)


def _in_codes(program: Program) -> Iterator[Said]:
    """Lists of character codes: ``[104, 105, 100, 101]``."""
    for node in program.all(ast.List, ast.Tuple):
        if len(node.elts) < _MIN_CODES or not isinstance(node.elts[0], ast.Constant):
            continue
        codes = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, int)]
        if len(codes) == len(node.elts) and all(code in (9, 10) or 32 <= code < 0x2FF for code in codes):
            text = "".join(map(chr, codes[:_MAX_TEXT]))
            if len(_LETTERS.findall(text)) > 0.6 * len(text):
                yield Said(text, node)


def _in_built(program: Program) -> Iterator[Said]:
    """Texts that are put together or decoded."""
    if program.hides_text:
        for text, node in program.built:
            if len(text) >= 12 and text not in program.text:
                yield Said(text, node)


def _in_first_letters(program: Program) -> Iterator[Said]:
    """The first letters of comments, spelled out."""
    comments = program.comments
    if len(comments) >= _MIN_ACROSTIC:
        firsts = [found.group() for start, end in comments if (found := _LETTERS.search(program.text, start, end))]
        if len(firsts) >= _MIN_ACROSTIC:
            yield Said(" ".join(firsts).lower(), (comments[0][0], comments[-1][1]))
