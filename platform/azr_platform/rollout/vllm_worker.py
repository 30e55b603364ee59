"""What vLLM's workers can do besides sampling: take the policy's weights, each worker its part of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from azr_platform.rollout.vllm_messages import Shared


class WeightReceiver:
    """Mixed into vLLM's worker (its ``worker_extension_cls``)."""

    device: Any
    reload_weights: Any
    get_model: Any

    def load_file(self, path: str) -> None:
        """Weights from a safetensors file, one after the other."""
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            # Copies: what the file holds is overwritten by the next weights.
            self._replace((name, file.get_tensor(name).clone()) for name in file.keys())  # noqa: SIM118 no mapping

    def load_shared(self, shared: Sequence[Shared]) -> None:
        """Weights from the memory of the GPU that the trainer has them in, without a copy in between.

        Raises:
            ValueError: a weight lies on another GPU than this worker's.
        """
        import torch
        from torch.multiprocessing.reductions import rebuild_cuda_tensor

        here = str(torch.cuda.get_device_properties(self.device.index).uuid)

        def tensors() -> Iterator[tuple[str, Tensor]]:
            for weight in shared:
                if weight.gpu != here:
                    raise ValueError(f"{weight.name} is on GPU {weight.gpu}, and this worker on {here}")
                yield (
                    weight.name,
                    rebuild_cuda_tensor(  # type: ignore[no-untyped-call]
                        torch.Tensor,
                        torch.Size(weight.shape),
                        tuple(weight.stride),
                        weight.offset,
                        torch.storage.TypedStorage,
                        getattr(torch, weight.dtype),
                        self.device.index,
                        weight.handle,
                        weight.storage_bytes,
                        weight.storage_offset,
                        False,
                        weight.counter,
                        weight.counter_offset,
                        weight.event,
                        weight.event_sync,
                    ),
                )

        self._replace(tensors())
        torch.cuda.synchronize()

    def _replace(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        self.reload_weights(weights_iterator=weights, is_checkpoint_format=True)
        # An output layer that is tied to the embedding comes with no weight of its own, so vLLM leaves out what it
        # does after loading; on CPU that is a packed copy, which would stay the old one.
        model = self.get_model()
        layers = [layer for layer in model.modules() if getattr(layer, "weight", None) is not None]
        users = Counter(id(layer.weight) for layer in layers)
        for layer in layers:
            if users[id(layer.weight)] > 1 and hasattr(layer, "quant_method"):
                layer.quant_method.process_weights_after_loading(layer)
