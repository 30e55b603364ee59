"""The shipped weights: standard, small, offline, and good enough to start self-play from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from azr_platform.evaluation.measure import GREEDY_TEMPERATURE, Plan, evaluate
from azr_platform.nano.heldout import NANO_INPUTS, held_out_tasks
from azr_platform.nano.model import MAX_NEW_TOKENS, weights_path
from azr_platform.nano.tokenizer import build_tokenizer
from azr_platform.records import Role
from azr_platform.rollout.static_engine import StaticEngine
from azr_platform.tasks.check import is_correct, proposal_problem, validation_request
from azr_platform.tasks.kinds import KINDS
from azr_platform.tasks.parse import parse_response
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.jail import JailUnavailable
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


def _engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, temperature: float = 1.0) -> StaticEngine:
    return StaticEngine(model, tokenizer, batch=320, max_tokens=MAX_NEW_TOKENS, temperature=temperature)


@pytest.fixture(scope="module")
def engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> StaticEngine:
    return _engine(model, tokenizer)


@pytest.fixture(scope="module")
def jail() -> Iterator[JailPool]:
    try:
        with JailPool(Limits(), workers=2) as pool:
            yield pool
    except JailUnavailable as error:
        pytest.skip(f"no jail to run programs in: {error.reason}")


def test_the_shipped_folder_is_small_and_says_how_it_was_built() -> None:
    size = sum(path.stat().st_size for path in weights_path().iterdir())
    assert size < 10_000_000
    report = json.loads((weights_path() / "build.json").read_text())
    assert [stage["stage"] for stage in report["stages"]] == ["execution", "careful", "mixture"]


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


def _texts(engine: StaticEngine, prompts: list[str], seed: int) -> list[str]:
    return [completion.text for (completion,) in engine.generate(prompts, samples=1, seed=seed)]


def test_it_answers_in_the_format_and_deduces_some(engine: StaticEngine) -> None:
    tasks = [task for task in held_out_tasks(60) if task.kind is KINDS[0].kind]
    texts = _texts(engine, [solve_prompt(task, "compact") for task in tasks], seed=1)
    parsed = [parse_response(text, Role.SOLVE, KINDS[0].kind) for text in texts]
    assert sum(p.well_formed for p in parsed) > 0.75 * len(tasks)
    right = sum(is_correct(task, p) for task, p in zip(tasks, parsed, strict=True))
    assert 0.03 * len(tasks) < right < 0.8 * len(tasks)


def test_it_can_start_from_the_seed_triplets(engine: StaticEngine) -> None:
    for seed in seed_tasks(NANO_INPUTS):
        texts = _texts(engine, [propose_prompt(seed.kind, [seed], "compact", NANO_INPUTS)] * 20, seed=2)
        parsed = [parse_response(text, Role.PROPOSE, seed.kind, inputs_wanted=NANO_INPUTS) for text in texts]
        assert sum(p.well_formed for p in parsed) >= 10
        assert len({(p.program, p.inputs) for p in parsed if p.well_formed}) >= 6


@pytest.mark.slow
def test_each_kind_is_solved_sometimes_and_failed_sometimes(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, engine: StaticEngine, jail: JailPool
) -> None:
    greedy = _engine(model, tokenizer, GREEDY_TEMPERATURE)
    plan = Plan(engine, greedy, "compact", samples=1, seed=3, batch=320, max_prompt_tokens=256)
    scores = evaluate(held_out_tasks(60), plan, jail)
    for kind in KINDS:
        right = [score.right for score in scores if score.kind == kind.kind]
        assert 0.04 < sum(right) / len(right) < 0.7, kind.kind


@pytest.mark.slow
def test_proposals_of_each_kind_are_valid_sometimes_and_invalid_sometimes(engine: StaticEngine, jail: JailPool) -> None:
    tasks = held_out_tasks(60)
    for kind in KINDS:
        about = [task for task in tasks if task.kind is kind.kind]
        texts = _texts(engine, [propose_prompt(kind.kind, [task], "compact", NANO_INPUTS) for task in about], seed=3)
        parsed = [parse_response(text, Role.PROPOSE, kind.kind, inputs_wanted=NANO_INPUTS) for text in texts]
        formed = [(p, task) for p, task in zip(parsed, about, strict=True) if p.well_formed]
        ran = jail.run([validation_request(kind.kind, p, task) for p, task in formed])
        valid = sum(not proposal_problem(kind.kind, p, result) for (p, _), result in zip(formed, ran, strict=True))
        assert 0.3 < valid / len(about) < 0.97, kind.kind
