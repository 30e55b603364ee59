"""azr-platform audit export."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples at two steps, one of them flagged."""
    folder = tmp_path_factory.mktemp("export") / "run"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        for number, step in ((1, 1), (2, 2), (3, 2)):
            texts = {"reasoning": "quite evil", "response": "quite evil", "prompt": "", "program": "", "input": ""}
            about = {"branch": 1, "step": step, "role": "solve", "kind": "deduction", "phase": "solve", "uid": "u"}
            batch.add("samples", {**about, **texts, "message": "", "answer": "", "tokens": 1})
            verdict = {"allowed": number != 3, "action": 0, "severity": 3, "score": 0.5, "reason": "so"}
            batch.add("verdicts", {"sample": number, **verdict})
        found = {"rule": "trace.harm", "severity": 3, "part": "trace", "span_start": 6, "span_end": 10, "why": "w"}
        batch.add("findings", {"sample": 3, **found})
    return folder


def test_selected_samples_are_written_and_redacted_on_request(cli: Cli, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = cli("audit", "export", str(run), str(out), "--to", "jsonl", "--since", "2", "--redact")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "2 samples in" in result.stderr and "chain verified up to" in result.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["sample"], row["response"]) for row in rows] == [
        (2, "quite evil"),
        (3, "quite [redacted: trace.harm]"),
    ]
    only = cli("audit", "export", str(run), str(tmp_path / "one.jsonl"), "--to", "jsonl", "--where", "verdict:blocked")
    assert "1 sample in" in only.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("there.jsonl --to jsonl", "something is there already"),
        ("nowhere/a.jsonl --to jsonl", "cannot be written"),
        ("a.json --to inspect", ".eval"),
        ("a --to hf --audit none", "none"),
        ("a --to csv", "csv"),
        ("a.jsonl --to jsonl --where verdict:odd", "odd"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    cli: Cli, run: Path, tmp_path: Path, words: str, told: str
) -> None:
    (tmp_path / "there.jsonl").write_text("mine")
    name, *options = words.split()
    result = cli("audit", "export", str(run), str(tmp_path / name), *options)
    assert (result.returncode, told in result.stderr) == (2, True), result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.jsonl"]
    assert (tmp_path / "there.jsonl").read_text() == "mine"


def test_a_ledger_that_was_tampered_with_is_exported_with_a_warning(cli: Cli, run: Path, tmp_path: Path) -> None:
    import shutil
    import sqlite3
    from contextlib import closing

    shutil.copytree(run, tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER samples_no_update")
        connection.execute("UPDATE samples SET response = 'fine' WHERE id = 3")
    result = cli("audit", "export", str(tmp_path / "run"), str(tmp_path / "a.parquet"), "--to", "parquet")
    assert (result.returncode, "NOT intact" in result.stderr) == (0, True)


def test_a_severity_that_there_is_not_is_told_as_the_nearest(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        texts = dict.fromkeys(("reasoning", "response", "prompt", "program", "input", "message", "answer", "uid"), "")
        about = {"branch": 1, "step": 1, "role": "solve", "kind": "deduction", "phase": "solve", "tokens": 1}
        batch.add("samples", {**about, **texts})
        batch.add("verdicts", {"sample": 1, "allowed": 1, "action": 0, "severity": 99, "score": 0.5, "reason": "so"})
        batch.add("findings", {"sample": 1, "rule": "trace.harm", "severity": -7, "part": "trace", "why": "w"})
    out = tmp_path / "out.jsonl"
    assert cli("audit", "export", str(folder), str(out), "--to", "jsonl").returncode == 0
    row = json.loads(out.read_text())
    assert (row["severity"], row["findings"][0]["severity"]) == ("critical", "info")
