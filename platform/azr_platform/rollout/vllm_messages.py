"""Every message between the trainer and the process that samples for it with vLLM.

```
trainer ─ Start, Load, Rest, Sample ─► sampling process
trainer ◄─ Done, Sampled, Failed ───── sampling process
```
``Done`` answers each; ``Sample`` has ``Sampled`` before it, as often as something is finished and at least every few
seconds, so that a process that is stuck can be told from one that works. After ``Failed`` the process ends.
"""

from __future__ import annotations

import msgspec

from azr_platform.channel.messages import Message


class Start(Message, frozen=True, kw_only=True):
    """Make an engine for the model whose ``config.json`` lies in ``folder``; its weights come with ``Load``.

    ``cache_mb`` (MiB) of keys and values, or with 0 what ``gpu_memory_share`` leaves beside the weights.
    """

    folder: str
    dtype: str
    max_tokens: int
    sequences: int
    tensor_parallel: int
    gpu_memory_share: float
    cache_mb: int
    sleeps: bool
    enforce_eager: bool


class Shared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One weight in the memory of a GPU that both processes see: CUDA's handle and what it points at, in the order of
    torch's ``rebuild_cuda_tensor``. Sizes and offsets in elements or, of the storage, in bytes."""

    name: str
    gpu: str
    """The GPU's UUID."""
    dtype: str
    shape: list[int]
    stride: list[int]
    offset: int
    handle: bytes
    storage_bytes: int
    storage_offset: int
    counter: bytes
    counter_offset: int
    event: bytes
    event_sync: bool


class Load(Message, frozen=True, kw_only=True):
    """Take these weights; without any, those in the file that both processes hold open."""

    shared: tuple[Shared, ...] = ()


class Rest(Message, frozen=True, kw_only=True):
    """Give memory back until the next ``Load`` or ``Sample``: at level 1 the weights are kept outside the GPU, at
    level 2 nothing is, and a ``Load`` must follow."""

    level: int


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """What to sample from; ``seeds`` has one for each sample, ``room`` is the most tokens a sample may have."""

    place: int
    tokens: list[int]
    room: int
    seeds: list[int]


class Sample(Message, frozen=True, kw_only=True):
    """Sample every prompt; a sample ends with a token of ``ends``. Temperature 0 takes the likeliest token."""

    prompts: list[Prompt]
    temperature: float
    ends: list[int]


class Draw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One sample: its tokens and their log-probabilities under what they were sampled from."""

    tokens: list[int]
    log_probs: list[float]


class Sampled(Message, frozen=True, kw_only=True):
    """How many samples are done, and the prompts, by place, that are through since the last message."""

    done: int
    through: list[tuple[int, list[Draw]]]


class Done(Message, frozen=True):
    """What was asked is done."""


class Failed(Message, frozen=True, kw_only=True):
    """The last word of a process that cannot go on."""

    error: str


Asked = Start | Load | Rest | Sample
Answered = Done | Sampled | Failed
