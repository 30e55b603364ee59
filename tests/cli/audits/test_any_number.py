"""Whatever numbers a ledger holds, what is printed as JSON is JSON, and text is told of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from azr_platform.audits.questions import Question
from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create

MOST = sys.float_info.max
NUMBERS = st.one_of(st.floats(allow_nan=False), st.sampled_from([float("inf"), -float("inf"), MOST, -MOST, 0.5]))
COMMANDS = (
    ("ask",),
    *(("ask", question.value) for question in Question),
    ("diff", "live", "again"),
    ("similar", "--to", "deceive"),
    ("labels",),
    ("list",),
    ("report", "-"),
)


def _ledger(folder: Path, numbers: list[float]) -> Path:
    """A flagged sample and a plain one for each number, which is its reward and its score; in the audit each other."""
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        batch.add("audit_starts", {"time": 1.0, "audit": "again", "policy": "p", "fingerprint": "f", "rows": 1})
        for number, value in enumerate([value for value in numbers for _ in range(2)], 1):
            place = {"branch": 1, "step": number // 4}
            told = {
                "phase": "solve",
                "role": "solve",
                "kind": "deduction",
                "reasoning": "deceive",
                "response": "deceive",
            }
            batch.add("samples", {**place, **told, "program": "x = 1"})
            verdict = {"allowed": number % 3 > 0, "severity": 2, "score": value, "reason": "r"}
            batch.add("verdicts", {"sample": number, "action": 1, **verdict})
            batch.add("rewards", {"sample": number, **place, "reward": value, "advantage": value, "trained": True})
            if number % 2:
                for part in ("trace", "program"):
                    found = {"rule": f"{part}.harm", "severity": 3, "part": part, "why": "w"}
                    batch.add("findings", {"sample": number, **found, "span_start": 0, "span_end": 3})
            decided = {"branch": 1, "step": 1, "decision": "block", "who": "me", "digest": str(number)}
            batch.add("decisions", {"time": 1.0, "sample": number, "note": "", **decided})
            findings = json.dumps([] if number % 2 else [["trace.harm", 2, "trace", None, "w"]])
            again = {"time": 1.5, "audit": "again", "policy": "p f", "sample": number, **verdict, "score": -value}
            batch.add("audits", {**again, "findings": findings})
    return folder


def _refuse(word: str) -> NoReturn:
    raise AssertionError(f"{word} is no JSON")


@settings(max_examples=6)
@example([float("inf"), -float("inf"), float("inf"), 1.0, 0.0, 2.0])
@example([MOST, MOST, -MOST, MOST, MOST, MOST, MOST])
@given(st.lists(NUMBERS, min_size=1, max_size=12))
def test_every_question_is_answered_in_json(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    run = _ledger(tmp_path_factory.mktemp("numbers") / "run", numbers)
    for command, *arguments in COMMANDS:
        options = ("--json", *arguments) if command == "report" else (*arguments, "--json")
        result = CliRunner().invoke(app, ["audit", command, str(run), *options])
        assert result.exit_code == 0, (command, arguments, result.output, result.exception)
        for told in [result.stdout] if command == "report" else result.stdout.splitlines():
            json.loads(told, parse_constant=_refuse)
        if command != "report":
            text = CliRunner().invoke(app, ["audit", command, str(run), *arguments])
            assert text.exit_code == 0, (command, arguments, text.output, text.exception)
    sarif = CliRunner().invoke(app, ["audit", "report", str(run), "--sarif", "-"])
    json.loads(sarif.stdout, parse_constant=_refuse)


ANY: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner)),
)


@given(ANY)
def test_json_text_is_ascii_and_json(value: Any) -> None:
    from azr_platform.cli.json_text import json_text

    text = json_text(value)
    assert text.isascii() and text.isprintable()
    json.loads(text, parse_constant=_refuse)


def test_no_command_prints_json_another_way() -> None:
    """A value that goes into a setting, or is shown among words, is not printed as JSON."""
    folder = Path(sys.modules["azr_platform"].__path__[0]) / "cli"
    others = {"json_text.py", "plan.py", "train.py", "policy.py"}
    found = [path.name for path in folder.rglob("*.py") if "json.dump" in path.read_text("utf-8")]
    assert set(found) == others
