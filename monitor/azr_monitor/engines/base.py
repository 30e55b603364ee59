"""What a rule of an engine is, whoever wrote the engine: an id, a severity, a reason, texts to catch and to spare."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from azr_monitor.categories import HARMS, MECHANISMS
from azr_monitor.fields import nearest
from azr_monitor.records import Severity

INSTALL = "pip install 'azr-platform[engines]'"
MAX_HITS = 5
"""Places that one rule reports in one text; more would only repeat the first."""


class EngineError(ValueError):
    """Rules of an engine cannot be used; the message names the file, the line and the remedy."""


class Source(NamedTuple):
    """A file of rules: what to call it in messages, and its text."""

    place: str
    text: str


class EngineRule(msgspec.Struct, frozen=True):
    """One rule as its file describes it; ``place`` is ``file:line``."""

    id: str
    severity: Severity
    why: str
    place: str
    catch: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    hidden: bool = False
    """Whether it only serves other rules and is never reported itself."""


class Hit(NamedTuple):
    """A rule that matches: its number in the engine's ``rules``, and the characters that do, if it says which."""

    rule: int
    span: tuple[int, int] | None
    disguised: bool = False
    """Whether it matches only once look-alike and invisible characters are undone."""


class Engine(Protocol):
    """Compiled rules."""

    rules: tuple[EngineRule, ...]
    warnings: tuple[str, ...]
    """What the engine itself finds doubtful about the rules, each with its place."""

    def read(self, kind: str, text: str) -> list[Hit]:
        """Where the rules match a text: a ``program``, the arguments of a ``call``, or ``prose``."""


def missing(package: str, wanted_by: str) -> EngineError:
    """The error of an engine that is not installed."""
    return EngineError(f"{wanted_by} needs {package}, which is not installed: {INSTALL}")


def rule_id(engine: str, category: str, name: str, place: str) -> str:
    """What findings of a rule are called. The category is a word of it, as in the ids of our own rules.

    Raises:
        EngineError: there is no such category.
    """
    known = (*HARMS, *MECHANISMS)
    if category and category not in known:
        hint = nearest(category, known)
        raise EngineError(f"{place}: rule {name}: no category {category!r}{hint}; known: {', '.join(known)}")
    return ".".join(filter(None, (engine, category, name)))


def severity_named(value: object, place: str) -> Severity:
    """A severity by its name.

    Raises:
        EngineError: there is none of that name.
    """
    names = [severity.label for severity in Severity]
    if value not in names:
        raise EngineError(f"{place}: severity {value!r} is not one of {', '.join(names)}")
    return Severity(names.index(str(value)))
