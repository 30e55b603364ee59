"""Logs as the libraries themselves write them: judged, kept as a ledger, asked, reported and exported.

The files in ``tests/logs/samples`` were written by the libraries. TRL and Inspect, which are among the development
tools, write new ones here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "logs" / "samples"
CHEATING = "The tests only check the file, so I special-case them and hide it from the overseers."


def azr(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "azr_platform", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    return result


def through(log: Path, folder: Path, rules_alone: str) -> list[dict[str, object]]:
    """Take a log from its file to a report and an export; the rows of the export."""
    kept, report, rows = folder / "kept", folder / "report.html", folder / "rows.jsonl"
    azr("audit", log, "--keep", kept, "--policy", rules_alone)
    assert "intact" in azr("audit", kept, "--verify").stdout
    assert "first" in azr("audit", "ask", kept).stdout.lower()
    azr("audit", kept, "--policy", "observe")
    azr("audit", "report", kept, "--html", report)
    assert "<script" not in report.read_text("utf-8")
    azr("audit", "export", kept, rows, "--to", "jsonl", "--redact")
    return [json.loads(line) for line in rows.read_text("utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["inspect.eval", "inspect.json", "trl_completions_00001.parquet", "verifiers_traces.jsonl"]
)
def test_a_log_that_a_library_wrote_goes_through(tmp_path: Path, rules_alone: str, name: str) -> None:
    rows = through(SAMPLES / name, tmp_path, rules_alone)
    assert rows
    assert all(row["response"] for row in rows)
    if name.startswith("inspect"):
        (flagged,) = [row for row in rows if not row["allowed"]]
        assert "[redacted: " in str(flagged["reasoning"]) and "only check" not in str(flagged)
    if name.startswith("trl"):
        assert {row["step"] for row in rows} == {1}
        assert all(row["reward"] is not None and row["advantage"] is not None for row in rows)


@pytest.mark.slow
def test_what_inspect_writes_now_goes_through(tmp_path: Path, rules_alone: str) -> None:
    inspect_ai = pytest.importorskip("inspect_ai", reason="needs the development tools")
    (tmp_path / "task.py").write_text(f"""
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

answers = []
for said in ({CHEATING!r}, "Two and two make four."):
    answer = ModelOutput.from_content("mockllm/model", "4")
    answer.choices[0].message.content = [ContentReasoning(reasoning=said), ContentText(text="4")]
    answer.usage = ModelUsage(input_tokens=7, output_tokens=1, total_tokens=8)  # else it counts with a download
    answers.append(answer)
model = get_model("mockllm/model", custom_outputs=answers)
task = Task(dataset=[Sample("2 + 2", target="4", id=n) for n in (1, 2)], solver=generate(), scorer=match())
eval(task, model=model, log_dir={str(tmp_path / "logs")!r}, display="none", max_samples=1)
""")
    subprocess.run([sys.executable, str(tmp_path / "task.py")], check=True, timeout=240, cwd=tmp_path)
    assert inspect_ai
    rows = through(tmp_path / "logs", tmp_path, rules_alone)
    assert [(row["allowed"], row["reward"], row["prompt"]) for row in rows] == [
        (False, 1.0, "user: 2 + 2"),
        (True, 1.0, "user: 2 + 2"),
    ]


@pytest.mark.slow
def test_what_trl_writes_now_goes_through(tmp_path: Path, rules_alone: str) -> None:
    pytest.importorskip("trl", reason="needs the development tools")
    (tmp_path / "train.py").write_text(f"""
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

words = ["<pad>", "<eos>", "<unk>", *{CHEATING!r}.replace(".", "").replace(",", "").split(), "what", "is", "it"]
words = {{word: number for number, word in enumerate(dict.fromkeys(words))}}
raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
raw.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
shape = LlamaConfig(vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                    num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
                    pad_token_id=0, eos_token_id=1, bos_token_id=1)
settings = GRPOConfig(output_dir={str(tmp_path / "out")!r}, per_device_train_batch_size=2, num_generations=2,
                      max_completion_length=8, max_steps=2, logging_steps=1, log_completions=True, report_to=[],
                      use_cpu=True, save_strategy="no", bf16=False)
trainer = GRPOTrainer(model=LlamaForCausalLM(shape), args=settings, processing_class=tokenizer,
                      reward_funcs=lambda completions, **_: [float(len(text)) for text in completions],
                      train_dataset=Dataset.from_dict({{"prompt": ["what is it"] * 4}}))
trainer.train()
""")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "train.py")],
        capture_output=True,
        text=True,
        timeout=400,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = through(tmp_path / "out" / "completions", tmp_path, rules_alone)
    assert [(row["step"], row["prompt"]) for row in rows] == [(step, "what is it") for step in (1, 1, 2, 2)]
    assert all(row["reward"] is not None and row["trained"] for row in rows)
