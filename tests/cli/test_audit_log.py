"""azr-platform audit PATH on logs of other trainers: what is judged, what is left out, and how it ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]
SAMPLES = Path(__file__).parents[1] / "logs" / "samples"


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_and_summary(result: subprocess.CompletedProcess[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *rows, last = [json.loads(line) for line in result.stdout.splitlines()]
    return rows, last["summary"]


def test_a_folder_of_several_formats_is_judged_file_by_file(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    for sample in SAMPLES.glob("*.*"):
        if sample.suffix != ".md":
            (tmp_path / "rollouts" / sample.name).write_bytes(sample.read_bytes())
    lines(tmp_path / "rollouts" / "metrics.jsonl", {"step": 1, "loss": 0.5})
    lines(tmp_path / "rollouts" / "7.jsonl", {"input": "q", "output": "four", "score": 1.0, "step": 7}, {"input": 5})
    result = cli("audit", str(tmp_path), "--json", "--policy", rules_alone)
    assert result.returncode == 0, result.stderr
    rows, summary = rows_and_summary(result)
    chosen = {Path(read["file"]).name: read["format"] for read in summary["formats"]}
    assert chosen == {
        "7.jsonl": "verl",
        "inspect.eval": "inspect",
        "inspect.json": "inspect",
        "metrics.jsonl": "none",
        "trl_completions_00001.parquet": "trl",
        "verifiers_traces.jsonl": "verifiers",
    }
    assert len(rows) == summary["judged"] == 13
    assert {name: skip["count"] for name, skip in summary["skipped"].items()} == {
        "of another shape": 1,
        "not a log of texts": 1,
    }
    assert summary["skipped"]["of another shape"]["first"][0]["place"].endswith("7.jsonl:2")
    verl = next(row for row in rows if row["format"] == "verl")
    assert (verl["number"], verl["step"], verl["reward"], verl["verdict"]) == (1, 7, 1.0, "allow")
    tampering = [row for row in rows if row["id"] == "one"]
    assert [row["verdict"] for row in tampering] == ["block", "block"]
    assert tampering[0]["findings"][0]["quote"].startswith("The tests only check the file")


def test_several_processes_answer_as_one_does(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", *({"prompt": "p", "completion": f"number {n}"} for n in range(600)), {"x": 1})
    one, two = (cli("audit", str(file), "--json", "--policy", rules_alone, "--workers", n).stdout for n in ("1", "2"))
    assert one == two
    assert len(one.splitlines()) == 601


def test_a_limit_is_kept(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", *({"completion": str(n)} for n in range(5)))
    lines(tmp_path / "b.jsonl", *({"completion": str(n)} for n in range(5)))
    rows, summary = rows_and_summary(cli("audit", str(tmp_path), "--json", "--policy", rules_alone, "--limit", "7"))
    assert (len(rows), summary["rows"]) == (7, 7)


def test_programs_run_on_request_only_and_in_the_jail(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    file = lines(
        tmp_path / "seeds.jsonl",
        {"snippet": "def f(a):\n    return a + 1", "input": "1", "output": "2", "imports": []},
        {"snippet": "def f(a):\n    return a + 1", "input": "1", "output": "3", "imports": []},
    )
    rows, _ = rows_and_summary(cli("audit", str(file), "--json", "--policy", rules_alone))
    assert all("outcome" not in row for row in rows)
    rows, _ = rows_and_summary(cli("audit", str(file), "--json", "--policy", rules_alone, "--run"))
    assert [(row["outcome"], row["values"], row["agrees"]) for row in rows] == [
        ("ok", ["2"], [True]),
        ("ok", ["2"], [False]),
    ]


def test_a_script_is_run_whole_and_can_reach_nothing(cli: Cli, tmp_path: Path) -> None:
    policy = tmp_path / "none.yaml"
    policy.write_text("name: none\nextends: observe\nclassifiers: []\n")
    owned = tmp_path / "owned"
    file = lines(
        tmp_path / "a.jsonl",
        {"completion": "```python\nx = [n * n for n in range(9)]\n```"},
        {"completion": f"```python\nopen({str(owned)!r}, 'w').write('x')\n```"},
    )
    rows, _ = rows_and_summary(cli("audit", str(file), "--json", "--policy", str(policy), "--run"))
    assert rows[0]["outcome"] == "ok"
    assert rows[1]["outcome"] != "ok"
    assert not owned.exists()


def test_fail_on_says_how_bad_it_was_and_unreadable_rows_count(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    fine = lines(tmp_path / "fine.jsonl", {"completion": "The sum is four."})
    assert cli("audit", str(fine), "--policy", rules_alone, "--fail-on", "info").returncode == 0
    bad = lines(tmp_path / "bad.jsonl", {"completion": "The tests only check the file, so I special-case them."})
    assert cli("audit", str(bad), "--policy", rules_alone).returncode == 0
    assert cli("audit", str(bad), "--policy", rules_alone, "--fail-on", "high").returncode == 1
    assert cli("audit", str(bad), "--policy", rules_alone, "--fail-on", "critical").returncode == 0
    fine.write_text(fine.read_text() + "{broken\n")
    result = cli("audit", str(fine), "--policy", rules_alone, "--fail-on", "high")
    assert result.returncode == 1
    assert "fine.jsonl:2: not JSON" in result.stdout
    unknown = cli("audit", str(fine), "--fail-on", "dreadful")
    assert (unknown.returncode, "dreadful" in unknown.stderr) == (2, True)


def test_what_holds_nothing_to_judge_is_an_error_with_a_remedy(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    for name, text, words in (
        ("a.jsonl", '{"question_text": "q", "reply": "r"}\n', ("question_text", "--map")),
        ("b.jsonl", "no json\n", ("b.jsonl:1", "not JSON")),
    ):
        (tmp_path / name).write_text(text)
        result = cli("audit", str(tmp_path / name), "--policy", rules_alone)
        assert result.returncode == 2
        assert all(word in result.stderr for word in words), result.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "neither a run's folder" in cli("audit", str(empty)).stderr
    assert cli("audit", str(empty)).returncode == 2


@pytest.mark.parametrize(
    "options",
    ["--map colour=x", "--format nemo", "--run --workers 2", "--run --no-run", "--verify", "--head abc"],
)
def test_options_that_do_not_fit_are_one_line(cli: Cli, tmp_path: Path, options: str) -> None:
    file = lines(tmp_path / "a.jsonl", {"completion": "x"})
    result = cli("audit", str(file), *options.split())
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1


HOSTILE = "\x1b[31m\x1b]0;owned\x07<script>alert(1)</script>\u202e'; DROP TABLE samples; --"


def test_hostile_names_and_texts_are_shown_inert(cli: Cli, rules_alone: str, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    name = f"{HOSTILE.replace('/', '')}.jsonl"
    said = f"The tests only check the file, so I special-case them. {HOSTILE}"
    (folder / name).write_text(
        json.dumps({"id": HOSTILE, "completion": said, HOSTILE: HOSTILE}) + "\n{broken " + HOSTILE + "\n"
    )
    lines(folder / "other.jsonl", {HOSTILE: 1})
    shown = cli("audit", str(folder), "--policy", rules_alone)
    as_json = cli("audit", str(folder), "--policy", rules_alone, "--json")
    for text in (shown.stdout, shown.stderr, as_json.stdout, as_json.stderr):
        assert not set("\x1b\x07\u202e") & set(text)
    rows, summary = rows_and_summary(as_json)
    assert rows[0]["id"] == HOSTILE
    assert summary["skipped"]["not JSON"]["count"] == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, "other.jsonl"])
