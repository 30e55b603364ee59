"""The words, symbols and number formats of the dashboard. Colour never carries a meaning alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from azr_monitor.records import Action, Severity
from azr_platform.records import Kind

KIND_LETTERS = {
    Kind.DEDUCTION: "D",
    Kind.ABDUCTION: "A",
    Kind.INDUCTION: "I",
    Kind.QUESTION: "Q",
    Kind.ERROR: "E",
}
# Names of terminal colours; each theme says what they look like, told apart by readers with any colour vision.
KIND_STYLES = {
    Kind.DEDUCTION: "bright_blue",
    Kind.ABDUCTION: "bright_yellow",
    Kind.INDUCTION: "bright_green",
    Kind.QUESTION: "bright_magenta",
    Kind.ERROR: "bright_cyan",
}

_STATES = {
    "starting": "◌",
    "running": "●",
    "pausing": "◐",
    "paused": "‖",
    "rolling back": "↺",
    "stopping": "◐",
    "stopped": "■",
    "finished": "✔",
    "failed": "✖",
    "interrupted": "✖",
}
_SEVERITIES = {
    Severity.INFO: "·",
    Severity.LOW: "▽",
    Severity.MEDIUM: "◇",
    Severity.HIGH: "△",
    Severity.CRITICAL: "▲",
}
_BARS = "▁▂▃▄▅▆▇█"


def state_label(state: str) -> str:
    """``● running``: a symbol and the word."""
    return f"{_STATES.get(state, '?')} {state}"


def state_class(state: str) -> str:
    """The style class of a state: good, busy, done or bad."""
    if state == "running":
        return "good"
    if state in ("failed", "interrupted"):
        return "bad"
    return "done" if state in ("finished", "stopped") else "busy"


def severity_label(severity: int | None) -> str:
    """``▲ critical``; a number that is no severity is shown as it is."""
    if severity is None:
        return "-"
    try:
        known = Severity(severity)
    except ValueError:
        return f"? {severity}"
    return f"{_SEVERITIES[known]} {known.label}"


def severity_style(severity: int) -> str:
    """Colour of a severity; its symbol and word say the same."""
    if severity >= Severity.CRITICAL:
        return "bold red"
    if severity >= Severity.HIGH:
        return "red"
    return "yellow" if severity == Severity.MEDIUM else ""


def action_label(action: int | None) -> str:
    """``drop``: what the policy did."""
    try:
        return Action(action).label if action is not None else "-"
    except ValueError:
        return f"? {action}"


def duration(seconds: float) -> str:
    """Two leading units: ``45s``, ``3m 05s``, ``2h 14m``, ``3d 02h``."""
    if not math.isfinite(seconds) or seconds < 0:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def age(then: float, now: float) -> str:
    """How long ago, in one unit: ``12s``, ``4m``, ``2h``, ``3d``."""
    seconds = max(0, int(now - then))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def number(value: float | None, *, signed: bool = False) -> str:
    """A metric in at most 8 columns: three or four significant digits, large and tiny ones as powers."""
    if value is None or not math.isfinite(value):
        return "-"
    sign = "+" if signed else ""
    size = abs(value)
    if size != 0 and (size < 1e-3 or size >= 1e6):
        return f"{value:{sign}.1e}"
    if size >= 1000 or (not signed and value == int(value)):
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.3f}" if size < 1 else f"{value:{sign}.2f}"


def short(value: float | None) -> str:
    """A metric in at most 6 columns, for captions and axes: ``0.42``, ``-1.3``, ``212``, ``5.2k``, ``1.5e-6``."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size != 0 and (size < 0.005 or size >= 999_500):
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(power)}"
    if size >= 999.5:
        return f"{value / 1000:.{1 if size < 99_950 else 0}f}".removesuffix(".0") + "k"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def percent(share: float | None) -> str:
    """``62%``; small shares keep one digit (``0.3%``)."""
    if share is None or not math.isfinite(share):
        return "-"
    return f"{share * 100:.1f}%" if 0 < share < 0.0995 else f"{share * 100:.0f}%"


def count(amount: int, thing: str) -> str:
    """``1 alert``, ``2 alerts``."""
    return f"{amount:,} {thing}" if amount == 1 else f"{amount:,} {thing}s"


def sparkline(values: Sequence[float], width: int) -> str:
    """The values as ``width`` bars at most, oldest first; each bar is the mean of its share of them."""
    if not values or width <= 0:
        return ""
    shown = buckets(values, width)
    low, high = min(shown), max(shown)
    if high == low:
        return _BARS[3] * len(shown)
    return "".join(_BARS[min(7, int((value - low) / (high - low) * 8))] for value in shown)


def buckets(values: Sequence[float], most: int) -> list[float]:
    """At most ``most`` means over equal stretches of ``values``."""
    size = len(values)
    if size <= most:
        return list(values)
    edges = [index * size // most for index in range(most + 1)]
    return [sum(values[left:right]) / (right - left) for left, right in pairwise(edges)]


def meter(share: float, width: int) -> str:
    """A bar of ``width`` cells that is full at 1."""
    full = round(max(0.0, min(1.0, share)) * width)
    return "█" * full + "░" * (width - full)
