"""`azr-platform audit ask` and `audit similar`: what is told fits 80 columns, and hostile words stay words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create

HOSTILE = "[red]x[/red] \x1b]0;owned\x07 \x9b31m \u202e reversed \u200b\nsecond line "
STEPS, EACH = 40, 50
QUESTIONS = ("first", "timeline", "spread", "together", "reward", "worst", "clusters")


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From step 20 on every tenth sample plots, in hostile words. The audit ``later`` found one thing, in sample 1."""
    folder = tmp_path_factory.mktemp("asked") / "a run"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        batch.add("audit_starts", {"time": 1.0, "audit": "later", "policy": "p", "fingerprint": "f", "rows": 1})
        for number in range(1, STEPS * EACH + 1):
            _add(batch, number)
        batch.add("audit_ends", {"time": 2.0, "audit": "later", "left_out": "{}"})
    return folder


def _add(batch, number: int) -> None:  # type: ignore[no-untyped-def]
    step = (number - 1) // EACH
    place, bad = {"branch": 1, "step": step}, step >= 20 and number % 10 == 0
    role = "propose" if number % 5 == 0 else "solve"
    trace = f"Step {step} is plain. {HOSTILE if bad else ''}I will {'deceive them' if bad else 'add'} now. So be it."
    texts = {"prompt": f"Solve {HOSTILE}", "response": f"<think>{trace}</think>", "reasoning": trace}
    names = {"phase": role, "role": role, "kind": "deduction", "task": f"t{number}" if role == "propose" else None}
    batch.add("samples", {**place, **names, **texts})
    verdict = {"allowed": 1, "severity": 3, "score": 0.9 if bad else 0.1, "reason": "r"}
    batch.add("verdicts", {"sample": number, "action": 1, **verdict})
    batch.add("rewards", {"sample": number, **place, "reward": number % 3 / 2, "advantage": 0.0, "trained": True})
    if bad:
        span = {"span_start": trace.index("deceive"), "span_end": trace.index(" now")}
        for rule in ("trace.deceive", f"trace.harm.{HOSTILE}"):
            batch.add("findings", {"sample": number, "rule": rule, "severity": 3, "part": "trace", "why": "w", **span})
    findings = json.dumps([["trace.harm", 2, "trace", [0, 4], "w"]] if number == 1 else [])
    audited = {"time": 1.5, "audit": "later", "policy": "p f", "sample": number, **verdict}
    batch.add("audits", {**audited, "findings": findings})


