"""Sampling with Hugging Face ``generate``: any causal LM, any device, no special speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from azr_platform.rollout.engine import Completion, Progress, Ready, decode_response, encode_prompt, end_tokens
from azr_platform.rollout.scoring import Pair, score


class TransformersEngine:
    """Left-padded batches through ``model.generate``; log-probabilities from one scoring pass afterwards,
    so that they are the learner's own and no mismatch between sampler and learner can arise."""

    def __init__(
        self, model: Any, tokenizer: Any, *, batch: int, max_tokens: int, temperature: float, chat: bool = False
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._chat = chat
        self._end = end_tokens(model, tokenizer)
        self._version = 0

    def encode(self, prompt: str) -> list[int]:
        return encode_prompt(self._tokenizer, prompt, chat=self._chat)

    def rest(self) -> None:
        """It holds nothing between two batches."""

    def refresh(self) -> None:
        """Only to count: it samples from the very weights that train."""
        self._version += 1

    def close(self) -> None:
        """It holds nothing of its own."""

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        encoded = [self.encode(prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda index: (len(encoded[index]), index))
        results: list[list[Completion]] = [[] for _ in prompts]
        group_size = max(1, self._batch // samples)
        self._model.eval()
        for number, start in enumerate(range(0, len(order), group_size)):
            group = order[start : start + group_size]
            responses = self._sample([encoded[index] for index in group], samples, seed + number)
            pairs = [
                Pair(encoded[index], response)
                for index, answers in zip(group, responses, strict=True)
                for response in answers
            ]
            scores = iter(score(self._model, pairs, self._temperature))
            for index, answers in zip(group, responses, strict=True):
                results[index] = [self._completion(tokens, next(scores)) for tokens in answers]
                if ready is not None:
                    ready(index, results[index])
            if progress is not None:
                progress(min(start + group_size, len(order)) * samples, len(order) * samples)
        return results

    def _sample(self, prompts: Sequence[Sequence[int]], samples: int, seed: int) -> list[list[list[int]]]:
        longest = max(len(prompt) for prompt in prompts)
        pad = self._end[0]
        tokens = torch.full((len(prompts), longest), pad)
        mask = torch.zeros_like(tokens)
        for row, prompt in enumerate(prompts):
            tokens[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        device = next(self._model.parameters()).device
        plain = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=True,
            temperature=self._temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=samples,
            max_new_tokens=self._max_tokens,
            eos_token_id=self._end,
            pad_token_id=pad,
        )
        # What a model's own settings add (penalties, cut-offs) would make it sample what it is not scored by.
        own, self._model.generation_config = self._model.generation_config, plain
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                output = self._model.generate(input_ids=tokens.to(device), attention_mask=mask.to(device))
        finally:
            self._model.generation_config = own
        rows = [self._cut(row) for row in output[:, longest:].tolist()]
        return [rows[start : start + samples] for start in range(0, len(rows), samples)]

    def _cut(self, tokens: list[int]) -> list[int]:
        """The response up to and with its first end token."""
        for place, token in enumerate(tokens):
            if token in self._end:
                return tokens[: place + 1]
        return tokens

    def _completion(self, tokens: list[int], log_probs: list[float]) -> Completion:
        finished = bool(tokens) and tokens[-1] in self._end
        text = decode_response(self._tokenizer, tokens, self._end)
        return Completion(tokens, log_probs, text, finished, self._version)
