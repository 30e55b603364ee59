"""A preset for large models end to end, as a user starts it, with a model of that family made small and random."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from azr_platform.ledger.reader import LedgerReader
from azr_platform.tasks.prompts import propose_prompt
from azr_platform.tasks.seeds import seed_tasks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = [
    "selfplay.proposals=2",
    "selfplay.rollouts=2",
    "selfplay.seed_rounds=1",
    "model.max_response_tokens=24",
    "run.checkpoint_every=1",
    "run.threads=1",
    "supervisor.policy=observe",
    "jail.cpu_seconds=1",  # each start waits for what loops and sleeps in the jail for ever
    "jail.wall_seconds=4",
]


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2.5's architecture, tokenizer type and end token, with a few thousand weights."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("shrunk")
    end = "<|endoftext|>"
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    task = seed_tasks(10)[0]
    bpe.train_from_iterator([propose_prompt(task.kind, [task], "full")], trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=end, pad_token=end).save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def azr(*words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "azr_platform", *words], capture_output=True, text=True, timeout=800, check=False
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


@pytest.mark.parametrize(
    "lora",
    [
        pytest.param([], id="all weights"),
        pytest.param(
            ["lora.rank=4", "optimizer.learning_rate=1e-3"],
            id="lora",
            marks=pytest.mark.skipif(find_spec("peft") is None, reason="needs peft (azr-platform[lora])"),
        ),
    ],
)
def test_the_preset_trains_a_model_from_a_folder_and_a_rollback_replays_it_bit_for_bit(
    lora: list[str], shrunk: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    run = tmp_path / "run"
    settings = [word for setting in (*SMALL, *lora, "sinks.jsonl=true") for word in ("--set", setting)]
    azr("train", "--preset", "qwen2.5-coder-0.5b", "--model", str(shrunk), "--run", str(run), "--steps", "2", *settings)
    with LedgerReader(run) as reader:
        names = ("trained", "update/padding", "mismatch/mean", "grad_norm")
        metrics = {name: reader.metric(name)[1] for name in names}
    assert all(len(values) == 2 for values in metrics.values())
    assert min(metrics["trained"]) > 0
    assert max(metrics["update/padding"]) <= 0.1
    assert max(metrics["mismatch/mean"]) < 0.05  # the engine scores with the same weights, in other batches
    assert min(metrics["grad_norm"]) > 0
    checkpoints = run / "checkpoints"
    before, after = (load_file(checkpoints / f"step-00000{step}/optimizer.safetensors") for step in (1, 2))
    assert {name.rpartition("/")[2] for name in after} == {"step", "exp_avg", "exp_avg_sq"} | (
        set() if lora else {"master"}
    )
    changed = [name for name in after if not torch.equal(before[name], after[name])]
    assert len(changed) == len(after)

    azr("rollback", str(run), "--to", "1")
    azr("train", "--resume", str(run))
    names = ["model.safetensors", "optimizer.safetensors", *(["lora.safetensors"] if lora else [])]
    for name in names:
        first, again = (checkpoints / f"step-000002{branch}" / name for branch in ("", "-branch-2"))
        assert first.read_bytes() == again.read_bytes(), name
    assert_told_as_recorded(run)


def assert_told_as_recorded(run: Path) -> None:
    """The sink's lines say of every step, before the way back and after it, what the ledger says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = {
        (line["branch"], line["step"], name): value for line in lines for name, value in line.get("metrics", {}).items()
    }
    connection = sqlite3.connect(run / "ledger.db")
    recorded = connection.execute("SELECT branch, step, name, value FROM metrics").fetchall()
    alerts, notices = (
        connection.execute(f"SELECT count(*) FROM {query}").fetchone()[0]
        for query in ("alerts", "notices WHERE source = 'sinks'")
    )
    connection.close()
    assert {row[:2] for row in recorded} == {(1, 1), (1, 2), (2, 2)}
    assert {key: value for key, value in told.items() if not key[2].startswith("alerts/")} == {
        row[:3]: row[3] for row in recorded
    }
    assert [line["state"] for line in lines if line["type"] == "state"].count("finished") == 2
    assert len([line for line in lines if line["type"] == "alert"]) == alerts
    assert not notices
