"""Run a sequence classifier over long texts: windows by its own tokenizer, batches, one value a label in 0..1."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from azr_monitor.classifiers.base import ClassifierUnavailable

INSTALL = "install the training extra: pip install 'azr-platform[train]'"
_OVERLAP = 32
_MAX_TOKENS = 512


def libraries() -> tuple[Any, Any]:
    """torch and transformers, imported now.

    Raises:
        ClassifierUnavailable: either is not installed.
    """
    # Hub clients read this once, on import: a monitor must not phone home about the run.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module("torch"), importlib.import_module("transformers")
    except ImportError as error:
        raise ClassifierUnavailable(f"{error.name or 'torch'} is not installed", INSTALL) from error


def resolve(path: str, folder: str) -> Path:
    """A path of a policy: absolute, or relative to the policy's own folder; ``~`` is understood."""
    return Path(folder, Path(path).expanduser())


class EncoderClassifier:
    """A loaded Hugging Face sequence classifier.

    Attributes:
        name: what its scores are called.
        categories: one for each output of the model, in its order.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        categories: Sequence[str],
        *,
        multi_label: bool,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> None:
        """Wrap a model with L outputs, ``len(categories) == L``.

        Raises:
            ClassifierUnavailable: the tokenizer, the categories and the model do not fit together.
        """
        self.name = name
        self.categories = tuple(categories)
        self._torch, _ = libraries()
        self._multi_label = multi_label
        self._batch_size = batch_size
        self._tokenizer = tokenizer
        limit = min(_MAX_TOKENS, int(getattr(model.config, "max_position_embeddings", _MAX_TOKENS)))
        # RoBERTa's positions begin after the padding index, which costs it two of them.
        if str(getattr(model.config, "model_type", "")) in ("roberta", "xlm-roberta", "camembert"):
            limit -= 2
        tokenizer.model_max_length = limit
        self._limit = limit
        # A slice may be split into a few more tokens than it was part of; the margin keeps windows whole.
        self._room = max(4, limit - int(tokenizer.num_special_tokens_to_add()) - 8)
        outputs = int(model.config.num_labels)
        if outputs != len(self.categories):
            raise ClassifierUnavailable(
                f"{name} has {outputs} outputs and {len(self.categories)} categories",
                "use a matching checkpoint and config",
            )
        if len(tokenizer) > int(model.config.vocab_size):
            raise ClassifierUnavailable(
                f"{name}: the tokenizer knows {len(tokenizer)} tokens, the model {model.config.vocab_size}",
                "use the tokenizer the model was trained with",
            )
        try:
            self._model = model.to(device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ClassifierUnavailable(
                f"{name}: no device {device!r} here", "set device: cpu in the policy"
            ) from error
        self._device = device

    def windows(self, text: str) -> list[tuple[int, int]]:
        """Cover ``text`` with overlapping character ranges that each fit the model; ``[]`` for an empty text."""
        return token_windows(self._tokenizer, text, self._room)

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Every category's value for each text, the highest over its windows; zeros for an empty text."""
        pieces: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for start, end in self.windows(text):
                pieces.append(text[start:end])
                owners.append(owner)
        best = [dict.fromkeys(self.categories, 0.0) for _ in texts]
        # Like lengths together, so short texts are not padded to the longest of the batch.
        order = sorted(range(len(pieces)), key=lambda at: len(pieces[at]))
        for first in range(0, len(order), self._batch_size):
            batch = order[first : first + self._batch_size]
            for at, row in zip(batch, self._values([pieces[at] for at in batch]), strict=True):
                mine = best[owners[at]]
                for category, value in zip(self.categories, row, strict=True):
                    if value != value:
                        raise FloatingPointError(f"{self.name} gave NaN for {category}")
                    mine[category] = max(mine[category], value)
        return best

    def _values(self, texts: list[str]) -> list[list[float]]:
        """B texts -> B rows of L values in 0..1."""
        torch = self._torch
        with torch.inference_mode():
            encoded = self._tokenizer(
                texts,
                return_tensors="pt",
                truncation=True,
                max_length=self._limit,
                padding=True,
                split_special_tokens=True,
            ).to(self._device)
            logits = self._model(**encoded).logits.float()  # (B, L)
            values = torch.sigmoid(logits) if self._multi_label else torch.softmax(logits, dim=-1)
            rows: list[list[float]] = values.cpu().tolist()
            return rows


def token_windows(tokenizer: Any, text: str, room: int) -> list[tuple[int, int]]:
    """Cover ``text`` with overlapping character ranges of at most ``room`` tokens; ``[]`` for an empty text.

    Special tokens that the text writes out count as the letters they are, here and when it is scored.
    """
    if not text.strip():
        return []
    if not getattr(tokenizer, "is_fast", False):
        # Without offsets, one character makes at most one token of any vocabulary in use here.
        places = [(at, at + 1) for at in range(len(text))]
    else:
        encoded = tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            truncation=False,
            verbose=False,
        )
        places = [(int(start), int(end)) for start, end in encoded["offset_mapping"]]
    if len(places) <= room:
        return [(0, len(text))]
    step = max(1, room - _OVERLAP)
    ranges: list[tuple[int, int]] = []
    for first in range(0, len(places), step):
        last = min(first + room, len(places)) - 1
        start = 0 if first == 0 else places[first][0]
        end = len(text) if last == len(places) - 1 else places[last][1]
        ranges.append((start, max(start + 1, end)))
        if last == len(places) - 1:
            break
    return ranges
