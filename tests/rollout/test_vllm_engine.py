"""The vLLM engine with the real vLLM on the CPU: the model's own choices and log-probabilities, before an update and
after it. One sampling process serves all tests, so they run in the order they stand in; the last ones kill it."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from azr_platform.config.schema import VllmConfig
from azr_platform.rollout.engine import Completion
from azr_platform.rollout.scoring import Pair, score
from azr_platform.rollout.vllm_engine import VllmEngine, VllmUnavailable

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM here: make test-vllm has it, in its own environment"),
]

LONG = "def f(a):\n    return a\n" * 40
PROMPTS = ["# deduce\n```python\ndef f(x):\n    return x + 1\n```\n", "a", LONG, LONG + "# another end", ""]
POSITIONS = 512
Build = Callable[..., Any]

# The real process; while a certain file is there, it does not drop the keys and values of earlier prompts.
FORGETFUL = """
import pathlib, sys
from azr_platform.rollout import vllm_process
forget = vllm_process.Server.forget
flag = pathlib.Path(sys.argv.pop(1))
vllm_process.Server.forget = lambda server: flag.exists() or forget(server)
vllm_process.main()
"""


@pytest.fixture(scope="module")
def flag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flag") / "keep"


@pytest.fixture(scope="module")
def model(tiny: Build) -> Any:
    """Tied embeddings, as in the small Qwens: the output layer has no weight of its own to be sent."""
    settings = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True}
    model = tiny("qwen2", max_position_embeddings=POSITIONS, **settings)
    model.generation_config.eos_token_id = [2, *range(5, 365, 16)]
    return model


@pytest.fixture(scope="module")
def engine(model: Any, tokenizer: Any, flag: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmEngine]:
    engine = VllmEngine(
        model,
        tokenizer,
        batch=64,
        max_prompt=POSITIONS,
        max_tokens=24,
        temperature=1.0,
        settings=VllmConfig(cache_mb=64, enforce_eager=True),
        log=tmp_path_factory.mktemp("logs") / "vllm.log",
        command=(sys.executable, "-c", FORGETFUL, str(flag)),
    )
    yield engine
    engine.close()


@pytest.fixture
def updated(model: Any, engine: VllmEngine) -> Callable[[], None]:
    """One update of the policy, which the engine has taken over."""

    def update() -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        engine.refresh()

    return update


def _flat(results: list[list[Completion]]) -> list[Completion]:
    return [completion for several in results for completion in several]


def _greedy(engine: VllmEngine, model: Any, prompt: str) -> list[int]:
    """The library's choices, up to and with the first end token."""
    tokens = torch.tensor([engine.encode(prompt)])
    chosen: list[int] = model.generate(
        tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=24, pad_token_id=0
    )[0, tokens.shape[1] :].tolist()
    return chosen


def _worst(
    engine: VllmEngine,
    model: Any,
    results: list[list[Completion]],
    temperature: float,
    prompts: Sequence[str] = PROMPTS,
) -> float:
    """The largest difference between an engine's log-probability and the model's own."""
    pairs = [
        Pair(engine.encode(prompt), completion.tokens)
        for prompt, several in zip(prompts, results, strict=True)
        for completion in several
    ]
    return max(
        abs(theirs - ours)
        for completion, own in zip(_flat(results), score(model, pairs, temperature), strict=True)
        for theirs, ours in zip(completion.log_probs, own, strict=True)
    )


def test_greedy_choices_and_log_probs_are_the_model_s_own_before_and_after_each_update(
    engine: VllmEngine, model: Any, updated: Callable[[], None]
) -> None:
    seen = []
    for version in range(3):
        greedy = engine.at(1e-6).generate(PROMPTS, samples=1, seed=0)
        assert [several[0].tokens for several in greedy] == [_greedy(engine, model, prompt) for prompt in PROMPTS]
        assert all(log_prob == 0 for completion in _flat(greedy) for log_prob in completion.log_probs)
        for temperature in (1.0, 0.7):
            drawn = engine.at(temperature).generate(PROMPTS, samples=3, seed=version)
            assert _worst(engine, model, drawn, temperature) < 1e-4
            assert {completion.version for completion in _flat(drawn)} == {version}
        seen.append([several[0].tokens for several in greedy])
        updated()
    assert seen[0] != seen[1] != seen[2]


def test_stale_keys_would_show_after_an_update_and_are_dropped(
    engine: VllmEngine, model: Any, updated: Callable[[], None], flag: Path
) -> None:
    engine.generate(PROMPTS, samples=2, seed=0)
    flag.touch()
    try:
        updated()
        stale = engine.generate(PROMPTS, samples=2, seed=0)
        assert _worst(engine, model, stale, 1.0) > 1e-2  # the prompts longer than a block
    finally:
        flag.unlink()
    assert _worst(engine, model, engine.generate(PROMPTS, samples=2, seed=0), 1.0) < 1e-4


def test_more_text_than_one_pass_reads_is_sampled_from(engine: VllmEngine, model: Any) -> None:
    prompts = [f"{number} {LONG}" for number in range(64)]
    assert sum(len(engine.encode(prompt)) for prompt in prompts) > 8192
    assert _worst(engine, model, engine.generate(prompts, samples=1, seed=3), 1.0, prompts) < 1e-4


