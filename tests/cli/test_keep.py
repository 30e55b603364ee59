"""azr-platform audit LOG --keep FOLDER: a log of somebody's becomes a ledger, and is used like a run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.ledger.heads import read as heads_of
from azr_platform.ledger.judgements import LIVE
from azr_platform.ledger.reader import LedgerReader
from azr_platform.logs.records import Reason

Cli = Callable[..., subprocess.CompletedProcess[str]]
SAMPLES = Path(__file__).parents[1] / "logs" / "samples"
CHEATING = "The tests only check the file, so I special-case them."


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def of_verl(number: int, step: int, words: str = "four") -> dict[str, object]:
    return {"input": f"question {number}", "output": words, "score": number / 10, "step": step}


@pytest.fixture(scope="module")
def kept(cli: Cli, rules_alone: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rows over two steps that come in no order, one of them flagged; a row that cannot be read."""
    folder = tmp_path_factory.mktemp("kept")
    log = lines(
        folder / "7.jsonl",
        *(of_verl(number, 1 + number % 2) for number in range(5)),
        of_verl(5, 2, f"<think>{CHEATING}</think> four\n```python\nx = 1\n```"),
    )
    log.write_text(log.read_text() + "{broken\n")
    result = cli("audit", str(log), "--keep", str(folder / "run"), "--policy", rules_alone)
    assert result.returncode == 0, result.stderr
    return folder / "run"


def test_the_ledger_says_where_it_comes_from_and_is_headed_like_a_runs(kept: Path) -> None:
    heads, bad = heads_of(kept / "heads.jsonl")
    with LedgerReader(kept) as reader:
        assert reader.kept_log().endswith("7.jsonl")
        assert reader.state().state == "finished"
        found = reader.verify(noted=heads)
    assert (found.intact, bad, heads[-1].head, heads[-1].rows) == (True, 0, found.head, found.rows)
    assert kept.stat().st_mode & 0o077 == 0, "somebody's texts are nobody else's"


def test_a_sample_is_what_was_judged_with_what_the_log_tells_of_it(kept: Path) -> None:
    with LedgerReader(kept) as reader:
        detail = reader.sample(6)
        (flagged,) = [row for row in reader.judgements(LIVE) if not row.allowed]
        (alert,) = reader.alerts()
    assert detail is not None and detail.verdict is not None
    assert (detail.prompt, detail.reasoning, detail.program) == ("question 5", f"{CHEATING}\n four", "x = 1\n")
    assert detail.response.startswith("<think>"), "the words as they stood, to be searched and shown"
    assert detail.sample.uid.endswith("7.jsonl:6")
    assert (flagged.sample, flagged.step, flagged.reward, flagged.trained) == (6, 2, 0.5, True)
    found = flagged.findings[0]
    assert detail.reasoning[found.span_start : found.span_end] in CHEATING
    assert (alert.sample, alert.rule) == (6, found.rule)


def test_steps_are_counted_whatever_their_order(kept: Path) -> None:
    with LedgerReader(kept) as reader:
        steps, means = reader.metric("reward/mean")
        assert (reader.step(), reader.metric("samples")) == (2, ([1, 2], [3.0, 3.0]))
    assert (steps, means) == ([1, 2], pytest.approx([0.2, 0.3]))


def test_what_could_not_be_read_is_on_record(kept: Path) -> None:
    with LedgerReader(kept) as reader:
        assert reader.left_out(LIVE) == {Reason.BROKEN.value: 1}
        told = [notice.message for notice in reader.notices()]
    assert any("7.jsonl:7" in message and Reason.BROKEN.value in message for message in told)


