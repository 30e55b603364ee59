"""`azr-platform policy set` and `policy try`: refused in one line, on record with who and why, tried first."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from typer.testing import CliRunner

from azr_monitor.policy import PolicyError, load_policy
from azr_platform.cli.input import BadInput
from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.policies import settings_of
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create
from azr_tui.comparison import _policy
from azr_tui.questions import Sources
from azr_tui.rules import AskPolicy

Cli = Callable[..., CompletedProcess[str]]
GUILTY = "import subprocess\ndef f(x):\n    return subprocess.run(x)"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that nobody supervises, with one blocked program and one fine one."""
    folder = tmp_path / "r"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        for step, program in enumerate((GUILTY, "def f(x):\n    return x"), 1):
            texts = {**dict.fromkeys(("prompt", "response", "reasoning", "message", "answer"), ""), "input": "1"}
            row = {"time": 1.0, "branch": 1, "step": step, "phase": "propose", "role": "propose", "kind": "deduction"}
            row |= {"uid": "u", "tokens": 1, "well_formed": 1, "problem": "", "program": program, **texts}
            number = batch.add("samples", row)
            verdict = {"sample": number, "allowed": program != GUILTY, "action": 0, "severity": 0, "score": 0.0}
            batch.add("verdicts", {**verdict, "reason": ""})
    return folder


def test_a_change_is_on_record_and_shown_by_status(cli: Cli, run: Path) -> None:
    done = cli("policy", "set", str(run), "program.import.process", "--action", "alert", "--why", "studied", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] and 'program.import.process: action null -> "alert" after step 2' in told["detail"]
    with LedgerReader(run) as reader:
        (row,) = reader.policies()
        assert (row.rule, row.after, row.why) == ("program.import.process", '"alert"', "studied")
        assert row.who.endswith("(command line)")
    shown = cli("status", str(run)).stdout
    assert f"policy default {row.fingerprint}, 1 change by hand" in shown
    assert json.loads(cli("status", str(run), "--json").stdout)["policy_changes"] == 1


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (("trace.harm.crim", "--off", "--why", "w"), 1, "did you mean 'trace.harm.crime'"),
        (("monitor.failure", "--off", "--why", "w"), 1, "cannot be changed"),
        (("program.exec", "--off"), 1, "say why"),
        (("program.exec", "--why", "w"), 1, "say one thing of it"),
        (("program.exec", "--action", "ignore", "--why", "w"), 1, "is no action"),
        (("embedded.harm", "--threshold", "medium=0.99", "--why", "w"), 1, "rise with severity"),
        (("embedded.harm", "--threshold", "medium=much", "--why", "w"), 2, "give SEVERITY=VALUE"),
        (("program.exec", "--off", "--on", "--why", "w"), 2, "give one of them"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    cli: Cli, run: Path, given: tuple[str, ...], status: int, words: str
) -> None:
    result = cli("policy", "set", str(run), *given)
    assert result.returncode == status
    assert words in result.stderr and len(result.stderr.splitlines()) == 1
    with LedgerReader(run) as reader:
        assert reader.policies() == []


def test_a_change_is_tried_first_and_nothing_is_written(cli: Cli, run: Path) -> None:
    before = (run / "ledger.db").read_bytes()
    shown = cli("policy", "try", str(run), "program.import.process", "--off")
    assert shown.returncode == 0, shown.stderr
    assert "of 2 samples 0 would be blocked that are not, " in shown.stdout
    lines = cli("policy", "try", str(run), "--policy", "observe", "--json").stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert told[0] == {"judged": 0, "of": 2}
    (released,) = [line for line in told if "sample" in line]
    assert (released["sample"], released["before"], released["after"]) == (1, "block", "flag")
    assert told[-1] == {"done": 2, "newly_blocked": 0, "released": 1, "others": 0}
    assert (run / "ledger.db").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "say what to try"),
        (("program.exek", "--off"), "did you mean 'program.exec'"),
        (("--rules", "missing.yaml"), "missing.yaml"),
        (("--policy", "lenient"), "lenient"),
    ],
)
def test_what_cannot_be_tried_is_one_line(cli: Cli, run: Path, given: tuple[str, ...], words: str) -> None:
    result = cli("policy", "try", str(run), *given)
    assert result.returncode == 2
    assert words in result.stderr and len(result.stderr.splitlines()) == 1


