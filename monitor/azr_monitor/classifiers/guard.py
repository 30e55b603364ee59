"""A generative guard model, such as a Llama Guard: a causal language model that answers "safe", or "unsafe" and codes.

    text ─► chat template ─► next token: P(unsafe) against P(safe) ─► "unsafe"
                                     │ where it would say unsafe
                                     └─► a few tokens more: "S1,S9" ─► the categories of those codes

The value of ``unsafe`` is a probability, read from the two words' own logits; it does not depend on what is sampled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.classifiers.encoder import libraries, token_windows
from azr_monitor.classifiers.hub import load_pretrained
from azr_monitor.sections import GuardSettings

UNSAFE = "unsafe"
_CODE = re.compile(r"\bS\d{1,2}\b")
_TEXT = "TheTextThatIsToBeJudged"
_CODE_TOKENS = 16
_MOST_TOKENS = 4096


class GuardClassifier:
    """A loaded guard model.

    Attributes:
        name: what its scores are called.
        categories: ``unsafe``, and what the policy calls the codes.
    """

    def __init__(self, settings: GuardSettings, model: Any, tokenizer: Any) -> None:
        """Wrap a causal model with a chat template.

        Raises:
            ClassifierUnavailable: the tokenizer has no chat template, or cannot tell the two words apart.
        """
        self.name = settings.name
        self.categories = tuple(dict.fromkeys((UNSAFE, *settings.codes.values())))
        self._settings = settings
        self._torch, _ = libraries()
        self._tokenizer = tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if not getattr(tokenizer, "chat_template", None):
            raise ClassifierUnavailable(f"{self.name} has no chat template", "use the guard model's own tokenizer")
        self._frame = self._framed()
        self._ahead, self._safe, self._unsafe = self._words(settings)
        positions = int(getattr(model.config, "max_position_embeddings", _MOST_TOKENS))
        self._room = min(_MOST_TOKENS, positions) - len(self._prompt("")) - _CODE_TOKENS - 8
        if self._room < 16:
            why = f"{self.name} reads {positions} tokens, too few for its own template"
            raise ClassifierUnavailable(why, "use a model that reads more")
        try:
            self._model = model.to(settings.device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ClassifierUnavailable(
                f"{self.name}: no device {settings.device!r} here", "set device: cpu in the policy"
            ) from error

    def windows(self, text: str) -> list[tuple[int, int]]:
        """Cover ``text`` with overlapping character ranges that each fit the model; ``[]`` for an empty text."""
        return token_windows(self._tokenizer, text, self._room)

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The probability that the model would call each text unsafe, and the same for each code it gives then."""
        scored: list[dict[str, float]] = []
        size = self._settings.batch_size
        for first in range(0, len(texts), size):
            scored.extend(self._batch(texts[first : first + size]))
        return scored

    def _batch(self, texts: Sequence[str]) -> list[dict[str, float]]:
        torch = self._torch
        prompts = [self._prompt(text) for text in texts]
        encoded = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._settings.device)
        with torch.inference_mode():
            logits = self._model(**encoded).logits[:, -1, [self._safe, self._unsafe]].float()  # (B, 2)
            unsafe = torch.softmax(logits, dim=-1)[:, 1].tolist()
        found = [dict.fromkeys(self.categories, 0.0) | {UNSAFE: float(value)} for value in unsafe]
        for prompt, values in zip(prompts, found, strict=True):
            if self._settings.codes and values[UNSAFE] >= 0.5:
                for code in self._codes(prompt):
                    category = self._settings.codes.get(code)
                    if category is not None:
                        values[category] = values[UNSAFE]
        return found

    def _codes(self, prompt: list[int]) -> set[str]:
        """The codes that the model gives after it has said unsafe, chosen greedily."""
        torch = self._torch
        start = torch.tensor([[*prompt, self._unsafe]], device=self._settings.device)
        with torch.inference_mode():
            answer = self._model.generate(
                start,
                attention_mask=torch.ones_like(start),
                max_new_tokens=_CODE_TOKENS,
                do_sample=False,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        return set(_CODE.findall(self._tokenizer.decode(answer[0, start.shape[1] :], skip_special_tokens=True)))

    def _prompt(self, text: str) -> list[int]:
        """The tokens that the model's verdict on ``text`` follows."""
        # Special tokens that the text writes out are letters here: it cannot end its own turn and begin another.
        own = self._tokenizer(text.strip(), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        prompt = [*self._frame[0]]
        for piece in self._frame[1:]:
            prompt += [*own, *piece]
        return [*prompt, *self._ahead]

    def _framed(self) -> list[list[int]]:
        """The tokens of the chat template around the text; it is rendered once, with a word of ours for the text."""
        rendered = self._tokenizer.apply_chat_template(
            [{"role": self._settings.role, "content": _TEXT}], tokenize=False, add_generation_prompt=True
        )
        pieces = rendered.split(_TEXT)
        if len(pieces) < 2:
            raise ClassifierUnavailable(f"{self.name}: its chat template leaves the text out", "use another tokenizer")
        return [self._tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces]

    def _words(self, settings: GuardSettings) -> tuple[list[int], int, int]:
        """The tokens that both answers begin with, and the first one in which each differs from the other."""
        safe, unsafe = (
            self._tokenizer(settings.before + word, add_special_tokens=False)["input_ids"]
            for word in (settings.safe, settings.unsafe)
        )
        for at, (left, right) in enumerate(zip(safe, unsafe, strict=False)):
            if left != right:
                return safe[:at], left, right
        why = f"{self.name} cannot tell {settings.safe!r} from {settings.unsafe!r}"
        raise ClassifierUnavailable(why, "mend safe: and unsafe: in the policy")


def load_guard(settings: GuardSettings, folder: str = "") -> GuardClassifier:
    """Load the guard model.

    Raises:
        ClassifierUnavailable: no transformers, or files that are missing or do not make a guard model.
    """
    model, tokenizer = load_pretrained(settings, folder, "AutoModelForCausalLM")
    return GuardClassifier(settings, model, tokenizer)
