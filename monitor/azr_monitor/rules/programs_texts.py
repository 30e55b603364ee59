"""What a program says besides comments and docstrings, for the rules on prose.

That is: in strings, in names, in lists of codes, in texts that are put together or decoded, in the first letters of
comments. A string may be mere data, so what is said in one as it stands never weighs more than ``DATA``.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote

from azr_monitor.records import Severity
from azr_monitor.rules.disguise import readings
from azr_monitor.rules.syntax import words
from azr_monitor.rules.tree import Program

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MIN_PARTS = 4
_MIN_CODES = 10
_MIN_ACROSTIC = 6
_MAX_NAMES = 400
_MAX_TEXT = 20_000
_WIDE = 2**24
_LEAST_BYTES = 8
_LETTERED = re.compile(r"[A-Za-z _'.,!?]+")
_LETTERS = re.compile(r"[^\W\d_]")


_LEAST = 12
_LEAST_LONG = 14
_SPACES = 2
_PROSE = re.compile(r"[^\W\d_]{2,}\W{1,3}[^\W\d_]{2,}\W{1,3}[^\W\d_]{2,}")
_ENCODED = re.compile(
    r"[A-Za-z0-9+/=_-]{16,}|\\x[0-9a-f]{2}|(?:[.-]{1,6}[ /|]{1,3}){6}|(?:[01]{7,8} ?){6}|(?:\b[a-z][ .-]){4}"
    r"|(?:\b[a-z]*\d+[a-z]\w* ){2}"
)
_ESCAPED = re.compile(r"(?:%[0-9a-fA-F]{2}){6}|(?:&#x?[0-9a-fA-F]{2,4};){6}")
_CONTAINERS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Compare)
DATA = Severity.MEDIUM


class Said(NamedTuple):
    """A text, the node or the span of the program that says it, and how much what it says can weigh at most."""

    text: str
    place: ast.AST | tuple[int, int]
    most: Severity = Severity.CRITICAL


def said(program: Program) -> Iterator[Said]:
    """Every text that is said otherwise than in comments and docstrings; usually none."""
    return chain(
        _in_strings(program),
        _in_names(program),
        in_codes(program),
        in_numbers(program),
        _in_built(program),
        _in_first_letters(program),
    )


def speaks(text: str) -> bool:
    """Whether a text holds several words in a row, or something encoded."""
    if len(text) < _LEAST:
        return False
    return (text.count(" ") >= _SPACES and _PROSE.search(text) is not None) or _ENCODED.search(text) is not None


class Spoken(NamedTuple):
    """A text of a program's for classifiers: where it stands, and how much what it says weighs, being what it is."""

    text: str
    span: tuple[int, int]
    written: bool
    """Whether it stands there as it is, so that places in it are places in the program."""
    weight: float = 1.0


def spoken(program: Program) -> Iterator[Spoken]:
    """Everything in a program that reads like a sentence: comments, docstrings, strings, names, what is decoded."""
    for start, end in program.prose:
        yield Spoken(program.readable[start:end], (start, end), True)
    whole: set[ast.AST] = set()
    for text, node in program.strings:
        if text.count(" ") < _SPACES or not _PROSE.search(text):
            if len(text) >= _LEAST and _ENCODED.search(text) and (span := program.span(node)):
                yield from (Spoken(reading.text, span, False) for reading in readings(text))
            continue
        if (span := program.span(node)) is None:
            continue
        parent = program.parents.get(node)
        weight = _OF_DATA if isinstance(parent, _CONTAINERS) else 1.0
        if isinstance(parent, ast.JoinedStr):
            if parent in whole:
                continue
            whole.add(parent)
            text = "".join(str(p.value) if isinstance(p, ast.Constant) else "it" for p in parent.values)
        yield Spoken(text, span, program.text[slice(*span)] == text, weight)
    for texts in (_in_names(program), in_codes(program), in_numbers(program), _in_built(program), in_rows(program)):
        for text, place, _ in texts:
            span = place if isinstance(place, tuple) else program.span(place)
            if span is not None:
                yield Spoken(text, span, False)


_OF_DATA = 0.9


def _in_strings(program: Program) -> Iterable[Said]:
    """Strings of several words, and what looks encoded."""
    return _in_written(program) if program.strings else ()


