"""What a sampling engine is. The loop knows engines only through this protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

Progress = Callable[[int, int], None]
"""Called with (sequences done, sequences in all) while sampling."""
Ready = Callable[[int, list["Completion"]], None]
"""Called with (a prompt's place, its samples) once, as soon as they are all there, while others are sampled."""


class Completion(msgspec.Struct, frozen=True):
    """One sampled response.

    ``tokens`` are the response's, with the end token if it was ``finished``; ``log_probs`` (natural log, one a
    token) are of the distribution sampled from, temperature included. ``version`` counts the engine's refreshes before
    it was sampled.
    """

    tokens: list[int]
    log_probs: list[float]
    text: str
    finished: bool
    version: int = 0


class Engine(Protocol):
    """Samples from the policy as it was at the last ``refresh``."""

    def encode(self, prompt: str) -> list[int]:
        """The tokens that a prompt becomes."""
        ...

    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        """``samples`` completions of each prompt, in the prompts' order; the same seed gives the same ones, and makes
        them ``ready`` in the same order."""
        ...

    def rest(self) -> None:
        """Nothing is sampled until the next ``refresh`` or ``generate``: give back what memory can be given back."""
        ...

    def refresh(self) -> None:
        """Take over the policy's weights after an update."""
        ...

    def close(self) -> None:
        """End what the engine holds: processes, memory. It is not used again."""
        ...


def encode_prompt(tokenizer: Any, prompt: str, *, chat: bool) -> list[int]:
    """Prompt text to tokens: through the chat template, or plain with the begin token where there is one.

    A prompt quotes text that a model wrote; where it spells out a special token (``<eos>``), plain encoding keeps
    it text. A chat template cannot tell such text from its own tokens.
    """
    if chat:
        message = [{"role": "user", "content": prompt}]
        return list(tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False))
    tokens = list(tokenizer(prompt, split_special_tokens=True)["input_ids"])
    begin = tokenizer.bos_token_id
    if begin is not None and tokens[:1] != [begin]:
        tokens.insert(0, begin)
    if tokens[-1:] == [tokenizer.eos_token_id]:
        tokens.pop()
    return tokens


def decode_response(tokenizer: Any, tokens: Sequence[int], end_tokens: Sequence[int]) -> str:
    """Response tokens to text; the end token is not part of it, every other token is shown."""
    kept = list(tokens)
    if kept and kept[-1] in end_tokens:
        kept.pop()
    return str(tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a response, from the generation config and the tokenizer."""
    configured = model.generation_config.eos_token_id
    found = configured if isinstance(configured, list) else [configured, tokenizer.eos_token_id]
    return sorted({int(token) for token in found if token is not None})
