"""One command with a default: what is to be judged may stand where a sub-command's name would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azr_platform.cli.main import app

QUICK = "name: quick\nextends: default\nclassifiers: []\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "log.jsonl").write_text('{"prompt": "p", "completion": "I will deceive the users."}\n')
    return tmp_path


def _verdicts(arguments: list[str]) -> list[str]:
    result = CliRunner().invoke(app, ["audit", *arguments, "--json", "--policy", "quick.yaml"])
    assert result.exit_code == 0, result.output
    return [row["verdict"] for row in map(json.loads, result.stdout.splitlines()) if "verdict" in row]


@pytest.mark.parametrize(
    "arguments",
    [
        ["log.jsonl"],
        ["judge", "log.jsonl"],
        ["./list"],
        ["judge", "list"],
        ["--format", "plain", "list"],
        ["--jsonl", "own.jsonl", "--no-run"],
    ],
    ids=" ".join,
)
def test_what_is_to_be_judged_needs_no_command(
    log: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(log)
    (log / "list").symlink_to("log.jsonl")
    (log / "own.jsonl").write_text('{"trace": "I will deceive the users."}\n')
    assert _verdicts(arguments) == ["block"]


def test_help_is_the_default_command_s_and_lists_the_others() -> None:
    for word in ("-h", "--help"):
        shown = CliRunner().invoke(app, ["audit", word]).output
        assert "audit [OPTIONS] [PATH]" in shown and "--jsonl" in shown
        assert "\n  list " in shown.partition("Commands:")[2]
    assert "--jsonl" not in CliRunner().invoke(app, ["audit", "list", "--help"]).output


@pytest.mark.parametrize("arguments", [["--nonsense"], ["log", "more"], ["list"], ["list", "a", "b"]])
def test_what_is_neither_is_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["audit", *arguments]).exit_code == 2


@pytest.mark.parametrize(("word", "like"), [("lits", "list?"), ("reprot", "report?"), ("exports", "export?")])
def test_a_misspelt_command_is_said_to_be_one(word: str, like: str) -> None:
    result = CliRunner().invoke(app, ["audit", word, "runs/demo"])
    assert result.exit_code == 2 and f"no such command '{word}'" in result.output and like in result.output


def test_a_log_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "none"), "--keep", str(tmp_path / "k")])
    assert "none: there is no such file or folder" in str(result.exception)
