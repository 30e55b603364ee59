"""Every scalar metric of the run, a line each: now, min, max and the trend; and the newest step as bars."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from azr_tui import wording
from azr_tui.escape import visible_line
from azr_tui.view import Series, Snapshot
from azr_tui.widgets.plain import Plain

# (heading, metrics with a short name and a unit); what is recorded but not named here comes under "Other".
_SECTIONS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Update",
        (
            ("loss", "loss", ""),
            ("entropy", "entropy", "nats"),
            ("approx_kl", "KL", "nats"),
            ("clip_fraction", "clipped", "share"),
            ("ratio_max", "largest ratio", ""),
            ("grad_norm", "gradient", "norm"),
            ("learning_rate", "rate", ""),
        ),
    ),
    (
        "Responses",
        (
            ("response_length/mean", "mean", "tokens"),
            ("response_length/min", "shortest", "tokens"),
            ("response_length/max", "longest", "tokens"),
            ("tokens_per_second", "speed", "tok/s"),
            ("samples", "samples", "a step"),
            ("blocked", "blocked", "a step"),
            ("trained", "trained", "a step"),
            ("repeats", "repeats", "a step"),
        ),
    ),
)
_BRIEF = ("entropy", "approx_kl", "clip_fraction", "grad_norm", "response_length/mean", "tokens_per_second")
_SECONDS, _SUPERVISOR = "seconds/", "seconds/supervisor/"
_BARS = (("Difficulty: solver successes", "difficulty/", ""),)
_SHADES = "█▓▒░"
_SHARES = (("idle", "neither sampling nor learning"), ("gpu/utilization", "a kernel running"))
_BY_GROUP = ("reward/", "solve_rate/")
_BAR_WIDTH = 24
_STEP_WIDTH = 64
_PREFIX_WIDTH = 43


class MetricLines(Plain):
    """``brief``: only the six vital ones."""

    DEFAULT_CSS = """
    MetricLines { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, brief: bool = False) -> None:
        super().__init__()
        self._brief = brief
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._snapshot is None:
            return
        trend = max(0, self.size.width - _PREFIX_WIDTH - 1)
        lines = list(_brief(self._snapshot, trend) if self._brief else _full(self._snapshot, trend))
        text = Text("\n").join(lines)
        text.no_wrap, text.overflow = True, "crop"
        self.put(text)


def _heading(title: str) -> Text:
    head = f"{title:<17}{'now':>8} {'min':>8} {'max':>8}"
    return Text(head, style="bold underline")


def _line(label: str, unit: str, series: Series, trend: int) -> Text:
    name = f"{label} ({unit})" if unit else label
    text = Text(f"{name:<17.17}{wording.number(series.last):>8} ")
    text.append(f"{wording.number(series.low):>8} {wording.number(series.high):>8}", style="dim")
    return text.append(f" {wording.sparkline(series.values, trend)}")


def _brief(snapshot: Snapshot, trend: int) -> Iterable[Text]:
    named = {name: (label, unit) for _, metrics in _SECTIONS for name, label, unit in metrics}
    yield _heading("training")
    for name in _BRIEF:
        label, unit = named[name]
        yield _line("length" if name == "response_length/mean" else label, unit, snapshot.series(name), trend)


def _full(snapshot: Snapshot, trend: int) -> Iterable[Text]:
    if not snapshot.metrics:
        yield Text("No step is done yet; the metrics of each step will stand here.", style="dim")
        return
    yield from _step_time(snapshot)
    told = {name for name in snapshot.metrics if name.startswith(_SECONDS)}
    for title, metrics in _SECTIONS:
        yield _heading(title)
        for name, label, unit in metrics:
            told.add(name)
            yield _line(label, unit, snapshot.series(name), trend)
        yield Text("")
    for title, prefix, unit in _BARS:
        told.update(name for name in snapshot.metrics if name.startswith(prefix))
        newest = snapshot.summary.metrics.items()
        bars = {name: value for name, value in newest if name.startswith(prefix) and value is not None}
        if bars:
            yield Text(title, style="bold underline")
            yield from _bars(bars, prefix, unit)
            yield Text("")
    rest = sorted(name for name in snapshot.metrics if name not in told and not name.startswith(_BY_GROUP))
    if rest:
        yield _heading("By kind, and other")
        for name in rest:
            yield _line(visible_line(name, 17), "", snapshot.metrics[name], trend)


def _step_time(snapshot: Snapshot) -> Iterable[Text]:
    """The newest step's seconds: the trainer's parts as one bar, as if they came one after another; in figures the
    supervisor's, which go on meanwhile, and how long the accelerator had nothing to do."""
    newest = {name: value for name, value in snapshot.summary.metrics.items() if value is not None}
    supervisor = {name.removeprefix(_SUPERVISOR): v for name, v in newest.items() if name.startswith(_SUPERVISOR)}
    parts = {
        name.removeprefix(_SECONDS): value
        for name, value in newest.items()
        if name.startswith(_SECONDS) and not name.startswith(_SUPERVISOR) and value > 0
    }
    total = sum(parts.values())
    if not total:
        return
    yield Text("Seconds of the newest step", style="bold underline")
    shaded = [(name, value, _SHADES[place % len(_SHADES)]) for place, (name, value) in enumerate(sorted(parts.items()))]
    bar = "".join(shade * max(1, round(_STEP_WIDTH * value / total)) for _, value, shade in shaded)
    legend = "  ".join(f"{shade} {visible_line(name, 12)} {wording.number(value)}" for name, value, shade in shaded)
    yield Text(bar)
    yield Text(legend)
    if supervisor:
        figures = "  ".join(f"{visible_line(name, 12)} {wording.number(v)}" for name, v in sorted(supervisor.items()))
        yield Text(f"supervisor, meanwhile: {figures}", style="dim")
    shares = [f"{said} {wording.percent(newest[name])}" for name, said in _SHARES if name in newest]
    if shares:
        yield Text(f"accelerator: {', '.join(shares)}", style="dim")
    yield Text("")


def _bars(values: dict[str, float], prefix: str, unit: str) -> Iterable[Text]:
    total = sum(values.values())
    most = max(values.values(), default=0.0)
    for name, value in sorted(values.items(), key=lambda item: _order(item[0])):
        bar = wording.meter(value / most if most > 0 else 0.0, _BAR_WIDTH)
        share = wording.percent(value / total) if total > 0 else "-"
        label = visible_line(name.removeprefix(prefix), 12)
        yield Text(f"{label:<14}{bar} {wording.number(value):>8} {unit:<2} {share:>5}")


def _order(name: str) -> tuple[int, str]:
    """Numbers at the end of a name in their own order."""
    tail = name.rsplit("/", 1)[-1]
    return (int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 9 else -1, name)