def test_it_is_used_like_a_run(cli: Cli, rules_alone: str, kept: Path) -> None:
    assert "6 samples, 1 blocked" in cli("status", str(kept)).stdout
    assert cli("search", str(kept), "special-case").stdout.split()[0] == "6"
    decided = cli("review", str(kept), "--sample", "6", "--decide", "false-alarm", "--note", "a joke")
    assert decided.returncode == 0, decided.stderr
    again = cli("audit", str(kept), "--policy", rules_alone)
    assert (again.returncode, "hash chain intact" in again.stdout) == (0, True), again.stderr
    assert cli("report", str(kept)).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        "pause RUN",
        "train --resume RUN",
        "rollback RUN --to 1 --why x",
        "policy set RUN trace.deceive.unseen --action record --why x",
    ],
)
def test_nothing_trains_or_steers_it(cli: Cli, kept: Path, words: str) -> None:
    result = cli(*words.replace("RUN", str(kept)).split())
    assert result.returncode == 2
    assert "kept from another trainer's log" in result.stderr


def test_several_processes_keep_what_one_keeps(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    log = lines(tmp_path / "a.jsonl", *(of_verl(n, n // 100, CHEATING if n % 7 == 0 else "four") for n in range(600)))
    judged = []
    for workers in ("1", "2"):
        folder = tmp_path / f"kept{workers}"
        assert (
            cli("audit", str(log), "--keep", str(folder), "--policy", rules_alone, "--workers", workers).returncode == 0
        )
        with LedgerReader(folder) as reader:
            judged.append([*reader.judgements(LIVE)])
    assert judged[0] == judged[1]
    assert len(judged[0]) == 600


def test_programs_that_ran_have_their_executions_on_record(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    program = {"snippet": "def f(a):\n    return a + 1", "imports": []}
    log = lines(
        tmp_path / "s.jsonl", {**program, "input": "1", "output": "2"}, {**program, "input": "1", "output": "3"}
    )
    assert cli("audit", str(log), "--keep", str(tmp_path / "run"), "--policy", rules_alone, "--run").returncode == 0
    with LedgerReader(tmp_path / "run") as reader:
        right, wrong = (reader.sample(number) for number in (1, 2))
    assert right is not None and wrong is not None
    assert [(run.input, run.outcome, run.value) for run in right.executions] == [("1", "ok", "2")]
    assert (right.sample.correct, wrong.sample.correct) == (1, 0), "held against the outputs that the log claims"
    assert "def f(a)" in right.response


def test_nothing_that_is_there_is_written_over(cli: Cli, rules_alone: str, tmp_path: Path, kept: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = lines(tmp_path / "logs" / "a.jsonl", of_verl(1, 1))
    before = (kept / "ledger.db").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    for place in (kept, tmp_path / "link", tmp_path / "empty", log, tmp_path / "logs" / "run"):
        result = cli("audit", str(tmp_path / "logs"), "--keep", str(place), "--policy", rules_alone)
        assert (result.returncode, result.stderr.startswith("error: --keep")) == (2, True), result.stderr
    assert (kept / "ledger.db").read_bytes() == before
    assert not (tmp_path / "nowhere").exists()
    assert "--keep" in cli("audit", str(kept), "--keep", str(tmp_path / "new")).stderr


def test_what_was_not_read_to_its_end_says_so(cli: Cli, tmp_path: Path, rules_alone: str) -> None:
    from azr_monitor.policy import load_policy
    from azr_platform.supervisor.keep import LogKeeper

    with (
        pytest.raises(KeyboardInterrupt),
        LogKeeper(tmp_path / "run", tmp_path / "a", load_policy(rules_alone), ran=False),
    ):
        raise KeyboardInterrupt
    with LedgerReader(tmp_path / "run") as reader:
        assert (reader.state().state, reader.verify().intact) == ("failed", True)
    assert "failed" in cli("status", str(tmp_path / "run")).stdout
    result = cli("audit", "report", str(tmp_path / "run"), "--json", "-", "--fail-on", "high")
    assert result.returncode == 1 and "not judged, though it might hold anything" in result.stderr
    unkept = json.loads(result.stdout)["content"]["signed"]["coverage"]["unkept"]
    assert unkept == {"the rest of the log: it was not read to its end": 1}


def test_what_beside_the_rollouts_is_none_of_them_is_named_wherever_it_is_told_of(
    cli: Cli, tmp_path: Path, rules_alone: str
) -> None:
    (tmp_path / "log").mkdir()
    lines(tmp_path / "log" / "7.jsonl", of_verl(1, 1))
    (tmp_path / "log" / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    call = {"id": "1", "function": "python", "arguments": {"code": "attachment://c0de"}}
    said = [{"role": "assistant", "content": "I look.", "tool_calls": [call]}]
    lines(tmp_path / "log" / "inspect.jsonl", {"id": 1, "epoch": 1, "messages": said, "output": {}})
    kept = cli("audit", str(tmp_path / "log"), "--keep", str(tmp_path / "run"), "--policy", rules_alone, "--json")
    assert "2 things not judged, which counts as high: " in kept.stderr
    missing = f"1 a text stands apart and is not there, the first {tmp_path}/log/inspect.jsonl:1"
    cut_off = f"1 cut off, the first {tmp_path}/log/metrics.jsonl:2"
    assert missing in kept.stderr and cut_off in kept.stderr
    summary = json.loads(kept.stdout.splitlines()[-1])["summary"]
    assert (summary["judged"], summary["unread"]) == (2, 2), "the rest of that sample is judged"
    report = cli("audit", "report", str(tmp_path / "run"), "--json", "-", "--markdown", str(tmp_path / "a.md"))
    told = json.loads(report.stdout)["content"]
    whys = "1 a text stands apart and is not there, 1 cut off"
    assert f"might hold anything: 2 things ({whys}). The first of each is named under Signed off." in told["standing"]
    places = [line for line in told["signed"]["reading"] if line.startswith("not judged: ")]
    named = {line.split("; first ")[1].split(": ")[0].removeprefix(f"{tmp_path}/log/") for line in places}
    assert named == {"metrics.jsonl", "inspect.jsonl:1", "metrics.jsonl:2"}
    for place in places:
        assert place in (tmp_path / "a.md").read_text()
    failed = cli("audit", "report", str(tmp_path / "run"), "--json", "-", "--fail-on", "high")
    assert failed.returncode == 1 and f"2 things ({whys})" in failed.stderr


def test_that_a_classifier_was_missing_is_on_record(cli: Cli, tmp_path: Path) -> None:
    log = lines(tmp_path / "a.jsonl", *(of_verl(number, 1) for number in range(3)))
    kept = cli("audit", str(log), "--keep", str(tmp_path / "run"))
    assert "detoxify is not in use" in kept.stderr
    told = json.loads(cli("audit", "report", str(tmp_path / "run"), "--json", "-").stdout)["content"]
    (why,) = told["signed"]["coverage"]["in_part"]
    assert why.startswith("detoxify is not in use") and told["signed"]["coverage"]["in_part"][why] == 3
    assert told["signed"]["coverage"]["unkept"] == {}


def test_a_log_that_would_act_is_kept_as_text(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    hostile = "'); DROP TABLE samples; -- \x1b[2J <script>alert(1)</script> \ud800"
    row = {**of_verl(1, 2**62, hostile), "id": hostile}
    log = lines(tmp_path / "a'; DROP TABLE run; --.jsonl", row, {**of_verl(2, -5), "score": 1e400})
    folder = tmp_path / "run'; DROP TABLE samples; --"
    result = cli("audit", str(log), "--keep", str(folder), "--policy", rules_alone)
    assert result.returncode == 0, result.stderr
    with LedgerReader(folder) as reader:
        one, two = (reader.sample(number) for number in (1, 2))
        assert reader.verify().intact
    assert one is not None and two is not None
    assert (one.response, one.sample.step, two.sample.step) == (hostile.replace("\ud800", "\\ud800"), 0, 0)
    shown = cli("status", str(folder)).stdout + cli("search", str(folder), "script").stdout
    assert "\x1b" not in shown
