"""Plots: axes with round numbers and units, curves and bands that lose no spike, a cursor with values, a zoom."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from azr_platform.ledger.records import BranchRow
from azr_tui.plotting.canvas import Canvas
from azr_tui.plotting.draw import Curve, Mark, Plot, at, draw
from azr_tui.plotting.marks import line_of
from azr_tui.plotting.ticks import powers, step_ticks, ticks
from azr_tui.plotting.zoom import Extent, Zoom
from azr_tui.view import Series

STEPS = range(1, 101)


def _curve(values: Sequence[float], sign: str = "D", steps: Sequence[int] = STEPS, **more: Series) -> Curve:
    return Curve("deduction", sign, "bright_blue", Series(list(steps), list(values)), **more)


WHOLE = Zoom()


def _drawn(plot: Plot, zoom: Zoom = WHOLE, width: int = 60, height: int = 12) -> list[str]:
    return draw(plot, zoom, width, height).plain.split("\n")


# -- ticks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [2, 3, 5, 8])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.89, 0.18), (0, 153), (1e-7, 3e-6), (-5, 12345)])
def test_ticks_are_few_round_and_inside(low: float, high: float, most: int) -> None:
    found = ticks(low, high, most)
    assert 2 <= len(found) <= most
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found) and found == sorted(found)


def test_ticks_of_steps_are_whole_and_those_of_a_logarithm_powers() -> None:
    assert step_ticks(1, 42, 5) == [10, 20, 30, 40]
    assert all(isinstance(step, int) for step in step_ticks(3, 5, 9))
    assert step_ticks(7, 7, 5) == [7]
    assert powers(-6, 0, 4) == [-6.0, -4.0, -2.0, 0.0]
    assert [round(10**power) for power in powers(math.log10(20), math.log10(60), 5)] == [20, 50]


# -- zoom ------------------------------------------------------------------------------------------------------


def test_a_zoom_follows_the_newest_step_until_it_is_moved() -> None:
    near = Zoom().closer(Extent(1, 100, 50))
    assert near.window(Extent(1, 100, 50)) == (51, 100)
    assert near.window(Extent(1, 140, 50)) == (91, 140)
    earlier = near.pan(-1, Extent(1, 100, 50))
    assert earlier.window(Extent(1, 100, 50)) == (26, 75) == earlier.window(Extent(1, 140, 50))
    assert earlier.pan(1, Extent(1, 100, 50)).last is None


def test_the_cursor_keeps_its_place_while_the_zoom_comes_closer() -> None:
    extent = Extent(1, 1000, 100)
    zoom = Zoom(cursor=250)
    for _ in range(20):
        zoom = zoom.closer(extent)
        first, last = zoom.window(extent)
        assert first <= 250 <= last
    assert last - first + 1 == 5
    for _ in range(20):
        zoom = zoom.wider(extent)
    assert zoom.window(extent) == (1, 1000) and zoom.cursor == 250


def test_the_cursor_takes_the_window_along_and_stays_on_the_run() -> None:
    extent = Extent(1, 100, 10)
    zoom = Zoom(span=10)
    assert zoom.move(-1, extent).cursor == 99
    far = zoom.move(-50, extent)
    assert far.window(extent)[0] == far.cursor == 50
    assert zoom.move(-500, extent).cursor == 1 and zoom.move(-500, extent).window(extent) == (1, 10)
    assert far.move(500, extent).cursor == 100 and far.move(500, extent).last is None


@pytest.mark.parametrize("extent", [Extent(1, 1, 40), Extent(5, 6, 1), Extent(0, 3, 200)])
def test_no_key_leaves_a_short_run(extent: Extent) -> None:
    acts = [
        lambda zoom: zoom.closer(extent),
        lambda zoom: zoom.wider(extent),
        lambda zoom: zoom.pan(-1, extent),
        lambda zoom: zoom.pan(1, extent),
        lambda zoom: zoom.move(-3, extent),
        lambda zoom: zoom.move(7, extent),
    ]
    for chosen in itertools.product(acts, repeat=3):
        zoom = Zoom()
        for act in chosen:
            zoom = act(zoom)
        first, last = zoom.window(extent)
        assert extent.first <= first <= last <= extent.last
        assert zoom.cursor is None or extent.first <= zoom.cursor <= extent.last


# -- drawing ---------------------------------------------------------------------------------------------------


def test_a_line_reaches_both_its_ends_and_nothing_is_drawn_outside() -> None:
    canvas = Canvas(4, 2)
    canvas.line(0, 7, 7, 0, "red")
    canvas.dot(99, 99, "red")
    canvas.dot(-1, 0, "red")
    rows = [canvas.text(row).plain for row in range(2)]
    assert rows[0][3] != " " and rows[1][0] != " " and rows[0][0] == " "
    assert all(len(row) == 4 for row in rows)


def test_a_plot_has_axes_units_and_a_letter_for_each_curve() -> None:
    plot = Plot("Reward", "mean of a step", [_curve([s / 100 for s in STEPS]), _curve([0.0] * 100, "A")])
    rows = _drawn(plot)
    assert len(rows) == 12 and all(len(row) <= 60 for row in rows)
    assert rows[0].startswith("Reward (mean of a step)") and rows[0].rstrip().endswith("D 1  A 0")
    assert any("0.50┤" in row for row in rows) and rows[-1].startswith("step") and "100" in rows[-1]
    assert rows[1].rstrip().endswith("D") and any(row.rstrip().endswith("A") for row in rows[2:])


def test_a_spike_of_one_step_in_thousands_is_seen() -> None:
    values = [0.0] * 5000
    values[3210] = 1.0
    rows = _drawn(Plot("Gradient", "norm", [_curve(values, steps=range(1, 5001))]))
    assert any(0x2800 < ord(char) < 0x2900 for char in rows[1])


def test_the_cursor_tells_the_values_of_its_step() -> None:
    plot = Plot("Length", "tokens", [_curve([2.0 * step for step in STEPS])])
    rows = _drawn(plot, Zoom(cursor=30))
    assert "step 30:  60" in rows[0]
    assert all("│" in row[6:] or any(ord(char) > 0x2800 for char in row[6:]) for row in rows[1:-2])


def test_smallest_and_largest_are_a_band_beside_the_mean() -> None:
    flat = Series(list(STEPS), [50.0] * 100)
    plain = Plot("Length", "tokens", [_curve([50.0] * 100)], floor=0, ceiling=100)
    banded = replace(
        plain,
        curves=[replace(plain.curves[0], low=Series(flat.steps, [10.0] * 100), high=Series(flat.steps, [90.0] * 100))],
    )
    dots = [sum(0x2800 < ord(char) < 0x2900 for row in _drawn(plot)[1:] for char in row) for plot in (plain, banded)]
    assert dots[1] > 2 * dots[0]
    assert "50 (10–90)" in _drawn(banded)[0]


def test_a_logarithmic_scale_leaves_out_what_has_no_logarithm() -> None:
    rows = _drawn(Plot("KL", "nats", [_curve([0.0, *(10.0 ** (-step / 20) for step in range(99))])]), Zoom(log=True))
    assert "log scale" in rows[0]
    assert any("0.01┤" in row for row in rows) and any("1e-4┤" in row for row in rows)
    spans = Series([8, 16, 24], [0.5, 2.0, 1.0], [-1.0, 0.5, 0.0], [1.0, 9.0, 2.0], 1.0)
    reaching = _drawn(Plot("KL", "nats", [Curve("KL", "", "", spans)]), Zoom(log=True))
    assert "log scale" in reaching[0]  # spans with a mean above nought and values below it are drawn down to the edge
    nothing = _drawn(Plot("KL", "nats", [_curve([0.0] * 100)]), Zoom(log=True))
    assert len(nothing) == 12


def test_marks_stand_on_the_axis_and_the_worst_is_seen() -> None:
    plot = Plot("Loss", "", [_curve([1.0] * 100)], [Mark(50, "◇"), Mark(50, "▲"), Mark(400, "△")])
    axis = _drawn(plot)[-2]
    assert "▲" in axis and "◇" not in axis and "△" not in axis


@pytest.mark.parametrize("height", [1, 2, 4, 5, 9, 30])
@pytest.mark.parametrize("width", [3, 12, 20, 29, 58, 200])
def test_a_plot_fits_any_room(width: int, height: int) -> None:
    curves = [_curve([math.sin(step / 9) for step in STEPS], sign) for sign in "DAIQE"]
    plot = Plot("Reward, propose", "mean of a step", curves, [Mark(7, "▲")], floor=0.0)
    for zoom in (Zoom(), Zoom(cursor=3), Zoom(span=9, last=20, cursor=15, log=True)):
        rows = _drawn(plot, zoom, width, height)
        assert len(rows) <= height
        assert all(len(row) <= width for row in rows)


def test_nothing_to_draw_says_so() -> None:
    assert _drawn(Plot("Reward", "mean", [])) == ["Reward: no step yet"]
    one = _drawn(Plot("Reward", "mean", [_curve([0.5], steps=[1])]))
    assert "0.50" in one[0] and one[-1].startswith("step")


def test_only_alerts_of_the_line_that_leads_here_count() -> None:
    branches = [BranchRow(1, 0.0, None, 0, ""), BranchRow(2, 0.0, 1, 20, ""), BranchRow(3, 0.0, 1, 30, "")]
    assert line_of(branches, 3) == {3: 2**62, 1: 30}


def test_a_series_of_spans_reaches_as_far_as_its_bounds_and_knows_the_span_of_a_step() -> None:
    spans = Series([10, 20, 30], [1.0, 2.0, 3.0], [0.0, 2.0, -5.0], [2.0, 2.0, 9.0], 4.0)
    rows = _drawn(Plot("Loss", "", [Curve("loss", "", "", spans)]))
    assert any(row.lstrip().startswith(("5┤", "7.5┤", "8┤")) for row in rows) and any("-5┤" in row for row in rows)
    assert [at(spans, step) for step in (1, 10, 15, 20, 21, 30, 99)] == [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0]
    single = Series([10, 20], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0], 2.0)
    assert [at(single, step) for step in (9, 15, 20)] == [None, 1.0, 2.0]


@pytest.mark.parametrize(("x", "to_x"), [(3, 4), (4, 5), (2, 3)])
def test_a_steep_line_between_neighbours_is_what_dot_by_dot_comes_to(x: int, to_x: int) -> None:
    for y in range(16):
        for to_y in range(16):
            drawn, dotted = Canvas(4, 4), Canvas(4, 4)
            drawn.line(x, y, to_x, to_y, "red")
            steps = max(abs(to_y - y), 1)
            for step in range(steps + 1):
                dotted.dot(x + round(step / steps), y + round((to_y - y) * step / steps), "red")
            assert [drawn.text(row) for row in range(4)] == [dotted.text(row) for row in range(4)], (y, to_y)
