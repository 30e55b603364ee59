"""A model's weights as it was published: plain names, and what LoRA adds to a matrix added to it.

What samples from a copy of the weights, and what saves them for others, take them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_BASE = ".base_layer."


@torch.no_grad()
def plain_weights(model: Any) -> dict[str, Tensor]:
    """Name to tensor, as in the ``state_dict`` of the model without LoRA; unchanged ones are not copied."""
    weights: dict[str, Tensor] = {}
    modules = dict(model.named_modules())
    for name, tensor in model.state_dict().items():
        if ".lora_" in name:
            continue
        if _BASE in name:
            layer = modules[name.partition(_BASE)[0]]
            if name.endswith(_BASE + "weight"):
                tensor = with_addition(layer)
            name = name.replace(_BASE, ".")
        weights[name] = tensor
    return weights


def untied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same, with tensors that share their memory once, under the first of their names."""
    names: dict[int, str] = {}
    for name, tensor in weights.items():
        names.setdefault(tensor.data_ptr(), name)
    return {name: weights[name] for name in names.values()}


@torch.no_grad()
def with_addition(layer: Any) -> Tensor:
    """A linear layer's weight with what LoRA adds to it, rounded once to the weight's format."""
    if not hasattr(layer, "lora_A"):
        weight: Tensor = layer.weight
        return weight
    base: Tensor = layer.base_layer.weight
    merged = base.float()
    for adapter in layer.active_adapters:
        merged = merged + layer.get_delta_weight(adapter).float()
    return merged.to(base.dtype)
