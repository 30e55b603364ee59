"""What the items share: where they run, random models of real shapes, batches, and what is measured of a call."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from azr_platform.config.plan import GPUS, Memory
from azr_platform.config.shapes import KNOWN, Shape
from azr_platform.nano.model import weights_path

Row = dict[str, Any]
"""A line of the table: ``what``, ``figure`` (text), ``beside`` (its range, a tolerance or a prediction), for a check
``passed``, and whatever raw numbers it was made of."""

SIZES = {size: f"Qwen/Qwen2.5-Coder-{size.upper()}" for size in ("0.5b", "1.5b", "3b", "7b")}
TINY = Shape(2, 64, 4, 2, 16, 128, 512, tied=True, biased=True)
GB = 1e9


class Where(NamedTuple):
    """What an item runs on. ``tiny``: with shapes that a CPU is done with in seconds; such figures mean nothing."""

    device: str
    tiny: bool
    work: Path
    """A folder that is deleted afterwards."""

    def shape(self, size: str) -> Shape:
        return TINY if self.tiny else KNOWN[SIZES[size]]

    def few(self, many: int, few: int) -> int:
        return few if self.tiny else many


# -- models and batches ------------------------------------------------------------------------------------------


def random_model(
    shape: Shape, dtype: torch.dtype, device: str, *, seed: int = 0, tokenizer: Any = None, attention: str = "sdpa"
) -> Any:
    """Qwen2's architecture with random weights, made where it is used. A tokenizer's special tokens become its own."""
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=32_768,
        tie_word_embeddings=shape.tied,
        bos_token_id=None if tokenizer is None else tokenizer.bos_token_id,
        eos_token_id=None if tokenizer is None else tokenizer.eos_token_id,
        pad_token_id=None if tokenizer is None else tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention).eval()


def embedded_tokenizer() -> Any:
    """The embedded model's: nothing is downloaded. Its texts take more tokens than Qwen's would."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(weights_path())


def lengths(count: int, *, tiny: bool, most: int = 4096) -> list[tuple[int, int]]:
    """Tokens of prompts, 500 to 1,500, and of responses, log-normal around 800."""
    rng = random.Random(0)
    drawn = [
        (rng.randrange(500, 1501), min(most, int(rng.lognormvariate(math.log(800), 0.6)) + 1)) for _ in range(count)
    ]
    return [(before // 50, after // 50 + 1) for before, after in drawn] if tiny else drawn


def useful_operations(shape: Shape, pairs: Sequence[tuple[int, int]]) -> float:
    """Floating-point operations that an update of these (prompt, response) lengths cannot do without, forward and
    backward: 6 a parameter of the layers and token, 6 a number of the output layer and response token, and attention
    over half of each square, 6 x layers x width x length². Padding and what is computed again do not count."""
    head = shape.vocabulary * shape.hidden
    tokens, responses = sum(map(sum, pairs)), sum(after for _, after in pairs)
    squares = sum((before + after) ** 2 for before, after in pairs)
    return 6.0 * ((shape.multiplied - head) * tokens + head * responses + shape.layers * shape.query * squares)


# -- measuring ---------------------------------------------------------------------------------------------------


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(act: Callable[[], object], device: str, rounds: int, *, warm_up: int = 1) -> list[float]:
    """Wall seconds of each round after the warm-up, the device's work included."""
    spent = []
    for number in range(warm_up + rounds):
        synchronize(device)
        started = time.perf_counter()
        act()
        synchronize(device)
        if number >= warm_up:
            spent.append(time.perf_counter() - started)
    return spent


class Peak:
    """Memory of the GPU within a block, in GB; None on a CPU."""

    allocated: float | None = None
    reserved: float | None = None


@contextmanager
def peak(device: str) -> Iterator[Peak]:
    found = Peak()
    if device != "cuda":
        yield found
        return
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield found
    torch.cuda.synchronize()
    found.allocated = torch.cuda.max_memory_allocated() / GB
    found.reserved = torch.cuda.max_memory_reserved() / GB


def peak_tflops(device: str) -> tuple[str, float] | None:
    """The data sheet's name and dense bfloat16 TFLOP/s of the GPU; None where it is not known."""
    if device != "cuda":
        return None
    name = torch.cuda.get_device_name().lower().replace(" ", "-")
    for known in ("h200", "h100", "a100", "rtx-4090"):
        if known in name:
            return known, GPUS[known].tflops
    return None


@contextmanager
def as_trained(device: str, *, deterministic: bool = True) -> Iterator[None]:
    """With the kernels that a trainer chooses (see trainer/session.py), or those that are merely fast."""
    torch.use_deterministic_algorithms(deterministic, warn_only=device == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


# -- rows --------------------------------------------------------------------------------------------------------


def check(what: str, figure: float, tolerance: float, *, least: bool = False, note: str = "") -> Row:
    """A check that passes up to a tolerance, or from it on."""
    passed = math.isfinite(figure) and (figure >= tolerance if least else figure <= tolerance)
    return {
        "what": what,
        "figure": f"{figure:.3g}" if not least else f"{figure:.6f}",
        "beside": f"{'at least' if least else 'at most'} {tolerance:g}{'; ' + note if note else ''}",
        "passed": passed,
        "value": figure,
        "tolerance": tolerance,
    }


def measured(what: str, values: Sequence[float], unit: str, *, note: str = "", digits: int = 0) -> Row:
    """The median of several rounds, and their range."""

    def told(value: float) -> str:
        return f"{value:,.{digits}f}"

    span = f"{told(min(values))}-{told(max(values))}, {len(values)} rounds" if len(values) > 1 else "one round"
    return {
        "what": what,
        "figure": f"{told(median(values))} {unit}".strip(),
        "beside": "; ".join(filter(None, (span, note))),
        "values": list(values),
    }


def memory_row(found: Peak, planned: float | None, parts: str) -> Row:
    """Peak memory beside what ``azr-platform plan`` reckons for ``parts``."""
    foreseen = "" if planned is None else f"plan: {planned:.3g} GB ({parts})"
    if found.allocated is None or found.reserved is None:
        return {"what": "peak memory", "figure": "not measured on a CPU", "beside": foreseen, "planned_gb": planned}
    return {
        "what": "peak memory",
        "figure": f"{found.allocated:.3g} GB",
        "beside": "; ".join(filter(None, (f"{found.reserved:.3g} GB reserved", foreseen))),
        "allocated_gb": found.allocated,
        "reserved_gb": found.reserved,
        "planned_gb": planned,
    }


def of_learning(memory: Memory | None) -> float | None:
    """GB that the plan foresees while the model learns."""
    return None if memory is None else memory.state + memory.activations + memory.logits