def test_until_it_is_refreshed_it_samples_what_it_was_given(engine: VllmEngine, model: Any) -> None:
    before = engine.generate(PROMPTS, samples=2, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    assert engine.generate(PROMPTS, samples=2, seed=0) == before
    engine.refresh()
    assert engine.generate(PROMPTS, samples=2, seed=0) != before


def test_the_same_seed_gives_the_same_and_another_seed_another(engine: VllmEngine) -> None:
    first = engine.generate(PROMPTS, samples=4, seed=7)
    assert engine.generate(PROMPTS, samples=4, seed=7) == first
    assert engine.generate(PROMPTS, samples=4, seed=8) != first
    assert all(len({tuple(completion.tokens) for completion in several}) > 1 for several in first)
    # What is sampled beside it does not matter.
    (alone,) = engine.generate(PROMPTS[:1], samples=2, seed=7)
    assert [completion.tokens for completion in alone] == [completion.tokens for completion in first[0][:2]]


def test_sampled_tokens_have_the_model_s_frequencies(engine: VllmEngine, model: Any) -> None:
    drawn = [engine.at(1.3).generate([PROMPTS[0]], samples=500, seed=seed)[0] for seed in range(2)]
    seen = Counter(completion.tokens[0] for several in drawn for completion in several)
    with torch.no_grad():
        logits = model(torch.tensor([engine.encode(PROMPTS[0])])).logits[0, -1] / 1.3
    expected = [1000 * p for p in torch.softmax(logits, -1).tolist()]
    # Pearson's chi-square over the tokens that are expected at least 5 times, the rest as one.
    cells = [(seen[token], count) for token, count in enumerate(expected) if count >= 5]
    cells.append((1000 - sum(c[0] for c in cells), 1000 - sum(c[1] for c in cells)))
    chi = sum((found - wanted) ** 2 / wanted for found, wanted in cells)
    freedom = len(cells) - 1
    assert freedom > 5
    assert chi < freedom + 4 * math.sqrt(2 * freedom)


def test_a_response_ends_at_an_end_token_or_the_cap(engine: VllmEngine, model: Any) -> None:
    ends = set(model.generation_config.eos_token_id)
    completions = _flat(engine.generate(PROMPTS, samples=20, seed=0))
    for completion in completions:
        assert 0 < len(completion.tokens) <= 24
        assert not set(completion.tokens[:-1]) & ends
        assert completion.finished == (completion.tokens[-1] in ends)
        assert completion.finished or len(completion.tokens) == 24
        assert len(completion.log_probs) == len(completion.tokens)
    assert 0 < sum(completion.finished for completion in completions) < len(completions)


def test_a_response_stops_where_the_model_s_positions_end(engine: VllmEngine) -> None:
    prompt = "a" * (POSITIONS - 10)
    room = POSITIONS - len(engine.encode(prompt))
    completions = _flat(engine.generate([prompt], samples=20, seed=0))
    assert max(len(completion.tokens) for completion in completions) == room < 24
    with pytest.raises(ValueError, match=r"no room in 512 positions: set model.max_prompt_tokens"):
        engine.generate(["a", "a" * 600], samples=1, seed=0)


def test_each_prompt_is_ready_once_in_the_same_order_again_and_progress_reaches_the_end(engine: VllmEngine) -> None:
    heard: list[list[Any]] = [[], []]
    for told in heard:
        results = engine.generate(
            PROMPTS,
            samples=3,
            seed=1,
            ready=lambda place, completions, told=told: told.append(("ready", place, completions)),
            progress=lambda done, total, told=told: told.append(("done", done, total)),
        )
        ready = [entry[1:] for entry in told if entry[0] == "ready"]
        assert sorted(place for place, _ in ready) == list(range(len(PROMPTS)))
        assert all(results[place] == completions for place, completions in ready)
        done = [entry[1:] for entry in told if entry[0] == "done"]
        assert all(a[0] <= b[0] for a, b in pairwise(done))
        assert done[-1] == (15, 15)
        assert len(done) > 1  # some were ready while others were sampled
    assert [entry[1] for entry in heard[0] if entry[0] == "ready"] == [e[1] for e in heard[1] if e[0] == "ready"]


def test_nothing_to_sample_is_nothing(engine: VllmEngine) -> None:
    assert engine.generate([], samples=3, seed=1) == []


def test_a_process_killed_in_the_middle_is_replaced_and_nothing_is_lost_or_said_twice(
    engine: VllmEngine, model: Any, updated: Callable[[], None]
) -> None:
    updated()
    undisturbed = engine.generate(PROMPTS, samples=3, seed=5)
    killed = engine.pid
    shared = set(Path("/dev/shm").iterdir())
    heard: list[int] = []

    def ready(place: int, completions: list[Completion]) -> None:
        heard.append(place)
        if len(heard) == 1:
            os.kill(killed, signal.SIGKILL)

    results = engine.generate(PROMPTS, samples=3, seed=5, ready=ready)
    assert engine.pid != killed
    assert sorted(heard) == list(range(len(PROMPTS)))
    assert [[c.tokens for c in several] for several in results] == [[c.tokens for c in s] for s in undisturbed]
    assert _worst(engine, model, results, 1.0) < 1e-4
    assert set(Path("/dev/shm").iterdir()) <= shared


def test_a_closed_engine_leaves_no_process(engine: VllmEngine) -> None:
    pid = engine.pid
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_sleep_without_a_gpu_is_refused_in_one_line(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(VllmUnavailable, match=r"ValueError: vllm.sleep is for GPUs: set it to 0 \(its log: .*\)$"):
        VllmEngine(
            model,
            tokenizer,
            batch=8,
            max_prompt=64,
            max_tokens=24,
            temperature=1.0,
            settings=VllmConfig(sleep=1),
            log=tmp_path / "vllm.log",
        )
