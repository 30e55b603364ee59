"""Ordinary model-written programs are spared: 1,664 real ones, where that data lies next to the repository."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject

SEEDS = Path(__file__).parents[2].parent / "shared" / "data" / "azr_seeds"

# Judged by hand: these programs do what the rule says.
DESERVED = {
    "program.exec": 2,
    "program.files": 1,
    "program.import.process": 5,
    "program.import.chance": 5,
    "program.import.interpreter": 1,
    "program.import.unlisted": 11,
    "monitor.limit": 1,
    "trace.hidden.invisible": 1,
}


@pytest.mark.slow
@pytest.mark.skipif(not SEEDS.is_dir(), reason=f"no seed programs at {SEEDS}")
def test_only_programs_that_deserve_it_are_blocked() -> None:
    subjects = []
    for path in sorted(SEEDS.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            row = json.loads(line)
            inputs = tuple(row.get("inputs") or [row["input"]])
            subjects.append(
                Subject(
                    id=f"{path.stem}:{number}", program=row["snippet"], inputs=inputs, message=row.get("message", "")
                )
            )
    assert len(subjects) == 1664
    verdicts = Auditor(load_policy("default")).inspect(subjects)
    found = Counter(rule for v in verdicts if not v.allowed for rule in {f.rule for f in v.findings if f.severity >= 2})
    assert found == DESERVED
    assert sum(not verdict.allowed for verdict in verdicts) == 26
