"""The clipped policy-gradient loss (PPO, arXiv 1707.06347, equation 7), token by token. No KL, no critic.

Shape suffixes: T = response tokens of a microbatch, flat over its sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Clipped(NamedTuple):
    """``loss`` is a sum over tokens of weight x loss; the rest are sums for metrics, without gradient."""

    loss: Tensor
    clipped: float
    """Tokens whose ratio lay outside the clip range on the side that the advantage pushes to."""
    kl: float
    """Sum of the k3 estimate of KL(old || new): ratio - 1 - log ratio."""
    ratio_max: float


def clipped_loss(
    log_probs_T: Tensor,
    old_log_probs_T: Tensor,
    advantages_T: Tensor,
    weights_T: Tensor,
    *,
    clip_low: float,
    clip_high: float,
) -> Clipped:
    """-min(ratio * A, clip(ratio, 1 - low, 1 + high) * A), weighted and summed.

    ``weights_T`` carries the aggregation (see ``token_weights``), so that summing over any split into
    microbatches gives the same gradient.
    """
    log_ratio = log_probs_T - old_log_probs_T
    ratio = log_ratio.exp()
    free = ratio * advantages_T
    bounded = ratio.clamp(1.0 - clip_low, 1.0 + clip_high) * advantages_T
    loss = -(torch.minimum(free, bounded) * weights_T).sum()
    with torch.no_grad():
        clipped = float((bounded < free).sum())
        kl = float((ratio - 1.0 - log_ratio).sum())
        ratio_max = float(ratio.max()) if ratio.numel() else 1.0
    return Clipped(loss, clipped, kl, ratio_max)


def token_weights(lengths: list[int], aggregation: str) -> list[float]:
    """The weight of each sequence's tokens, so that weights times tokens add up to 1 over a minibatch.

    ``token_mean``: every token counts alike. ``sequence_mean``: every sequence does.

    Raises:
        ValueError: unknown aggregation, or an empty sequence.
    """
    if any(length < 1 for length in lengths):
        raise ValueError("a sequence has no tokens")
    if aggregation == "token_mean":
        return [1.0 / sum(lengths) for _ in lengths]
    if aggregation == "sequence_mean":
        return [1.0 / (length * len(lengths)) for length in lengths]
    raise ValueError(f"unknown aggregation {aggregation!r}: token_mean or sequence_mean")
