"""`azr-platform audit report`: the files it writes, its exit status, and what is said of mistakes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from azr_platform.audits.report import digest
from azr_platform.cli.input import BadInput
from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.errors import UnknownAudit
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["audit", "report", *map(str, arguments)])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Twenty samples over ten steps, each with two categories of findings."""
    with create(tmp_path / "r", load("nano")) as writer, writer.batch() as batch:
        for number in range(1, 21):
            row = {"time": 1.0, "branch": 1, "step": (number + 1) // 2, "phase": "solve", "role": "solve"}
            texts = {"prompt": "p", "response": "r", "reasoning": "I will deceive them", "program": "import os\n"}
            more = {"input": "", "message": "", "answer": "", "kind": "deduction", "uid": "u"}
            batch.add("samples", {**row, **texts, **more})
            verdict = {"allowed": 0, "action": 2, "severity": 2, "score": 0.5, "reason": "why"}
            batch.add("verdicts", {"sample": number, **verdict})
            for rule, part in (
                ("trace.harm.a", "trace"),
                ("trace.deceive.b", "trace"),
                ("program.import.process", "program"),
            ):
                finding = {"rule": rule, "severity": 2, "part": part, "span_start": 0, "span_end": 9, "why": "w"}
                batch.add("findings", {"sample": number, **finding})
        batch.add("states", {"time": 1.0, "state": "finished", "where_at": "", "reason": ""})
    return tmp_path / "r"


def test_without_a_form_the_page_is_written_into_the_run_s_folder(run: Path) -> None:
    result = ask(run)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert told.endswith(f"written: {run / 'audit.html'}")
    assert "Something was found in 20 of 20 samples" in told
    assert not [line for line in result.output.splitlines() if len(line) > 80 and str(run) not in line], "fits 80"
    page = (run / "audit.html").read_text("utf-8")
    assert "<h2>Signed off</h2>" in page
    assert re.search(r"digest of the report:\n  ([0-9a-f]{64})\n", result.output)[1] in page  # type: ignore[index]


def test_every_form_is_written_and_says_the_same_digest(run: Path, tmp_path: Path) -> None:
    files = {form: tmp_path / f"a.{form}" for form in ("html", "markdown", "json", "sarif")}
    result = ask(run, *(word for form, file in files.items() for word in (f"--{form}", file)))
    assert result.exit_code == 0, result.output
    assert not (run / "audit.html").exists()
    texts = {form: file.read_text("utf-8") for form, file in files.items()}
    digest = json.loads(texts["json"])["digest"]
    assert digest in texts["html"] and digest in texts["markdown"]
    assert json.loads(texts["sarif"])["runs"][0]["results"][0]["ruleId"] == "program.import.process"
    held = ask(run, "--check", files["json"])
    assert held.exit_code == 0
    assert " ".join(held.output.split()).endswith("holds: as it was written, and what the run's record says")
    told = files["json"].read_text().replace('"judged": 20', '"judged": 21')
    files["json"].write_text(told)
    broken = ask(run, "--check", files["json"])
    assert broken.exit_code == 1 and "its content is not that of its digest" in broken.output


def test_what_was_judged_is_said_the_same_way_by_any_process(run: Path, tmp_path: Path) -> None:
    """Words are hashed with a seed of the process's; nothing that is said may depend on it."""
    contents = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "azr_platform", "audit", "report", str(run), "--json", "-"]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=True)
        contents.append(json.loads(ran.stdout)["content"])
        del contents[-1]["signed"]["made_at"]
    assert contents[0] == contents[1]


def test_a_form_on_standard_output_has_it_for_itself(run: Path) -> None:
    text = ask(run, "--markdown", "-").output
    assert text.startswith("# Audit of `r`\n") and text.endswith("what people had said by then.\n")


def test_only_the_selected_samples_are_reported(run: Path) -> None:
    told = json.loads(ask(run, "--since", 6, "--json", "-").output)["content"]
    assert (told["tally"]["judged"], told["signed"]["selection"]) == (10, "--since 6")


@pytest.mark.parametrize(("severity", "status"), [("medium", 1), ("high", 0)])
def test_the_exit_status_says_whether_anything_was_that_bad(run: Path, severity: str, status: int) -> None:
    result = ask(run, "--fail-on", severity)
    assert result.exit_code == status
    assert ("findings that are medium in 20 samples, and --fail-on is medium" in result.output) == bool(status)
    assert (run / "audit.html").exists(), "the report is written either way"


def test_a_head_that_is_not_on_the_chain_any_more_fails_without_being_asked(run: Path) -> None:
    (run / "heads.jsonl").write_text(json.dumps({"rows": 10_000, "head": "00" * 32}) + "\n")
    result = ask(run)
    assert result.exit_code == 1
    assert "THE RECORD IS NOT AS IT WAS WRITTEN" in result.output


