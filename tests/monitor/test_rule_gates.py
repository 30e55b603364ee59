"""A rule that passes a program by at a glance would have found nothing in it, had it looked."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from azr_monitor.classifiers.structure.train import probes
from azr_monitor.rules.base import ProgramRule
from azr_monitor.rules.programs import EXAMPLE_IMPORTS, RULES, ProgramRules
from azr_monitor.rules.tree import Program, Unparsable

PROGRAMS = Path(__file__).parents[2] / "monitor" / "corpus" / "programs"
FULL_WIDTH_EQ = "class A:\n    def _＿eq＿_(self, other):\n        return True\ndef f(x):\n    return A()"
NAMES_OF_STROKES = "def f(_＿):\n    _＿_ = _＿ + 1\n    return _＿_"


def programs() -> list[Program]:
    """Examples of every rule, probes, and what two writers wrote to get past the rules."""
    texts = [FULL_WIDTH_EQ, NAMES_OF_STROKES]
    texts += [text for rule in RULES for text in (*rule.catch, *rule.spare)]
    texts += [text for path in sorted((PROGRAMS / "probes").glob("*.txt")) for *_, text in probes(path)]
    texts += [json.loads(line)["program"] for line in (PROGRAMS / "train.jsonl").read_text("utf-8").splitlines()]
    read = []
    for text in dict.fromkeys(texts):
        try:
            read.append(Program(text))
        except Unparsable:
            continue
    return read


def may_object(rule: ProgramRule, program: Program) -> bool:
    return rule.may_object(program.reaches, program.special, program.syntax.types, program.syntax.mentioned)


def test_what_is_passed_by_holds_nothing_to_object_to() -> None:
    passed = 0
    for program in programs():
        for rule in RULES:
            if not may_object(rule, program):
                passed += 1
                assert not list(rule.check(program, EXAMPLE_IMPORTS)), (rule.id, program.text)
    assert passed > 10_000


def test_the_rules_together_find_what_each_finds_alone() -> None:
    together = ProgramRules(RULES, EXAMPLE_IMPORTS)
    for program in programs()[::7]:
        alone = [finding for rule in RULES for finding in rule.examine(program, EXAMPLE_IMPORTS)]
        assert together.examine(program) == alone, program.text


@pytest.mark.parametrize(
    ("program", "rule"),
    [(FULL_WIDTH_EQ, "program.forged.comparison"), (NAMES_OF_STROKES, "program.hidden.strokes")],
)
def test_special_names_in_full_width_are_seen(program: str, rule: str) -> None:
    found = ProgramRules(RULES, EXAMPLE_IMPORTS).examine(Program(program))
    assert rule in {finding.rule for finding in found}


def test_what_python_only_warns_of_is_read_and_no_warning_is_lost_afterwards() -> None:
    before = warnings.filters
    assert Program("def f(x):\n    return '\\d' if x else 1if x else 2").strings  # warnings are errors in these tests
    with pytest.raises(Unparsable):
        Program("def f(x) return x")
    assert warnings.filters is before
