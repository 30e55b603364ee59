"""What the metrics of a run are called on screen, in which unit they are, and in which order they come.

The ledger's own names are in `azr_platform.trainer.metrics`; one that is not known here keeps its name."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from azr_platform.records import Kind
from azr_tui import wording
from azr_tui.escape import visible_line


class Metric(NamedTuple):
    """``label`` without the parts of the name that a star stands for; ``share``: a percentage."""

    pattern: str
    label: str
    unit: str = ""
    share: bool = False
    floor: float | None = None
    ceiling: float | None = None


# In the order in which they are listed.
KNOWN: tuple[Metric, ...] = (
    Metric("reward/*", "reward", "mean of a step"),
    Metric("solve_rate/*", "solve rate", "of answers", share=True, floor=0, ceiling=1),
    Metric("valid_rate/*", "valid", "of proposals", share=True, floor=0, ceiling=1),
    Metric("learnability/*", "learnability", "mean of a step", floor=0),
    Metric("format_rate/*", "well formed", "of responses", share=True, floor=0, ceiling=1),
    Metric("loss", "loss"),
    Metric("entropy", "entropy", "nats", floor=0),
    Metric("approx_kl", "KL", "nats"),
    Metric("clip_fraction", "clipped", "of tokens", share=True, floor=0),
    Metric("ratio_max", "largest ratio", floor=1),
    Metric("grad_norm", "gradient", "norm", floor=0),
    Metric("learning_rate", "learning rate"),
    Metric("response_length/*", "response length", "tokens", floor=0),
    Metric("tokens_per_second", "speed", "tokens/s", floor=0),
    Metric("samples", "samples", "a step", floor=0),
    Metric("trained", "trained", "a step", floor=0),
    Metric("blocked", "blocked", "a step", floor=0),
    Metric("repeats", "repeats", "a step", floor=0),
    Metric("difficulty/*", "solved", "tasks", floor=0),
    Metric("buffer/*", "buffer", "tasks", floor=0),
    Metric("idle", "idle", "of the time", share=True, floor=0, ceiling=1),
    Metric("gpu/utilization", "GPU", "of the time", share=True, floor=0, ceiling=1),
    Metric("gpu/memory", "GPU memory", "of it", share=True, floor=0, ceiling=1),
    Metric("load/cpu", "processors", "busy", share=True, floor=0, ceiling=1),
    Metric("load/memory", "memory", "in use", share=True, floor=0, ceiling=1),
    Metric("load/memory/*", "memory", "MiB", floor=0),
    Metric("load/programs", "programs run", "a step", floor=0),
    Metric("load/programs_per_second", "jail", "programs/s", floor=0),
    Metric("load/waiting/*", "most waiting", "at once", floor=0),
    Metric("seconds/*", "time", "s", floor=0),
    Metric("oversight/blocked", "share blocked", "of samples", share=True, floor=0),
    Metric("oversight/violations", "violations", "a step", floor=0),
    Metric("oversight/findings/*", "findings", "of samples", share=True, floor=0),
    Metric("signal/*", "signal", floor=0),
    Metric("drift/*", "drift", floor=0),
    Metric("health/*", "proposals", floor=0),
    Metric("probe/*", "probe"),
    Metric("staleness/*", "staleness", "updates", floor=0),
    Metric("mismatch/*", "mismatch", "nats"),
    Metric("update/*", "update"),
)

_TAILS = (*(kind.value for kind in Kind), "mean", "min", "max")


def known(name: str) -> Metric:
    """What is known of a metric; its own name where nothing is."""
    return KNOWN[place] if (place := _place(name)) < len(KNOWN) else Metric(name, name)


@lru_cache(maxsize=4096)
def label(name: str, *, unit: bool = False) -> str:
    """``reward propose deduction``, with its unit ``KL (nats)``; safe to show."""
    metric = known(name)
    parts = [metric.label, *_rest(name, metric)]
    words = visible_line(" ".join(parts), 60)
    return f"{words} ({metric.unit})" if unit and metric.unit else words


def ordered(names: Iterable[str]) -> list[str]:
    """As they are listed: by subject, strangers last."""
    return sorted(names, key=lambda name: (_place(name), *_within(name)))


def told(name: str, value: float | None) -> str:
    """A value in the metric's way of writing."""
    return wording.percent(value) if known(name).share else wording.number(value)


@lru_cache(maxsize=4096)
def _place(name: str) -> int:
    exact = (place for place, metric in enumerate(KNOWN) if metric.pattern == name)  # before any pattern
    whole = name if "/" in name else f"{name}/"
    alike = (place for place, metric in enumerate(KNOWN) if fnmatchcase(whole, metric.pattern))
    return next(exact, next(alike, len(KNOWN)))


def _rest(name: str, metric: Metric) -> list[str]:
    """The parts of the name that the label does not say."""
    stem = metric.pattern.removesuffix("*").rstrip("/")
    return [part for part in name.removeprefix(stem).split("/") if part] if metric.pattern.endswith("*") else []


def _within(name: str) -> tuple[str, int, str]:
    """The order of names on the same subject: numbers by size, kinds as they are, a mean before its bounds."""
    stem, _, tail = name.rpartition("/")
    if tail.isascii() and tail.isdigit() and len(tail) < 9:
        return stem, int(tail), ""
    return stem, _TAILS.index(tail) if tail in _TAILS else len(_TAILS), name
