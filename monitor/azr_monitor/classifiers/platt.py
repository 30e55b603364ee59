"""What a classifier's values mean as probabilities, learnt from texts that it was not trained on (Platt, 1999)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_STIFFNESS: Final = 1e-4
"""How little slope and bias are held back towards 1 and 0: only so far that one label's lack is no division by zero."""


def logistic(values: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + exp(-value)), with values cut off at ±30."""
    likely: NDArray[Any] = 1.0 / (1.0 + np.exp(-np.clip(values, -30, 30)))
    return likely


def platt(values: NDArray[np.float64], harmful: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and bias that make values probabilities, by bounded Newton steps, both classes weighing the same."""
    weight = np.where(harmful, 0.5 / max(1, harmful.sum()), 0.5 / max(1, (~harmful).sum()))
    design = np.stack([values, np.ones_like(values)], axis=1)
    prior = np.array([1.0, 0.0])
    found = prior
    for _ in range(200):
        slope = design.T @ (weight * (logistic(design @ found) - harmful)) + _STIFFNESS * (found - prior)
        # At most a quarter of the design's own size: with this bound no step goes too far (Böhning, 1992).
        curvature = (design * (0.25 * weight)[:, None]).T @ design + _STIFFNESS * np.eye(2)
        found = found - np.linalg.solve(curvature, slope)
    return float(found[0]), float(found[1])
