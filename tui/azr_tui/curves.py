"""Metrics along the run's line, read once and from then on added to, with no more points than a screen can show.

A curve of many steps is kept in spans of equal length, each with its mean and its bounds, so that no outlier is lost;
when there are too many spans, each two become one. Zoomed parts are asked for by themselves (questions.AskSpans).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import MetricSpan
from azr_tui.view import Series

POINTS: Final = 512
"""A curve has at least so many spans, once it has so many steps, and less than twice as many."""
_AT_ONCE: Final = 0.15
"""Seconds of reading after which the first curves are handed on; the others follow."""
_FIRST: Final = ("reward", "solve_rate", "loss", "entropy", "kl", "grad")
"""Beginnings of the names that are read first, since the overview shows them."""


class Curve:
    """One metric."""

    def __init__(self, width: int = 1, spans: Sequence[MetricSpan] = (), last: float | None = None) -> None:
        self._width = width
        self._spans = list(spans)
        self._last = last
        self._series: Series | None = None

    def add(self, step: int, value: float) -> None:
        """Go on with a later step; what the curve holds already is left as it is."""
        if self._spans and step <= self._spans[-1].last_step:
            return
        self._last, self._series = value, None
        one = MetricSpan(step, step, value, value, value, 1)
        if self._spans and self._spans[-1].last_step // self._width == step // self._width:
            self._spans[-1] = self._spans[-1].joined(one)
            return
        self._spans.append(one)
        while len(self._spans) >= 2 * POINTS:
            self._width *= 2
            self._spans = list(_joined(self._spans, self._width))

    @property
    def series(self) -> Series:
        """The same object until something is added."""
        if self._series is None:
            spans = self._spans
            self._series = Series(
                [span.last_step for span in spans],
                [span.mean for span in spans],
                [span.low for span in spans],
                [span.high for span in spans],
                self._last,
            )
        return self._series


def _joined(spans: Sequence[MetricSpan], width: int) -> Iterator[MetricSpan]:
    open_span: MetricSpan | None = None
    for span in spans:
        if open_span is not None and open_span.first_step // width == span.first_step // width:
            open_span = open_span.joined(span)
            continue
        if open_span is not None:
            yield open_span
        open_span = span
    if open_span is not None:
        yield open_span


class Curves:
    """Every metric of the current line."""

    def __init__(self) -> None:
        self._branch = 0
        self._newest = 0
        self._width = 1
        self._to_read: list[str] = []
        self._curves: dict[str, Curve] = {}

    @property
    def complete(self) -> bool:
        """Whether every curve has been read; if not, ``read`` goes on with them."""
        return not self._to_read

    def read(self, reader: LedgerReader) -> dict[str, Series]:
        """The curves as they are now."""
        branch = reader.branch()
        if branch != self._branch:
            self._begin(reader, branch)
        self._go_on(reader)
        self._add_new(reader)
        return {name: self._curves[name].series for name in sorted(self._curves)}

    def _begin(self, reader: LedgerReader, branch: int) -> None:
        names = reader.metric_names()
        self._to_read = sorted(names, key=lambda name: (not name.startswith(_FIRST), name), reverse=True)
        self._branch, self._newest, self._curves = branch, reader.newest_metric(), {}
        self._width = 1
        while (reader.step() + 1) // self._width >= 2 * POINTS:
            self._width *= 2

    def _go_on(self, reader: LedgerReader) -> None:
        last, until = reader.step() + 1, time.monotonic() + _AT_ONCE
        points = -(-(last + 1) // self._width)
        while self._to_read and time.monotonic() < until:
            name = self._to_read.pop()
            spans = reader.metric_span(name, 0, points * self._width - 1, points)
            newest = [value for value in reader.metric_tail(name, 5) if value is not None]
            if spans:
                self._curves[name] = Curve(self._width, spans, newest[-1] if newest else spans[-1].mean)

    def _add_new(self, reader: LedgerReader) -> None:
        for number, branch, step, name, value in reader.metrics_after(self._newest):
            self._newest = number
            if branch == self._branch and value is not None and name not in self._to_read:
                self._curves.setdefault(name, Curve(self._width)).add(step, value)
