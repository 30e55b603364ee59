"""Chosen responses for chosen prompts: how tests, and people who check a policy, put words into the model's mouth.

Everything after sampling is real: the responses go through the supervisor, and the update computes their
log-probabilities with the real model.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from azr_platform.rollout.engine import Completion, Engine, Progress, Ready
from azr_platform.rollout.scoring import Pair, score


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts that contain ``match`` are answered with ``responses`` in turn, from the first in each call."""

    match: str
    responses: Annotated[list[str], msgspec.Meta(min_length=1)]


class ScriptError(Exception):
    """The script file cannot be used."""


def read_script(path: Path) -> list[Line]:
    """Raises ScriptError when the file is missing or not a list of {"match", "responses"}."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Line])
    except OSError as error:
        raise ScriptError(f"{path}: the engine's script cannot be read ({error.strerror}).") from error
    except (msgspec.DecodeError, json.JSONDecodeError) as error:
        raise ScriptError(f'{path}: not a list of {{"match", "responses"}}: {error}.') from error


class ScriptedEngine:
    """Answers from a script; a prompt that no line matches goes to the engine behind it."""

    def __init__(self, script: Sequence[Line], behind: Engine, model: Any, tokenizer: Any, temperature: float) -> None:
        self._script = script
        self._behind = behind
        self._model = model
        self._tokenizer = tokenizer
        self._temperature = temperature
        self._version = 0

    def encode(self, prompt: str) -> list[int]:
        return self._behind.encode(prompt)

    def rest(self) -> None:
        self._behind.rest()

    def refresh(self) -> None:
        self._behind.refresh()
        self._version += 1

    def close(self) -> None:
        self._behind.close()

    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        results: list[list[Completion]] = [[] for _ in prompts]
        unmatched: list[int] = []
        turns = [itertools.cycle(line.responses) for line in self._script]
        for index, prompt in enumerate(prompts):
            number = next((i for i, line in enumerate(self._script) if line.match in prompt), None)
            if number is None:
                unmatched.append(index)
            else:
                results[index] = [self._say(prompt, next(turns[number])) for _ in range(samples)]
                if ready is not None:
                    ready(index, results[index])
        if unmatched:
            sampled = self._behind.generate(
                [prompts[index] for index in unmatched],
                samples=samples,
                seed=seed,
                progress=progress,
                ready=None if ready is None else lambda place, completions: ready(unmatched[place], completions),
            )
            for index, completions in zip(unmatched, sampled, strict=True):
                results[index] = completions
        return results

    def _say(self, prompt: str, text: str) -> Completion:
        tokens = [*self._tokenizer(text, add_special_tokens=False)["input_ids"], self._tokenizer.eos_token_id]
        (log_probs,) = score(self._model, [Pair(self.encode(prompt), tokens)], self._temperature)
        return Completion(tokens, log_probs, text, finished=True, version=self._version)
