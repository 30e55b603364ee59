"""What a configuration will cost, before anything is loaded: sequences, tokens, memory by part, and time.

The arithmetic, for P parameters of which T train (T = P without LoRA), n positions in a forward pass, V words:

```
weights      2 P bytes in bfloat16, 4 P in float32           masters    4 T, where copies in float32 are stepped
gradients    4 T, or 2 T in bfloat16 without copies          moments    8 T; 4 T in bfloat16; 2 T in 8 bits
activations  what autograd keeps of n positions: see _kept_a_position; with gradient checkpointing one vector a layer
             and the whole of one layer                          copy       2 P (4 P) bytes with update.staleness = 1
logits       16 bytes a token of a chunk and word (logits, log-probabilities, probabilities, gradient), and 4 bytes a
             weight of the output layer for its gradient
KV cache     model.batch sequences of the longest kind       peak       state + max(activations + logits, KV cache),
             or plus both with update.staleness = 1
```
With vLLM the cache is what ``vllm.gpu_memory_share`` leaves beside the weights it has itself (``engine``); both stay
there during the update unless ``vllm.sleep`` gives them back, and are elsewhere with ``vllm.devices``.

Several GPUs divide the state (weights to moments) and the work, as ``parallel.processes`` does. Then each holds besides
what it works with, put together from the parts:

```
weights      none, where copies in float32 are stepped: those are the parts
gathered     weights and their gradients of embeddings, output layer, and two layers, in the weights' format
copy         on the first GPU 2 P (4 P) bytes, which are sampled from; with vLLM, in the machine's memory
```
The library's engine samples on the first GPU alone, vLLM on ``vllm.tensor_parallel`` of them.

```
operations of the update   6 M a token (M: parameters multiplied with), a third more with gradient checkpointing; the
                           output layer once more for chunks; 2 M more where the learner scores first; attention
generation                 a position of a batch takes the time to read weights and cache, or that of 2 M operations
                           a sequence, whichever is longer; prompts 2 M a token, once or, by the library's engine, for
                           each sample, which it scores once more
```
Operations run at ``MFU`` of the device's, reads at ``BANDWIDTH_SHARE``. Programs, monitors and the ledger are not
counted: most of their time passes while the model samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from azr_platform.config.schema import Config
from azr_platform.config.shapes import Shape, shape_of

MFU = 0.4
BANDWIDTH_SHARE = 0.6
MEAN_RESPONSE = 1000
MEAN_PROMPT = 1000


class Gpu(msgspec.Struct, frozen=True):
    """A device's data sheet: GB of memory, dense bfloat16 TFLOP/s, TB/s of its memory."""

    memory_gb: float
    tflops: float
    terabytes_per_second: float


GPUS: Final[Mapping[str, Gpu]] = MappingProxyType(
    {
        "a100-40": Gpu(40.0, 312.0, 1.56),
        "a100": Gpu(80.0, 312.0, 2.04),
        "h100": Gpu(80.0, 989.0, 3.35),
        "h200": Gpu(141.0, 989.0, 4.8),
        "rtx-4090": Gpu(24.0, 165.0, 1.01),
    }
)


class Memory(msgspec.Struct, frozen=True):
    """GB (10^9 bytes) on each GPU. The first five are there throughout."""

    weights: float
    masters: float
    gradients: float
    moments: float
    copy: float
    """The weights that are sampled from while others train: with ``update.staleness = 1``, or on the first of several
    GPUs."""
    activations: float
    logits: float
    kv_cache: float
    gathered: float
    engine: float
    """vLLM's own weights, where it shares the GPU."""
    awake: float
    """What vLLM keeps of its share during the update."""
    together: bool
    """Whether it samples while it learns."""

    @property
    def state(self) -> float:
        return self.weights + self.masters + self.gradients + self.moments + self.copy

    @property
    def peak(self) -> float:
        learning = self.gathered + self.activations + self.logits + self.awake
        sampling = self.engine + self.kv_cache
        if self.together:
            return self.state + learning - self.awake + sampling
        return self.state + max(learning, sampling)


class Seconds(msgspec.Struct, frozen=True):
    """Of a step."""

    generate: float
    update: float
    together: bool
    """Whether a step is as long as the longer of both, or as their sum."""

    @property
    def step(self) -> float:
        return max(self.generate, self.update) if self.together else self.generate + self.update


