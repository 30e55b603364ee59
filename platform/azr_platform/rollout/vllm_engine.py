"""Sampling with vLLM, in a process of its own: continuous batching, prefixes computed once, one GPU or several.

```
trainer                              sampling process (vllm_process), with its workers (vllm_worker)
  refresh ─ weights: a file in memory, or handles of GPU memory ─► reload_weights, prefix cache dropped
  generate ─ token ids, a seed for each sample ──────────────────► steps of the engine
       ready, progress ◄───────────────── samples as they finish
```
When that process dies, it is started again with the policy's weights, and what it had not finished is asked once more.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import torch

from azr_platform.config.schema import VllmConfig
from azr_platform.rollout.engine import Completion, Progress, Ready, decode_response, encode_prompt, end_tokens
from azr_platform.rollout.vllm_child import SAMPLER, SamplerDied, SamplingProcess
from azr_platform.rollout.vllm_messages import Draw, Load, Prompt, Rest, Sample, Sampled, Shared, Start
from azr_platform.rollout.weights import plain_weights, untied

GREEDY = 0.01
"""Temperatures below this are taken for 0; vLLM would raise them to it."""

_FORMATS = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
"""Names of number formats in a safetensors file."""


class VllmUnavailable(ValueError):
    """vLLM is not installed, or cannot be used like this; the text says what to do."""


def require_vllm() -> None:
    """Raises VllmUnavailable when there is no vLLM to import."""
    if find_spec("vllm") is None:
        raise VllmUnavailable(
            'model.engine = "vllm" needs vLLM: install azr-platform[vllm] (with CUDA), or set '
            'model.engine = "transformers"'
        )


class VllmEngine:
    """Samples from a copy of the policy that ``refresh`` renews.

    The trainer must not change the model between ``refresh`` and the end of the next ``generate``: a process that died
    takes its weights from it. ``log`` is where vLLM's output goes; without it to a
    temporary file, which stays only when something went wrong.

    Raises:
        VllmUnavailable: no vLLM here, or it does not start with this model and these settings.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch: int,
        max_prompt: int,
        max_tokens: int,
        temperature: float,
        chat: bool = False,
        settings: VllmConfig,
        log: Path | None = None,
        command: Sequence[str] = SAMPLER,
    ) -> None:
        require_vllm()
        self._tokenizer = tokenizer
        self._temperature = temperature
        self._chat = chat
        self._max_tokens = max_tokens
        self._end = end_tokens(model, tokenizer)
        positions = getattr(model.config, "max_position_embeddings", None) or max_prompt + max_tokens
        self._positions = min(max_prompt + max_tokens, positions)
        self._sampler = _Sampler(model, self._positions, batch, settings, log, command)

    def at(self, temperature: float) -> VllmEngine:
        """The same engine, in the same process, at another temperature."""
        other = copy.copy(self)
        other._temperature = temperature
        return other

    @property
    def pid(self) -> int:
        """Of the sampling process."""
        return self._sampler.pid

    def encode(self, prompt: str) -> list[int]:
        return encode_prompt(self._tokenizer, prompt, chat=self._chat)

    def refresh(self) -> None:
        self._sampler.refresh()

    def rest(self) -> None:
        self._sampler.rest()

    def close(self) -> None:
        self._sampler.close()

    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        """See ``Engine``.

        Raises:
            ValueError: a prompt leaves no room for a response.
            SamplerDied: twice in a row.
        """
        asked = [self._prompt(place, prompt, samples, seed) for place, prompt in enumerate(prompts)]
        results: list[list[Completion]] = [[] for _ in prompts]
        version = self._sampler.version

        def take(done: int, through: Sequence[tuple[int, list[Draw]]]) -> None:
            for place, draws in through:
                results[place] = [self._completion(draw, version) for draw in draws]
                if ready is not None:
                    ready(place, results[place])
            if progress is not None:
                progress(done, len(asked) * samples)

        temperature = self._temperature if self._temperature >= GREEDY else 0.0
        self._sampler.sample(asked, temperature, self._end, take)
        return results

    def _prompt(self, place: int, prompt: str, samples: int, seed: int) -> Prompt:
        tokens = self.encode(prompt)
        room = min(self._max_tokens, self._positions - len(tokens))
        if room < 1:
            raise ValueError(
                f"a prompt of {len(tokens)} tokens leaves no room in {self._positions} positions: "
                f"set model.max_prompt_tokens below that"
            )
        return Prompt(place, tokens, room, [_seed(seed, place, number) for number in range(samples)])

    def _completion(self, draw: Draw, version: int) -> Completion:
        finished = bool(draw.tokens) and draw.tokens[-1] in self._end
        text = decode_response(self._tokenizer, draw.tokens, self._end)
        return Completion(draw.tokens, draw.log_probs, text, finished, version)


