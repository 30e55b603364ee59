"""Which metrics belong in one plot, and the plot of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from azr_platform.records import Kind
from azr_tui import metric_names, wording
from azr_tui.plotting.draw import Curve, Mark, Plot
from azr_tui.view import EMPTY, Series

_KINDS = {kind.value: kind for kind in Kind}
_LEAST_SPANS = 256
"""A curve of fewer points is told step by step."""
_NONE: Mapping[str, Series] = MappingProxyType({})


def names_in(name: str, metrics: Mapping[str, Series]) -> list[str]:
    """The metrics that are drawn with one: those of the other kinds, or the smallest and largest beside a mean.

    ``name`` may leave out the kind or the ``/mean`` at its end.
    """
    beginning, _, last = name.rpartition("/")
    if name not in metrics and any(f"{name}/{kind}" in metrics for kind in _KINDS):
        beginning, last = name, next(iter(_KINDS))
    if last in _KINDS:
        return [full for kind in _KINDS if (full := f"{beginning}/{kind}") in metrics] or [name]
    stem = name.removesuffix("/mean")
    if f"{stem}/mean" in metrics and name in (stem, f"{stem}/mean"):
        return [full for part in ("mean", "min", "max") if (full := f"{stem}/{part}") in metrics]
    return [name]


def plot_of(
    name: str,
    metrics: Mapping[str, Series],
    marks: Iterable[Mark] = (),
    caption: str = "",
    closer: Mapping[str, Series] = _NONE,
) -> Plot:
    """A metric as a plot, with those that belong to it. ``closer``: the same metrics, told step by step, for the steps
    in sight."""
    names, metric = names_in(name, metrics), metric_names.known(name)
    drawn = {full: closer.get(full) or metrics.get(full, EMPTY) for full in names}
    if names[0].rpartition("/")[2] in _KINDS:
        curves = [_kind_curve(_KINDS[full.rpartition("/")[2]], series) for full, series in drawn.items()]
        words = metric_names.label(names[0].rpartition("/")[0])
    else:
        stem = names[0].removesuffix("/mean") if len(names) > 1 else name
        low, high = drawn.get(f"{stem}/min", EMPTY), drawn.get(f"{stem}/max", EMPTY)
        curves = [Curve(name, "", "bright_blue", drawn[names[0]], low, high)]
        words = metric_names.label(stem)
    return Plot(
        caption or words[:1].upper() + words[1:],
        metric.unit,
        curves,
        tuple(marks),
        floor=metric.floor,
        ceiling=metric.ceiling,
        share=metric.share,
        steps=_steps(metrics, names) if closer else None,
    )


def in_spans(name: str, metrics: Mapping[str, Series]) -> bool:
    """Whether a plot of a metric is told in spans of several steps, so that a closer look has more to show."""
    several = (metrics[full].steps for full in names_in(name, metrics) if full in metrics)
    return any(len(steps) >= _LEAST_SPANS and steps[-1] - steps[0] >= len(steps) for steps in several)


def _steps(metrics: Mapping[str, Series], names: Iterable[str]) -> tuple[int, int] | None:
    """The first and the last step that there are."""
    steps = [metrics[name].steps for name in names if name in metrics and metrics[name].steps]
    return (min(each[0] for each in steps), max(each[-1] for each in steps)) if steps else None


def _kind_curve(kind: Kind, series: Series) -> Curve:
    return Curve(kind.value, wording.KIND_LETTERS[kind], wording.KIND_STYLES[kind], series)
