"""A ledger of two branches with samples of every kind, and an audit that made of each what the run had made of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.records import FindingRow
from azr_platform.ledger.writer import LedgerWriter

RULES = ("trace.harm.a", "trace.harm.b", "program.exec", "behaviour.time", "monitor.failure")
COUNT = 200
Judged = Callable[..., Judgement]


@pytest.fixture(scope="session")
def judged() -> Judged:
    """Makes a judgement of a sample; ``found`` are its rules, of medium severity unless ``("rule", severity)``."""

    def make(sample: int, *found: str | tuple[str, int], **changes: object) -> Judgement:
        rows = [FindingRow(*((one, 2) if isinstance(one, str) else one), "trace", 0, 4, "why") for one in found]
        fields: dict[str, object] = {"branch": 1, "step": sample, "phase": "solve", "role": "solve"}
        fields |= {"kind": "deduction", "task": None, "reward": None, "trained": False, "allowed": True}
        fields |= {"severity": 0, "score": 0.0, "reason": "", "findings": tuple(rows)}
        return Judgement(sample=sample, **(fields | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit is called ``same``."""
    run = tmp_path_factory.mktemp("audited")
    rng = random.Random(3)
    with LedgerWriter(run) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 90, "config": ""})
        for parent in (None, 1):
            batch.add("branches", {"created_at": 1.0, "parent": parent, "from_step": 0, "reason": ""})
        batch.add("audit_starts", {"time": 2.0, "audit": "same", "policy": "p", "fingerprint": "f", "rows": 1})
        for number in range(1, COUNT + 1):
            _add(batch, number, rng)
        batch.add("audit_ends", {"time": 3.0, "audit": "same", "left_out": "{}"})
    return run


def _add(batch, number: int, rng: random.Random) -> None:  # type: ignore[no-untyped-def]
    place = {"branch": 1 if number < 120 else 2, "step": number // 8}
    role, kind = rng.choice(("propose", "solve")), rng.choice(("deduction", "abduction", "induction"))
    texts = {"prompt": "p", "response": " ".join(rng.sample(("apple", "pear", "fig"), 2))}
    batch.add("samples", {**place, **texts, "role": role, "kind": kind, "phase": "solve", "task": f"t{number % 5}"})
    action = rng.choice((0, 1, 2, 6))
    score = rng.choice((0.0, 0.1, 0.5, 0.93))
    verdict = {"allowed": action < 2, "severity": rng.choice((0, 2, 3)), "score": score, "reason": "r"}
    batch.add("verdicts", {"sample": number, "action": action, **verdict})
    rules = rng.sample(RULES, rng.choice((0, 0, 1, 2)))
    for rule in rules:
        batch.add("findings", {"sample": number, "rule": rule, "severity": 2, "part": "trace", "why": "w"})
    if action < 2 and rng.random() < 0.8:
        reward = {"reward": rng.choice((-0.5, 0.0, 1.0)), "advantage": 0.0, "trained": 1}
        batch.add("rewards", {"sample": number, **place, **reward})
    if rng.random() < 0.3:
        batch.add("decisions", {"sample": number, "decision": "block", "who": "me", "digest": "d"})
    findings = json.dumps([[rule, 2, "trace", None, "w"] for rule in rules])
    batch.add(
        "audits", {"time": 2.5, "audit": "same", "policy": "p f", "sample": number, **verdict, "findings": findings}
    )
