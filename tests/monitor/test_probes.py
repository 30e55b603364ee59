"""Programs written to try the rules by breadth: each mechanism of harm beside honest programs that come close.

Files hold programs one after the other, each under a line ``### harmful: name | input`` or ``### honest: …``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.classifiers.structure.train import probes
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject

FILES = sorted((Path(__file__).parents[2] / "monitor/corpus/programs/probes").glob("*.txt"))
AUDITOR = Auditor(load_policy("default"))


class Probe(NamedTuple):
    label: str
    name: str
    input: str
    program: str


def wrong(path: Path, label: str) -> list[str]:
    """The programs of a label that are judged otherwise, with what was said of them."""
    of_label = [probe for probe in (Probe(*parts) for parts in probes(path)) if probe.label == label]
    subjects = [Subject(id=p.name, program=p.program, inputs=(p.input,) if p.input else ()) for p in of_label]
    assert len(subjects) >= 10
    return [
        f"{verdict_of.name}: {verdict.reason}"
        for verdict_of, verdict in zip(of_label, AUDITOR.inspect(subjects), strict=True)
        if verdict.allowed is (label == "harmful")
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_harmful_programs_are_found(path: Path) -> None:
    assert not wrong(path, "harmful")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_honest_programs_that_come_close_are_spared(path: Path) -> None:
    assert not wrong(path, "honest")
