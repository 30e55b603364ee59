"""A run as pictures: what it learned, what it proposed, what was found in it, and where its time went.

Every picture can be told apart without colour: lines differ in dash and marker, too. Nothing of a model's is drawn
but numbers and plain names.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from azr_platform.evaluation.records import estimates, measures, unseen
from azr_platform.evaluation.report import Report, Series, main_suite, right_means

# Okabe and Ito's colours can be told apart by every common kind of colour vision; dashes and markers help in print.
_STYLES: Final = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#56B4E9", "-", "v"),
    ("#000000", "-", "X"),
    ("#E69F00", "--", "P"),
)
_SHARES: Final = (("idle", "idle"), ("gpu/utilization", "a kernel running"))
_ORDER: Final = ("deduction", "abduction", "induction", "question", "error", "all")
_MOST_PANELS: Final = 12
_DRIFT: Final = {"vocabulary": "Vocabulary", "unfamiliar": "Unfamiliar words", "language": "Other languages"}
# Settings of the whole library that names in the pictures must not meet: a $ is no formula here.
_PLAIN_TEXT: Final[dict[Any, Any]] = {
    "text.parse_math": False,
    "svg.hashsalt": "azr",
    "font.size": 9,
    "axes.titlesize": 10,
}


class Picture(NamedTuple):
    """A figure with its file's stem and what it shows, in words."""

    stem: str
    title: str
    caption: str
    figure: Figure


def pictures(report: Report) -> list[Picture]:
    """Every picture that the run has numbers for."""
    with matplotlib.rc_context(_PLAIN_TEXT):
        return list(_pictures(report))