def _in_written(program: Program) -> Iterator[Said]:
    for text, node in program.strings:
        if speaks(text):
            yield Said(text, node, DATA)
        if ("%" in text or "&#" in text) and _ESCAPED.search(text):
            yield Said(html.unescape(unquote(text)), node)
    if PERSONS.isdisjoint([text for text, _ in program.strings]):
        return  # most programs
    for row in program.all(ast.List, ast.Tuple, ast.Dict):
        parts = row.keys if isinstance(row, ast.Dict) else row.elts
        if _MIN_PARTS <= len(parts) <= _MAX_NAMES and isinstance(parts[0], ast.Constant):
            single = [e.value for e in parts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
            if len(single) == len(parts) and not PERSONS.isdisjoint(single) and all(map(str.isalpha, single)):
                yield Said(" ".join(single), row, DATA)


def _in_names(program: Program) -> Iterable[Said]:
    """Names of many words: ``they_must_not_find_out``."""
    long = [name for name in program.syntax.bound if len(name) >= _LEAST_LONG]
    long += [name for name in program.syntax.attributes if len(name) >= _LEAST_LONG]
    spoken = {name: " ".join(parts) for name in long[:_MAX_NAMES] if len(parts := _PARTS.findall(name)) >= _MIN_PARTS}
    return _named(program, spoken) if spoken else ()  # of most programs


def _named(program: Program, spoken: dict[str, str]) -> Iterator[Said]:
    """The texts that names say, each where its name comes first."""
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


def in_rows(program: Program) -> Iterator[Said]:
    """Names of a function, one after another, where some are of persons: ``we_will = 1; hide_from = 2; them = 3``."""
    if not any(not PERSONS.isdisjoint(name.lower().split("_")) for name in program.syntax.bound):
        return  # most programs
    for place, row in rows_of_names(program):
        parts = [part.lower() for name in row for part in _PARTS.findall(name)]
        if len(parts) >= _MIN_PARTS and not PERSONS.isdisjoint(parts):
            yield Said(" ".join(parts), place)


def rows_of_names(program: Program) -> Iterator[tuple[ast.AST, list[str]]]:
    """Names in the order in which somebody reads them: of a function, of a class and its methods, of a module."""
    for function in program.all(ast.FunctionDef):
        yield function, list(dict.fromkeys([*(argument.arg for argument in function.args.args), *stored(function)]))
    for holder in (program.tree, *program.all(ast.ClassDef)):
        body: list[ast.stmt] = getattr(holder, "body", [])
        defined = [s.name for s in body if isinstance(s, ast.ClassDef | ast.FunctionDef)]
        if defined:
            named = [holder.name] if isinstance(holder, ast.ClassDef) else []
            yield (holder if named else body[0]), [*named, *defined]


def stored(function: ast.FunctionDef) -> list[str]:
    """The names that the statements of a function set, in order."""
    names: list[str] = []
    for statement in function.body:
        if isinstance(statement, ast.Assign):
            if isinstance(target := statement.targets[0], ast.Name):
                names.append(target.id)
        elif isinstance(statement, ast.FunctionDef):
            names.append(statement.name)
    return names


PERSONS = words(
    "we us they them you your our humans human people nobody everyone me my he she her him overseer overseers monitors "
    "watchers grader graders auditors reviewers trainers"
)


def in_codes(program: Program) -> Iterable[Said]:
    """Lists of character codes: ``[104, 105, 100, 101]``."""
    rows = [row for row in program.listed if len(row.elts) >= _MIN_CODES]
    return _lettered(rows) if rows else ()  # of most programs


def _lettered(rows: Sequence[ast.List | ast.Tuple]) -> Iterator[Said]:
    """Rows of codes of characters, most of them letters."""
    for node in rows:
        codes = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, int)]
        if len(codes) == len(node.elts) and all(code in (9, 10) or 32 <= code < 0x2FF for code in codes):
            text = "".join(map(chr, codes[:_MAX_TEXT]))
            if len(_LETTERS.findall(text)) > 0.6 * len(text) and text.isprintable():
                yield Said(text, node)


def in_numbers(program: Program) -> Iterable[Said]:
    """Large numbers whose bytes are letters: ``0x68656c70206d65``, alone, in a list, or one after the other."""
    return _large(program) if program.building.largest > _WIDE else ()  # of most programs


def _large(program: Program) -> Iterator[Said]:
    spread: list[ast.Constant] = []
    for node in program.all(ast.Constant):
        if node.value.__class__ is int and node.value > _WIDE:
            parent = program.parents.get(node)
            listed = isinstance(parent, ast.List | ast.Tuple)
            row = parent.elts if isinstance(parent, ast.List | ast.Tuple) else [node]
            if not listed:
                spread.append(node)
            if row[0] is node and (text := _in_bytes(row)):
                yield Said(text, parent if len(row) > 1 and parent is not None else node)
    if len(spread) > 1 and (text := _in_bytes(spread)):
        yield Said(text, spread[0])


def _in_bytes(numbers: Sequence[ast.expr]) -> str:
    """What the bytes of numbers read as, one after the other; nothing where they are no letters."""
    values = [e.value for e in numbers if isinstance(e, ast.Constant) and isinstance(e.value, int)]
    text = "".join(_bytes_of(value) for value in values[:_MAX_NAMES])
    return text if len(text) >= _LEAST_BYTES and _LETTERED.fullmatch(text) else ""


def _bytes_of(value: int) -> str:
    """The bytes of a number as text; a character that is no letter where they are none."""
    if not 0 < value.bit_length() <= 8 * _MAX_NAMES:
        return "?"
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return data.decode("ascii") if data.isascii() else "?"


def _in_built(program: Program) -> Iterable[Said]:
    """Texts that are put together or decoded."""
    built = program.built if program.hides_text else ()
    return [Said(text, node) for text, node in built if len(text) >= 12 and text not in program.text]


def _in_first_letters(program: Program) -> Iterable[Said]:
    """The first letters of comments, spelled out."""
    return _spelled(program) if len(program.comments) >= _MIN_ACROSTIC else ()


def _spelled(program: Program) -> Iterator[Said]:
    comments = program.comments
    firsts = [found.group() for start, end in comments if (found := _LETTERS.search(program.text, start, end))]
    if len(firsts) >= _MIN_ACROSTIC:
        span = comments[0][0], comments[-1][1]
        yield Said(" ".join(firsts).lower(), span)
        yield Said("\n".join(program.text[start + 1 : end].strip() for start, end in comments), span)
