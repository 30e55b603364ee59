"""What of a step's metrics may leave: names that no model made up.

A name is a text too, and one of them may be a model's: ``health/values/TYPE`` of an error task is the class that a
model's program raises.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping

_PART = r"[A-Za-z0-9_.+-]{1,40}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,3}}", re.ASCII)
_TYPES = "health/values/"
_KNOWN_TYPES = {name for name, value in vars(builtins).items() if isinstance(value, type)}
_KNOWN_TYPES |= {"NoneType", "NoError", "text", "largest"}


def leaving(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that sinks are told. Types that are not Python's own are added up as ``health/values/other``; what is
    not named as metrics are is left out."""
    told: dict[str, float] = {}
    for name, value in metrics.items():
        if name.startswith(_TYPES) and name.removeprefix(_TYPES) not in _KNOWN_TYPES:
            told[f"{_TYPES}other"] = told.get(f"{_TYPES}other", 0.0) + value
        elif _NAME.fullmatch(name):
            told[name] = value
    return told