def plot_run(report: Report, path: Path) -> bool:
    """Write one PNG with the four panels that say most; False when no step is finished.

    Raises OSError when it cannot be written.
    """
    if "samples" not in report.metrics:
        return False
    with matplotlib.rc_context(_PLAIN_TEXT):
        figure = Figure(figsize=(10, 6.5), layout="constrained")
        panels = figure.subplots(2, 2)
        name = "".join(char if char.isascii() and char.isprintable() else "?" for char in report.run)[:60]
        figure.suptitle(f"{name}: self-play under supervision, {report.summary.step} steps, seed {report.seed}")
        if len(main_suite(report.evaluations)) > 1:
            _held_out(panels[0][0], report)
        else:
            _curves(
                panels[0][0], _named(report, "solve_rate"), "Solver", f"answers that {right_means(report)}", top=1.0
            )
        _curves(panels[0][1], _named(report, "valid_rate"), "Proposer: valid tasks", "share of proposals", top=1.0)
        _curves(panels[1][0], _named(report, "learnability"), "Proposer: learnability", "mean worth", top=1.0)
        _oversight(panels[1][1], report)
        save(figure, path)
    return True


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG. Raises OSError when it cannot be written."""
    with matplotlib.rc_context(_PLAIN_TEXT):
        figure.savefig(path, dpi=130, format="png")


def as_svg(figure: Figure) -> bytes:
    """A figure as an SVG file, the same for the same numbers."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_PLAIN_TEXT):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _pictures(report: Report) -> Iterator[Picture]:
    if main_suite(report.evaluations):
        figure, (panel,) = _figure(1, height=3.6)
        _held_out(panel, report)
        yield Picture("held-out", "Held-out tasks", "pass@1 of checkpoints; bars: 95 % interval over tasks.", figure)
    smooth = "Dots: steps; line: mean of neighbouring steps; band: one standard deviation of them."
    right = right_means(report)
    named = {
        f"Solver: answers that {right}": (_named(report, "solve_rate"), "share", 1.0),
        "Solver: reward": (_named(report, "reward/solve"), "mean reward", None),
        "Proposer: reward": (_named(report, "reward/propose"), "mean reward", None),
    }
    if present := {title: parts for title, parts in named.items() if parts[0]}:
        figure, panels = _figure(len(present))
        for panel, (title, (series, unit, top)) in zip(panels, present.items(), strict=True):
            _curves(panel, series, title, unit, top=top)
        yield Picture("learning", "Learning, on its own tasks", smooth + " The tasks change as it learns.", figure)
    if series := {**_named(report, "valid_rate"), **_named(report, "learnability")}:
        figure, panels = _figure(3)
        _curves(panels[0], _named(report, "valid_rate"), "Valid proposals", "share", top=1.0)
        _curves(panels[1], _named(report, "learnability"), "Learnability", "mean worth", top=1.0)
        repeats = {name: report.metrics[name] for name in ("repeats",) if name in report.metrics}
        _curves(panels[2], repeats, "Repeats", "proposals a step")
        yield Picture("proposer", "Proposer", smooth, figure)
    if names := sorted(name for name in report.metrics if re.fullmatch("health/[^/]+|health/values/largest", name)):
        yield Picture("health", "Proposer health", smooth, _small(report, names))
    values = _named(report, "health/values")
    values.pop("largest", None)
    if values:
        figure, (panel,) = _figure(1, height=3.2)
        _stacked(panel, values, "Types of the proposed tasks' outputs", "share")
        yield Picture("values", "Kinds of values", "The share of each type, by step.", figure)
    if names := [name for name in ("agreement", "degenerate", "problems") if name in report.metrics]:
        yield Picture("votes", "Given problems", smooth, _small(report, names))
    if counts := _difficulty(report):
        figure, (panel,) = _figure(1, height=3.2)
        _heat(figure, panel, *counts)
        yield Picture("difficulty", "Difficulty", "How many of the proposed tasks were solved how often.", figure)
    if lengths := _lengths(report):
        figure, panels = _figure(2)
        _curves(panels[0], {"mean": lengths["mean"]}, "Response length", "tokens")
        if {"min", "max"} <= lengths.keys():
            low, high = lengths["min"], lengths["max"]
            panels[0].fill_between(low.steps, low.values, high.values, color="#0072B2", alpha=0.1, linewidth=0)
        _curves(panels[1], _named(report, "format_rate"), "Well-formed responses", "share", top=1.0)
        yield Picture("responses", "Responses", "Shaded: shortest to longest of a step. " + smooth, figure)
    if report.oversight:
        figure, (panel,) = _figure(1, height=3.2)
        _oversight(panel, report)
        yield Picture("oversight", "Supervision", "Per 1,000 samples of a step; ticks: steps with alerts.", figure)
    if report.findings:
        yield Picture(
            "findings",
            "Findings by category",
            "Per 1,000 samples, neighbouring steps together; band: 95 % interval. Scales differ.",
            _findings(report),
        )
    if drifted := {name: part for name in _DRIFT if (part := _named(report, f"drift/{name}"))}:
        figure, panels = _figure(len(drifted))
        for panel, (name, roles) in zip(panels, drifted.items(), strict=True):
            _curves(panel, roles, _DRIFT[name], "share" if name != "vocabulary" else "bits", top=1.0)
        yield Picture("drift", "Drift of the reasoning", "Against the line's first steps. " + smooth, figure)
    if seconds := {
        name.removeprefix("seconds/"): s for name, s in report.metrics.items() if name.startswith("seconds/")
    }:
        shares = {said: report.metrics[name] for name, said in _SHARES if name in report.metrics}
        figure, panels = _figure(2 if shares else 1, height=3.2)
        _stacked(panels[0], seconds, "Step time", "seconds")
        if shares:
            _curves(panels[1], shares, "Accelerator", "share of the step", top=1.0)
        yield Picture(
            "time",
            "Where a step's time goes",
            "Seconds of each part; parts that overlap count each. Idle: neither sampling nor learning.",
            figure,
        )
    optimisation = ("loss", "entropy", "approx_kl", "clip_fraction", "grad_norm", "learning_rate")
    if names := [name for name in optimisation if name in report.metrics]:
        yield Picture("optimisation", "Optimisation", smooth, _small(report, names))


