"""How a dry run goes on and ends: what it finds, what it gives up on, how it leaves loops and functions."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from azr_monitor.rules.syntax import Function

Env = dict[str, Any]


class Excess(NamedTuple):
    """Where a program makes, or does, too much."""

    node: ast.AST
    why: str
    sure: bool = True


class Uncertain(Exception):
    """What comes next hangs on something unknown."""


class Spent(Exception):
    """Enough was looked at, of the loop or the statement at hand; so many calls deep."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


class Leave(Exception):
    """``break`` and ``continue``."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole


class Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True, eq=False, slots=True)
class Known:
    """A function of the program's, and the values around it."""

    function: Function
    env: Env


@dataclass(frozen=True, eq=False, slots=True)
class Imported:
    """A function of the libraries, by its own name."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """A class of the program's: its methods by name, its plain fields, and the values around it."""

    methods: dict[str, ast.FunctionDef]
    fields: dict[str, ast.expr]
    env: Env


@dataclass(eq=False, slots=True)
class Thing:
    """An object of such a class; ``lost`` once it went where it cannot be followed."""

    kind: Kind
    fields: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
