"""The shipped weights: standard, small, offline, and good enough to start self-play from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from azr_platform.nano.heldout import NANO_INPUTS, held_out_tasks
from azr_platform.nano.measure import measure, respond
from azr_platform.nano.model import weights_path
from azr_platform.nano.tokenizer import build_tokenizer
from azr_platform.records import Role
from azr_platform.tasks.check import is_correct
from azr_platform.tasks.kinds import KINDS
from azr_platform.tasks.parse import parse_response
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.jail import Jail, JailUnavailable
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.set_num_threads(1)
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(weights_path(), local_files_only=True)
    return loaded


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(weights_path(), local_files_only=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    try:
        with JailPool(Limits(), workers=2) as pool:
            yield pool
    except JailUnavailable as error:
        pytest.skip(f"no jail to run programs in: {error.reason}")


def test_the_shipped_folder_is_small_and_says_how_it_was_built() -> None:
    size = sum(path.stat().st_size for path in weights_path().iterdir())
    assert size < 10_000_000
    report = json.loads((weights_path() / "build.json").read_text())
    assert [stage["stage"] for stage in report["stages"]] == ["careful", "mixture"]


def test_the_shipped_tokenizer_is_the_one_the_code_builds(tokenizer: PreTrainedTokenizerBase) -> None:
    built = build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    for task in (*held_out_tasks(20), *seed_tasks(NANO_INPUTS)):
        prompt = solve_prompt(task, "compact")
        assert tokenizer(prompt)["input_ids"] == built(prompt)["input_ids"]


def test_the_model_is_a_standard_one_in_single_precision(model: PreTrainedModel) -> None:
    assert (model.config.model_type, model.dtype) == ("llama", torch.float32)
    assert 400_000 < sum(p.numel() for p in model.parameters()) < 2_000_000
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_it_answers_in_the_format_and_deduces_some(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    tasks = [task for task in held_out_tasks(60) if task.kind is KINDS[0].kind]
    responses = respond(model, tokenizer, [solve_prompt(t, "compact") for t in tasks], temperature=1.0, seed=1)
    parsed = [parse_response(text, Role.SOLVE, KINDS[0].kind) for text, _ in responses]
    assert sum(p.well_formed for p in parsed) > 0.75 * len(tasks)
    right = sum(is_correct(task, p) for task, p in zip(tasks, parsed, strict=True))
    assert 0.03 * len(tasks) < right < 0.8 * len(tasks)


def test_it_can_start_from_the_seed_triplets(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    for seed in seed_tasks(NANO_INPUTS):
        prompts = [propose_prompt(seed.kind, [seed], "compact", NANO_INPUTS)] * 20
        responses = respond(model, tokenizer, prompts, temperature=1.0, seed=2)
        parsed = [parse_response(t, Role.PROPOSE, seed.kind, inputs_wanted=NANO_INPUTS) for t, _ in responses]
        assert sum(p.well_formed for p in parsed) >= 10
        assert len({(p.program, p.inputs) for p in parsed if p.well_formed}) >= 6


@pytest.mark.slow
def test_every_group_succeeds_sometimes_and_fails_sometimes(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, jail: Jail
) -> None:
    for row in measure(model, tokenizer, jail, per_kind=60, seed=3):
        least, most = (0.3, 0.97) if row.group.role is Role.PROPOSE else (0.04, 0.7)
        assert least < row.good < most, row
