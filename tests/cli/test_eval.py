"""``azr-platform eval``: the targets it knows, the mistakes it names, and a real evaluation in the real jail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.cli import main as entry
from azr_platform.cli.input import BadInput
from azr_platform.cli.targets import find_target, is_embedded, weights_digest
from azr_platform.config.load import load
from azr_platform.nano.model import weights_path
from azr_platform.supervisor.runfolder import create

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run the command as the console script does: (status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["azr-platform", *arguments])
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")
        with pytest.raises(SystemExit) as ended:
            entry.main()
            raise SystemExit(0)
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights_path(), tmp_path / "model"))


# -- targets ---------------------------------------------------------------------------------------------


def test_the_embedded_model_and_its_like_are_asked_with_its_own_prompts(model: Path) -> None:
    assert find_target("nano").config.tasks.style == "compact"
    assert is_embedded(model)
    assert find_target(str(model)).config.model.engine == "static"
    (model / "tokenizer.json").write_text('{"model": {"vocab": {}}}')
    assert not is_embedded(model)
    assert find_target(str(model)).config.tasks.style == "full"
    assert find_target(str(model), preset="nano").config.tasks.style == "compact"


def test_a_run_s_base_and_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    create(tmp_path / "run", load("nano")).close()
    base = find_target(str(tmp_path / "run"), base=True)
    assert (base.folder, base.step, base.branch) == (weights_path(), 0, 1)
    with pytest.raises(BadInput, match="no checkpoint yet; --base"):
        find_target(str(tmp_path / "run"))


def test_a_digest_is_of_the_weights_alone(model: Path) -> None:
    before = weights_digest(model)
    assert before == weights_digest(weights_path())
    (model / "optimizer.safetensors").write_bytes(b"moments")
    assert weights_digest(model) == before
    raw = bytearray((model / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (model / "model.safetensors").write_bytes(raw)
    assert weights_digest(model) != before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["NOWHERE"], ["NOWHERE", "no run, model folder or stored evaluation"]),
        (["EMPTY"], ["EMPTY", "no ledger.db", "no config.json"]),
        (["HOLLOW"], ["HOLLOW", "without weights"]),
        (["RUN", "--checkpoint", "step-000009"], ["RUN", "no checkpoint 'step-000009'", "none yet"]),
        (["RUN", "--checkpoint", "1", "--base"], ["not both"]),
        (["nano", "--base"], ["nano", "not a run"]),
        (["BAD.json"], ["BAD.json", "not an evaluation"]),
        (["nano", "--suite", "NOWHERE"], ["NOWHERE", "cannot be read"]),
        (["nano", "--suite", "BAD.json"], ["BAD.json, line 1"]),
        (["nano", "--per-kind", "1000000"], ["--per-kind", "1000000"]),
        (["nano", "nano", "nano"], ["two to compare"]),
        (["RUN", "nano", "--base"], ["two targets"]),
        (["nano", "--preset", "nothing"], ["nothing"]),
        (["\x1b[2J\nx"], ["no run, model folder"]),
    ],
)
def test_a_bad_target_is_one_line_that_names_it(
    arguments: list[str], words: list[str], tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "HOLLOW").mkdir()
    (tmp_path / "HOLLOW" / "config.json").write_text("{}")
    (tmp_path / "BAD.json").write_text("{")
    create(tmp_path / "RUN", load("nano")).close()
    monkeypatch.chdir(tmp_path)
    status, shown, error = say("eval", *arguments)
    assert (status, shown) == (2, "")
    assert error.startswith("error: ") and error.count("\n") == 1
    assert error.rstrip("\n").isprintable()
    for word in words:
        assert word in error


@pytest.mark.slow
def test_damaged_weights_are_named(model: Path, say: Say) -> None:
    (model / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")
    status, _, error = say("eval", str(model), "--per-kind", "1", "--samples", "1")
    assert status == 2 and error.count("\n") == 1 and error.startswith(f"error: {model}")
    shutil.copy(weights_path() / "model.safetensors", model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "intermediate_size": 128}))
    status, _, error = say("eval", str(model), "--per-kind", "1", "--samples", "1")
    assert status == 2 and error.splitlines()[-1].startswith(f"error: {model}")


# -- for real --------------------------------------------------------------------------------------------


@pytest.fixture
def run_with_checkpoint(tmp_path: Path) -> Path:
    """A run whose one checkpoint is the embedded model, written as the trainer writes one."""
    from azr_platform.trainer.checkpoint import folder_name, save
    from azr_platform.trainer.model import load_policy
    from azr_platform.trainer.optimizer import Optimizer

    config = load("nano", overrides=["jail.cpu_seconds=1"])  # the attack at start-up waits for what loops for ever
    policy, tokenizer = load_policy(config.model)
    optimizer = Optimizer(policy, config.optimizer)
    run = tmp_path / "run"
    with create(run, config) as writer, writer.batch() as batch:
        (run / "checkpoints").mkdir()
        place = run / "checkpoints" / folder_name(4, 1)
        saved = save(place, step=4, seed=0, model=policy, tokenizer=tokenizer, optimizer=optimizer, buffers={})
        path = f"checkpoints/{place.name}"
        row = {"time": 1.0, "branch": 1, "step": 4, "path": path, "digest": saved.digest, "kept_for": ""}
        batch.add("checkpoints", row)
    return run


def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.slow
def test_a_checkpoint_and_its_base_are_measured_and_compared(run_with_checkpoint: Path, say: Say) -> None:
    run = run_with_checkpoint
    few = ("--per-kind", "4", "--samples", "3")
    status, shown, _ = say("eval", str(run), *few)
    assert status == 0
    assert [line.split()[0] for line in shown.splitlines() if "[" in line][:4] == [
        "deduction",
        "abduction",
        "induction",
        "all",
    ]
    assert max(map(len, shown.splitlines())) <= 80 or str(run) in shown
    assert say("eval", str(run), "--base", *few)[0] == 0
    files = [run / "evaluations" / name for name in ("000000-1-nano.json", "000004-1-nano.json")]
    base, after = (json.loads(file.read_text()) for file in files)
    assert base["tasks"] == after["tasks"], "the same weights, the same seed: the same answers"
    assert base["weights"] == after["weights"]
    assert all(0 <= task["right"] <= task["samples"] == 3 and task["seen"] is False for task in after["tasks"])
    status, shown, _ = say("eval", str(files[0]), str(files[1]), "--json")
    compared = _object(shown)
    assert shown.isascii() and len(compared["evaluations"]) == 2
    assert all(row["change"]["value"] == 0 for row in compared["change"])
    # nothing is overwritten
    assert say("eval", str(run / "checkpoints" / "step-000004"), *few)[0] == 0
    assert (run / "evaluations" / "000004-1-nano.2.json").is_file()


@pytest.mark.slow
def test_a_changed_checkpoint_is_not_measured(run_with_checkpoint: Path, say: Say) -> None:
    weights = run_with_checkpoint / "checkpoints" / "step-000004" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    status, _, error = say("eval", str(run_with_checkpoint), "--per-kind", "1", "--samples", "1")
    assert status == 2
    assert "model.safetensors was changed" in error


@pytest.mark.slow
def test_answers_are_judged_as_in_training(tmp_path: Path, say: Say) -> None:
    """Programs of a problem file whose outputs are missing are run, in the jail, and nowhere else."""
    escaped = tmp_path / "escaped"
    attack = f"def f(x):\n    open({str(escaped)!r}, 'w').write('out')\n    return x"
    problems = tmp_path / "problems.jsonl"
    problems.write_text(json.dumps({"kind": "deduction", "program": attack, "inputs": ["1"]}))
    status, _, error = say("eval", "nano", "--suite", str(problems), "--samples", "2")
    assert status == 2 and "line 1" in error
    assert not escaped.exists()
    lines = [
        {"kind": "deduction", "program": "def f(x):\n    return x + 2", "inputs": ["3"]},
        {"kind": "abduction", "program": attack, "inputs": ["1"], "outputs": ["1"]},
        {"kind": "induction", "program": "def f(x):\n    return x + 2", "inputs": ["1", "2", "3", "4"], "message": "x"},
    ]
    problems.write_text("\n".join(map(json.dumps, lines)))
    status, shown, error = say("eval", "nano", "--suite", str(problems), "--samples", "8", "--json")
    assert status == 0, error
    (found,) = _object(shown)["evaluations"]
    assert found["tasks"] == 3
    assert found["scores"]["pass@1"]["abduction"]["value"] == 0, "its program gives no value in the jail"
    assert not escaped.exists()
