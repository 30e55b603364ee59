"""LoRA: low-rank additions to a model's linear layers, which train instead of its weights (arXiv 2106.09685).

The layers are replaced in place, so the model stays of its class and its parts keep their names. The additions are
float32 whatever the weights are. A checkpoint holds the sum, for others, and the additions by themselves, with which a
run continues from the very weights it began with (``fingerprint`` tells whether they are).
"""

from __future__ import annotations

from hashlib import blake2b
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from azr_platform.config.schema import LoraConfig

_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


class LoraUnavailable(Exception):
    """LoRA cannot be used; the text says why and what to do."""


def add_lora(model: Any, config: LoraConfig, seed: int) -> None:
    """Put additions of zero, from random factors that the seed decides, into the model; freeze everything else.

    Raises:
        LoraUnavailable: the library is missing, or the model has no such layers.
    """
    try:
        peft = import_module("peft")  # no stubs, and not everywhere
    except ImportError as error:
        raise LoraUnavailable(f"lora.rank = {config.rank} needs peft: install azr-platform[lora]") from error
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,  # or the policy that trains would not be the one that sampled
        target_modules=_ATTENTION if config.targets == "attention" else "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            peft.inject_adapter_in_model(settings, model)
    except ValueError as error:
        raise LoraUnavailable(f"lora.targets = {config.targets!r}: {str(error).splitlines()[0]}") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_is_addition(name))
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def additions(model: Any) -> dict[str, Tensor]:
    """The additions' factors by name; empty without LoRA."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if _is_addition(name)}


@torch.no_grad()
def restore_additions(model: Any, saved: dict[str, Tensor]) -> None:
    """Put factors back.

    Raises:
        LoraUnavailable: they are of other layers or of another rank.
    """
    own = {name: parameter for name, parameter in model.named_parameters() if _is_addition(name)}
    if {name: tensor.shape for name, tensor in own.items()} != {name: tensor.shape for name, tensor in saved.items()}:
        raise LoraUnavailable("the checkpoint's LoRA factors are of other layers or another rank than [lora] says")
    for name, parameter in own.items():
        parameter.copy_(saved[name])


def fingerprint(model: Any) -> str:
    """A digest of names, shapes and some numbers of each weight that does not train: tells models apart by mistake's
    measure, not by an attacker's."""
    digest = blake2b(digest_size=16)
    for name, parameter in model.named_parameters():
        if not _is_addition(name):
            flat = parameter.detach().reshape(-1)
            some = flat[:: max(1, flat.numel() // 64)].float().cpu().numpy().tobytes()
            digest.update(f"{name} {tuple(parameter.shape)} ".encode() + some)
    return digest.hexdigest()


def _is_addition(name: str) -> bool:
    return ".lora_" in name
