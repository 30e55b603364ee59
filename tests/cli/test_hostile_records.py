"""What the command line shows of a ledger whose texts try to act on the terminal, and of mistakes of every kind."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from azr_platform.channel.messages import Action, Command
from azr_platform.cli import main as entry
from azr_platform.cli.progress import Headless
from azr_platform.cli.summary import print_summary
from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create, steer_ended

HOSTILE = "[red]x[/red] \x1b]0;owned\x07 \x1b[2J \x9b31m \u202e reversed \u200b\r\nsecond line"


@pytest.fixture
def hostile_run(tmp_path: Path) -> Path:
    """A run whose every shown text is hostile, as a trainer gone bad could write it."""
    run = tmp_path / "run"
    with create(run, load("nano")) as writer, writer.batch() as batch:
        batch.add("steps", {"branch": 1, "step": 1, "started_at": 1.0, "seconds": 1.0})
        batch.add("metrics", {"branch": 1, "step": 1, "name": HOSTILE, "value": 1.0})
        sample = {"time": 1.0, "branch": 1, "step": 1, "role": HOSTILE, "kind": HOSTILE, "uid": "u", "phase": "solve"}
        texts = dict.fromkeys(("prompt", "response", "reasoning", "program", "input", "message", "answer"), HOSTILE)
        batch.add("samples", {**sample, **texts, "tokens": 1, "well_formed": 1, "correct": 1, "problem": HOSTILE})
        batch.add("verdicts", {"sample": 1, "allowed": 1, "action": 0, "severity": 0, "score": 0.0, "reason": HOSTILE})
        batch.add("findings", {"sample": 1, "rule": HOSTILE, "severity": 3, "part": "trace", "why": HOSTILE})
        batch.add("notices", {"time": 1.0, "source": "trainer", "message": HOSTILE})
        batch.add("states", {"time": 1.0, "state": "failed", "where_at": HOSTILE, "reason": HOSTILE})
    return run


def assert_inert(text: str) -> None:
    assert text
    bad = [char for char in text if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert bad == []
    assert not any(char in text for char in "\u202e\u200b")
    assert "\nsecond line" not in text


def test_status_shows_hostile_texts_inert(hostile_run: Path) -> None:
    result = CliRunner().invoke(entry.app, ["status", str(hostile_run)])
    assert result.exit_code == 0, result.output
    assert_inert(result.output)
    assert "second line" in result.output


def test_status_json_is_plain_ascii(hostile_run: Path) -> None:
    result = CliRunner().invoke(entry.app, ["status", str(hostile_run), "--json"])
    assert result.output.isascii()
    assert_inert(result.output)
    assert json.loads(result.output)["reason"] == HOSTILE


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_search_shows_hostile_texts_inert(more: list[str], hostile_run: Path) -> None:
    result = CliRunner().invoke(entry.app, ["search", str(hostile_run), "owned", "second line", *more])
    assert result.exit_code == 0, result.output
    assert_inert(result.output)
    if more:
        found = json.loads(result.stdout)
        assert (found["sample"], found["response"], found["allowed"]) == (1, HOSTILE, True)
        assert HOSTILE[slice(*found["span"])] == "owned"
    else:
        assert "second line" in result.output


def test_the_summary_shows_hostile_texts_inert_and_their_markup_as_text(hostile_run: Path) -> None:
    shown = io.StringIO()
    print_summary(hostile_run, Console(file=shown, width=200), "00")
    assert_inert(shown.getvalue())
    assert shown.getvalue().count("[red]x[/red]") >= 3, "the reason, the rule and the notice"


def test_progress_shows_hostile_texts_inert() -> None:
    shown = io.StringIO()
    with Headless(Console(file=shown, width=200), 3) as headless:
        headless.state("failed", HOSTILE, HOSTILE)
        headless.notice(HOSTILE)
        headless.beat(1, HOSTILE, 1, 2)
    assert_inert(shown.getvalue())
    assert shown.getvalue().count("[red]x[/red]") == 3


def test_an_error_is_one_inert_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["azr-platform", "status", str(tmp_path / "\x1b[2J\nnowhere")])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert_inert(message)
    assert message.count("\n") == 1


def test_an_audit_of_hostile_texts_shows_them_inert(hostile_run: Path, tmp_path: Path) -> None:
    import yaml

    from azr_monitor.policy import load_policy

    values = load_policy("default").model_dump(mode="json")
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump({**values, "classifiers": []}))
    result = CliRunner().invoke(entry.app, ["audit", str(hostile_run), "--policy", str(tmp_path / "quick.yaml")])
    assert result.exit_code == 0, result.output
    assert_inert(result.output)


def test_a_plot_that_cannot_be_written_is_a_line_of_the_summary(hostile_run: Path) -> None:
    run = hostile_run.parent / r"plain $\frac$"  # a name that is no formula
    with create(run, load("nano")) as writer, writer.batch() as batch:
        batch.add("steps", {"branch": 1, "step": 1, "started_at": 1.0, "seconds": 1.0})
        batch.add("metrics", {"branch": 1, "step": 1, "name": "samples", "value": 1.0})
    print_summary(run, Console(file=io.StringIO()), "00")
    assert (run / "report.png").stat().st_size > 1000
    (run / "report.png").unlink()
    (run / "report.png").mkdir()
    shown = io.StringIO()
    print_summary(run, Console(file=shown, width=200), "00")
    assert "plot: none (" in shown.getvalue()
    assert "Is a directory" in shown.getvalue()


def test_a_rollback_of_an_ended_run_is_on_record_also_when_refused(hostile_run: Path) -> None:
    outcome = steer_ended(hostile_run, Command(action=Action.ROLLBACK, who="test", why="try", step=7))
    assert not outcome.ok
    from azr_platform.ledger.reader import LedgerReader

    with LedgerReader(hostile_run) as reader:
        (control,) = reader.controls()
    assert (control.who, control.action, control.why) == ("test", "rollback", "try")
    assert control.outcome.startswith("refused: no checkpoint at step 7")


# -- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--preset", "nano", "--run", "FILE"], ["a file is there"]),
        (["train", "--preset", "nano", "--run", "NEW", "--set", "jail.cpu_seconds=20"], ["jail.wall_seconds"]),
        (["train", "--preset", "nano", "--run", "NEW", "--set", "model.path='MODEL'"], ["model.path", "no tokenizer"]),
        (["train", "--config", "FOLDER", "--run", "NEW"], ["FOLDER", "cannot be read"]),
        (["train", "--preset", "nano", "--run", "NEW", "--policy", "BAD"], ["not valid YAML"]),
        (["sandbox", "run", "--jsonl", "FILE", "--workers", "-1"], ["--workers -1"]),
        (["sandbox", "run", "--jsonl", "FOLDER"], ["FOLDER", "directory"]),
        (["policy", "check", "BAD"], ["not valid YAML"]),
        (["status", "FILE"], ["no run here"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "BAD").write_text("name: [\n")
    (tmp_path / "MODEL").mkdir()
    (tmp_path / "MODEL" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.argv", ["azr-platform", *(argument.replace("'MODEL'", '"./MODEL"') for argument in arguments)]
    )
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith("error: ")
    for word in words:
        assert word in message
    assert not (tmp_path / "NEW").exists()


@pytest.mark.parametrize("number", [28, 12, 24])
def test_what_the_machine_lacks_is_one_line_and_no_traceback(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No space left, no memory, too many open files, from wherever they come."""

    def lacking() -> None:
        raise OSError(number, "the machine lacks it", "runs/x")

    monkeypatch.setattr(entry, "app", lacking)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err == f"error: [Errno {number}] the machine lacks it: 'runs/x'\n"


def test_training_without_torch_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    monkeypatch.setattr("sys.argv", ["azr-platform", "train", "--preset", "nano", "--run", str(tmp_path / "NEW")])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: training needs torch: install azr-platform[train]\n"
    assert not (tmp_path / "NEW").exists()
