"""A small build end to end: repeatable, standard to load, and it learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from azr_platform.nano.build import Order, _factor, batches, build, response_loss, stages
from azr_platform.nano.corpus import CLEAN, Corpus
from azr_platform.nano.model import new_model
from azr_platform.nano.tokenizer import PAD_ID, build_tokenizer


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_the_same_seed_builds_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(Order(tmp_path / name, seed=3, steps=3, parent=tmp_path / "parent"))
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]
    assert (tmp_path / "parent" / "model.safetensors").read_bytes() != files[0]
    report = json.loads((tmp_path / "a" / "build.json").read_text())
    assert sum(stage["steps"] for stage in report["stages"]) == 3
    assert 400_000 < report["parameters"] < 1_000_000


def test_the_last_stage_alone_gives_the_same_as_all_of_them(tmp_path: Path) -> None:
    build(Order(tmp_path / "whole", seed=3, steps=4, parent=tmp_path / "parent"))
    build(Order(tmp_path / "last", seed=3, steps=4, grown=tmp_path / "parent"))
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "last")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_two_workers_build_the_same_weights_each_time_and_others_than_one(tmp_path: Path) -> None:
    for name, workers in (("a", 2), ("b", 2), ("alone", 1)):
        build(Order(tmp_path / name, seed=3, steps=3, workers=workers))
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b", "alone")]
    assert files[0] == files[1] != files[2]
    stages = [json.loads((tmp_path / name / "build.json").read_text())["stages"][0] for name in ("a", "alone")]
    assert stages[0]["tokens"] > 1.5 * stages[1]["tokens"]


def test_a_built_folder_loads_as_any_model_does(tmp_path: Path) -> None:
    build(Order(tmp_path, seed=4, steps=3))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    inputs = tokenizer(["# deduce\n", "x"], return_tensors="pt", padding=True)
    output = model.generate(**inputs, max_new_tokens=5)
    assert output.shape[0] == 2 and model.dtype == torch.float32


def test_a_few_steps_lower_the_loss() -> None:
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer), 5)
    source = batches(Corpus(5), tokenizer, CLEAN, 5)
    first = next(source)
    before = response_loss(model, first).item()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(4):
        response_loss(model, next(source)).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert response_loss(model, first).item() < before - 0.5


def test_the_loss_counts_response_tokens_only_and_ignores_padding() -> None:
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer), 6)
    batch = next(batches(Corpus(6), tokenizer, CLEAN, 6))
    logits = model(input_ids=batch.ids).logits.detach()
    total, count = 0.0, 0
    for row in range(len(batch.ids)):
        for place in range(1, batch.ids.shape[1]):
            label = int(batch.labels[row, place])
            if label >= 0:
                assert label == int(batch.ids[row, place]) != PAD_ID
                total -= float(torch.log_softmax(logits[row, place - 1], -1)[label])
                count += 1
        if row == 7:
            break
    part = type(batch)(batch.ids[:8], batch.labels[:8], 0)
    assert response_loss(model, part).item() == pytest.approx(total / count, rel=1e-4)


def test_the_rate_ramps_up_holds_and_comes_down() -> None:
    execution, careful, mixture = stages(1200)
    assert execution.steps + careful.steps + mixture.steps == 1200
    factors = [_factor(careful, step) for step in range(careful.steps)]
    assert factors[0] < 0.1 and max(factors) == 1.0 and factors[-1] == 0.01
    assert factors[careful.steps // 5] == 1.0
    assert _factor(execution, execution.steps - 1) == 1.0, "the next stage goes on at the same rate"
