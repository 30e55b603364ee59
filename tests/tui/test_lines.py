"""The two lines that must fit any width: which panes there are, and which keys work."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from azr_tui.app import AzrApp
from azr_tui.keys import PANE_SHORT
from azr_tui.widgets.key_line import Key, fit
from azr_tui.widgets.pane_line import pane_labels

TEN = ["overview", "training", "samples", "alerts", "review", "tasks", "checkpoints", "policies", "log", "compare"]
DIGITS = dict(zip(TEN, "1234567890", strict=True))


def _line(chosen: str, width: int, badges: dict[str, int]) -> str:
    return "".join(label for _, label in pane_labels(TEN, chosen, badges, DIGITS, width))


@pytest.mark.parametrize("width", [56, 58, 76, 78, 118, 198])
@pytest.mark.parametrize("chosen", TEN)
def test_ten_panes_fit_and_each_keeps_its_digit(width: int, chosen: str) -> None:
    line = _line(chosen, width, {"alerts": 1234, "review": 17})
    assert len(line) <= width
    assert all(digit in line for digit in DIGITS.values())
    assert any(f"[{DIGITS[chosen]} {name}" in line for name in (chosen.capitalize(), PANE_SHORT[chosen]))
    assert not re.search(r"[A-Za-z]\d", line), "no digit is joined to the name before it"
    assert "1,234" in line and "17" in line


def test_names_are_as_long_as_there_is_room() -> None:
    assert "Checkpoints" in _line("overview", 118, {})
    assert "Checkpoints" not in _line("overview", 78, {}) and "7 Ckpt" in _line("overview", 78, {})
    assert "Ckpt" not in _line("overview", 56, {}) and " 7 " in _line("overview", 56, {})


KEYS = [
    Key("overview.open", "enter", "enter", "Open alert"),
    Key("overview.role", "o", "o", "Role"),
    Key("run.pause", "p", "p", "Pause"),
    Key("run.rollback", "b", "b", "Roll back"),
    Key("app.help", "question_mark", "?", "Help"),
    Key("app.quit", "q", "q", "Quit"),
]


@pytest.mark.parametrize("width", range(18, 70))
def test_keys_never_take_more_than_the_width_and_pause_and_help_always_stand_there(width: int) -> None:
    shown, whole = fit(KEYS, width)
    used = sum(key.width + 2 for key in shown) - 2 + (0 if whole else 3)
    assert used <= width
    assert {"run.pause", "app.help"} <= {key.id for key in shown}
    assert shown[-1].id == "app.help"
    assert whole == (len(shown) == len(KEYS))


async def test_what_is_left_out_leaves_a_sign(
    full_run: Any, make_app: Callable[..., AzrApp], until: Any, shown: Callable[[AzrApp], str]
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(60, 18)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        last = shown(app).split("\n")[-1]
        assert "p Pause" in last and last.rstrip().endswith("…  ? Help")
        await pilot.resize_terminal(140, 40)
        await pilot.pause()
        last = shown(app).split("\n")[-1]
        assert "…" not in last and "Quit" in last


async def test_a_click_on_a_key_does_what_the_key_does(full_run: Any, make_app: Callable[..., AzrApp]) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = str(app.screen.query_one("KeyLine").render())
        await pilot.click("KeyLine", offset=(text.index("? Help") + 2, 0))
        await pilot.pause()
        assert type(app.screen).__name__ == "HelpScreen"
