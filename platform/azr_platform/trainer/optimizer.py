"""AdamW over what trains of a model: over its parameters, or over float32 copies of those in a smaller format.

```
bfloat16 parameter ─ backward ─► its gradient ─► added to the float32 gradient of its copy, and let go
        ▲                                                       │ all microbatches of a minibatch
        └──────── rounded ◄── float32 copy ◄── AdamW ◄──────────┘
```
A bfloat16 number has 8 bits of precision: a step of 1e-6 would vanish in most weights, and a sum of many gradients
would lose the small ones. With copies both are as exact as in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from azr_platform.config.schema import OptimizerConfig

MASTER = "master"


class OptimizerUnavailable(Exception):
    """The optimizer that was asked for cannot be had here; the text says what to install."""


class StateMismatch(ValueError):
    """An optimizer's saved state is not this model's."""


class Optimizer:
    """Steps the parameters that require a gradient.

    Raises:
        OptimizerUnavailable: 8-bit moments without the library that has them.
    """

    def __init__(self, model: Any, config: OptimizerConfig) -> None:
        self._grad_clip = config.grad_clip
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._masters: dict[str, Tensor] = {}
        if config.master_weights:
            self._masters = {
                name: p.detach().float().clone() for name, p in self._parameters.items() if p.dtype != torch.float32
            }
        for name, master in self._masters.items():
            self._parameters[name].register_post_accumulate_grad_hook(_adder(master))
        self._stepped = {name: self._masters.get(name, p) for name, p in self._parameters.items()}
        self._low_bit = config.moments != "full"
        self.inner = _adamw(list(self._stepped.values()), config)

    def set_learning_rate(self, rate: float) -> None:
        for group in self.inner.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.grad = self._stepped[name].grad = None

    def clip(self) -> Tensor:
        """Scale the gradient down to the largest norm allowed; returns the norm it had."""
        return torch.nn.utils.clip_grad_norm_(list(self._stepped.values()), self._grad_clip)

    @torch.no_grad()
    def step(self) -> None:
        """One step; the parameters follow their copies."""
        self.inner.step()
        for name, master in self._masters.items():
            self._parameters[name].copy_(master)

    def state(self) -> dict[str, Tensor]:
        """All of it, as ``parameter/part`` to tensor: moments, counts, and the float32 copies."""
        tensors: dict[str, Tensor] = {}
        for name, stepped in self._stepped.items():
            if name in self._masters:
                tensors[f"{name}/{MASTER}"] = stepped
            for part, value in self.inner.state.get(stepped, {}).items():
                tensor = torch.as_tensor(value).contiguous()
                # The tables of 8-bit numbers are shared between parameters, and a file holds each tensor by itself.
                tensors[f"{name}/{part}"] = tensor.clone() if part.startswith("qmap") else tensor
        return tensors

    def room(self) -> int:
        """Bytes that ``state`` takes once every parameter was stepped, at most."""
        return sum(
            stepped.numel() * stepped.element_size() * (3 if name in self._masters else 2)
            for name, stepped in self._stepped.items()
        )

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatch: it has a part for a parameter that does not train here, or moments in another format.
        """
        numbers = {name: number for number, name in enumerate(self._stepped)}
        state: dict[int, dict[str, Any]] = {}
        for key, tensor in tensors.items():
            name, _, part = key.rpartition("/")
            if name not in numbers:
                raise StateMismatch(f"there is no such parameter: {name}")
            if part != MASTER:
                state.setdefault(numbers[name], {})[part] = tensor
            elif name in self._masters:
                self._masters[name].copy_(tensor)
        if state and self._low_bit != any("state1" in parts for parts in state.values()):
            raise StateMismatch("its moments are in another format than optimizer.moments says")
        if not self._low_bit:
            self.inner.load_state_dict({"state": state, "param_groups": self.inner.state_dict()["param_groups"]})
            return
        for number, stepped in enumerate(self._stepped.values()):
            for part, tensor in state.get(number, {}).items():
                value = int(tensor) if part == "step" else tensor.to(stepped.device)
                self.inner.state[stepped][part] = value


def _adder(master: Tensor) -> Any:
    """A hook that adds a parameter's new gradient to its copy's."""

    def add(parameter: Tensor) -> None:
        assert parameter.grad is not None
        if master.grad is None:
            master.grad = parameter.grad.float()
        else:
            master.grad += parameter.grad
        parameter.grad = None

    return add


def _adamw(parameters: list[Tensor], config: OptimizerConfig) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "eps": config.epsilon,
        "weight_decay": config.weight_decay,
    }
    if config.moments == "full":
        fused = all(parameter.is_cuda for parameter in parameters)
        return torch.optim.AdamW(parameters, **settings, fused=True if fused else None)
    try:
        bitsandbytes = import_module("bitsandbytes")
    except ImportError as error:
        raise OptimizerUnavailable(
            f'optimizer.moments = "{config.moments}" needs bitsandbytes: install azr-platform[lowbit]'
        ) from error
    name = "AdamW8bit" if config.moments == "8bit" else "PagedAdamW8bit"
    chosen: torch.optim.Optimizer = getattr(bitsandbytes.optim, name)(parameters, **settings)
    return chosen
