"""Given problems once round the whole circle: real trainer, jail, monitor and ledger; stops and rollbacks are exact."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.messages import Action, Review, SafePoint
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor.problems import finish, gather
from azr_platform.trainer.checkpoint import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Query = Callable[..., list[tuple[Any, ...]]]
Supervise = Callable[..., int]
STEPS = 3

PROBLEMS = [
    {"kind": "deduction", "program": "def f(x):\n    return x * 3 + 1", "inputs": ["5"]},
    {"kind": "abduction", "program": "def f(x):\n    return x[::-1]", "inputs": ["'abc'"]},
    {"kind": "induction", "program": "def f(x):\n    return x + 2", "inputs": list("123456"), "message": "plus"},
    {"question": "How many legs has a spider?", "answer": 8},
]


def script(say: Any) -> list[dict[str, object]]:
    hostile = "import os\ndef f(x):\n    os.system('true')\n    return x + 2"
    return [
        {"match": "# deduce", "responses": [say.answer("output", text) for text in ("16", "16", "17", "f(5)")]},
        {"match": "# abduce", "responses": [say.answer("input", text) for text in ("'cba'", "'abc'", "1) or (1")]},
        {
            "match": "# induce",
            "responses": [
                say.answer("python", "def f(x):\n    return x + 2"),
                say.answer("python", "def f(y):\n    return 2 + y"),
                say.answer("python", "def f(x):\n    return x"),
                say.answer("python", hostile),
            ],
        },
        {"match": "# answer", "responses": [say.answer("output", "8"), say.answer("output", "Eight"), "no format"]},
    ]


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory, small_config: Callable[..., Config], say: Any
) -> Callable[[str], Config]:
    """A configuration of a regime over four problems, whose answers a script knows."""
    folder = tmp_path_factory.mktemp("regimes")
    (folder / "script.json").write_text(json.dumps(script(say)))
    (folder / "my.jsonl").write_text("".join(json.dumps(line) + "\n" for line in PROBLEMS))

    def make(regime: str) -> Config:
        return small_config(
            f"run.steps={STEPS}",
            f"run.regime={regime}",
            f"problems.source={json.dumps(str(folder / 'my.jsonl'))}",
            "problems.per_step=4",
            "problems.samples=4",
            "model.engine=scripted",
            f"model.script={json.dumps(str(folder / 'script.json'))}",
        )

    return make


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, supervise: Supervise, config: Callable[[str], Config], jail: Any
) -> dict[str, Path]:
    """An undisturbed run of each regime."""
    folder = tmp_path_factory.mktemp("runs")
    for regime in ("rlvr", "ttrl"):
        settings = config(regime)
        assert supervise(folder / regime, settings, problems=finish(gather(settings), settings, jail)) == 0
    return {regime: folder / regime for regime in ("rlvr", "ttrl")}


def learnt(run: Path) -> dict[str, str]:
    """Digests of the last checkpoint's files."""
    with LedgerReader(run) as reader:
        last = reader.line_checkpoints()[-1]
        assert last.step == STEPS
        return verify(run / last.path, last.digest).files


@pytest.mark.parametrize("regime", ["rlvr", "ttrl"])
def test_every_sample_is_judged_recorded_and_learnt_from(regime: str, runs: dict[str, Path], query: Query) -> None:
    run = runs[regime]
    assert query(run, "SELECT count(*) FROM samples s JOIN verdicts v ON v.sample = s.id") == [(16 * STEPS,)]
    assert query(run, "SELECT DISTINCT phase, role FROM samples") == [("solve", "solve")]
    first = verify(run / "checkpoints/step-000000").files["model.safetensors"]
    assert learnt(run)["model.safetensors"] != first
    assert query(run, "SELECT count(*) FROM rewards WHERE trained = 1 AND advantage != 0")[0][0] > 0
    blocked = query(
        run,
        "SELECT s.outcome, r.trained FROM samples s JOIN verdicts v ON v.sample = s.id "
        "JOIN rewards r ON r.sample = s.id WHERE v.allowed = 0",
    )
    assert blocked
    assert set(blocked) == {("blocked", 0)}, "the hostile program ran nowhere and trained nothing"


