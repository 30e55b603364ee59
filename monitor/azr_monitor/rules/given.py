"""What the inputs of a program say of its parameters: whether they hold texts, whether they are sets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import NamedTuple

from azr_monitor.rules.functions import parameters
from azr_monitor.rules.syntax import Syntax, parsed, walk, words
from azr_monitor.rules.unsteady import NOTHING, Value, joined, of_literal

_ENTRY = "f"
_MAX_LENGTH = 2_000
_MAX_CALLS = 8
"""Inputs that are looked at: the first few, and of each no more than this."""


class Given(NamedTuple):
    """What a parameter is given: ``texts`` somewhere in it or none at all, as a set or otherwise; its ``value``."""

    texts: bool
    is_set: bool
    value: Value = NOTHING


def given(tree: ast.AST, calls: Iterable[str]) -> dict[str, Given]:
    """What the parameters of ``f`` are given by calls, by their names; those of which nothing is known are left out."""
    entry = next(
        (s for s in getattr(tree, "body", ()) if isinstance(s, ast.FunctionDef) and s.name == _ENTRY and s.args.args),
        None,
    )
    found: dict[str, Given] = {}
    if entry is None:
        return found
    names = parameters(entry)
    for call in [call for call in calls if len(call) <= _MAX_LENGTH][:_MAX_CALLS]:
        try:
            called = parsed(f"f({call}\n)", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if isinstance(called, ast.Call):
            arguments = [*zip(names, called.args, strict=False), *((k.arg or "", k.value) for k in called.keywords)]
            for name, value in arguments:
                constants = [node.value for node in walk(value) if isinstance(node, ast.Constant)]
                if constants:
                    before = found.get(name, Given(False, False))
                    texts = any(isinstance(one, str | bytes) for one in constants)
                    made = joined((before.value, of_literal(value)))
                    found[name] = Given(before.texts or texts, before.is_set or isinstance(value, ast.Set), made)
    return found


_TEXT_NAMES = re.compile(
    r"(?:words?|names?|letters|texts?|tokens|strings?|chars|tags|sentence|input_string|labels|s|string_list)"
)
_ASKED_OF_TEXTS = words(
    "lower upper strip lstrip rstrip title capitalize replace join format casefold swapcase zfill ljust rjust center "
    "split splitlines rsplit isalpha isdigit islower isupper startswith endswith isalnum"
)


def takes_text(syntax: Syntax, name: str) -> bool:
    """Whether a parameter of that name is for a text, or for some: by what is said of it and done with it."""
    for argument in syntax.all(ast.arg):
        if argument.arg == name and argument.annotation is not None:
            return "str" in ast.unparse(argument.annotation)
    if _TEXT_NAMES.fullmatch(name):
        return True
    return any(
        isinstance(asked.value, ast.Name) and asked.value.id == name and asked.attr in _ASKED_OF_TEXTS
        for asked in syntax.all(ast.Attribute)
    )
