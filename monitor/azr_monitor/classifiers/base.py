"""What a classifier is, and the two ways it can be missing: unavailable when asked for, failing when running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Classifier(Protocol):
    """Scores prose. Implementations load their weights when built, never on import."""

    name: str
    categories: tuple[str, ...]

    def windows(self, text: str) -> list[tuple[int, int]]:
        """Cover a text with half-open character ranges that each fit the model; ``[]`` for an empty text."""

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text every category's value in 0..1, in order; a long text's values are its windows' highest."""


class ClassifierUnavailable(RuntimeError):
    """A classifier cannot be loaded here. ``reason`` says why and ``remedy`` what would mend it, a line each."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
