"""Every program rule, and the one function that reads a program with all of them."""

from __future__ import annotations

from collections.abc import Sequence

from azr_monitor.records import Finding, Part, Severity
from azr_monitor.rules import (
    programs_bombs,
    programs_effects,
    programs_endless,
    programs_forged,
    programs_growth,
    programs_hidden,
    programs_imports,
    programs_loops,
    programs_obscure,
    programs_order,
    programs_patches,
    programs_recursion,
    programs_reflection,
    programs_results,
    programs_selfref,
    programs_spelled,
    programs_state,
    programs_undefined,
    programs_values,
)
from azr_monitor.rules.base import ProgramRule
from azr_monitor.rules.tree import Program, Unparsable

RULES: tuple[ProgramRule, ...] = (
    *programs_imports.RULES,
    *programs_reflection.RULES,
    *programs_patches.RULES,
    *programs_effects.RULES,
    *programs_forged.RULES,
    *programs_values.RULES,
    *programs_results.RULES,
    *programs_order.RULES,
    *programs_state.RULES,
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


def unparsable(error: Unparsable, part: Part) -> Finding:
    """The finding for text the parser refuses: it cannot run, so that alone is only noted.

    Text on which the parser *gave up* is another matter: it was not read, so it is not trusted.
    """
    if error.too_complex:
        return Finding(TOO_COMPLEX, Severity.HIGH, part, None, f"cannot be read: {error}")
    return Finding(UNPARSABLE, Severity.INFO, part, None, f"cannot run: {error}")


def examine(
    program: Program, rules: Sequence[ProgramRule], allowed: frozenset[str], part: Part = "program", base: int = 0
) -> list[Finding]:
    """All findings of ``rules`` on one analysed program; spans are shifted by ``base``."""
    findings: list[Finding] = []
    reaches, has = program.reaches, program.syntax.has
    for rule in rules:
        if (rule.outside and not reaches) or (rule.needs and not has(*rule.needs)):
            continue
        # Nearly always there is nothing: one look tells, at less than what gathering findings costs.
        if next(iter(rule.check(program, allowed)), None) is not None:
            findings += rule.examine(program, allowed, part, base)
    return findings
