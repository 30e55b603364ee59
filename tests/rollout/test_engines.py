"""Both engines against the library: the same distribution, the same choices, the same ends."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from azr_platform.rollout.engine import Completion
from azr_platform.rollout.scoring import Pair, score
from azr_platform.rollout.static_engine import StaticEngine
from azr_platform.rollout.transformers_engine import TransformersEngine

PROMPTS = [
    "# deduce\n```python\ndef f(x):\n    return x + 1\n```\n",
    "a",
    "# propose abduce\n",
    "def f(a):\n    return sorted(a)[::-1] + [len(a)]  # a rather longer prompt than the others are",
    "",
]
ENGINES = [StaticEngine, TransformersEngine]
Build = Callable[..., Any]


def _engine(kind: Any, model: Any, tokenizer: Any, **settings: Any) -> Any:
    return kind(model, tokenizer, **{"batch": 32, "max_tokens": 24, "temperature": 1.0, **settings})


def _flat(results: list[list[Completion]]) -> list[Completion]:
    return [completion for several in results for completion in several]


def _check_log_probs(engine: Any, model: Any, results: list[list[Completion]], temperature: float) -> None:
    pairs = [
        Pair(engine.encode(prompt), completion.tokens)
        for prompt, several in zip(PROMPTS, results, strict=True)
        for completion in several
    ]
    for completion, expected in zip(_flat(results), score(model, pairs, temperature), strict=True):
        assert len(completion.log_probs) == len(completion.tokens) > 0
        assert completion.log_probs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_key_value_heads": 2},
        {"num_key_value_heads": 1, "num_hidden_layers": 3},
        {"head_dim": 12, "num_key_value_heads": 2},
        {"tie_word_embeddings": True},
        {"rope_theta": 500.0, "rms_norm_eps": 1e-3},
        {"rope_scaling": {"rope_type": "linear", "factor": 3.0}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}},
    ],
    ids=str,
)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_static_log_probs_are_the_model_s_own(
    settings: dict[str, Any], temperature: float, tiny: Build, tokenizer: Any
) -> None:
    model = tiny(**settings)
    model.generation_config.eos_token_id = [2, *range(5, 365, 9)]
    engine = _engine(StaticEngine, model, tokenizer, temperature=temperature)
    results = engine.generate(PROMPTS, samples=6, seed=3)
    _check_log_probs(engine, model, results, temperature)
    lengths = {len(completion.tokens) for completion in _flat(results)}
    assert len(lengths) > 3  # rows ended at different times, so finished ones were dropped on the way


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_transformers_log_probs_are_the_model_s_own(
    architecture: str, temperature: float, tiny: Build, tokenizer: Any
) -> None:
    model = tiny(architecture, num_key_value_heads=2)
    engine = _engine(TransformersEngine, model, tokenizer, temperature=temperature)
    _check_log_probs(engine, model, engine.generate(PROMPTS, samples=3, seed=3), temperature)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_tiny_temperature_makes_the_library_s_greedy_choices(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny(num_key_value_heads=2, seed=4)
    results = _engine(kind, model, tokenizer, temperature=1e-5).generate(PROMPTS, samples=2, seed=0)
    for prompt, several in zip(PROMPTS, results, strict=True):
        tokens = tokenizer(prompt, return_tensors="pt")
        greedy = model.generate(
            **{name: tokens[name] for name in ("input_ids", "attention_mask")}, do_sample=False, max_new_tokens=24
        )
        expected = greedy[0, tokens["input_ids"].shape[1] :].tolist()
        assert [completion.tokens for completion in several] == [expected, expected]


@pytest.mark.parametrize("kind", ENGINES)
def test_sampled_tokens_have_the_model_s_frequencies(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny(seed=1)
    engine = _engine(kind, model, tokenizer, max_tokens=1, temperature=1.3, batch=4000)
    (drawn,) = engine.generate([PROMPTS[0]], samples=4000, seed=0)
    seen = Counter(completion.tokens[0] for completion in drawn)
    with torch.no_grad():
        logits = model(torch.tensor([engine.encode(PROMPTS[0])])).logits[0, -1] / 1.3
    expected = torch.softmax(logits, -1).tolist()
    # Pearson's chi-square over the tokens that are expected at least 8 times, the rest as one.
    cells = [(seen[token], 4000 * p) for token, p in enumerate(expected) if 4000 * p >= 8]
    cells.append((4000 - sum(c[0] for c in cells), 4000 - sum(c[1] for c in cells)))
    chi = sum((found - wanted) ** 2 / wanted for found, wanted in cells)
    freedom = len(cells) - 1
    assert freedom > 20
    assert chi < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("kind", ENGINES)
def test_the_same_seed_gives_the_same_and_another_seed_another(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    first = _engine(kind, model, tokenizer).generate(PROMPTS, samples=3, seed=7)
    torch.manual_seed(12345)  # the global generator does not matter
    state = torch.random.get_rng_state()
    again = _engine(kind, model, tokenizer).generate(PROMPTS, samples=3, seed=7)
    assert torch.equal(torch.random.get_rng_state(), state)  # and is left alone
    assert first == again
    assert first != _engine(kind, model, tokenizer).generate(PROMPTS, samples=3, seed=8)
    texts = [[completion.text for completion in several] for several in first]
    assert any(len(set(several)) > 1 for several in texts)  # samples of one prompt differ


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_any_batch_size_keeps_the_prompts_order_and_the_log_probs(
    kind: Any, batch: int, tiny: Build, tokenizer: Any
) -> None:
    model = tiny(num_key_value_heads=2)
    engine = _engine(kind, model, tokenizer, batch=batch, max_tokens=12)
    seen: list[tuple[int, int]] = []
    results = engine.generate(PROMPTS, samples=2, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert [len(several) for several in results] == [2] * len(PROMPTS)
    _check_log_probs(engine, model, results, 1.0)
    assert seen[-1] == (10, 10)
    assert all(a[0] < b[0] for a, b in pairwise(seen))


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("batch", [4, 100])
def test_each_prompt_is_ready_once_before_the_last_and_in_the_same_order_again(
    kind: Any, batch: int, tiny: Build, tokenizer: Any
) -> None:
    engine = _engine(kind, tiny(), tokenizer, batch=batch)
    heard: list[list[Any]] = [[], []]
    for told in heard:
        results = engine.generate(
            PROMPTS,
            samples=2,
            seed=1,
            ready=lambda place, completions, told=told: told.append(("ready", place, completions)),
            progress=lambda done, total, told=told: told.append(("done", done)),
        )
        ready = [entry[1:] for entry in told if entry[0] == "ready"]
        assert sorted(place for place, _ in ready) == list(range(len(PROMPTS)))
        assert all(results[place] == completions for place, completions in ready)
        assert told[-1] == ("done", 2 * len(PROMPTS)) or told[-1][0] == "ready"
    assert heard[0] == heard[1]


def test_static_has_short_answers_ready_while_it_samples_long_ones(tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    model.generation_config.eos_token_id = [2, *range(5, 365, 9)]
    engine = _engine(StaticEngine, model, tokenizer, batch=100)
    order: list[int] = []
    results = engine.generate(PROMPTS * 3, samples=1, seed=3, ready=lambda place, _: order.append(place))
    lengths = [len(results[place][0].tokens) for place in order]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


@pytest.mark.parametrize("kind", ENGINES)
def test_a_response_ends_at_the_end_token_or_the_cap(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    completions = _flat(_engine(kind, model, tokenizer, max_tokens=40).generate(PROMPTS, samples=40, seed=0))
    for completion in completions:
        assert 0 < len(completion.tokens) <= 40
        assert 2 not in completion.tokens[:-1]
        assert completion.finished == (completion.tokens[-1] == 2)
        assert completion.finished or len(completion.tokens) == 40
        assert not completion.text.endswith("<eos>")
    assert 0 < sum(completion.finished for completion in completions) < len(completions)


@pytest.mark.parametrize("kind", ENGINES)
def test_every_end_token_of_the_generation_config_ends_a_response(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    ends = [2, *range(20, 60)]
    model.generation_config = GenerationConfig(eos_token_id=ends)
    completions = _flat(_engine(kind, model, tokenizer).generate(PROMPTS, samples=10, seed=0))
    assert all(not set(completion.tokens[:-1]) & set(ends) for completion in completions)
    assert {completion.tokens[-1] for completion in completions if completion.finished} - {2}


@pytest.mark.parametrize("kind", ENGINES)
def test_sampling_shows_special_tokens_that_do_not_end(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    with torch.no_grad():
        model.lm_head.weight[:] = 0.0  # every token alike
    completions = _flat(_engine(kind, model, tokenizer, max_tokens=100).generate(["a"], samples=30, seed=0))
    assert any(0 in completion.tokens for completion in completions)
    assert all(("<pad>" in completion.text) == (0 in completion.tokens) for completion in completions)


def test_static_stops_where_the_model_s_positions_end(tiny: Build, tokenizer: Any) -> None:
    model = tiny(max_position_embeddings=40)
    engine = _engine(StaticEngine, model, tokenizer, max_tokens=100, batch=100)
    results = engine.generate(PROMPTS[:3], samples=20, seed=0)
    longest = max(len(engine.encode(prompt)) for prompt in PROMPTS[:3])
    assert max(len(completion.tokens) for completion in _flat(results)) == 40 - longest
    with pytest.raises(ValueError, match=r"no room in the model's 40 positions: set model.max_prompt_tokens"):
        engine.generate(["x" * 39], samples=1, seed=0)


def test_static_samples_the_old_weights_until_it_is_refreshed(tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    engine = _engine(StaticEngine, model, tokenizer)
    before = engine.generate(PROMPTS, samples=2, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    assert engine.generate(PROMPTS, samples=2, seed=0) == before
    engine.refresh()
    after = engine.generate(PROMPTS, samples=2, seed=0)
    assert after != before
    _check_log_probs(engine, model, after, 1.0)


def test_static_samples_a_bfloat16_model_in_float32(tiny: Build, tokenizer: Any) -> None:
    model = tiny().to(torch.bfloat16)
    engine = _engine(StaticEngine, model, tokenizer)
    results = engine.generate(PROMPTS, samples=2, seed=0)
    _check_log_probs(engine, model.to(torch.float32), results, 1.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ENGINES)
def test_a_model_on_the_gpu_is_sampled(kind: Any, tiny: Build, tokenizer: Any) -> None:
    model = tiny().to("cuda")
    engine = _engine(kind, model, tokenizer)
    _check_log_probs(engine, model, engine.generate(PROMPTS, samples=2, seed=0), 1.0)


@pytest.mark.parametrize(
    ("architecture", "settings", "message"),
    [
        ("qwen2", {}, "not qwen2"),
        ("llama", {"attention_bias": True}, "without biases"),
        ("llama", {"mlp_bias": True}, "without biases"),
        ("llama", {"hidden_act": "gelu"}, "knows no gelu"),
    ],
)
def test_static_refuses_what_it_would_sample_wrongly(
    architecture: str, settings: dict[str, Any], message: str, tiny: Build, tokenizer: Any
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        _engine(StaticEngine, tiny(architecture, **settings), tokenizer)
    assert 'set model.engine = "transformers"' in str(refused.value)


@pytest.mark.parametrize(
    "own",
    [
        {"repetition_penalty": 5.0},
        {"min_p": 0.5, "do_sample": True},
        {"top_k": 1, "do_sample": True},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(20, 200))},
        {"max_length": 3},
    ],
    ids=str,
)
def test_a_model_s_own_generation_settings_do_not_bend_the_sampling(
    own: dict[str, Any], tiny: Build, tokenizer: Any
) -> None:
    model = tiny()
    plain = _engine(TransformersEngine, model, tokenizer).generate(PROMPTS, samples=2, seed=0)
    model.generation_config = GenerationConfig(eos_token_id=2, bos_token_id=1, pad_token_id=0, **own)
    config = model.generation_config
    assert _engine(TransformersEngine, model, tokenizer).generate(PROMPTS, samples=2, seed=0) == plain
    assert model.generation_config is config  # checkpoints keep the model's own
