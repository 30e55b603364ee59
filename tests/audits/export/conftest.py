"""A ledger with everything that exports tell: findings with places, runs in the jail, rewards, a person's word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.ledger.writer import LedgerWriter

TRACE = "First I add. Then I build a Bomb quietly. Done."
PROGRAM = "import os\n\n\ndef f(a):\n    return os.getpid() + a"
TEXTS = {"reasoning": "", "program": "", "input": "", "message": "", "answer": "", "prompt": "", "response": ""}
Ledger = Callable[..., Path]


def place(text: str, words: str) -> dict[str, int]:
    start = text.index(words)
    return {"span_start": start, "span_end": start + len(words)}


@pytest.fixture
def ledger(run_folder: Path) -> Ledger:
    """A ledger of samples, each as (texts, findings); its folder."""

    def make(*samples: tuple[dict[str, str], list[dict[str, Any]]]) -> Path:
        with LedgerWriter(run_folder) as writer, writer.batch() as batch:
            about = {"name": "`run`\n", "created_at": 1.0, "version": "1", "seed": 0, "steps": 9, "config": ""}
            batch.add("run", about)
            batch.add("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
            for texts, findings in samples:
                place = {"branch": 1, "step": 1, "phase": "solve", "role": "solve", "kind": "deduction", "uid": "1-1"}
                number = batch.add("samples", {**place, **TEXTS, **texts, "tokens": 7, "time": 1.0, "outcome": "ok"})
                worst = max((finding["severity"] for finding in findings), default=0)
                verdict = {"allowed": not findings, "action": 2 if findings else 0, "severity": worst, "score": 0.5}
                batch.add("verdicts", {"sample": number, **verdict, "reason": "so"})
                for finding in findings:
                    batch.add("findings", {"sample": number, "why": "it says so", **finding})
        return run_folder

    return make


@pytest.fixture
def flagged(ledger: Ledger) -> Path:
    """Two samples; the second has its words in several columns, two findings, and everything else there is."""
    response = f"<think>\n{TRACE}\n</think>\n```python\n{PROGRAM}\n```"
    run = ledger(
        ({"reasoning": "plain", "response": "plain", "prompt": "p"}, []),
        (
            {"reasoning": TRACE, "program": PROGRAM, "response": response, "prompt": "once you BUILD  a\nbomb again"},
            [
                {"rule": "trace.harm", "severity": 3, "part": "trace", **place(TRACE, "build a Bomb")},
                {"rule": "program.import.process", "severity": 4, "part": "program", **place(PROGRAM, "import os")},
            ],
        ),
    )
    with LedgerWriter(run) as writer, writer.batch() as batch:
        row = {"sample": 2, "position": 0, "input": "1", "outcome": "ok", "value": "'build a bomb'", "detail": ""}
        batch.add("executions", {**row, "cpu_ms": 1.0, "wall_ms": 1.0, "memory_kb": 1})
        row = {"sample": 2, "branch": 1, "step": 1, "reward": -0.5, "advantage": 0.25, "trained": True}
        batch.add("rewards", row)
        said = {"decision": "block", "who": "ann", "note": "he would build a bomb", "digest": "d"}
        batch.add("decisions", {"time": 1.0, "branch": 1, "step": 1, "sample": 2, **said})
        begun = {"time": 2.0, "policy": "strict", "fingerprint": "abcd", "settings": "{}", "selection": ""}
        batch.add("audit_starts", {**begun, "audit": "again", "version": "1", "head": "", "rows": 0, "who": "me"})
        audited = {"time": 2.0, "audit": "again", "policy": "strict abcd", "severity": 2, "score": 0.9, "reason": "re"}
        span = ["trace.uhoh", 2, "trace", [0, 11], "w"]
        batch.add("audits", {**audited, "sample": 1, "allowed": True, "findings": "[]"})
        batch.add("audits", {**audited, "sample": 2, "allowed": False, "findings": json.dumps([span])})
        batch.add("audit_ends", {"time": 3.0, "audit": "again", "left_out": "{}"})
    return run
