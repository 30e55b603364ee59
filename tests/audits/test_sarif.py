"""What was found in programs, as SARIF: places, levels, words of people, and nothing a viewer takes for its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from azr_platform.audits import sarif
from azr_platform.audits.labels import labels
from azr_platform.audits.report import gather
from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create
from azr_tui.escape import visible

PROGRAM = "import os\r\n# 🐍 é\ndef f(x):\n    return os.fork(\n    )\n"
HOSTILE = "see [here](https://evil.example) {0} \\[x\\] \x1b]0;owned\x07\u202e"


def write(run: Path, rows: list[dict[str, Any]]) -> None:
    """Samples with one finding each; ``rows`` say what of them is not usual."""
    with create(run, load("nano")) as writer, writer.batch() as batch:
        for number, given in enumerate(rows, 1):
            texts = {"reasoning": "t", "program": PROGRAM, "answer": "", "kind": "deduction"}
            texts |= {name: given[name] for name in given.keys() & texts.keys()}
            row = {"time": 1.0, "branch": 1, "step": number, "phase": "solve", "role": "solve", "uid": "u"}
            batch.add("samples", {**row, **texts, "prompt": "", "response": "", "input": "", "message": ""})
            verdict = {"allowed": 0, "action": 2, "severity": 3, "score": 0.75, "reason": ""}
            batch.add("verdicts", {"sample": number, **verdict})
            usual = {"rule": "program.process", "severity": 3, "part": "program", "why": "starts a process"}
            place = {"span_start": PROGRAM.index("os.fork"), "span_end": PROGRAM.index(")\n", 50) + 1}
            found = {**usual, **place, **{name: given[name] for name in given if name not in texts}}
            batch.add("findings", {"sample": number, **found})


def logged(run: Path) -> dict[str, Any]:
    with LedgerReader(run) as reader:
        report = gather(reader, "", who="me")
        text = sarif.render(report, reader.judgements(), reader, labels(reader), visible).text
    assert text.isascii()
    log: dict[str, Any] = json.loads(text)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    return dict(log["runs"][0])


def test_a_finding_has_the_lines_and_columns_that_it_means(tmp_path: Path) -> None:
    write(tmp_path / "r", [{}])
    (result,) = logged(tmp_path / "r")["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"], region["endLine"], region["endColumn"]) == (4, 12, 5, 6)
    assert region["snippet"]["text"] == "os.fork(\n    )"
    start, length = region["charOffset"], region["charLength"]
    assert PROGRAM[start : start + length] == region["snippet"]["text"]


@pytest.mark.parametrize(
    ("text", "span", "place"),
    [
        ("ab", (0, 1), (1, 1, 1, 2)),
        ("a\r\nbc", (3, 5), (2, 1, 2, 3)),
        ("a\rb", (2, 3), (1, 3, 1, 4)),
        ("🐍🐍x", (2, 3), (1, 3, 1, 4)),
        ("a\n\nb", (0, 4), (1, 1, 3, 2)),
        ("a\n", (0, 2), (1, 1, 2, 1)),
    ],
)
def test_lines_and_columns_count_from_one_in_code_points(
    text: str, span: tuple[int, int], place: tuple[int, int, int, int]
) -> None:
    found = sarif.region(text, *span)
    assert (found["startLine"], found["startColumn"], found["endLine"], found["endColumn"]) == place


def test_one_program_is_one_artifact_and_one_result_however_often_it_came(tmp_path: Path) -> None:
    write(tmp_path / "r", [{}, {}, {"program": "def f(x):\n    return open(x)\n", "span_start": 25, "span_end": 32}])
    run = logged(tmp_path / "r")
    assert [artifact["contents"]["text"][:6] for artifact in run["artifacts"]] == ["import", "def f("]
    first, second = run["results"]
    assert (first["occurrenceCount"], first["properties"]["samples"]) == (2, [1, 2])
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["index"] == 0
    assert first["partialFingerprints"] != second["partialFingerprints"]
    write(tmp_path / "other", [{}])
    (again,) = logged(tmp_path / "other")["results"]
    assert again["partialFingerprints"] == first["partialFingerprints"], "the same finding in whatever run"


def test_every_result_s_rule_is_described_and_levels_follow_severities(tmp_path: Path) -> None:
    severities = {0: "note", 1: "note", 2: "warning", 3: "error", 4: "error", 99: "error"}
    write(tmp_path / "r", [{"severity": number, "rule": f"own.{number}"} for number in severities] + [{}])
    run = logged(tmp_path / "r")
    rules = run["tool"]["driver"]["rules"]
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"][:-1]] == list(severities.values())
    shipped = next(rule for rule in rules if rule["id"] == "program.process")
    assert "program.process" not in shipped["shortDescription"]["text"], "its own words"


def test_what_the_solver_of_an_induction_wrote_is_a_program_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    induction = {"kind": "induction", "program": "", "answer": PROGRAM, "part": "answer"}
    behaviour = {"part": "behaviour", "rule": "behaviour.time", "span_start": None, "span_end": None}
    beyond = {"span_start": 5, "span_end": 10_000}
    write(tmp_path / "r", [induction, {"part": "trace"}, {"part": "answer", "answer": "1"}, behaviour, beyond])
    results = logged(tmp_path / "r")["results"]
    assert [result["properties"]["samples"] for result in results] == [[1], [4], [5]]
    assert ["region" in result["locations"][0]["physicalLocation"] for result in results] == [True, False, False]


def test_a_false_alarm_is_suppressed_once_every_sample_of_it_was_called_one(tmp_path: Path) -> None:
    write(tmp_path / "r", [{}, {}])
    decision = {"time": 1.0, "branch": 1, "step": 2, "decision": "false-alarm", "who": "ann", "note": "a riddle"}
    for number in (1, 2):
        (result,) = logged(tmp_path / "r")["results"]
        assert "suppressions" not in result
        with LedgerWriter(tmp_path / "r") as writer:
            writer.append("decisions", {**decision, "sample": number, "digest": f"d{number}"})
    (result,) = logged(tmp_path / "r")["results"]
    (said,) = result["suppressions"]
    assert (said["kind"], said["status"], said["justification"]) == (
        "external",
        "accepted",
        "false-alarm said ann: a riddle",
    )


def test_words_of_a_finding_are_neither_links_nor_placeholders_nor_escape_sequences(tmp_path: Path) -> None:
    write(tmp_path / "r", [{"why": HOSTILE, "rule": f"own.{HOSTILE}"}])
    run = logged(tmp_path / "r")
    (result,) = run["results"]
    said = result["message"]["text"]
    assert said.startswith("see \\[here\\](https://evil.example) {{0}} \\\\\\[x\\\\\\]")
    without_programs = json.dumps({**run, "artifacts": [], "results": [{**result, "locations": []}]})
    assert not any(char in without_programs for char in ("\\u001b", "\\u0007", "\\u202e"))


def test_what_a_log_leaves_out_is_said_in_it_and_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sarif, "RESULTS", 1)
    monkeypatch.setattr(sarif, "_LONGEST", len(PROGRAM) - 1)
    write(tmp_path / "r", [{}, {"rule": "program.exec"}, {}])
    run = logged(tmp_path / "r")
    assert [result["occurrenceCount"] for result in run["results"]] == [2]
    assert "contents" not in run["artifacts"][0]
    told = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert told[0].startswith("1 further finding left out: a log holds 1 different ones")
    assert told[1] == f"1 program of more than {len(PROGRAM) - 1} characters: only the digest is held"
    command = ["audit", "report", str(tmp_path / "r"), "--sarif", str(tmp_path / "a.sarif")]
    shown = CliRunner().invoke(app, command)
    assert [line for line in shown.stderr.splitlines() if line.startswith("note: SARIF: ")] == [
        f"note: SARIF: {line}" for line in told
    ]


def test_a_log_that_leaves_nothing_out_says_nothing(tmp_path: Path) -> None:
    write(tmp_path / "r", [{}])
    assert logged(tmp_path / "r")["invocations"][0]["toolExecutionNotifications"] == []
