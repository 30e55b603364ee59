"""Blocks of figures for the overview: how hard tasks are, where a step's time goes, what the machine does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from azr_tui import metric_names, wording
from azr_tui.escape import visible_line
from azr_tui.view import Snapshot

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_SECONDS, _SUPERVISOR, _DIFFICULTY = "seconds/", "seconds/supervisor/", "difficulty/"
VITALS = (
    ("entropy", "entropy"),
    ("approx_kl", "KL"),
    ("clip_fraction", "clipped"),
    ("ratio_max", "ratio"),
    ("grad_norm", "gradient"),
    ("response_length/mean", "length"),
)
# A line each: (metric, what stands after its value).
MACHINE = (
    (("tokens_per_second", "tokens/s"), ("load/programs_per_second", "programs/s")),
    (("load/waiting/reviews", "samples"), ("load/waiting/programs", "programs waiting, at most")),
    (("load/cpu", "processors"), ("load/memory", "memory"), ("idle", "idle")),
    (("gpu/utilization", "GPU"), ("gpu/memory", "GPU memory")),
    (("load/memory/trainer", "MiB trainer"), ("load/memory/supervisor", "MiB supervisor")),
)


def newest(snapshot: Snapshot) -> dict[str, float]:
    """The newest step's metrics that are numbers."""
    return {name: value for name, value in snapshot.summary.metrics.items() if value is not None}


def vitals_line(snapshot: Snapshot) -> Text:
    """The update's figures on one line."""
    values = newest(snapshot)
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, said in VITALS:
        if name in values:
            text.append("  " if text.plain else "").append(f"{said} ", style="dim")
            text.append(metric_names.told(name, values[name]), style="bold")
    return text


def difficulty(snapshot: Snapshot, width: int, height: int) -> Text:
    """How many of the newest step's tasks were solved how often, as upright bars with their numbers."""
    counts = by_successes(newest(snapshot))
    if not counts:
        return heading("Difficulty", "no task was tried yet")
    tries = max(counts)
    bars = [counts.get(successes, 0.0) for successes in range(tries + 1)]
    cell = max(2, min(5, (width - 1) // len(bars)))
    lines = [heading("Difficulty", f"tasks solved 0 to {tries} times")]
    lines += upright(bars, cell, max(1, height - 2))
    labels = "".join(f"{successes:^{cell}}" for successes in range(len(bars)))
    return _block([*lines, Text(labels, style="dim")], height)


def by_successes(values: Mapping[str, float]) -> dict[int, float]:
    """Tasks by how often they were solved."""
    tails = {name.removeprefix(_DIFFICULTY): value for name, value in values.items() if name.startswith(_DIFFICULTY)}
    return {int(tail): value for tail, value in tails.items() if tail.isascii() and tail.isdigit() and len(tail) < 4}


def upright(bars: Sequence[float], cell: int, height: int) -> list[Text]:
    """Bars from below in ``height`` rows, each ``cell`` wide with a gap; its number stands on it."""
    most = max(bars, default=0.0)
    room = max(1, height - 1)
    eighths = [round(value / most * room * 8) if most > 0 else 0 for value in bars]
    lines = []
    for row in range(height - 1, -1, -1):
        line = ""
        for value, full in zip(bars, eighths, strict=True):
            here = min(8, max(0, full - row * 8))
            top = row == (full + 7) // 8  # the first row above the bar
            number = f"{value:.0f}" if value else "·"
            line += f"{number[:cell]:^{cell}}" if top else f"{_EIGHTHS[here] * (cell - 1):<{cell}}"
        lines.append(Text(line))
    return lines


def step_time(snapshot: Snapshot, width: int, height: int) -> Text:
    """The newest step's seconds, the trainer's parts as bars, then the supervisor's, which go on meanwhile."""
    values = newest(snapshot)
    parts = {
        name: value
        for name, value in values.items()
        if name.startswith(_SECONDS) and not name.startswith(_SUPERVISOR) and value > 0
    }
    if not parts:
        return heading("Seconds of a step", "no step yet")
    total = sum(parts.values())
    lines = [heading("Seconds of a step", f"{wording.number(total)} in all")]
    lines += [_share_line(name.removeprefix(_SECONDS), value, total, width) for name, value in _biggest(parts)]
    supervisor = {
        f"· {name.removeprefix(_SUPERVISOR)}": value for name, value in values.items() if name.startswith(_SUPERVISOR)
    }
    if len(lines) + len(supervisor) <= height:
        for name, value in _biggest(supervisor):
            line = _share_line(name, value, total, width)
            line.stylize("dim")
            lines.append(line)
    elif supervisor:
        told = ", ".join(f"{visible_line(name[2:], 12)} {wording.short(value)}" for name, value in _biggest(supervisor))
        lines.append(Text(f"meanwhile {told}", style="dim"))
    return _block(lines, height)


def _biggest(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(parts.items(), key=lambda part: (-part[1], part[0]))


def _share_line(name: str, value: float, total: float, width: int) -> Text:
    room = max(4, min(24, width - 30))
    label = visible_line(name, 12)
    bar = wording.meter(value / total, room)
    return Text(f"{label:<12} {bar} {wording.number(value):>7} {wording.percent(value / total):>4}")


def machine(snapshot: Snapshot, height: int) -> Text:
    """Rates, queues and what is busy: whatever of it the run records."""
    values = newest(snapshot)
    lines = [heading("Machine", "")]
    for row in MACHINE:
        line = Text()
        for name, said in row:
            if name in values:
                line.append("  " if line.plain else "").append(_brief(name, values[name]), style="bold")
                line.append(f" {said}", style="dim")
        if line.plain:
            lines.append(line)
    if len(lines) == 1:
        lines.append(Text("not recorded by this run", style="dim"))
    return _block(lines, height)


def _brief(name: str, value: float) -> str:
    return wording.percent(value) if metric_names.known(name).share else wording.short(value)


def heading(title: str, note: str) -> Text:
    text = Text(title, style="bold underline")
    return text.append(f"  {note}", style="not bold not underline dim") if note else text


def _block(lines: list[Text], height: int) -> Text:
    """At most ``height`` lines; a … says that there are more."""
    if len(lines) > height:
        lines = [*lines[: max(0, height - 1)], Text(f"… {len(lines) - height + 1} more", style="dim")]
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
