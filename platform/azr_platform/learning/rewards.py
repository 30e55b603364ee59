"""Rewards of self-play (arXiv 2505.03335, section 3.2, equations 4 to 6). Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Sequence


def learnability(successes: Sequence[bool]) -> float:
    """A proposal's worth from its n solver samples: 1 - mean success, and 0 when always or never solved (eq. 4).

    Raises:
        ValueError: no samples.
    """
    if not successes:
        raise ValueError("learnability needs at least one solver sample")
    mean = sum(successes) / len(successes)
    return 1.0 - mean if 0.0 < mean < 1.0 else 0.0


def accuracy(correct: bool) -> float:
    """A solver's reward before the format term (eq. 5)."""
    return 1.0 if correct else 0.0


def composite(worth: float, *, acceptable: bool, wrong: float = -0.5, malformed: float = -1.0) -> float:
    """The format-aware reward of both roles (eq. 6).

    Args:
        worth: learnability or accuracy, at least 0.
        acceptable: the response has the right format and, for a proposal, the program is valid.
    """
    if not acceptable:
        return malformed
    return worth if worth > 0 else wrong
