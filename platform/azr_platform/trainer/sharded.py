"""One update over several processes, each with a part of the weights, gradients and moments (FSDP2, arXiv 2304.11277).

```
rank 0, the trainer:   minibatches ─► shares of about as many tokens ─► a Learn for each worker
every rank:            its share's microbatches ─ forward, backward ─► gradients, summed into each rank's part
                       norm over all parts, clip ─► AdamW on its part
                       parts ─► whole weights ─► rank 0's copy, which is sampled from and saved
```
Collectives meet on all ranks or never end, so that every rank makes as many passes: one with less to do makes idle
ones. A sum over a minibatch's tokens, weighted on rank 0, does not depend on who has which: the result is that of one
process up to the rounding of sums. Where weights train in bfloat16 with float32 copies, the parts are the copies, and
what is gathered for a pass is bfloat16.

Processes find each other through a file in a folder of the trainer's own, and speak over the loopback interface, on
GPUs (NCCL) over what connects these.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import MethodType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from azr_platform.config.schema import Config, OptimizerConfig
from azr_platform.rollout.scoring import Layout, microbatches
from azr_platform.trainer.crew import Crew
from azr_platform.trainer.model import read_model
from azr_platform.trainer.optimizer import MASTER, Optimizer
from azr_platform.trainer.ranks import Begin, Learn, Order, State
from azr_platform.trainer.update import Item, Minibatch, Totals, Updater

Result = TypeVar("Result", bound=tuple[Tensor, ...])


class ParallelUnavailable(Exception):
    """The update cannot be shared like this; the text says why and what to do."""


class Shard:
    """One process's place among those that share an update. ``crew`` are the others, for rank 0.

    Raises:
        ParallelUnavailable: there are fewer GPUs than processes.
        RuntimeError: torch's, when the processes do not find each other.
    """

    def __init__(self, config: Config, rank: int, store: Path, crew: Crew | None = None) -> None:
        self._config = config
        self._crew = crew
        self._whole: Any = None
        count = config.parallel.processes
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda":
            if torch.cuda.device_count() < count:
                raise ParallelUnavailable(
                    f"parallel.processes = {count}, but there are {torch.cuda.device_count()} GPUs here: one for each"
                )
            torch.cuda.set_device(rank)
        with _loopback():
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
                store=dist.FileStore(str(store), count),  # type: ignore[attr-defined]
                rank=rank,
                world_size=count,
                timeout=timedelta(seconds=config.parallel.silence_seconds),
            )
            self._mesh: DeviceMesh = init_device_mesh(device, (count,))
            dist.all_reduce(torch.zeros(1, device=device))  # NCCL connects when it is first used: here

    def close(self) -> None:
        """Leave the others."""
        dist.destroy_process_group()

    def updater(self, folder: Path | None, whole: Any = None) -> Updater:
        """The policy's part of this process, from a checkpoint's folder where there is one, and what updates it.

        On rank 0 the workers do the same, and ``whole`` gets the weights after each update.

        Raises:
            ModelUnavailable: see ``load_policy``.
        """
        self._whole = whole
        config = self._config
        with self._together([Begin(str(folder or ""))]):
            model = self._split(read_model(config.model, folder))
        steps, temperature = config.run.steps, config.model.temperature
        return Updater(model.eval(), config.optimizer, config.update, steps=steps, temperature=temperature, shard=self)

    @contextmanager
    def divided(self, minibatches: Sequence[Minibatch], rate: float, layout: Layout) -> Iterator[list[Minibatch]]:
        """For rank 0: its own share of an update, while the workers do theirs."""
        shares = divide(minibatches, self._mesh.size(), layout)
        with self._together([Learn(share, rate) for share in shares[1:]]):
            yield shares[0]

    def _split(self, model: Any) -> Any:
        """Keep this process's part of a model's weights, in place; returns the model."""
        model_config, copies = self._config.model, _copies(self._config)
        policy = MixedPrecisionPolicy()
        if copies:
            policy = MixedPrecisionPolicy(param_dtype=getattr(torch, model_config.dtype), reduce_dtype=torch.float32)
        layers = [module for module in model.modules() if type(module).__name__ in (model._no_split_modules or ())]
        for module in [*layers, model]:
            if copies:
                for parameter in module.parameters():
                    if not isinstance(parameter, DTensor):
                        parameter.data = parameter.data.float()
            fully_shard(module, mesh=self._mesh, mp_policy=policy)
        for module in model.modules():
            if isinstance(module, FSDPModule):  # gradients are summed: the weights of tokens make them means
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
        # The body and the head are called apart, with the weights of both in reach. Views cannot be given out.
        model.inside = MethodType(lambda _, act: tuple(tensor.clone() for tensor in act()), model)
        register_fsdp_forward_method(model, "inside")
        return model

    def optimizer(self, model: Any, config: OptimizerConfig) -> Optimizer:
        """AdamW over this process's part of a model."""
        return ShardedOptimizer(model, config, _copies(self._config), self._crew)

    def inside(self, model: Any, act: Callable[[], Result]) -> Result:
        """Do what needs the model's weights, layers apart, which gather their own; returns its tensors."""
        result: Result = model.inside(act)
        if not torch.is_grad_enabled():  # with gradients the backward pass lets go of them
            model.reshard()
        return result

    def sum(self, totals: Totals) -> None:
        """Have every process know what all did."""
        for names, operation in ((_SUMS, dist.ReduceOp.SUM), (_LARGEST, dist.ReduceOp.MAX)):
            values = torch.tensor([float(getattr(totals, name)) for name in names], dtype=torch.float64)
            dist.all_reduce(values, operation)
            for name, value in zip(names, values.tolist(), strict=True):
                setattr(totals, name, type(getattr(totals, name))(value))

    @torch.no_grad()
    def publish(self, model: Any) -> None:
        """Put the parts together, one weight at a time, into rank 0's whole model."""
        whole = {} if self._whole is None else dict(self._whole.named_parameters())
        dtype = getattr(torch, self._config.model.dtype)
        for name, parameter in model.named_parameters():
            gathered = _full(parameter.detach().to(dtype))
            if whole:
                whole[name].copy_(gathered)

    @contextmanager
    def _together(self, orders: Sequence[Order]) -> Iterator[None]:
        """On rank 0 tell each worker its order, or all the same; elsewhere this process was told."""
        if self._crew is None:
            yield
            return
        with self._crew.together(orders):
            yield


