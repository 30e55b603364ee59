"""Scoring: microbatches hold everything once within their size, and padding changes no number."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.nano.tokenizer import build_tokenizer
from azr_platform.rollout.engine import decode_response, encode_prompt, end_tokens
from azr_platform.rollout.scoring import Layout, Pair, microbatches, padding, score, token_log_probs

Build = Callable[..., Any]

PAIRS = [
    Pair([1, 50, 60], [70, 80, 2]),
    Pair([1], [90]),
    Pair([1, 40, 41, 42, 43, 44, 45, 46], [2]),
    Pair([1, 30], [31, 32, 33, 34, 35, 36, 37, 38, 39]),
]


def _naive(model: Any, pair: Pair, temperature: float) -> tuple[list[float], list[float]]:
    """(log-probabilities, entropies) of one response, one whole forward pass a token."""
    log_probs, entropies = [], []
    for place, token in enumerate(pair.response):
        context = torch.tensor([[*pair.prompt, *pair.response[:place]]])
        with torch.no_grad():
            distribution = torch.log_softmax(model(context).logits[0, -1].double() / temperature, -1)
        log_probs.append(float(distribution[token]))
        entropies.append(-sum(math.exp(p) * p for p in distribution.tolist()))
    return log_probs, entropies


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("chunk", [0, 3])
@pytest.mark.parametrize("packed", [False, True])
def test_log_probs_and_entropies_are_those_of_one_token_at_a_time(
    architecture: str, temperature: float, chunk: int, packed: bool, tiny: Build
) -> None:
    model = tiny(architecture, num_key_value_heads=2)
    layout = Layout(chunk=chunk, packed=packed)
    flat, entropies = token_log_probs(model, PAIRS, temperature, True, layout)
    expected = [_naive(model, pair, temperature) for pair in PAIRS]
    assert flat.tolist() == pytest.approx([p for log_probs, _ in expected for p in log_probs], abs=1e-4)
    assert entropies.tolist() == pytest.approx([e for _, several in expected for e in several], abs=1e-4)
    without, zeros = token_log_probs(model, PAIRS, temperature, False, layout)
    assert torch.equal(without, flat)
    assert not zeros.any()
    for size in (1, 13, 30, 10_000):
        for found, (log_probs, _) in zip(
            score(model, PAIRS, temperature, layout._replace(tokens=size)), expected, strict=True
        ):
            assert found == pytest.approx(log_probs, abs=1e-4)


def test_scoring_nothing_gives_nothing(tiny: Build) -> None:
    assert score(tiny(), [], 1.0) == []


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=40),
    st.integers(1, 400),
)
def test_microbatches_hold_each_pair_once_within_the_size(lengths: list[tuple[int, int]], tokens: int) -> None:
    pairs = [Pair([1] * prompt, [2] * response) for prompt, response in lengths]
    groups = list(microbatches(pairs, Layout(tokens)))
    assert sorted(index for group in groups for index in group) == list(range(len(pairs)))
    for group in groups:
        padded = len(group) * max(pairs[index].length for index in group)
        assert padded <= tokens or len(group) == 1
    in_order = [pairs[index].length for group in groups for index in group]
    assert in_order == sorted(in_order)  # alike in length, so little is padding
    for earlier, later in pairwise(groups):  # and none was begun without need
        assert (len(earlier) + 1) * pairs[later[0]].length > tokens


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=60),
    st.integers(1, 4000),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.booleans(),
)
def test_no_microbatch_has_more_padding_than_it_may(
    lengths: list[tuple[int, int]], tokens: int, most: float, packed: bool
) -> None:
    pairs = [Pair([1] * prompt, [2] * response) for prompt, response in lengths]
    layout = Layout(tokens, most, packed)
    groups = list(microbatches(pairs, layout))
    assert sorted(index for group in groups for index in group) == list(range(len(pairs)))
    total = 0
    for group in groups:
        several = [pairs[index].length for index in group]
        positions = sum(several) if packed else len(group) * max(several)
        assert positions - sum(several) <= most * positions
        assert positions <= tokens or len(group) == 1
        total += positions
    assert padding(pairs, layout) == (total, total - sum(pair.length for pair in pairs))


def test_padding_of_skewed_lengths_is_small_without_many_more_passes() -> None:
    """Responses as a run has them: most are short, few are very long (log-normal, median 400, up to 8,096)."""
    rng = random.Random(0)
    pairs = [
        Pair([1] * rng.randrange(150, 2500), [2] * min(8096, int(rng.lognormvariate(math.log(400), 1.2)) + 1))
        for _ in range(384)
    ]
    shares, passes = {}, {}
    for most in (1.0, 0.1):
        layout = Layout(16384, most)
        positions, padded = padding(pairs, layout)
        shares[most], passes[most] = padded / positions, len(list(microbatches(pairs, layout)))
    assert shares[0.1] <= 0.1
    assert passes[0.1] <= 1.5 * passes[1.0]
    assert padding(pairs, Layout(16384, packed=True))[1] == 0


# --- text to tokens and back ---------------------------------------------------------------------------------


def test_a_prompt_gets_the_begin_token_once_and_no_end_token(tokenizer: Any) -> None:
    assert encode_prompt(tokenizer, "a", chat=False) == [1, *tokenizer("a", add_special_tokens=False)["input_ids"]]
    assert encode_prompt(tokenizer, "", chat=False) == [1]


@pytest.mark.parametrize("splits", [True, False])
def test_a_special_token_spelled_out_in_a_prompt_stays_text(splits: bool) -> None:
    tokenizer = build_tokenizer()
    tokenizer.split_special_tokens = splits  # most tokenizers do not split by themselves
    prompt = "x = '<eos>' # <pad><bos>"
    tokens = encode_prompt(tokenizer, prompt, chat=False)
    assert not {0, 1, 2} & set(tokens[1:])
    assert tokenizer.decode(tokens[1:]) == prompt


def test_a_chat_prompt_goes_through_the_template_with_the_answer_s_beginning(tokenizer: Any) -> None:
    chatty = build_tokenizer()
    chatty.chat_template = (
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[me] {% endif %}"
    )
    tokens = encode_prompt(chatty, "hello", chat=True)
    assert chatty.decode([token for token in tokens if token != 1]) == "[user] hello\n[me] "
    assert all(isinstance(token, int) for token in tokens)


@lru_cache
def _tokenizer() -> Any:
    return build_tokenizer()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_response_s_text_comes_back_from_its_tokens(text: str) -> None:
    tokenizer = _tokenizer()
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert decode_response(tokenizer, [*tokens, 2], [2]) == text
    assert decode_response(tokenizer, tokens, [2]) == text


def test_only_the_last_token_is_taken_for_the_end(tokenizer: Any) -> None:
    (a,) = tokenizer("a", add_special_tokens=False)["input_ids"]
    assert decode_response(tokenizer, [a, 2, a, 2], [2]) == "a<eos>a"
    assert decode_response(tokenizer, [2], [2]) == ""
    assert decode_response(tokenizer, [], [2]) == ""
    assert decode_response(tokenizer, [a, 0], [2]) == "a<pad>"


def test_end_tokens_come_from_the_generation_config_and_the_tokenizer(tiny: Build, tokenizer: Any) -> None:
    model = tiny()
    for configured, expected in ((None, [2]), (2, [2]), (7, [2, 7]), ([9, 7], [7, 9])):
        model.generation_config.eos_token_id = configured
        assert end_tokens(model, tokenizer) == expected