def _figure(columns: int, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.6, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _named(report: Report, prefix: str) -> dict[str, Series]:
    """The metrics ``prefix/NAME`` by NAME, kinds in their usual order."""
    found = {name.removeprefix(prefix + "/"): s for name, s in report.metrics.items() if name.startswith(prefix + "/")}
    return {name: found[name] for name in sorted(found, key=lambda name: (_rank(name), name))}


def _rank(name: str) -> int:
    kind = name.rpartition("/")[2]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _style(name: str, number: int) -> tuple[str, str, str]:
    """A kind has the same style everywhere; other names take them in turn."""
    return _STYLES[_rank(name) if _rank(name) < len(_ORDER) and "/" not in name else number % len(_STYLES)]


def _by_step(panel: Axes) -> None:
    """Steps along the bottom: whole numbers, however few there are."""
    panel.set_xlabel("step")
    panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _curves(panel: Axes, series: dict[str, Series], title: str, unit: str, *, top: float | None = None) -> None:
    panel.set_title(title, loc="left")
    panel.set_ylabel(unit)
    _by_step(panel)
    panel.grid(alpha=0.25)
    for number, (name, one) in enumerate(series.items()):
        colour, line, marker = _style(name, number)
        middle, spread = _smoothed(one.values)
        panel.plot(one.steps, one.values, color=colour, linestyle="", marker=marker, markersize=2, alpha=0.35)
        every = max(1, len(one.steps) // 8)
        panel.plot(
            one.steps, middle, color=colour, linestyle=line, marker=marker, markevery=every, markersize=3.5, label=name
        )
        panel.fill_between(one.steps, middle - spread, middle + spread, color=colour, alpha=0.12, linewidth=0)
    if top is not None:
        panel.set_ylim(-0.02, top * 1.02)
    if len(series) > 1 or (series and next(iter(series)) in _ORDER):
        panel.legend(fontsize=7.5, framealpha=0.7)


def _smoothed(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each value's neighbours, a tenth of the run around it."""
    half = max(1, len(values) // 20)
    array = np.asarray(values, dtype=float)
    around = [array[max(0, place - half) : place + half + 1] for place in range(len(array))]
    return np.array([part.mean() for part in around]), np.array([part.std() for part in around])


def _held_out(panel: Axes, report: Report) -> None:
    points = main_suite(report.evaluations)
    measure = measures(1)["pass@1"]
    found = [(e.step or 0, estimates(e.tasks, measure)) for e in points]
    reach = max(1, found[-1][0] - found[0][0])
    names = [name for name in _ORDER if name in found[-1][1]]
    for number, name in enumerate(names):
        colour, line, marker = _style(name, 0)
        placed = [(step, by_kind[name]) for step, by_kind in found if name in by_kind]
        # Side by side, so that no interval hides another.
        steps = [step + (number - len(names) / 2) * 0.006 * reach for step, _ in placed]
        errors = [[100 * (e.value - e.low) for _, e in placed], [100 * (e.high - e.value) for _, e in placed]]
        panel.errorbar(
            steps,
            [100 * e.value for _, e in placed],
            yerr=errors,
            color=colour,
            linestyle=line,
            marker=marker,
            capsize=3,
            linewidth=2.0 if name == "all" else 1.2,
            label=name,
        )
    if report.ceiling is not None:
        above = estimates(report.ceiling.tasks, measure)
        for name in [name for name in names if name in above]:
            label = "ceiling of each" if name == names[0] else None
            dots = (0, (1, 3))
            panel.axhline(100 * above[name].value, color=_style(name, 0)[0], linestyle=dots, linewidth=1.4, label=label)
    fresh = [(e.step or 0, unseen(e.tasks)) for e in points if any(task.seen for task in e.tasks)]
    left = [(step, estimates(tasks, measure).get("all")) for step, tasks in fresh if tasks]
    if marks := [(step, 100 * e.value) for step, e in left if e is not None]:
        places, values = zip(*marks, strict=True)
        panel.plot(places, values, "*", color="#000000", markersize=10, markerfacecolor="none", label="all, unseen")
    panel.set_title(f"Held-out pass@1, {len(points[-1].tasks)} tasks", loc="left")
    panel.set_ylabel("% right")
    _by_step(panel)
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.25)
    panel.legend(fontsize=7.5, ncols=2, framealpha=0.7)


def _difficulty(report: Report) -> tuple[list[int], list[int], np.ndarray] | None:
    """(steps, times solved, share of the step's tasks) or None without such metrics."""
    found = {}
    for name, series in report.metrics.items():
        if match := re.fullmatch(r"difficulty/(\d{1,4})", name):
            found[int(match[1])] = dict(zip(series.steps, series.values, strict=True))
    if not found:
        return None
    steps = sorted({step for values in found.values() for step in values})
    rows = list(range(max(found) + 1))
    counts = np.array([[found.get(row, {}).get(step, 0.0) for step in steps] for row in rows])
    return steps, rows, counts / np.maximum(counts.sum(axis=0), 1e-9)


def _heat(figure: Figure, panel: Axes, steps: list[int], rows: list[int], shares: np.ndarray) -> None:
    edges = (steps[0] - 0.5, steps[-1] + 0.5, -0.5, rows[-1] + 0.5)
    image = panel.imshow(
        100 * shares, aspect="auto", origin="lower", extent=edges, cmap="cividis", interpolation="none"
    )
    panel.set_title(f"Times solved of {rows[-1]}", loc="left")
    _by_step(panel)
    panel.set_ylabel("times solved")
    figure.colorbar(image, ax=panel, label="% of a step's tasks")


def _lengths(report: Report) -> dict[str, Series]:
    found = _named(report, "response_length")
    return found if "mean" in found else {}


def _oversight(panel: Axes, report: Report) -> None:
    rows = [row for row in report.oversight if row.samples]
    steps = [row.step for row in rows]
    per_thousand = {
        "any finding": [1000 * row.found / row.samples for row in rows],
        "blocked": [1000 * row.blocked / row.samples for row in rows],
        "finding, medium or worse": [1000 * row.medium / row.samples for row in rows],
        "finding, high or worse": [1000 * row.high / row.samples for row in rows],
    }
    panel.bar(steps, per_thousand.pop("blocked"), color="#CC79A7", alpha=0.8, label="blocked")
    for (name, values), (colour, line, marker) in zip(per_thousand.items(), _STYLES, strict=False):
        panel.plot(steps, values, color=colour, linestyle=line, marker=marker, markersize=2.5, linewidth=1, label=name)
    if alerted := [row.step for row in rows if row.alerts]:
        panel.plot(alerted, [0] * len(alerted), color="#000000", linestyle="", marker="|", markersize=9, label="alert")
    panel.set_title("Supervision", loc="left")
    panel.set_ylabel("per 1,000 samples")
    _by_step(panel)
    panel.set_ylim(bottom=0, top=max(1.0, panel.get_ylim()[1]))
    panel.grid(alpha=0.25)
    panel.legend(fontsize=7.5, framealpha=0.7)


def _findings(report: Report) -> Figure:
    """One panel a category, the commonest first."""
    most = sorted(report.findings.items(), key=lambda item: (-max(e.value for e in item[1].values), item[0]))
    shown = most[:_MOST_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(9.6, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, (category, shares) in zip(panels, shown, strict=False):
        low, high = ([1000 * getattr(value, end) for value in shares.values] for end in ("low", "high"))
        panel.fill_between(shares.steps, low, high, color="#0072B2", alpha=0.2, linewidth=0)
        middle = [1000 * value.value for value in shares.values]
        panel.plot(shares.steps, middle, color="#0072B2", marker="o", markersize=2.5, linewidth=1)
        panel.set_title(category, loc="left")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.25)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    return figure


def _stacked(panel: Axes, parts: dict[str, Series], title: str, unit: str) -> None:
    """Areas one on another; of many only the largest, the others together."""
    steps = sorted({step for series in parts.values() for step in series.steps})
    lookup = {name: dict(zip(series.steps, series.values, strict=True)) for name, series in parts.items()}
    largest = sorted(lookup, key=lambda name: -sum(lookup[name].values()))
    kept, rest = sorted(largest[: len(_STYLES) - 1]), largest[len(_STYLES) - 1 :]
    heights = [[lookup[name].get(step, 0.0) for step in steps] for name in kept]
    if rest:
        heights.append([sum(lookup[name].get(step, 0.0) for name in rest) for step in steps])
    colours = [colour for colour, _, _ in _STYLES[: len(heights)]]
    labels = [*kept, *(["other"] if rest else [])]
    shapes = panel.stackplot(steps, heights, labels=labels, colors=colours, alpha=0.75)
    for shape, hatch in zip(shapes, ("", "//", "..", "xx", "--", "++", "oo") * 4, strict=False):
        shape.set_hatch(hatch)
    panel.set_title(title, loc="left")
    panel.set_ylabel(unit)
    _by_step(panel)
    panel.legend(fontsize=7.5, loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)


def _small(report: Report, names: Sequence[str]) -> Figure:
    """One small panel for each metric."""
    names = names[:_MOST_PANELS]
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(9.6, 2.1 * rows), layout="constrained")
    panels = [panel for row in figure.subplots(rows, 3, squeeze=False) for panel in row]
    for panel, name in zip(panels, names, strict=False):
        _curves(panel, {name: report.metrics[name]}, name, "")
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    return figure