class _Sampler:
    """The sampling process with the policy's weights in it, whichever process that is at the moment."""

    def __init__(
        self, model: Any, positions: int, batch: int, settings: VllmConfig, log: Path | None, command: Sequence[str]
    ) -> None:
        self._model = model
        self._settings = settings
        self._passing: Path | None = None  # a log that nobody asked for, kept only if somebody may want to read it
        self._command = command
        self._folder = tempfile.TemporaryDirectory(prefix="azr-vllm-")
        if log is None:
            handle, name = tempfile.mkstemp(prefix="azr-vllm-", suffix=".log")
            os.close(handle)
            log = self._passing = Path(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        # Anonymous memory: it needs no room in /dev/shm, and vanishes with the processes that hold it.
        self._weights = os.memfd_create("azr-weights", os.MFD_CLOEXEC)
        config = copy.deepcopy(model.config)
        config.architectures = config.architectures or [type(model).__name__]
        config.save_pretrained(self._folder.name)
        self._start = Start(
            folder=self._folder.name,
            dtype=str(model.dtype).removeprefix("torch.") if settings.dtype == "same" else settings.dtype,
            max_tokens=positions,
            sequences=batch,
            tensor_parallel=settings.tensor_parallel,
            gpu_memory_share=settings.gpu_memory_share,
            cache_mb=settings.cache_mb,
            sleeps=settings.sleep > 0,
            enforce_eager=settings.enforce_eager,
        )
        self.version = 0
        self._current = False  # whether the process has the policy's weights
        self._process: SamplingProcess | None = None
        try:
            self._ready()
        except BaseException as error:
            if not isinstance(error, SamplerDied):
                self.close()
                raise
            self._passing = None
            self.close()
            raise VllmUnavailable(f'model.engine = "vllm": {error}') from error

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def refresh(self) -> None:
        """Send the policy's weights, a new version of them."""
        self.version += 1
        self._current = False
        self._insist(lambda process: None)

    def rest(self) -> None:
        """Have it give memory back, if the settings say so."""
        level = self._settings.sleep
        if level:
            self._insist(lambda process: process.ask(Rest(level=level)))
            self._current = self._current and level == 1

    def sample(
        self,
        prompts: Sequence[Prompt],
        temperature: float,
        ends: list[int],
        take: Callable[[int, Sequence[tuple[int, list[Draw]]]], None],
    ) -> None:
        """Sample; ``take`` hears how many samples are done, and each prompt's once."""
        waiting = {prompt.place: prompt for prompt in prompts}
        done_before = 0

        def heard(sampled: Sampled) -> None:
            for place, _ in sampled.through:
                del waiting[place]
            take(done_before + sampled.done, sampled.through)

        def ask(process: SamplingProcess) -> None:
            nonlocal done_before
            done_before = sum(len(prompt.seeds) for prompt in prompts if prompt.place not in waiting)
            process.ask(Sample(prompts=list(waiting.values()), temperature=temperature, ends=ends), heard)

        if prompts:
            self._insist(ask)

    def close(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._weights >= 0:
            os.close(self._weights)
            self._weights = -1
        self._folder.cleanup()
        if self._passing is not None:
            self._passing.unlink(missing_ok=True)

    def _insist(self, act: Callable[[SamplingProcess], None]) -> None:
        """Act on a process that has the policy's weights; should it die, once more on another."""
        try:
            act(self._ready())
        except SamplerDied as error:
            self._process, self._current, self._passing = None, False, None
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{error}; it is started again\n")
            try:
                act(self._ready())
            except SamplerDied:
                self._process, self._current = None, False
                raise

    def _ready(self) -> SamplingProcess:
        if self._process is None:
            self._process = self._started()
        if not self._current:
            self._send_weights(self._process)
            self._current = True
        return self._process

    def _started(self) -> SamplingProcess:
        return SamplingProcess(
            self._command,
            self._start,
            weights=self._weights,
            log=self._log,
            devices=self._settings.devices,
            silence=self._settings.silence_seconds,
        )

    def _send_weights(self, process: SamplingProcess) -> None:
        weights = dict(_weights(self._model))
        if self._settings.transfer == "ipc":
            process.ask(Load(shared=tuple(_shared(name, tensor) for name, tensor in weights.items())))
            return
        try:
            with open(self._weights, "wb", closefd=False) as file:
                _write(file, weights)
            process.ask(Load())
        finally:
            os.ftruncate(self._weights, 0)
            os.lseek(self._weights, 0, os.SEEK_SET)


def _weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The policy's weights under the names that a checkpoint has them by; tied ones once."""
    for name, tensor in untied(plain_weights(model)).items():
        yield name, tensor.detach().contiguous()


def _write(file: BinaryIO, weights: Mapping[str, torch.Tensor]) -> None:
    """Weights as a safetensors file, one after the other: the library's own writer would hold them all twice, and
    can only write where it may make other files.

    Format: a length (8 bytes, little-endian), that much JSON, the tensors' bytes.
    """
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in weights.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _FORMATS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in weights.values():
        file.write(tensor.cpu().flatten().view(torch.uint8).numpy().data)


def _shared(name: str, tensor: torch.Tensor) -> Shared:
    """A weight's place in GPU memory, as ``torch.multiprocessing.reductions.reduce_tensor`` puts it."""
    if not tensor.is_cuda:
        raise VllmUnavailable(
            f'{name} is not on a GPU: vllm.transfer = "ipc" needs the model there; set it to "memory"'
        )
    storage = tensor._typed_storage()  # type: ignore[no-untyped-call]
    _, handle, size, offset, counter, counter_offset, event, event_sync = storage._share_cuda_()
    return Shared(
        name,
        str(torch.cuda.get_device_properties(tensor.device).uuid),
        str(tensor.dtype).removeprefix("torch."),
        list(tensor.shape),
        list(tensor.stride()),
        int(tensor.storage_offset()),
        handle,
        size,
        offset,
        counter,
        counter_offset,
        event,
        event_sync,
    )


def _seed(seed: int, place: int, number: int) -> int:
    """A sample's own seed: it does not matter what else is sampled, or in which order."""
    digest = blake2b(f"{seed}/{place}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
