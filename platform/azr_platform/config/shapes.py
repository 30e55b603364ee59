"""What is known of a model without loading it: its shape, and what follows from it by counting.

Shapes are the models' published ``config.json``; a local folder's own is read. Counting covers the Llama family (RMS
norms, gated feed-forward, grouped-query attention), to which Qwen2.5 and Qwen3 belong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

_FAMILY = ("llama", "qwen2", "qwen3", "mistral")


class Shape(msgspec.Struct, frozen=True):
    """A decoder's sizes."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    tied: bool
    """One matrix for the embedding and the output layer."""
    biased: bool = False
    """Queries, keys and values have biases."""
    normed: bool = False
    """Queries and keys are normed, head by head."""

    @property
    def query(self) -> int:
        return self.heads * self.head_size

    @property
    def key_value(self) -> int:
        """Keys and values together."""
        return 2 * self.kv_heads * self.head_size

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of a layer's seven linear maps; the attention's four come first."""
        e, kv = self.hidden, self.key_value // 2
        attention = ((e, self.query), (e, kv), (e, kv), (self.query, e))
        return (*attention, (e, self.feed_forward), (e, self.feed_forward), (self.feed_forward, e))

    @property
    def parameters(self) -> int:
        layer = sum(inputs * outputs for inputs, outputs in self.matrices) + 2 * self.hidden
        layer += (self.query + self.key_value) * self.biased + 2 * self.head_size * self.normed
        return self.layers * layer + self.hidden + self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def multiplied(self) -> int:
        """Parameters that a token is multiplied with: all but an embedding that is only looked up."""
        return self.parameters - (0 if self.tied else self.vocabulary * self.hidden)


def _qwen2(layers: int, hidden: int, heads: int, kv_heads: int, head_size: int, ffn: int, vocabulary: int) -> Shape:
    tied = vocabulary == 151936
    return Shape(layers, hidden, heads, kv_heads, head_size, ffn, vocabulary, tied, biased=True)


KNOWN: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "nano": Shape(4, 96, 4, 4, 24, 256, 369, tied=True),
        "Qwen/Qwen2.5-Coder-0.5B": _qwen2(24, 896, 14, 2, 64, 4864, 151936),
        "Qwen/Qwen2.5-Coder-1.5B": _qwen2(28, 1536, 12, 2, 128, 8960, 151936),
        "Qwen/Qwen2.5-Coder-3B": _qwen2(36, 2048, 16, 2, 128, 11008, 151936),
        "Qwen/Qwen2.5-Coder-7B": _qwen2(28, 3584, 28, 4, 128, 18944, 152064),
        "Qwen/Qwen2.5-Coder-14B": _qwen2(48, 5120, 40, 8, 128, 13824, 152064),
        "Qwen/Qwen2.5-7B": _qwen2(28, 3584, 28, 4, 128, 18944, 152064),
        "Qwen/Qwen3-4B-Base": Shape(36, 2560, 32, 8, 128, 9728, 151936, tied=True, normed=True),
        "meta-llama/Llama-3.1-8B": Shape(32, 4096, 32, 8, 128, 14336, 128256, tied=False),
    }
)


def shape_of(path: str) -> Shape | None:
    """The shape of ``model.path``; None where it is neither known nor a local folder of the family's."""
    if path in KNOWN:
        return KNOWN[path]
    try:
        read = json.loads((Path(path).expanduser() / "config.json").read_text("utf-8"))
        if read["model_type"] not in _FAMILY:
            return None
        heads, hidden = int(read["num_attention_heads"]), int(read["hidden_size"])
        return Shape(
            layers=int(read["num_hidden_layers"]),
            hidden=hidden,
            heads=heads,
            kv_heads=int(read.get("num_key_value_heads") or heads),
            head_size=int(read.get("head_dim") or hidden // heads),
            feed_forward=int(read["intermediate_size"]),
            vocabulary=int(read["vocab_size"]),
            tied=bool(read.get("tie_word_embeddings", False)),
            biased=read["model_type"] == "qwen2",
            normed=read["model_type"] == "qwen3",
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