class Plan(msgspec.Struct, frozen=True):
    """What a run takes. ``memory`` and ``seconds`` are None where the model's shape is not known."""

    model: str
    parameters: int | None
    trained_parameters: int | None
    proposals_per_step: int
    rollouts_per_step: int
    solves_per_step: int
    trained_sequences_per_step: int
    max_sampled_tokens_per_step: int
    sampled_tokens_per_step: int
    """With responses of the mean length that was assumed."""
    steps: int
    gpus: int
    gpu: Gpu
    mean_response_tokens: int
    mean_prompt_tokens: int
    memory: Memory | None
    peak_gb: float | None
    fits: bool | None
    largest_batch: int | None
    """The largest ``model.batch`` whose cache fits beside the state; 0: none. With vLLM, how many of the longest
    sequences its cache holds; others wait."""
    seconds: Seconds | None
    seconds_per_step: float | None
    hours_per_run: float | None


def plan(config: Config, gpu: Gpu = GPUS["h100"], gpus: int = 1, mean_response: int = MEAN_RESPONSE) -> Plan:
    """Work out a plan for so many of a device.

    Raises:
        ValueError: no GPU at all, or responses of no length.
    """
    if gpus < 1 or mean_response < 1 or gpu.memory_gb <= 0:
        raise ValueError("a plan needs at least one GPU with memory, and responses of at least one token")
    proposals = rollouts = 0
    if config.run.regime == "azr":
        proposals = solves = len(config.tasks.kinds) * config.selfplay.proposals
        rollouts = proposals * config.selfplay.rollouts
        prompts = 3 * proposals
    else:
        prompts = config.problems.per_step
        solves = prompts * config.problems.samples
    trained = proposals + solves + (rollouts if config.selfplay.train_on_rollouts else 0)
    response = min(mean_response, config.model.max_response_tokens)
    sampled = proposals + rollouts + solves
    shape = shape_of(config.model.path)
    memory = seconds = largest = None
    if shape is not None:
        memory = _memory(config, shape, gpu, gpus)
        longest = config.model.max_prompt_tokens + config.model.max_response_tokens
        room = _vllm_cache(config, shape, gpu) if config.model.engine == "vllm" else gpu.memory_gb - memory.state
        largest = max(0, int(room / _cache(config, shape, longest)))
        seconds = _seconds(
            config, shape, gpu, gpus, sampled=sampled, prompts=prompts, trained=trained, response=response
        )
    return Plan(
        model=config.model.path,
        parameters=None if shape is None else shape.parameters,
        trained_parameters=None if shape is None else trainable(config, shape),
        proposals_per_step=proposals,
        rollouts_per_step=rollouts,
        solves_per_step=solves,
        trained_sequences_per_step=trained,
        max_sampled_tokens_per_step=sampled * config.model.max_response_tokens,
        sampled_tokens_per_step=sampled * response,
        steps=config.run.steps,
        gpus=gpus,
        gpu=gpu,
        mean_response_tokens=response,
        mean_prompt_tokens=min(MEAN_PROMPT, config.model.max_prompt_tokens),
        memory=memory,
        peak_gb=None if memory is None else memory.peak,
        fits=None if memory is None else memory.peak <= gpu.memory_gb and bool(largest),
        largest_batch=largest,
        seconds=seconds,
        seconds_per_step=None if seconds is None else seconds.step,
        hours_per_run=None if seconds is None else seconds.step * config.run.steps / 3600,
    )


def trainable(config: Config, shape: Shape) -> int:
    """Parameters that train: all, or LoRA's factors."""
    if not config.lora.rank:
        return shape.parameters
    matrices = shape.matrices if config.lora.targets == "all" else shape.matrices[:4]
    return shape.layers * config.lora.rank * sum(inputs + outputs for inputs, outputs in matrices)


def _samplers(config: Config) -> int:
    """GPUs that sample together."""
    return config.vllm.tensor_parallel if config.model.engine == "vllm" else 1


def _cache(config: Config, shape: Shape, positions: float) -> float:
    """GB of keys and values of a sequence, on each GPU that samples."""
    wide = 4 if config.model.dtype == "float32" else 2
    return positions * shape.layers * shape.key_value * wide / _samplers(config) / 1e9


def _vllm_weights(config: Config, shape: Shape) -> float:
    """GB of vLLM's own weights on each of its GPUs."""
    return shape.parameters * (4 if config.model.dtype == "float32" else 2) / config.vllm.tensor_parallel / 1e9


def _vllm_cache(config: Config, shape: Shape, gpu: Gpu) -> float:
    """GB that vLLM has for keys and values on each of its GPUs."""
    left = config.vllm.gpu_memory_share * gpu.memory_gb - _vllm_weights(config, shape)
    return max(0.0, min(left, config.vllm.cache_mb * 2**20 / 1e9) if config.vllm.cache_mb else left)


