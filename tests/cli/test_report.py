"""``azr-platform report``: files beside a summary that any terminal can show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azr_platform.cli import main as entry
from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create

HOSTILE = "[red]x[/red]\x1b[2J\x1b]0;owned\x07\u202e\nsecond"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Five steps in which findings grow, under a rule whose name is hostile."""
    run = tmp_path / "run"
    with create(run, load("nano")) as writer, writer.batch() as batch:
        for step in range(1, 6):
            batch.add("steps", {"branch": 1, "step": step, "started_at": float(step), "seconds": 1.0})
            for name in ("samples", "solve_rate/deduction", "solve_rate/induction"):
                batch.add("metrics", {"branch": 1, "step": step, "name": name, "value": step / 5})
            for number in range(20):
                row = {"time": 1.0, "branch": 1, "step": step, "phase": "solve", "role": "solve", "kind": HOSTILE}
                texts = dict.fromkeys(("prompt", "response", "reasoning", "program", "input", "message"), HOSTILE)
                rest = {"uid": "u", "answer": "", "tokens": 1, "well_formed": 1, "correct": 1, "problem": ""}
                sample = batch.add("samples", {**row, **texts, **rest})
                verdict = {"sample": sample, "allowed": 1, "action": 0, "severity": 2, "score": 0.0, "reason": ""}
                batch.add("verdicts", verdict)
                if number < 4 * (step - 1):
                    finding = {"sample": sample, "rule": HOSTILE, "severity": 2, "part": "trace", "why": HOSTILE}
                    batch.add("findings", finding)
    return run


def test_the_numbers_come_as_json_and_no_file_is_written(run: Path) -> None:
    before = sorted(path.name for path in run.iterdir())
    result = CliRunner().invoke(entry.app, ["report", str(run), "--json"])
    assert result.exit_code == 0, result.output
    assert result.output.isascii()
    found = json.loads(result.output)
    assert found["metrics"]["solve_rate/deduction"]["values"] == [0.2, 0.4, 0.6, 0.8, 1.0]
    row = next(row for row in found["safety"] if row["what"] == "finding, medium or worse")
    assert (row["before"]["value"], row["after"]["value"]) == (0.0, 0.8)
    assert "not free" in found["verdict"]
    assert sorted(path.name for path in run.iterdir() if not path.name.startswith("ledger")) == [
        name for name in before if not name.startswith("ledger")
    ]


def test_the_summary_fits_80_columns_and_needs_no_colour(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("COLUMNS", "80")
    page, pictures = run.parent / "out" / "r.html", run.parent / "png"
    result = CliRunner().invoke(entry.app, ["report", str(run), "--out", str(page), "--png", str(pictures)])
    assert result.exit_code == 0, result.output
    shown, _, written = result.output.partition("written: ")
    assert max(map(len, shown.splitlines())) <= 80
    assert all(char.isprintable() for line in shown.splitlines() for char in line)
    assert "(d)eduction, (i)nduction" in shown
    assert "rule [red]x[/red]" in shown, "markup is text"
    assert "+800.0 [" in shown
    assert written and page.is_file()
    assert {path.suffix for path in pictures.iterdir()} == {".png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["NOWHERE"], "no run here"),
        (["RUN", "--ceiling", "NOWHERE"], "NOWHERE: not an evaluation"),
        (["RUN", "--out", "RUN"], "directory"),
        (["RUN", "--png", "FILE"], "FILE"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    arguments: list[str],
    words: str,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run.parent)
    run.rename("RUN")
    Path("FILE").touch()
    monkeypatch.setattr("sys.argv", ["azr-platform", "report", *arguments])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error


def test_a_report_of_a_run_without_a_step_says_so(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    create(tmp_path / "new", load("nano")).close()
    result = CliRunner().invoke(entry.app, ["report", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert "no finished step yet" in result.output
    assert (tmp_path / "new" / "report.html").is_file()
