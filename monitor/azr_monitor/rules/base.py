"""What a program rule is: an id, a severity, a reason, texts it must catch and must spare, and a check."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from azr_monitor.records import Finding, Part, Severity, printable
from azr_monitor.rules.syntax import words
from azr_monitor.rules.tree import Program

__all__ = ["MAX_HITS", "Check", "Hit", "ProgramRule", "words"]

MAX_HITS = 5
"""Findings one rule reports on one text; more would only repeat the first."""


class Hit(NamedTuple):
    """A place a check objects to; ``detail`` names what stands there and may quote the program.

    ``severity`` takes the place of the rule's own, for a milder or a graver case of the same thing.
    """

    node: ast.AST
    detail: str = ""
    severity: Severity | None = None


Check = Callable[[Program, frozenset[str]], Iterable[Hit]]
"""A check reads a program and the imports the policy allows, and yields the places it objects to."""


@dataclass(frozen=True, slots=True)
class ProgramRule:
    """One rule on the syntax tree of a program.

    ``catch`` and ``spare`` are programs the rule must and must not object to; both are tested. A rule that is
    ``outside`` objects only to what leads out of plain computing: a program in which nothing can (``Program.reaches``)
    is passed by. So is one that has no node of any of the types in ``needs``, where it names some, one that has none of
    the ``names``, and one in which nothing can and that has none of the names ``inside``. A rule that is ``special``
    objects only to special methods, and to what leads out: it passes by a program that has neither.
    """

    id: str
    severity: Severity
    why: str
    catch: tuple[str, ...]
    spare: tuple[str, ...]
    check: Check
    outside: bool = False
    needs: tuple[type[ast.AST], ...] = ()
    names: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    special: bool = False

    def examine(
        self, program: Program, allowed: frozenset[str], part: Part = "program", base: int = 0
    ) -> list[Finding]:
        """The rule's findings on ``program``, at most ``MAX_HITS``, one a place; ``base`` is added to spans.

        A place with several is judged by the gravest; mild findings do not crowd out grave ones.
        """
        if not self.may_object(program.reaches, program.special, program.syntax.types, program.syntax.mentioned):
            return []
        return self.report(self.check(program, allowed), program, part, base)

    def may_object(self, reaches: bool, special: bool, types: frozenset[type[ast.AST]], names: frozenset[str]) -> bool:
        """Whether the rule may object to a program that ``reaches`` out, or not, that may have ``special`` methods, or
        not, and that holds nodes of these ``types`` and mentions these ``names``."""
        if (self.outside and not reaches) or (self.special and not (special or reaches)):
            return False
        if self.needs and types.isdisjoint(self.needs):
            return False
        if self.names and names.isdisjoint(self.names):
            return False
        return reaches or not self.inside or not names.isdisjoint(self.inside)

    def report(self, hits: Iterable[Hit], program: Program, part: Part = "program", base: int = 0) -> list[Finding]:
        """The findings on what a check objects to."""
        found: dict[tuple[int, int] | None, Finding] = {}
        for node, detail, graded in islice(hits, 4 * MAX_HITS):
            severity = self.severity if graded is None else graded
            span = program.span(node)
            if span is not None:
                span = (span[0] + base, span[1] + base)
            known = found.get(span)
            if known is not None and known.severity >= severity:
                continue
            why = f"{self.why}: {printable(detail)}" if detail else self.why
            found[span] = Finding(self.id, severity, part, span, why)
        return sorted(found.values(), key=lambda finding: -finding.severity)[:MAX_HITS]
