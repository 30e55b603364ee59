"""Rules on ways of writing that nobody needs who wants to be read: each is a weak sign, several add up."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule
from azr_monitor.rules.tree import Program

_MIN_NESTED = 3
_BEYOND_READING = 4
_ESCAPED = re.compile(r"(?:\\x[2-7][0-9a-fA-F]|\\u00[2-7][0-9a-fA-F]|\\1?[0-7]{2}){2}")
_WORD = 40
_UNSEEN = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff]")
_LONG_STROKES = re.compile(r"_{2,20}")


def _nested_lambdas(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Lambdas called where they stand, inside one another."""
    deepest, place = 0, None
    for call in program.all(ast.Call):
        if isinstance(call.func, ast.Lambda):
            around = program.syntax.around(call)
            depth = 1 + sum(isinstance(outer, ast.Call) and isinstance(outer.func, ast.Lambda) for outer in around)
            if depth > deepest:
                deepest, place = depth, call
    if place is not None and deepest >= _MIN_NESTED:
        yield Hit(place, f"{deepest} deep", None if deepest >= _BEYOND_READING else Severity.LOW)


def _escaped_letters(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Letters written as escapes in a string, where they could have been written as letters."""
    if "\\" not in program.text:
        return
    for text, node in program.strings:
        if not (isinstance(text, str) and text.isascii() and any(c.isalpha() for c in text)):
            continue
        span = program.span(node)
        if span is not None and _ESCAPED.search(program.text, *span):
            yield Hit(node, text[:40])


def _nameless(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Several names of nothing but strokes: ``__``, ``___``."""
    strokes = sorted(name for name in program.syntax.bound if name[0] == "_" and _LONG_STROKES.fullmatch(name))
    if len(strokes) >= 2:
        yield Hit(program.tree, ", ".join(strokes[:4]))
    elif strokes and program.syntax.has(ast.Lambda):
        yield from (Hit(a, a.arg) for a in program.all(ast.arg) if a.arg == strokes[0])


def _spelled_out(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """A word put together from codes of letters: ``''.join(chr(i ^ 7) for i in [111, 98, 107, 119])``."""
    if "chr" not in program.syntax.read or not program.hides_text:
        return
    for text, node in program.built:
        if 3 <= len(text) <= _WORD and text.replace(" ", "").isalpha() and text not in program.text:
            yield Hit(node, text)


def _invisible_letters(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Characters that cannot be seen, written as escapes, in a text that can."""
    if "\\" not in program.text or not any(escape in program.text for escape in ("\\u20", "\\ufeff")):
        return
    for text, node in program.strings:
        if _UNSEEN.search(text) and any(c.isalpha() for c in text):
            yield Hit(node, ascii(text)[:60], Severity.MEDIUM if _is_written(_UNSEEN.findall(text)) else None)


def _is_written(unseen: list[str]) -> bool:
    """Whether characters that cannot be seen are signs of a message, two kinds or more in many places."""
    return len(unseen) >= _LEAST_UNSEEN and len(set(unseen)) > 1


_LEAST_UNSEEN = 6


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.hidden.nesting",
        Severity.MEDIUM,
        "nests lambdas inside one another beyond reading",
        catch=(
            "f = lambda x: (lambda a: (lambda b: (lambda c: (lambda d: d)(c))(b))(a))(x)",
            "def f(x):\n    return (lambda a: (lambda b: (lambda c: c ^ a)(b << 1))(a | 1))(x)",
        ),
        spare=(
            "def f(x):\n    Y = lambda g: (lambda h: h(h))(lambda h: g(lambda a: h(h)(a)))\n"
            "    return Y(lambda s: lambda n: n)(x)",
            "def f(x):\n    return (lambda a: (lambda b: a + b)(2))(x)",
        ),
        check=_nested_lambdas,
        needs=(ast.Lambda,),
    ),
    ProgramRule(
        "program.hidden.escapes",
        Severity.LOW,
        "writes letters as escapes",
        catch=(
            "def f(x):\n    return getattr(x, '\\x5f\\x5fadd\\x5f\\x5f')(1)",
            "def f(x):\n    return x + '\\u0068\\u0069 there'",
        ),
        spare=(
            "def f(x):\n    return x.split('\\n\\t') + ['caf\\u00e9', '\\x00\\x01\\x02', '\\\\w+']",
            "def f(x):\n    return x.encode() == b'\\x89PNG'",
        ),
        check=_escaped_letters,
    ),
    ProgramRule(
        "program.hidden.spelled-out",
        Severity.LOW,
        "puts a word together from the codes of its letters",
        catch=(
            "def f(x):\n    return x + ''.join(map(lambda i: chr(i ^ 7), [111, 98, 107, 119]))",
            "def f(x):\n    return x + ''.join(chr(c - 3) for c in [107, 104, 111, 115, 35, 112, 104])",
        ),
        spare=(
            "def f(x):\n    return ''.join(chr(ord(c) + 1) for c in x)",
            "def f(n):\n    return [chr(97 + i) for i in range(n)]",
        ),
        check=_spelled_out,
        names=frozenset({"chr"}),
    ),
    ProgramRule(
        "program.hidden.unseen",
        Severity.LOW,
        "holds a text with characters that cannot be seen",
        catch=("def f(x):\n    return x.replace('\\u200bhelp\\u200b', '')",),
        spare=("def f(x):\n    return x.replace('\\u200b', '').strip('\\ufeff')",),
        check=_invisible_letters,
    ),
    ProgramRule(
        "program.hidden.strokes",
        Severity.LOW,
        "names things with strokes alone",
        catch=(
            "def f(__):\n    ___ = __ + 1\n    return ___",
            "_ = lambda __: __ + 1\ndef f(x):\n    return _(x)",
        ),
        spare=("def f(x):\n    return [[0 for _ in x] for __ in x]", "def f(x):\n    a, _, __ = x\n    return a"),
        check=_nameless,
        special=True,
    ),
)
