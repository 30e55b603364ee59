"""Every program rule, and the one function that reads a program with all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import chain

from azr_monitor.records import LIMIT, Finding, Part, Severity
from azr_monitor.rules import (
    programs_around,
    programs_attributes,
    programs_bombs,
    programs_effects,
    programs_endless,
    programs_forged,
    programs_growth,
    programs_hidden,
    programs_imports,
    programs_loops,
    programs_obscure,
    programs_patches,
    programs_protocols,
    programs_recursion,
    programs_reflection,
    programs_results,
    programs_selfref,
    programs_spelled,
    programs_state,
    programs_undefined,
    programs_unsteady,
    programs_values,
)
from azr_monitor.rules.base import Hit, ProgramRule
from azr_monitor.rules.given import given
from azr_monitor.rules.tree import Program, Unparsable

RULES: tuple[ProgramRule, ...] = (
    *programs_imports.RULES,
    *programs_reflection.RULES,
    *programs_attributes.RULES,
    *programs_patches.RULES,
    *programs_effects.RULES,
    *programs_forged.RULES,
    *programs_protocols.RULES,
    *programs_values.RULES,
    *programs_results.RULES,
    *programs_unsteady.RULES,
    *programs_state.RULES,
    *programs_around.RULES,
    *programs_bombs.RULES,
    *programs_recursion.RULES,
    *programs_loops.RULES,
    *programs_endless.RULES,
    *programs_growth.RULES,
    *programs_selfref.RULES,
    *programs_undefined.RULES,
    *programs_hidden.RULES,
    *programs_spelled.RULES,
    *programs_obscure.RULES,
)

EXAMPLE_IMPORTS = programs_imports.EXAMPLE_IMPORTS
UNPARSABLE = "program.unparsable"
TOO_COMPLEX = "program.too-complex"
MAX_CALLS = 64
"""Inputs that one program is run dry on."""


def unparsable(error: Unparsable, part: Part) -> Finding:
    """The finding for text the parser refuses: it cannot run, so that alone is only noted.

    Text on which the parser *gave up* is another matter: it was not read, so it is not trusted.
    """
    if error.too_complex:
        return Finding(TOO_COMPLEX, Severity.HIGH, part, None, f"cannot be read: {error}")
    return Finding(UNPARSABLE, Severity.INFO, part, None, f"cannot run: {error}")


_Kind = tuple[bool, bool, frozenset[type], frozenset[str]]
"""What ``ProgramRule.may_object`` asks of a program; of the types of its nodes and the names, those that rules name."""


class ProgramRules:
    """The rules in force, and which of them a program of some kind can break at all."""

    def __init__(self, rules: Sequence[ProgramRule], allowed: frozenset[str]) -> None:
        """Apply ``rules``, with the imports that are ``allowed``."""
        self._rules = tuple(rules)
        self._allowed = allowed
        self._needed = frozenset(kind for rule in rules for kind in rule.needs)
        self._named = frozenset(name for rule in rules for name in rule.names | rule.inside)
        self._possible: dict[_Kind, tuple[ProgramRule, ...]] = {}

    def examine(self, program: Program, part: Part = "program", base: int = 0) -> list[Finding]:
        """All findings on one analysed program; spans are shifted by ``base``."""
        findings: list[Finding] = []
        allowed = self._allowed
        for rule in self._for(program):
            # Nearly always there is nothing: one look tells, at less than what gathering findings costs.
            hits = iter(rule.check(program, allowed))
            if (first := next(hits, None)) is not None:
                findings += rule.report(chain((first,), hits), program, part, base)
        return findings

    def examine_calls(self, text: str, calls: Collection[str]) -> list[Finding]:
        """What a program does only because of the inputs it is given: it grows beyond measure, or texts lose order."""
        found = self._examine_growth(text, calls) if _GROWTH in self._rules else []
        if _UNSTEADY in self._rules and _ORDER_HINTS.search(text) is not None:
            found += self._examine_given(text, calls)
        return found

    def _examine_growth(self, text: str, calls: Collection[str]) -> list[Finding]:
        """Growth beyond measure.

        Of many inputs each is tried for a while only, and of too many not all; that is told.
        """
        tried = [call for call in calls if programs_growth.is_worth_a_call(text, call)]
        hits: list[Hit] = []
        for call in tried[:MAX_CALLS]:
            hits += programs_growth.in_call(text, call, len(tried))
            if any(hit.severity is None for hit in hits):
                break
        found = _GROWTH.report(sorted(hits, key=_grade), Program(text)) if hits else []
        if len(tried) > MAX_CALLS:
            why = f"{len(tried)} inputs may be too much for the program, at most {MAX_CALLS} are tried"
            found.append(Finding(LIMIT, Severity.MEDIUM, "input", None, why))
        return found

    def _examine_given(self, text: str, calls: Collection[str]) -> list[Finding]:
        """What the order of sets does to a program, now that its inputs say what they hold."""
        try:
            program = Program(text)
        except Unparsable:
            return []  # said elsewhere
        program.given = given(program.tree, calls)
        return _UNSTEADY.examine(program, self._allowed) if program.given else []

    def _for(self, program: Program) -> tuple[ProgramRule, ...]:
        """The rules that a program may break, by what it holds; programs that hold the same share them."""
        syntax = program.syntax
        key = (program.reaches, program.special, syntax.types & self._needed, syntax.mentioned & self._named)
        known = self._possible.get(key)
        if known is None:
            if len(self._possible) >= _KINDS:
                self._possible.clear()
            known = self._possible[key] = tuple(rule for rule in self._rules if rule.may_object(*key))
        return known


def _grade(hit: Hit) -> int:
    """The graver first."""
    return -int(_GROWTH.severity if hit.severity is None else hit.severity)


_GROWTH = programs_growth.RULES[0]
_UNSTEADY = programs_unsteady.RULES[0]
_ORDER_HINTS = re.compile(r"set\(|\{[^{}:]+\}|\.pop\(\)|\.keys\(\)|hash")
"""What a program without sets and hashes has none of."""
_KINDS = 4096
