"""The clipped loss against a naive reference, token by token, and its exactness over microbatches."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from azr_platform.learning.loss import Clipped, clipped_loss, token_weights


def _reference(
    new: list[float], old: list[float], advantages: list[float], weights: list[float], low: float, high: float
) -> tuple[float, list[float], int, float, float]:
    """(loss, gradient by token, clipped tokens, k3 sum, largest ratio), with nothing but the definition."""
    loss, gradient, clipped, kl, largest = 0.0, [], 0, 0.0, -math.inf
    for n, o, a, w in zip(new, old, advantages, weights, strict=True):
        ratio = math.exp(n - o)
        bounded = min(max(ratio, 1 - low), 1 + high)
        outside = bounded * a < ratio * a
        loss += -w * min(ratio * a, bounded * a)
        gradient.append(0.0 if outside else -w * a * ratio)
        clipped += outside
        kl += ratio - 1 - (n - o)
        largest = max(largest, ratio)
    return loss, gradient, clipped, kl, largest


def _tensor(values: list[float], *, grad: bool = False) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


def _both(rng: random.Random, low: float, high: float) -> None:
    size = rng.randrange(1, 30)
    old = [rng.uniform(-6, 0) for _ in range(size)]
    new = [o + rng.choice([0.0, rng.gauss(0, 0.05), rng.gauss(0, 0.5)]) for o in old]
    advantages = [rng.choice([0.0, rng.gauss(0, 1), 1.0, -1.0]) for _ in range(size)]
    weights = [rng.uniform(0.001, 1) for _ in range(size)]
    log_probs = _tensor(new, grad=True)
    found = clipped_loss(log_probs, _tensor(old), _tensor(advantages), _tensor(weights), clip_low=low, clip_high=high)
    found.loss.backward()  # type: ignore[no-untyped-call]
    loss, gradient, clipped, kl, largest = _reference(new, old, advantages, weights, low, high)
    assert found.loss.item() == pytest.approx(loss, rel=1e-9, abs=1e-12)
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == pytest.approx(gradient, rel=1e-9, abs=1e-12)
    assert found.clipped == clipped
    assert found.kl == pytest.approx(kl, rel=1e-9, abs=1e-12)
    assert found.ratio_max == pytest.approx(largest)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.2), (0.2, 0.28), (0.0, 0.0), (1.0, 5.0), (0.4, 0.1)])
def test_it_is_the_definition_s_value_and_gradient(low: float, high: float) -> None:
    rng = random.Random(f"{low}-{high}")
    for _ in range(120):
        _both(rng, low, high)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.5, 1.0, -1.2, 0.0),  # wants more, has more than enough: clipped
        (1.5, -1.0, 1.5, 1.5),  # wants less: the whole way back counts
        (0.5, 1.0, -0.5, -0.5),
        (0.5, -1.0, 0.8, 0.0),  # wants less, has less than enough: clipped
        (1.1, 2.0, -2.2, -2.2),
        (1.0, 0.0, 0.0, 0.0),
    ],
)
def test_no_gradient_flows_beyond_the_clip_and_all_of_it_on_the_way_back(
    ratio: float, advantage: float, loss: float, gradient: float
) -> None:
    log_probs = _tensor([math.log(ratio)], grad=True)
    found = clipped_loss(log_probs, _tensor([0.0]), _tensor([advantage]), _tensor([1.0]), clip_low=0.2, clip_high=0.2)
    found.loss.backward()  # type: ignore[no-untyped-call]
    assert found.loss.item() == pytest.approx(loss)
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == pytest.approx([gradient])


def test_an_asymmetric_clip_leaves_more_room_upwards() -> None:
    log_probs = _tensor([math.log(1.25), math.log(0.85)], grad=True)
    old, advantages, weights = _tensor([0.0, 0.0]), _tensor([1.0, -1.0]), _tensor([1.0, 1.0])
    narrow = clipped_loss(log_probs, old, advantages, weights, clip_low=0.1, clip_high=0.2)
    higher = clipped_loss(log_probs, old, advantages, weights, clip_low=0.1, clip_high=0.3)
    lower = clipped_loss(log_probs, old, advantages, weights, clip_low=0.2, clip_high=0.2)
    assert (narrow.clipped, higher.clipped, lower.clipped) == (2, 1, 1)
    assert narrow.loss.item() == pytest.approx(-1.2 + 0.9)
    assert higher.loss.item() == pytest.approx(-1.25 + 0.9)
    assert lower.loss.item() == pytest.approx(-1.2 + 0.85)


def test_on_policy_the_gradient_is_the_plain_policy_gradient() -> None:
    log_probs = _tensor([-1.0, -2.0, -3.0], grad=True)
    advantages, weights = _tensor([1.0, -2.0, 0.5]), _tensor([0.1, 0.2, 0.3])
    found = clipped_loss(log_probs, log_probs.detach(), advantages, weights, clip_low=0.2, clip_high=0.2)
    found.loss.backward()  # type: ignore[no-untyped-call]
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == pytest.approx([-0.1, 0.4, -0.15])
    assert (found.clipped, found.kl, found.ratio_max) == (0, 0.0, 1.0)


def test_no_tokens_make_no_loss() -> None:
    found = clipped_loss(*[_tensor([])] * 4, clip_low=0.2, clip_high=0.2)
    assert (found.loss.item(), found.clipped, found.kl, found.ratio_max) == (0.0, 0, 0.0, 1.0)


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean"])
def test_any_split_into_microbatches_gives_the_same_loss_and_gradient(aggregation: str) -> None:
    rng = random.Random(aggregation)
    for _ in range(40):
        lengths = [rng.randrange(1, 9) for _ in range(rng.randrange(1, 12))]
        per_sequence = token_weights(lengths, aggregation)
        weights = [w for w, length in zip(per_sequence, lengths, strict=True) for _ in range(length)]
        advantages = [a for length in lengths for a in [rng.gauss(0, 1)] * length]
        old = [rng.uniform(-5, 0) for _ in weights]
        log_probs = _tensor([o + rng.gauss(0, 0.3) for o in old], grad=True)

        def loss(start: int, stop: int) -> Clipped:
            parts = (_tensor(values[start:stop]) for values in (old, advantages, weights))  # noqa: B023 used at once
            return clipped_loss(log_probs[start:stop], *parts, clip_low=0.2, clip_high=0.28)  # noqa: B023

        whole = loss(0, len(weights))
        (expected,) = torch.autograd.grad(whole.loss, log_probs)
        total, start = 0.0, 0
        while start < len(weights):
            stop = min(len(weights), start + rng.randrange(1, 10))
            part = loss(start, stop)
            part.loss.backward()  # type: ignore[no-untyped-call]
            total, start = total + part.loss.item(), stop
        assert total == pytest.approx(whole.loss.item(), abs=1e-12)
        assert log_probs.grad is not None
        assert torch.allclose(log_probs.grad, expected, atol=1e-12)


def test_weights_of_three_sequences_by_hand() -> None:
    assert token_weights([1, 3, 4], "token_mean") == [0.125] * 3
    assert token_weights([1, 2, 4], "sequence_mean") == pytest.approx([1 / 3, 1 / 6, 1 / 12])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.sampled_from(["token_mean", "sequence_mean"]))
def test_weights_times_tokens_add_up_to_one(lengths: list[int], aggregation: str) -> None:
    weights = token_weights(lengths, aggregation)
    assert math.fsum(w * n for w, n in zip(weights, lengths, strict=True)) == pytest.approx(1.0)
    if aggregation == "token_mean":
        assert len(set(weights)) == 1
    else:
        assert all(w * n == pytest.approx(1 / len(lengths)) for w, n in zip(weights, lengths, strict=True))


def test_no_sequences_have_no_weights() -> None:
    assert token_weights([], "token_mean") == token_weights([], "sequence_mean") == []


@pytest.mark.parametrize(
    ("lengths", "aggregation", "message"),
    [([3, 0], "token_mean", "no tokens"), ([3], "mean", "unknown aggregation 'mean'")],
)
def test_weights_of_empty_sequences_or_unknown_kind_are_refused(
    lengths: list[int], aggregation: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        token_weights(lengths, aggregation)