_SUMS = ("loss", "entropy", "clipped", "kl", "tokens", "positions", "padding", "compared", "mismatch", "mismatch_kl")
_LARGEST = ("ratio_max", "mismatch_max")


class ShardedOptimizer(Optimizer):
    """AdamW on a process's part. ``state`` and ``load_state`` speak of whole tensors, as one process has them, so that
    a run goes on with another number of them."""

    def __init__(self, model: Any, config: OptimizerConfig, copies: bool, crew: Crew | None) -> None:
        super().__init__(model, config)
        self._copies = copies  # the parts are float32 copies themselves
        self._crew = crew

    def clip(self) -> Tensor:
        gradients = [p.grad for p in self._stepped.values() if p.grad is not None]
        norm = _full(torch.nn.utils.get_total_norm(gradients))
        torch.nn.utils.clip_grads_with_norm_(list(self._stepped.values()), self._grad_clip, norm)
        return norm

    @torch.no_grad()
    def state(self) -> dict[str, Tensor]:
        """All of it on rank 0, which calls the others to it; elsewhere nothing."""
        if self._crew is None:
            self._gather()
            return {}
        with self._crew.together([State()]):
            return self._gather()

    def _gather(self) -> dict[str, Tensor]:
        parts = super().state()
        if self._copies:
            parts |= {f"{name}/{MASTER}": part for name, part in self._stepped.items()}
        whole = {}
        for key, part in parts.items():
            tensor = _full(part.detach())
            if self._crew is not None:
                whole[key] = tensor.cpu()
        return whole

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        parts: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            name, _, part = key.rpartition("/")
            like = self._stepped.get(name)
            if not isinstance(like, DTensor) or like.shape != tensor.shape:
                parts[key] = tensor  # a count, or what the base class refuses
                continue
            split = distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
            if part != MASTER:
                parts[key] = torch.empty_like(like, dtype=tensor.dtype).copy_(split)  # a part of its own, no view
            elif self._copies:
                like.copy_(split)
        super().load_state(parts)


def divide(minibatches: Sequence[Minibatch], count: int, layout: Layout) -> list[list[Minibatch]]:
    """Each process's share of each minibatch: about as many tokens each, and as many passes."""
    shares: list[list[Minibatch]] = [[] for _ in range(count)]
    for batch in minibatches:
        dealt: list[list[Item]] = [[] for _ in range(count)]
        tokens = [0] * count
        for item in sorted(batch.items, key=lambda item: -item.pair.length):
            least = tokens.index(min(tokens))
            dealt[least].append(item)
            tokens[least] += item.pair.length
        rounds = max(sum(1 for _ in microbatches([item.pair for item in items], layout)) for items in dealt)
        for share, items in zip(shares, dealt, strict=True):
            share.append(Minibatch(items, batch.first, rounds))
    return shares


def _full(tensor: Tensor) -> Tensor:
    """A tensor of parts, put together on every rank; any other as it is."""
    if isinstance(tensor, DTensor):
        whole: Tensor = tensor.full_tensor()
        return whole
    return tensor


def _copies(config: Config) -> bool:
    """Whether float32 copies of smaller weights are stepped."""
    return config.model.dtype != "float32" and config.optimizer.master_weights


@contextmanager
def _loopback() -> Iterator[None]:
    """Connections made inside are this machine's own; what is started later decides for itself."""
    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "lo"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