def right(query: Query, run: Path, kind: str, column: str) -> dict[str, set[int]]:
    """By answer, whether it was right."""
    found: dict[str, set[int]] = {}
    for text, correct in query(run, f"SELECT {column}, correct FROM samples WHERE kind = ?", kind):
        found.setdefault(text, set()).add(correct)
    return found


def test_with_the_truth_what_is_true_is_right(runs: dict[str, Path], query: Query) -> None:
    run = runs["rlvr"]
    assert right(query, run, "deduction", "answer") == {"16": {1}, "17": {0}, "f(5)": {0}}
    assert right(query, run, "abduction", "input") == {"'cba'": {0}, "'abc'": {1}, "1) or (1": {0}}
    assert right(query, run, "question", "answer") == {"8": {1}, "Eight": {0}, "": {0}}
    with LedgerReader(run) as reader:
        assert reader.metric("problems")[1] == [4.0] * STEPS
        assert reader.metric("degenerate")[1] == []
        assert "solve_rate/question" in reader.metric_names()


def test_with_a_vote_the_majority_is_right(runs: dict[str, Path], query: Query) -> None:
    """Each problem's four samples walk through the script: 16, 16, 17, f(5) makes 16 the winner."""
    run = runs["ttrl"]
    assert right(query, run, "deduction", "answer")["16"] == {1}
    assert right(query, run, "deduction", "answer")["17"] == {0}
    with LedgerReader(run) as reader:
        assert {task.outputs for task in reader.tasks() if task.kind.value in ("deduction", "question")} == {("",)}
        assert len(reader.metric("degenerate")[1]) == STEPS
        assert all(0 < share <= 1 for share in reader.metric("agreement")[1])


@pytest.mark.parametrize("regime", ["rlvr", "ttrl"])
def test_a_killed_trainer_and_a_rollback_end_at_the_same_weights_bit_for_bit(
    regime: str,
    runs: dict[str, Path],
    tmp_path: Path,
    supervise: Supervise,
    config: Callable[[str], Config],
    jail: Any,
) -> None:
    settings = config(regime)

    def arrange(moments: Any) -> None:
        moments.before(Review, 2, moments.kill_trainer)
        moments.before(SafePoint, STEPS, lambda: moments.order(Action.ROLLBACK, step=1))

    run = tmp_path / "run"
    assert supervise(run, settings, arrange, problems=finish(gather(settings), settings, jail)) == 0
    assert learnt(run) == learnt(runs[regime])
    with LedgerReader(run) as reader:
        assert len(reader.branches()) > 2


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (["--regime", "rlvr"], None, "needs problems"),
        (["--regime", "rlvr", "--problems", "my.jsonl"], None, "my.jsonl: cannot be read"),
        (["--regime", "rlvr", "--problems", "my.jsonl"], '{"question": "?"}', "my.jsonl, line 1: a question without"),
        (["--problems", "my.jsonl"], '{"question": "?", "answer": 1}', "for the regimes rlvr and ttrl"),
        (["--regime", "grpo"], None, "run.regime: Input should be"),
        (
            ["--regime", "rlvr", "--problems", "my.jsonl"],
            '{"kind": "deduction", "program": "def f(x):\\n    return 1 / x", "inputs": ["0"]}',
            "my.jsonl, line 1: f(0) ended as error",
        ),
    ],
)
def test_what_cannot_be_used_exits_2_and_creates_nothing(
    arguments: list[str], content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "my.jsonl").write_text(content + "\n")
    command = [sys.executable, "-P", "-m", "azr_platform", "train", "--preset", "nano", "--run", "run"]
    overrides = ["--policy", "observe", "--set", "jail.cpu_seconds=1"]
    ran = subprocess.run([*command, *arguments, *overrides], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 2, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not (tmp_path / "run").exists()
