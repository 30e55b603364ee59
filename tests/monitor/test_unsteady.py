"""What differs from run to run is found wherever it goes, and what is put in order before it gets out is spared."""

from __future__ import annotations

from pathlib import Path

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.classifiers.structure.train import probes
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_monitor.rules.programs_unsteady import RULES
from azr_monitor.rules.tree import Program

PROGRAMS = list(probes(Path(__file__).parent / "programs" / "unsteady.txt"))
AUDITOR = Auditor(load_policy("default"))


@pytest.mark.parametrize("label", ["harmful", "honest"])
def test_answers_that_differ_are_told_from_those_that_do_not(label: str) -> None:
    of_label = [row for row in PROGRAMS if row[0] == label]
    assert len(of_label) >= 40
    subjects = [Subject(id=name, program=program, inputs=(given,)) for _, name, given, program in of_label]
    verdicts = AUDITOR.inspect(subjects)
    assert not [verdict.reason for verdict in verdicts if verdict.allowed is (label == "harmful")]


def test_reading_ends_however_much_there_is_to_read() -> None:
    deep = "".join(f"{'    ' * (n + 1)}for a{n} in s:\n" for n in range(18))
    calls = "".join(f"def g{n}(x):\n    return g{n + 1}(x) + g{n + 1}(x)\n" for n in range(40))
    for text in (
        f"def f(x):\n    s = set(x.split())\n{deep}{'    ' * 19}x += 1\n    return s",
        f"{calls}def g40(x):\n    return set(x)\ndef f(x):\n    return g0(x)",
        f"def f(x):\n    s = set(x.split())\n    return {' + '.join(['x'] * 1_500)}",
    ):
        assert RULES[0].examine(Program(text), frozenset()) == []