# -- a stranger's record -----------------------------------------------------------------------------------


def _named(run: Path, **changes: object) -> None:
    """Put a policy on record that somebody else wrote."""
    settings = {**json.loads(settings_of(load_policy("default"))), **changes}
    with LedgerWriter(run) as writer:
        place = {"time": 1.0, "branch": 1, "step": 1, "name": "theirs", "fingerprint": "f", "rule": ""}
        writer.append("policies", {**place, "settings": json.dumps(settings)})


WATCHED: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHED and (event == "socket.connect" or (event == "open" and str(arguments[0]).endswith("private"))):
        WATCHED[-1].append(f"{event} {arguments}")


sys.addaudithook(_watch)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[str]]:
    """What the interpreter opened that is private, and where it connected to."""
    (tmp_path / "private").write_text("secret: 1\n")
    WATCHED.append([])
    yield WATCHED[-1]
    WATCHED.clear()


PACK = """
about: Fruit.
rules:
  - {id: trace.own, severity: high, why: names a fruit, match: [bananas], catch: [bananas], spare: [it]}
"""
THEIRS: tuple[dict[str, object], ...] = (
    *({"rules": {key: ["private"]}} for key in ("packs", "yara", "ast_grep", "examples")),
    {"classifiers": [{"kind": "embedded", "path": "private"}]},
    {"classifiers": [{"kind": "structure", "path": "private"}]},
    {"classifiers": [{"kind": "judge", "url": "http://127.0.0.1:9/v1", "model": "m", "key_env": "HOME"}]},
    {"classifiers": [{"kind": "judge", "url": "http://127.0.0.1:9/v1", "model": "m", "rubric": "private"}]},
    {
        "classifiers": [
            {"kind": "transformer", "name": "t", "hub": "them/theirs", "revision": "a" * 40, "download": True}
        ]
    },
    {"classifiers": [{"kind": "guard", "name": "t", "path": "private"}]},
    {"classifiers": [{"kind": "detoxify", "checkpoint": "private"}]},
)


@pytest.mark.parametrize("changes", THEIRS, ids=lambda changes: json.dumps(changes)[:60])
def test_a_stranger_s_record_chooses_nothing_that_is_opened(
    run: Path, tmp_path: Path, changes: dict[str, object], opened: list[str]
) -> None:
    _named(run, folder=str(tmp_path), **changes)
    for given in (["program.exec", "--off"], ["--policy", "strict"]):
        with pytest.raises(BadInput, match=r"nothing of it was opened: .*if the run is yours, say so with --trust"):
            CliRunner().invoke(app, ["policy", "try", str(run), *given], catch_exceptions=False)
    with LedgerReader(run) as reader:
        pane = AskPolicy().read(Sources(reader))
        assert pane.policy is not None and len(pane.rules) > 50, "the shipped rules are in the list"
        if "rules" in changes:
            assert "rules that stand in files are not in the list, as nobody runs this: rules." in pane.note
            assert "private" in str(_policy(reader.policies())), "what it names is shown, and not opened"
    assert opened == []


def test_the_watch_sees_what_is_opened(run: Path, tmp_path: Path, opened: list[str]) -> None:
    _named(run, folder=str(tmp_path), rules={"packs": ["private"]}, classifiers=[])
    shown = CliRunner().invoke(app, ["policy", "try", str(run), "program.exec", "--off", "--trust"])
    assert isinstance(shown.exception, PolicyError) and opened


def test_a_policy_that_only_a_run_s_configuration_names_is_not_opened_either(run: Path, tmp_path: Path) -> None:
    (run / "run.toml").write_text('[supervisor]\npolicy = "/etc/passwd"\n')
    with pytest.raises(BadInput, match=r"nothing of it was opened: policy: /etc/passwd"):
        CliRunner().invoke(app, ["policy", "try", str(run), "program.exec", "--off"], catch_exceptions=False)


def test_whose_run_it_is_may_open_what_it_names(cli: Cli, run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(PACK)
    _named(run, folder=str(tmp_path), rules={"packs": ["own.yaml"]}, classifiers=[])
    assert cli("policy", "try", str(run), "trace.own", "--off").returncode == 2
    shown = cli("policy", "try", str(run), "trace.own", "--off", "--trust")
    assert shown.returncode == 0, shown.stderr
