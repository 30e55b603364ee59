"""Log-probabilities of given responses under a model, padded into length-sorted microbatches.

Shape suffixes: B = sequences, S = padded positions, T = response tokens, flat over the sequences, V = vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Pair(NamedTuple):
    """A prompt's and a response's tokens."""

    prompt: Sequence[int]
    response: Sequence[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.response)


def microbatches(pairs: Sequence[Pair], tokens: int) -> Iterator[list[int]]:
    """Indices in groups of similar length whose padded size stays within ``tokens`` (one pair at least)."""
    order = sorted(range(len(pairs)), key=lambda index: (pairs[index].length, index))
    group: list[int] = []
    for index in order:
        if group and (len(group) + 1) * pairs[index].length > tokens:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def token_log_probs(model: Any, pairs: Sequence[Pair], temperature: float, entropy: bool) -> tuple[Tensor, Tensor]:
    """(log-probabilities_T, entropies_T in nats) of the response tokens, flat in the pairs' order.

    Differentiable. Entropies are zeros, and cost nothing, unless asked for.
    """
    longest = max(pair.length for pair in pairs)
    device = next(model.parameters()).device
    tokens_BS = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask_BS = torch.zeros(len(pairs), longest, dtype=torch.long)
    rows: list[int] = []
    places: list[int] = []
    for row, pair in enumerate(pairs):
        tokens_BS[row, : pair.length] = torch.tensor([*pair.prompt, *pair.response])
        mask_BS[row, : pair.length] = 1
        rows += [row] * len(pair.response)
        # The position before a token predicts it.
        places += range(len(pair.prompt) - 1, pair.length - 1)
    targets_T = torch.tensor([token for pair in pairs for token in pair.response], device=device)
    hidden = model.model(
        input_ids=tokens_BS.to(device), attention_mask=mask_BS.to(device), use_cache=False
    ).last_hidden_state
    # Only response positions go through the vocabulary projection: prompts need no logits.
    logits_TV = model.lm_head(hidden[torch.tensor(rows), torch.tensor(places)]).float() / temperature
    log_probs_TV = torch.log_softmax(logits_TV, dim=-1)
    log_probs_T = log_probs_TV.gather(1, targets_T[:, None])[:, 0]
    if entropy:
        return log_probs_T, -(log_probs_TV.exp() * log_probs_TV).sum(-1)
    return log_probs_T, torch.zeros_like(log_probs_T)


@torch.no_grad()
def score(model: Any, pairs: Sequence[Pair], temperature: float, tokens: int = 16384) -> list[list[float]]:
    """Log-probabilities of each response's tokens, without gradient, in the pairs' order."""
    scores: list[list[float]] = [[] for _ in pairs]
    for group in microbatches(pairs, tokens):
        flat, _ = token_log_probs(model, [pairs[index] for index in group], temperature, entropy=False)
        values = flat.tolist()
        for index in group:
            count = len(pairs[index].response)
            scores[index], values = values[:count], values[count:]
    return scores
