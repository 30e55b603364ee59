"""What an expression may stand for besides the objects of the libraries, and how objects are told apart."""

from __future__ import annotations

import ast
from typing import NamedTuple

from azr_monitor.rules.syntax import Function, words

INNER_MODULES = words(
    "os sys subprocess builtins importlib inspect gc ctypes socket shutil pathlib tempfile signal threading posix "
    "marshal pickle linecache traceback types _thread _io _imp _weakref posixpath"
)
"""Modules that other modules hold as attributes: whoever reaches them there has them without an import."""

ITSELF = frozenset({"self", "cls"})
"""What methods call the object, and the class, that they are called on."""


class Instance(NamedTuple):
    """An object of a class of the program's."""

    definition: ast.ClassDef


class Partial(NamedTuple):
    """A function with its first arguments given."""

    function: Object
    arguments: tuple[ast.expr, ...]


class Reader(NamedTuple):
    """``attrgetter``, ``methodcaller`` or ``itemgetter`` with a constant name."""

    kind: str
    name: str


class Items(NamedTuple):
    """Several expressions that go by one name: the arguments behind ``*args``."""

    nodes: tuple[ast.expr, ...]


Object = str | ast.AST | Instance | Partial | Reader | Items


def plain_name(name: str) -> str:
    """A dotted name with modules inside modules taken for what they are: ``collections._sys.modules``."""
    if "." not in name or len(name) > 400:
        return name[:400]
    parts = name.split(".")
    for place in range(len(parts) - 1, 0, -1):
        part = parts[place]
        plain = part if part in INNER_MODULES else part[1:] if part[:1] == "_" and part[1:] in INNER_MODULES else ""
        if plain and parts[0] != "builtins" and "()" not in parts[0]:
            return ".".join([plain, *parts[place + 1 :]])
    return name


def decorated(function: Function, name: str) -> bool:
    return not isinstance(function, ast.Lambda) and any(
        isinstance(decorator, ast.Name) and decorator.id == name for decorator in function.decorator_list
    )


def is_property(function: Function) -> bool:
    return decorated(function, "property") or decorated(function, "cached_property")


def is_metaclass(definition: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "type" for base in definition.bases)
