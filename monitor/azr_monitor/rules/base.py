"""What a program rule is: an id, a severity, a reason, texts it must catch and must spare, and a check."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from azr_monitor.records import Finding, Part, Severity, printable
from azr_monitor.rules.tree import Program

MAX_HITS = 5
"""Findings one rule reports on one text; more would only repeat the first."""


class Hit(NamedTuple):
    """A place a check objects to; ``detail`` names what stands there and may quote the program."""

    node: ast.AST
    detail: str = ""


Check = Callable[[Program, frozenset[str]], Iterable[Hit]]
"""A check reads a program and the imports the policy allows, and yields the places it objects to."""


def words(text: str) -> frozenset[str]:
    """The words of a text, for lists of names."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class ProgramRule:
    """One rule on the syntax tree of a program.

    ``catch`` and ``spare`` are programs the rule must and must not object to; both are tested.
    """

    id: str
    severity: Severity
    why: str
    catch: tuple[str, ...]
    spare: tuple[str, ...]
    check: Check

    def examine(
        self, program: Program, allowed: frozenset[str], part: Part = "program", base: int = 0
    ) -> list[Finding]:
        """The rule's findings on ``program``, at most ``MAX_HITS``, one a place; ``base`` is added to spans."""
        found: dict[tuple[int, int] | None, Finding] = {}
        for node, detail in self.check(program, allowed):
            span = program.span(node)
            if span is not None:
                span = (span[0] + base, span[1] + base)
            why = f"{self.why}: {printable(detail)}" if detail else self.why
            found.setdefault(span, Finding(self.id, self.severity, part, span, why))
            if len(found) == MAX_HITS:
                break
        return list(found.values())
