"""Log-probabilities of given responses under a model, in microbatches of sequences alike in length.

A microbatch is padded to its longest sequence, or packed: its sequences behind one another in one row, told apart by
their positions, without padding. Packing pays with an attention that reads such rows as they are (flash attention);
the others build a mask over the whole row.

Shape suffixes: B = sequences, S = positions of a row, T = response tokens, flat over the sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from azr_platform.rollout.logprobs import head_of, log_probs_of

CHUNK = 1024
"""Tokens whose logits are held at once where nothing else is said."""


class Pair(NamedTuple):
    """A prompt's and a response's tokens."""

    prompt: Sequence[int]
    response: Sequence[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.response)


class Layout(NamedTuple):
    """How sequences go through the model."""

    tokens: int = 16384
    """Positions of a microbatch, padding included; a longer sequence is one by itself."""
    max_padding: float = 1.0
    """Share of a microbatch that may be padding."""
    packed: bool = False
    """Behind one another in one row."""
    chunk: int = CHUNK
    """Tokens whose logits are held at once; 0: all of a microbatch."""


def microbatches(pairs: Sequence[Pair], layout: Layout) -> Iterator[list[int]]:
    """Indices in groups of similar length that keep to the layout (one pair at least)."""
    order = sorted(range(len(pairs)), key=lambda index: (pairs[index].length, index))
    group: list[int] = []
    real = 0
    for index in order:
        length = pairs[index].length
        positions = real + length if layout.packed else (len(group) + 1) * length
        full = positions > layout.tokens or positions - real - length > layout.max_padding * positions
        if group and full:
            yield group
            group, real = [], 0
        group.append(index)
        real += length
    if group:
        yield group


def padding(pairs: Sequence[Pair], layout: Layout) -> tuple[int, int]:
    """(positions, padding among them) that the pairs take in microbatches of this layout."""
    positions = real = 0
    for group in microbatches(pairs, layout):
        lengths = [pairs[index].length for index in group]
        real += sum(lengths)
        positions += sum(lengths) if layout.packed else len(group) * max(lengths)
    return positions, positions - real


def token_log_probs(
    model: Any,
    pairs: Sequence[Pair],
    temperature: float,
    entropy: bool,
    layout: Layout = Layout(),  # noqa: B008 immutable
    body: Any = None,
) -> tuple[Tensor, Tensor]:
    """(log-probabilities_T, entropies_T in nats) of the response tokens, flat in the pairs' order.

    Differentiable. Entropies are zeros, and cost nothing, unless asked for. ``body`` takes the place of the model
    below its output layer, such as a compiled one.
    """
    device = next(model.parameters()).device
    body = model.base_model if body is None else body
    inputs, rows, places = (_packed if layout.packed else _padded)(pairs)
    hidden_BSE = body(**{name: value.to(device) for name, value in inputs.items()}, use_cache=False).last_hidden_state
    targets_T = torch.tensor([token for pair in pairs for token in pair.response], device=device)
    # Only response positions go through the vocabulary projection: prompts need no logits.
    return log_probs_of(
        head_of(model),
        hidden_BSE[torch.tensor(rows), torch.tensor(places)],
        targets_T,
        temperature=temperature,
        entropy=entropy,
        chunk=layout.chunk,
    )


def _padded(pairs: Sequence[Pair]) -> tuple[dict[str, Tensor], list[int], list[int]]:
    """(the model's inputs, row and place of the position before each response token: it predicts that token)."""
    longest = max(pair.length for pair in pairs)
    tokens_BS = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask_BS = torch.zeros(len(pairs), longest, dtype=torch.long)
    rows: list[int] = []
    places: list[int] = []
    for row, pair in enumerate(pairs):
        tokens_BS[row, : pair.length] = torch.tensor([*pair.prompt, *pair.response])
        mask_BS[row, : pair.length] = 1
        rows += [row] * len(pair.response)
        places += range(len(pair.prompt) - 1, pair.length - 1)
    return {"input_ids": tokens_BS, "attention_mask": mask_BS}, rows, places


def _packed(pairs: Sequence[Pair]) -> tuple[dict[str, Tensor], list[int], list[int]]:
    """The same for one row. Without a mask, the library tells sequences apart where positions begin anew."""
    tokens: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    for pair in pairs:
        places += range(len(tokens) + len(pair.prompt) - 1, len(tokens) + pair.length - 1)
        tokens += [*pair.prompt, *pair.response]
        positions += range(pair.length)
    inputs = {"input_ids": torch.tensor([tokens]), "position_ids": torch.tensor([positions])}
    return inputs, [0] * len(places), places


@torch.no_grad()
def score(
    model: Any,
    pairs: Sequence[Pair],
    temperature: float,
    layout: Layout = Layout(),  # noqa: B008 immutable
    body: Any = None,
) -> list[list[float]]:
    """Log-probabilities of each response's tokens, without gradient, in the pairs' order."""
    scores: list[list[float]] = [[] for _ in pairs]
    for group in microbatches(pairs, layout):
        flat, _ = token_log_probs(model, [pairs[index] for index in group], temperature, False, layout, body)
        values = flat.tolist()
        for index in group:
            count = len(pairs[index].response)
            scores[index], values = values[:count], values[count:]
    return scores
