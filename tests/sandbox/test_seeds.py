"""The table of published programs: each kind of difference is told from the others by what happened in the jail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from azr_sandbox.pool import JailPool

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/seeds.py"
LONG = "def f(n):\n    return 'ab' * n"
CUT = "'" + "ab" * 99 + "a" + "..." + "b" + "ab" * 99 + "'"
CASES = [
    ("def f(x):\n    return x + 1", "1", "2", "the same value"),
    ("def f(x):\n    return {x: 1.0}", "'a'", "{'a': 1}", "the same value"),
    ("def f(x):\n    return x", "dict(a=1)", "dict(a=1)", "the same value"),
    (LONG, "500", CUT, "the same as far as a cut record goes"),
    (LONG, "50_000", CUT, "the same as far as a cut record goes"),
    ("def f(x):\n    return (c for c in x)", "'ab'", "", "not a value: generator (nothing on record)"),
    ("def f(x):\n    return ...", "1", "Ellipsis", "not a value: ellipsis (printed the same)"),
    ("import numpy\ndef f(x):\n    return 1", "1", "1", "a third-party module that the jail does not have"),
    ("def f(x):\n    return ''.join(set(x))", "'abcdefghij'", "'x'", "order of a set: differs under other hash seeds"),
    ("def f(x):\n    return [*set(x)]", "[1, 2, 3]", "[3, 1, 2]", "order of a set: the same pieces in another order"),
    ("import secrets\ndef f(x):\n    return secrets.token_hex(9)", "1", "", "random: differs from run to run"),
    (
        "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
        "1",
        "",
        "keeps state: a second call differs (nothing on record)",
    ),
    ("def f(x):\n    return 1 // x", "0", "", "the program raises (nothing on record)"),
    ("def f(x):\n    return open('out.txt', 'w').write(x)", "'a'", "1", "the jail's limits: policy_violation"),
    ("def f(x):\n    return x", "f([1, 2])", "[1, 2]", "the same value"),
]
WRONG = ("def f(x):\n    return x + 1", "1", "3", "other")


def explained(folder: Path, cases: list[tuple[str, str, str, str]]) -> tuple[int, dict[str, dict[str, int]]]:
    """(exit status, how often each case came under each explanation)."""
    rows = [{"snippet": text, "input": given, "output": output, "imports": []} for text, given, output, _ in cases]
    (folder / "x_seed_io.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    command = [sys.executable, str(SCRIPT), str(folder), "--json", str(folder / "found.json")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    assert ran.stderr == ""
    return ran.returncode, json.loads((folder / "found.json").read_text("utf-8"))


@pytest.mark.slow
def test_every_kind_of_difference_is_explained_by_what_happened(tmp_path: Path, pool: JailPool) -> None:
    many = [CASES[0]] * 500
    status, found = explained(tmp_path, [*CASES, *many])
    assert status == 0, "at least 97 % are the same, and nothing is unexplained"
    where = {int(place.rpartition(":")[2]): reason for reason, places in found.items() for place in places}
    for number, (program, _, _, reason) in enumerate(CASES, 1):
        assert where[number] == reason, program


@pytest.mark.slow
@pytest.mark.parametrize("cases", [[WRONG, *[CASES[0]] * 100], [CASES[7], CASES[0]]], ids=["unexplained", "too few"])
def test_a_loose_end_or_too_few_that_are_the_same_fail(
    cases: list[tuple[str, str, str, str]], tmp_path: Path, pool: JailPool
) -> None:
    status, found = explained(tmp_path, cases)
    assert status == 1
    assert set(found) >= {cases[0][3]}


def test_programs_are_written_as_lines_that_the_jail_s_commands_read(tmp_path: Path) -> None:
    row = {"snippet": "def f(x):\n    return math.floor(x)", "inputs": ["1.5", "2"], "outputs": ["1", "2"]}
    (tmp_path / "a_seed_io.jsonl").write_text(json.dumps({**row, "imports": ["import math"]}), "utf-8")
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--lines", str(tmp_path / "lines.jsonl")]
    subprocess.run(command, check=True, timeout=120)
    assert json.loads((tmp_path / "lines.jsonl").read_text("utf-8")) == {
        "id": "a_seed_io.jsonl:1",
        "program": f"import math\n{row['snippet']}",
        "inputs": ["1.5", "2"],
    }


def test_a_folder_without_programs_is_said_to_be_one(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr == f"error: {tmp_path} holds no *_seed_io.jsonl; name the folder that does\n"