def _is_inert(text: str) -> None:
    assert not [char for char in text if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert not any(char in text for char in "\u202e\u200b") and "\nsecond line" not in text


@pytest.mark.parametrize("question", ["", *QUESTIONS])
def test_every_answer_fits_the_terminal_and_is_inert(run: Path, question: str) -> None:
    result = audit("ask", str(run), *([question] if question else []))
    assert result.exit_code == 0, result.output
    _is_inert(result.output)
    assert max(map(len, result.output.splitlines()[:-1])) <= 80
    assert f"azr-platform review '{run}' --sample N" in result.output, "as a shell takes it"
    headings = [line.partition(":")[0] for line in result.output.splitlines() if line[:2].isupper()]
    assert headings == [question.upper()] if question else headings == [name.upper() for name in QUESTIONS]


def test_the_answers_say_when_how_often_and_what(run: Path) -> None:
    shown = audit("ask", str(run)).output
    assert "FIRST: 100 of 2,000 judged samples flagged" in shown
    assert "»deceive them« now." in shown
    (mark,) = {line for line in shown.splitlines() if line.strip() == "^"}
    top = next(line for line in shown.splitlines() if line.startswith("  flagged "))
    assert top[mark.index("^")] == "█" and top[mark.index("^") - 1] == " ", "the mark stands where the bars begin"
    assert "from step 20 on 10% [8.3%, 12%], before 0% [0%, 0.4%]" in shown
    assert "100 of 100 and 100, expected 5.0; lift 20, phi +1.00; more than chance" in shown
    assert "CLUSTERS: 100 flagged samples, 1 different trace, 0 like no other" in shown
    assert "of 400 proposed tasks 100 came of flagged proposals" in shown


def test_an_audit_is_asked_by_its_name_and_a_selection_narrows_it(run: Path) -> None:
    for name in ("later", "newest"):
        found = json.loads(audit("ask", str(run), "first", "--audit", name, "--json").output)
        assert (found["audit"], found["first"]["flagged"], found["first"]["judged"]) == ("later", 1, 2000)
    some = json.loads(audit("ask", str(run), "first", "--since", "30", "--where", "role:propose", "--json").output)
    assert (some["first"]["judged"], some["first"]["flagged"]) == (100, 50)
    assert some["selection"] == "--since 30 --where role:propose"
    assert json.loads(audit("ask", str(run), "worst", "--severity", "critical", "--json").output)["worst"] == []


def test_the_json_holds_all_of_every_answer_in_plain_ascii(run: Path) -> None:
    result = audit("ask", str(run), "--json")
    assert result.output.isascii() and result.output.count("\n") == 1
    found = json.loads(result.output)
    assert set(QUESTIONS) < set(found)
    assert f"trace.harm.{HOSTILE}" in [row["what"] for row in found["first"]["rules"]]


def test_ascii_terminals_get_ascii(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert audit("ask", str(run), "timeline").output.isascii()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wrost"], "there is no question 'wrost'; there are first, .*did you mean 'worst'"),
        (["--severity", "awful"], "--severity awful: there is no such severity; there are info, low"),
        (["--audit", "none"], "no audit none is on record; there are later"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(run: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(Exception, match=said):
        CliRunner().invoke(app, ["audit", "ask", str(run), *arguments], catch_exceptions=False)


def test_that_nothing_is_selected_is_said_with_the_bounds_of_what_there_is(run: Path, tmp_path: Path) -> None:
    said = "no sample is selected by --since 41; live has 2,000 samples, steps 0 to 39 of branch 1\n"
    shown = audit("ask", str(run), "--since", "41")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (1, "", said)
    as_json = audit("ask", str(run), "first", "--since", "41", "--json")
    assert (as_json.exit_code, as_json.stderr, json.loads(as_json.stdout)["first"]["judged"]) == (1, said, 0)
    assert audit("labels", str(run), "--since", "41").stderr == f"note: {said}"
    assert said in audit("report", str(run), "--since", "41", "--json", "-").stderr
    assert said in audit("export", str(run), str(tmp_path / "a"), "--to", "jsonl", "--since", "41").stderr
    later = audit("ask", str(run), "--audit", "later", "--branch", "7")
    assert later.stderr.startswith("no sample is selected by --branch 7; later has 2,000 samples")


def test_a_run_in_which_nothing_happened_yet_has_answers_too(tmp_path: Path) -> None:
    create(tmp_path / "new", load("nano")).close()
    result = audit("ask", str(tmp_path / "new"))
    assert result.exit_code == 0, result.output
    assert "0 of 0 judged samples flagged" in result.output and "nothing is flagged" in result.output


# -- similar -----------------------------------------------------------------------------------------------


def test_that_none_is_alike_is_said(run: Path) -> None:
    shown = audit("similar", str(run), "--to", f"add {' '.join(f'zebra{n}' for n in range(60))}")
    assert shown.exit_code == 1
    assert "none is alike: from 5% of the example's words on a sample is listed; the most" in shown.output
    assert "review" not in shown.output


def test_a_text_that_every_sample_holds_is_like_all_of_them(run: Path) -> None:
    shown = audit("similar", str(run), "--to", "Step is plain. I will now. So be it.")
    assert shown.exit_code == 0 and " 100%  sample " in shown.output


def test_samples_like_a_text_a_file_or_a_sample_are_found(run: Path, tmp_path: Path) -> None:
    shown = audit("similar", str(run), "--to", "deceive them all, reversed", "--limit", "3")
    assert shown.exit_code == 0, shown.output
    _is_inert(shown.output)
    assert max(map(len, shown.output.splitlines()[:-1])) <= 80
    assert "100 samples hold some of the telling ones" in shown.output
    assert shown.output.count("deceive") >= 3, "the words are in sight"
    file = tmp_path / "example.txt"
    file.write_text("deceive them all, reversed")
    by_file, by_text = (
        json.loads(audit("similar", str(run), "--to", to, "--json").output) for to in (f"@{file}", file.read_text())
    )
    assert by_file == by_text and len(by_text["rows"]) == 20
    by_number = json.loads(audit("similar", str(run), "--to", "1010", "--json").output)
    assert 1010 not in [row["judgement"]["sample"] for row in by_number["rows"]]
    assert by_number["rows"][0]["overlap"] == 1.0
    assert all("trace.deceive" in json.dumps(row) for row in by_number["rows"][:5])


def test_similar_keeps_to_the_audit_and_the_selection(run: Path) -> None:
    found = json.loads(
        audit("similar", str(run), "--to", "deceive them", "--audit", "later", "--until", "24", "--json").output
    )
    assert found["audit"] == "later" and found["held"] == 25
    assert {row["judgement"]["step"] for row in found["rows"]} <= set(range(20, 25))
    assert not any(row["judgement"]["findings"] for row in found["rows"])
    assert audit("similar", str(run), "--to", "quagga").exit_code == 1, "none is like it"


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("99999", "there is no sample 99999"),
        ("@nowhere/x", "nowhere/x cannot be read"),
        ("?!", "no letter and no digit"),
        ("a " * 600_000, "longer than 1,000,000 characters"),
    ],
)
def test_an_example_that_is_none_is_one_clear_line(run: Path, to: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        CliRunner().invoke(app, ["audit", "similar", str(run), "--to", to], catch_exceptions=False)


def test_findings_without_a_place_in_the_text_are_told_all_the_same(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    span = {"part": "nothing", "span_start": 1, "span_end": 9**9}
    with LedgerWriter(copy) as writer:
        writer.append("findings", {"sample": 3, "rule": "made.up", "severity": 4, "why": "w", **span})
    shown = audit("ask", str(copy), "first")
    assert shown.exit_code == 0 and "made.up in nothing" in shown.output
