"""A thread in which an update runs while the next step is sampled. Torch lets go of the interpreter in its kernels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from azr_platform.trainer.model import ModelUnavailable

T = TypeVar("T")


class Beside:
    """Runs one thing at a time beside its owner, on a GPU in a stream of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="update")
        self._stream = torch.cuda.Stream() if torch.cuda.is_available() else None  # type: ignore[no-untyped-call]

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begin; calling what comes back waits for the result, or raises what the work raised."""
        return self._thread.submit(self._run, work).result

    def close(self) -> None:
        """Wait for what has begun."""
        self._thread.shutdown()

    def _run(self, work: Callable[[], T]) -> T:
        if self._stream is None:
            return work()
        self._stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(self._stream):
            try:
                return work()
            finally:
                self._stream.synchronize()


def check_draws_nothing(config: object) -> None:
    """An update beside sampling must not draw from torch's common generator, or samples would depend on timing.

    Raises:
        ModelUnavailable: the model has dropout.
    """
    settings = vars(config).items()
    drops = [name for name, value in settings if "drop" in name and isinstance(value, float) and value > 0]
    if drops:
        raise ModelUnavailable(
            f"update.staleness = 1 cannot train with dropout: set {drops[0]} to 0 in the model's config.json, "
            "or update.staleness = 0"
        )
