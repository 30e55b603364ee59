"""The classifier of programs at work: one number for "hostile" from all that a syntax tree is made of.

It sees no meaning: only which calls, names and shapes hostile programs have more often than honest ones. The rules say
what a program does and stand by themselves; this one orders what they say nothing of, and adds to doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.classifiers import trained
from azr_monitor.classifiers.structure.features import ROWS, encode, features
from azr_monitor.rules.syntax import parsed
from azr_monitor.sections import StructureSettings

ANY: Final = "any"


class Weights(NamedTuple):
    """A small integer for each row of features, which ``scale`` makes a number of; ``slope`` and ``bias`` make a
    probability of their sum."""

    table: NDArray[np.int8]
    scale: float
    slope: float
    bias: float


class StructureClassifier:
    """Scores whole programs; what does not parse is not scored.

    Attributes:
        name: what its scores are called.
        categories: ``any``, for it does not say in what way a program is hostile.
    """

    name = "structure"
    categories: tuple[str, ...] = (ANY,)
    reads_programs = True

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def windows(self, text: str) -> list[tuple[int, int]]:
        """A program is read whole, or not at all."""
        return [(0, len(text))] if text.strip() else []

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The probability that each program is hostile; 0 for what does not parse."""
        return [{ANY: self._probability(text)} for text in texts]

    def place(self, text: str, category: str) -> tuple[int, int]:
        """The line whose features weigh most: where to look first."""
        try:
            found = list(features(parsed(text)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return 0, len(text)
        weights: dict[int, int] = {}
        for row, line in found:
            weights[line] = weights.get(line, 0) + int(self._weights.table[row])
        lines = text.splitlines(keepends=True)
        worst = max((line for line in weights if 0 < line <= len(lines)), key=lambda line: weights[line], default=0)
        if not worst:
            return 0, len(text)
        start = sum(map(len, lines[: worst - 1]))
        return start, start + len(lines[worst - 1].rstrip("\r\n"))

    def _probability(self, text: str) -> float:
        encoded = encode(text)
        if encoded is None:
            return 0.0
        weights = self._weights
        value = weights.scale * float(weights.table[encoded.rows].astype(np.float32) @ encoded.values)
        return float(1.0 / (1.0 + np.exp(-np.clip(weights.slope * value + weights.bias, -30.0, 30.0))))


# -- files ----------------------------------------------------------------------------------------------


def load_structure(settings: StructureSettings, folder: str = "") -> StructureClassifier:
    """Load the shipped weights, or those in the policy's ``path:``; relative paths begin at ``folder``.

    Raises:
        ClassifierUnavailable: the weights are missing, damaged, or of another version.
    """
    if settings.path is None:
        return StructureClassifier(read_weights(Path(__file__).with_name("weights")))
    return StructureClassifier(read_weights(Path(folder, Path(settings.path).expanduser())))


def read_weights(folder: Path) -> Weights:
    """The weights in ``folder``, checked against what their card says of them.

    Raises:
        ClassifierUnavailable: as for ``load_structure``.
    """
    return trained.load(folder, "azr_monitor.classifiers.structure.train", _unpacked)


def _unpacked(card: Mapping[str, Any], tensors: trained.Tensors) -> Weights:
    weights = Weights(tensors["table"], float(card["scale"]), float(card["slope"]), float(card["bias"]))
    numbers = (weights.scale, weights.slope, weights.bias)
    fits = weights.table.shape == (ROWS,) and weights.table.dtype == np.int8
    if not fits or not np.isfinite(numbers).all() or weights.slope <= 0:
        raise ValueError("they are of another version")
    return weights