def _memory(config: Config, shape: Shape, gpu: Gpu, gpus: int) -> Memory:
    wide = 4 if config.model.dtype == "float32" else 2
    trained = trainable(config, shape)
    copies = wide == 2 and config.optimizer.master_weights and not config.lora.rank
    stepped = 4 if copies or config.lora.rank else wide
    moments = 2 * stepped if config.optimizer.moments == "full" else 2
    longest = config.model.max_prompt_tokens + config.model.max_response_tokens
    # A microbatch is no larger than its limit, or is one sequence.
    positions = max(config.update.tokens_per_microbatch, longest)
    kept = shape.layers * kept_a_position(shape, wide)
    if config.update.gradient_checkpointing:
        kept = shape.layers * shape.hidden * wide + kept_a_position(shape, wide)
    chunk = min(config.update.logits_chunk or positions, positions)
    head = 0 if config.lora.rank else 4 * shape.vocabulary * shape.hidden
    vllm, alone = config.model.engine == "vllm", gpus == 1
    copied = config.update.staleness or not (alone or vllm)
    cache, engine = config.model.batch * _cache(config, shape, longest), 0.0
    if vllm:
        elsewhere = bool(config.vllm.devices)
        cache = 0.0 if elsewhere else _vllm_cache(config, shape, gpu)
        engine = 0.0 if elsewhere else _vllm_weights(config, shape)
    a_layer = sum(inputs * outputs for inputs, outputs in shape.matrices)
    apart = shape.parameters - shape.layers * a_layer
    gb = 1e9
    return Memory(
        weights=0.0 if copies and not alone else shape.parameters * wide / gpus / gb,
        masters=trained * 4 / gpus / gb if copies else 0.0,
        gradients=trained * stepped / gpus / gb,
        moments=trained * moments / gpus / gb,
        activations=positions * kept / gb,
        logits=(16 * chunk * shape.vocabulary + head) / gb,
        kv_cache=cache,
        gathered=0.0 if alone else 2 * wide * (apart + 2 * a_layer) / gb,
        copy=shape.parameters * wide / gb if copied else 0.0,
        engine=engine,
        awake=engine + cache if vllm and not config.vllm.sleep else 0.0,
        together=config.update.staleness > 0,
    )


def kept_a_position(shape: Shape, wide: int) -> int:
    """Bytes that autograd keeps of one position in one layer, with attention that keeps no matrix of scores.

    Two norms: their input in float32, the normed vector, and what goes on (2 x (4 + 2 wide) hidden). Attention: queries
    and keys turned, values, and its result. Feed-forward: gate, its activation, the other half, and their product.
    """
    norms = 2 * (4 + 2 * wide) * shape.hidden
    attention = wide * (2 * shape.query + shape.key_value)
    if shape.normed:
        attention += (4 + wide) * (shape.query + shape.key_value // 2)
    return norms + attention + wide * 4 * shape.feed_forward


def _seconds(
    config: Config, shape: Shape, gpu: Gpu, gpus: int, *, sampled: int, prompts: int, trained: int, response: int
) -> Seconds:
    samplers = _samplers(config)
    operations_a_second = gpu.tflops * 1e12 * MFU
    bytes_a_second = gpu.terabytes_per_second * 1e12 * BANDWIDTH_SHARE * samplers
    wide = 4 if config.model.dtype == "float32" else 2
    prompt = min(MEAN_PROMPT, config.model.max_prompt_tokens)
    whole = prompt + response
    attention = 2 * shape.layers * shape.query * whole  # 2 products over half the positions, a token, forward
    forward = 2 * shape.multiplied + attention
    passes = 3 + config.update.gradient_checkpointing + bool(config.update.mismatch_cap)
    head = 2 * shape.vocabulary * shape.hidden * response if config.update.logits_chunk else 0
    update = trained * (passes * forward * whole + head) / (operations_a_second * gpus)
    operations_a_second *= samplers
    batch = min(config.model.batch, sampled)
    if config.model.engine == "vllm":
        batch = max(1, min(batch, int(_vllm_cache(config, shape, gpu) / _cache(config, shape, whole))))
    reads = shape.parameters * wide + batch * (prompt + response / 2) * shape.layers * shape.key_value * wide
    position = max(reads / bytes_a_second, batch * forward / operations_a_second)
    generate = math.ceil(sampled / batch) * response * position
    # The library's engine reads a prompt for each of its samples, and scores what it sampled in another pass.
    again = config.model.engine == "transformers"
    generate += (sampled if again else prompts) * prompt * forward / operations_a_second
    generate += sampled * whole * forward / operations_a_second if again else 0.0
    # What shares a GPU takes about the sum all the same: one works while the other waits for the GPU.
    together = config.update.staleness > 0 and bool(config.vllm.devices)
    return Seconds(generate=generate, update=update, together=together)
