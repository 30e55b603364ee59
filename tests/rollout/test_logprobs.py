"""Chunked log-probabilities: the naive form's values and gradients, in the memory of one chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from azr_platform.rollout.logprobs import Head, UnknownHead, check_head, head_of, log_probs_of

Build = Callable[..., Any]


def _inputs(tokens: int, hidden: int, vocabulary: int, seed: int, bias: bool = False) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(tokens, hidden, generator=generator, requires_grad=True)
    weight = torch.randn(vocabulary, hidden, generator=generator, requires_grad=True)
    shift = torch.randn(vocabulary, generator=generator, requires_grad=True)
    return states, weight, shift, torch.randint(vocabulary, (tokens,), generator=generator)


@given(
    tokens=st.integers(1, 40),
    hidden=st.integers(1, 12),
    vocabulary=st.integers(2, 60),
    chunk=st.integers(1, 50),
    seed=st.integers(0, 1000),
    bias=st.booleans(),
    scale=st.sampled_from([1.0, 0.25, 3.0]),
    softcap=st.sampled_from([0.0, 2.0, 30.0]),
    temperature=st.sampled_from([1.0, 0.6, 1.5]),
    entropy=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_naive_form(
    tokens: int,
    hidden: int,
    vocabulary: int,
    chunk: int,
    seed: int,
    bias: bool,
    scale: float,
    softcap: float,
    temperature: float,
    entropy: bool,
) -> None:
    results = []
    for size in (0, chunk):
        states, weight, shift, targets = _inputs(tokens, hidden, vocabulary, seed)
        head = Head(weight, shift if bias else None, scale, softcap)
        values, entropies = log_probs_of(head, states, targets, temperature=temperature, entropy=entropy, chunk=size)
        # A loss that is not linear in either, as the clipped one.
        ((values * 0.3).exp().sum() + (entropies**2).sum() / tokens).backward()
        results.append((values, entropies, states.grad, weight.grad, *([shift.grad] if bias else [])))
    for ours, naive in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    states, weight, shift, targets = (t.detach().double() if t.is_floating_point() else t for t in _inputs(7, 3, 5, 0))

    def loss(states: torch.Tensor, weight: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        head = Head(weight.float(), shift.float(), 0.5, 4.0)
        values, entropies = log_probs_of(head, states.float(), targets, temperature=0.7, entropy=True, chunk=2)
        return torch.stack([values, entropies]).double()

    variables = tuple(variable.requires_grad_() for variable in (states, weight, shift))
    assert torch.autograd.gradcheck(loss, variables, eps=1e-2, atol=1e-2)


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor had that any operation made."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.size = max(self.size, tensor.numel())
        return result


def test_no_tensor_is_larger_than_a_chunk_s_logits_forward_or_backward() -> None:
    tokens, hidden, vocabulary, chunk = 64, 4, 300, 8
    sizes = {}
    for size in (0, chunk):
        states, weight, _, targets = _inputs(tokens, hidden, vocabulary, 0)
        with Largest() as largest:
            values, entropies = log_probs_of(Head(weight), states, targets, temperature=1.0, entropy=True, chunk=size)
            (values.sum() + entropies.sum()).backward()
        sizes[size] = largest.size
    assert sizes[chunk] == chunk * vocabulary
    assert sizes[0] == tokens * vocabulary  # what the measure shows without chunks


def test_a_frozen_head_gets_no_gradient_and_a_frozen_body_none_either() -> None:
    states, weight, _, targets = _inputs(9, 3, 11, 0)
    values, _ = log_probs_of(Head(weight.detach()), states, targets, temperature=1.0, entropy=False, chunk=4)
    values.sum().backward()
    assert states.grad is not None
    values, _ = log_probs_of(Head(weight), states.detach(), targets, temperature=1.0, entropy=False, chunk=4)
    values.sum().backward()
    assert weight.grad is not None


def test_bfloat16_heads_differ_by_no_more_than_their_format() -> None:
    results = []
    for size in (0, 5):
        states, weight, _, targets = _inputs(23, 16, 50, 0)
        states, weight = (tensor.detach().bfloat16().requires_grad_() for tensor in (states, weight))
        values, entropies = log_probs_of(Head(weight), states, targets, temperature=1.0, entropy=True, chunk=size)
        assert values.dtype == entropies.dtype == torch.float32
        (values.sum() + entropies.sum()).backward()
        assert weight.grad is not None and weight.grad.dtype == torch.bfloat16
        results.append((values, entropies, states.grad.float(), weight.grad.float()))
    torch.testing.assert_close(results[0][:2], results[1][:2], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][2:], results[1][2:], rtol=0.02, atol=0.1)


# --- heads of real architectures -----------------------------------------------------------------------------


def _architectures() -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    import transformers as t

    return {
        "tied": (t.LlamaConfig, t.LlamaForCausalLM, {"tie_word_embeddings": True}),
        "qwen3": (t.Qwen3Config, t.Qwen3ForCausalLM, {"head_dim": 8}),
        "softcap": (t.Gemma2Config, t.Gemma2ForCausalLM, {"head_dim": 8, "final_logit_softcapping": 3.0}),
        "scaled": (t.CohereConfig, t.CohereForCausalLM, {"logit_scale": 0.3}),
        "divided": (t.GraniteConfig, t.GraniteForCausalLM, {"logits_scaling": 4.0}),
    }


def _small(name: str, **more: Any) -> Any:
    config, model, settings = _architectures()[name]
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return model(config(**sizes, **settings, **more)).eval()


@pytest.mark.parametrize("name", ["tied", "qwen3", "softcap", "scaled", "divided"])
def test_logits_are_the_model_s_own(name: str) -> None:
    model = _small(name)
    check_head(model)
    tokens = torch.tensor([[5, 9, 33, 2]])
    with torch.no_grad():
        ours = head_of(model).logits(model.base_model(input_ids=tokens).last_hidden_state)
        torch.testing.assert_close(ours, model(tokens).logits, rtol=1e-5, atol=1e-5)


def test_a_model_that_makes_its_logits_otherwise_is_refused() -> None:
    model = _small("tied")
    own = model.forward

    def doubled(**inputs: Any) -> Any:
        output = own(**inputs)
        output.logits = output.logits * 2
        return output

    model.forward = doubled
    with pytest.raises(UnknownHead, match="not its output layer's"):
        check_head(model)
    model.lm_head = torch.nn.Sequential(model.lm_head)
    with pytest.raises(UnknownHead, match="no linear output layer"):
        head_of(model)