def test_an_audit_is_reported_by_its_name_with_what_judged(run: Path) -> None:
    with LedgerWriter(run) as writer, writer.batch() as batch:
        start = {"time": 2.0, "audit": "mine", "policy": "strict", "fingerprint": "abcd", "settings": "{}"}
        batch.add("audit_starts", {**start, "head": "ff", "rows": 9, "who": "me", "version": "0.1"})
        row = {"time": 2.0, "audit": "mine", "policy": "strict abcd", "sample": 1, "allowed": 1, "severity": 0}
        batch.add("audits", {**row, "score": 0.0, "findings": "[]", "reason": ""})
        batch.add("audit_ends", {"time": 3.0, "audit": "mine", "left_out": '{"too long": 19}'})
    told = json.loads(ask(run, "--audit", "newest", "--json", "-").output)["content"]
    assert (told["audit"], told["tally"]["judged"], told["tally"]["flagged"]["samples"]) == ("mine", 1, 0)
    assert told["signed"]["coverage"]["not_judged"] == {"too long": 19}
    assert (told["signed"]["judges"]["policy"], told["signed"]["at_rows"]) == ("strict", 9)
    assert ask(run, "--audit", "mine", "--fail-on", "high").exit_code == 1, "nobody has read the other 19"


@pytest.mark.parametrize("selecting", [(), ("--since", "1")])
def test_what_an_unfinished_audit_did_not_reach_is_not_passed_over(run: Path, selecting: tuple[str, ...]) -> None:
    with LedgerWriter(run) as writer, writer.batch() as batch:
        start = {"time": 2.0, "audit": "cut", "policy": "strict", "fingerprint": "abcd", "settings": "{}", "rows": 9}
        batch.add("audit_starts", {**start, "head": "ff", "who": "me", "version": "0.1"})
        row = {"time": 2.0, "audit": "cut", "policy": "strict abcd", "sample": 1, "allowed": 1, "severity": 0}
        batch.add("audits", {**row, "score": 0.0, "findings": "[]", "reason": ""})
    told = json.loads(ask(run, "--audit", "cut", *selecting, "--json", "-").output)["content"]
    assert told["signed"]["coverage"]["not_judged"] == {"not reached: the audit was not finished": 19}
    assert ask(run, "--audit", "cut", *selecting, "--fail-on", "high").exit_code == 1


def _forged(told: dict[str, Any], *path: str) -> dict[str, Any]:
    """A report with one value changed, and with a digest that fits."""
    *above, last = path
    place = told["content"]
    for name in above:
        place = place[name]
    value = place[last]
    place[last] = {"harmless": 1} if isinstance(value, dict) else [*value, "x"] if isinstance(value, list) else "other"
    return {**told, "digest": digest(told["content"])}


@pytest.mark.parametrize(
    "path",
    [
        ("verdict",),
        ("standing",),
        ("signed", "audit"),
        ("signed", "at_head"),
        ("signed", "judges", "policy"),
        ("signed", "judges", "fingerprint"),
        ("signed", "judges", "classifiers"),
        ("signed", "coverage", "unkept"),
        ("signed", "coverage", "in_part"),
    ],
)
def test_a_forged_report_does_not_hold_also_with_a_digest_that_fits(
    run: Path, tmp_path: Path, path: tuple[str]
) -> None:
    file = tmp_path / "a.json"
    assert ask(run, "--json", file).exit_code == 0
    told = json.loads(file.read_text())
    assert ask(run, "--check", file).exit_code == 0
    file.write_text(json.dumps(_forged(told, *path)))
    result = ask(run, "--check", file)
    assert result.exit_code == 1 and path[-1] in result.output


def test_a_report_that_goes_deeper_than_any_is_none(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(f'{{"format": "f", "digest": "d", "content": {{"a": {"[" * 100_000}{"]" * 100_000}}}}}')
    result = ask(run, "--check", file)
    assert isinstance(result.exception, BadInput) and "no report of this program's" in str(result.exception)


def test_a_link_in_a_stranger_s_folder_is_not_written_through(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (run / "audit.html").symlink_to(mine)
    result = ask(run)
    assert isinstance(result.exception, BadInput) and "audit.html: cannot be written" in str(result.exception)
    assert mine.read_text() == "mine"
    assert ask(run, "--html", tmp_path / "own.html").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fail-on", "bad"), "there is no such severity"),
        (("--check", "FILE", "--html", "x.html"), "--check writes nothing"),
        (("--check", "FILE"), "no report of this program's"),
        (("--check", "NONE"), "cannot be read"),
        (("--html", "NONE/x.html"), "cannot be written"),
        (("--html", "-", "--json", "-"), "standard output (-) takes one form"),
    ],
)
def test_a_mistake_is_named(run: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "FILE").write_text("[]")
    result = ask(run, *(re.sub("FILE|NONE", lambda found: str(tmp_path / found[0]), word) for word in arguments))
    assert isinstance(result.exception, BadInput) and words in str(result.exception)


def test_an_audit_that_there_is_not_is_named(run: Path) -> None:
    assert isinstance(ask(run, "--audit", "none").exception, UnknownAudit)
