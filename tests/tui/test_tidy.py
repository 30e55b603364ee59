"""Garbage is collected between keys, never while they are pressed, and no less than Python would."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from azr_tui import tidy
from azr_tui.tidy import Tidy


class Ring:
    def __init__(self) -> None:
        self.me = self


def _old_garbage() -> weakref.ref[Ring]:
    ring = Ring()
    for generation in (0, 1):
        gc.collect(generation)
    return weakref.ref(ring)


def _make_due() -> None:
    gc.collect()
    for _ in range(tidy._DUE):
        gc.collect(1)


def test_in_charge_python_leaves_the_old_to_it_and_has_its_own_way_afterwards() -> None:
    before = gc.get_threshold()
    with Tidy().in_charge():
        assert gc.get_threshold()[2] > 2**20
        ring = _old_garbage()
        for _ in range(50):
            gc.collect(1)
        assert ring() is not None
    assert gc.get_threshold() == before


def test_what_is_due_is_collected_once_no_key_was_pressed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(tidy, "monotonic", lambda: now[0])
    with (ours := Tidy()).in_charge():
        gc.collect()
        now[0] += 5
        assert not ours.look(), "nothing is due"
        _make_due()
        ring = _old_garbage()
        ours.pressed()
        now[0] += 0.5
        assert not ours.look() and ring() is not None
        now[0] += 0.6
        assert ours.look() and ring() is None


async def test_keys_of_the_dashboard_put_it_off(full_run: Any, make_app: Any, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        before = app._tidy._pressed
        await pilot.press("2")
        assert app._tidy._pressed > before
