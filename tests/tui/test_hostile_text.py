"""Model text attacks the dashboard from every field it is shown in; the terminal and the reader get none of it.

The terminal's bytes are what counts, so the test reads what Textual would write: the segments' text may hold no
control character at all, and no segment may carry an action, a link or a style that the text asked for.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from rich.segment import Segment
from textual.widgets import Input

from azr_platform.records import Kind, Role
from azr_tui.app import AzrApp
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.family import FamilyScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.screens.samples import SamplesPane
from azr_tui.widgets.marked_text import MarkedText

Make = Callable[..., AzrApp]

ATTACK = (
    "\x1b[2J\x1b]52;c;cm0gLXJmIH4=\x07\x1b]8;;http://example.invalid\x1b\\ "
    "[red]R[/red][@click=app.quit]C[/][link=http://example.invalid]L[/link][blink]B[/] [/nothing] [[ "
    "\u202eesrever\u2066 \u200b\ufeff\U000e0041 \r\b\x7f\x9b31m {self} {0} %s $text\n"
)


@pytest.fixture
def hostile_run(open_run: Any) -> Any:
    """A run whose every text column holds the attack."""
    folder, run = open_run()
    writer = run.writer
    writer.append(
        "run", {"name": ATTACK, "created_at": 1.0, "version": ATTACK, "seed": 1, "steps": 9, "config": ATTACK}
    )
    writer.append("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": ATTACK})
    writer.append("states", {"time": 2.0, "state": "running", "where_at": ATTACK, "reason": ATTACK})
    writer.append("notices", {"time": 3.0, "source": ATTACK, "message": ATTACK})
    row = sample_with_attack()
    sample = writer.append("samples", row)
    verdict = {"sample": sample, "allowed": False, "action": 2, "severity": 4, "score": 0.9, "reason": ATTACK}
    writer.append("verdicts", verdict)
    for part in ("trace", "program", "message", "input", "answer", ATTACK):
        finding = {"sample": sample, "rule": ATTACK, "severity": 4, "part": part, "why": ATTACK}
        writer.append("findings", {**finding, "span_start": 4, "span_end": 40})
    writer.append("scores", {"sample": sample, "classifier": ATTACK, "category": ATTACK, "value": 0.5})
    execution = {"sample": sample, "position": 0, "input": ATTACK, "outcome": ATTACK, "value": ATTACK}
    writer.append("executions", {**execution, "detail": ATTACK, "cpu_ms": 1.0, "wall_ms": 1.0, "memory_kb": 1})
    task = {"sample": sample, "branch": 1, "step": 1, "task": ATTACK, "kind": "deduction", "program": ATTACK}
    texts = {"inputs": json.dumps([ATTACK]), "outputs": json.dumps([ATTACK]), "shown": 1, "message": ATTACK}
    writer.append("tasks", {**task, **texts})
    answer = writer.append("samples", {**row, "role": Role.SOLVE.value})
    held = {"sample": answer, "allowed": False, "action": 6, "severity": 4, "score": 0.9, "reason": ATTACK}
    writer.append("verdicts", held)
    finding = {"sample": answer, "rule": ATTACK, "severity": 4, "part": "trace", "why": ATTACK}
    writer.append("findings", {**finding, "span_start": 4, "span_end": 40})
    change = {"branch": 1, "what": "task", "value": ATTACK, "why": ATTACK}
    writer.append("branch_changes", change)
    alert = {"time": 4.0, "branch": 1, "step": 1, "severity": 4, "rule": ATTACK, "sample": sample}
    writer.append("alerts", {**alert, "message": ATTACK})
    control = {"time": 5.0, "who": ATTACK, "action": ATTACK, "arguments": ATTACK, "why": ATTACK}
    writer.append("controls", {**control, "outcome": ATTACK})
    writer.append("steps", {"branch": 1, "step": 1, "started_at": 1.0, "seconds": 1.0})
    for name in (ATTACK, f"difficulty/{ATTACK}", "reward/solve/deduction"):
        writer.append("metrics", {"branch": 1, "step": 1, "name": name, "value": 1.0})
    checkpoint = {"time": 6.0, "branch": 1, "step": 1, "path": ATTACK, "digest": ATTACK, "kept_for": ATTACK}
    writer.append("checkpoints", checkpoint)
    return folder, run


def sample_with_attack() -> dict[str, object]:
    texts = ("uid", "task", "prompt", "response", "reasoning", "program", "input", "message", "answer", "outcome")
    row: dict[str, object] = dict.fromkeys((*texts, "problem"), ATTACK)
    place = {"time": 1.0, "branch": 1, "step": 1, "phase": ATTACK, "role": Role.PROPOSE.value}
    return {**row, **place, "kind": Kind.DEDUCTION.value, "tokens": 3, "well_formed": True, "correct": None}


@pytest.mark.parametrize("size", [(80, 24), (160, 60)])
async def test_no_pane_lets_model_text_act(
    hostile_run: Any, make_app: Make, until: Any, shown: Any, size: tuple[int, int]
) -> None:
    app = make_app(hostile_run[0])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for key in "1234569":
            await pilot.press(key)
            await until(pilot, lambda: "␛" in shown(app), f"the attack in pane {key}")
            _assert_inert(app)
        await pilot.press("1", "enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        page = app.screen.query_one(MarkedText)
        await until(pilot, lambda: page.virtual_size.height > 20, "the page laid out")
        text = "\n".join(line.text for line in page.lines)
        assert "␛]52;c;cm0gLXJmIH4=␇" in text, "the attack is shown, not dropped"
        assert "[@click=app.quit]C[/]" in text and "⇄esrever⇄ ∅∅∅" in text
        assert any(mark.start for line in page.lines for mark in line.marks), "spans still mark hostile text"
        for _ in range(page.virtual_size.height // page.size.height + 1):
            _assert_inert(app)
            await pilot.press("pagedown")
            await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_no_list_lets_model_text_act(hostile_run: Any, make_app: Make, until: Any, size: tuple[int, int]) -> None:
    app = make_app(hostile_run[0])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for key, widget in (("3", "#samples"), ("4", "#alert-message"), ("5", "#review-words"), ("6", "#task-program")):
            await pilot.press(key)
            await until(pilot, lambda widget=widget: "␛" in drawn(app, widget), f"the attack in {widget}")
            _assert_inert(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, FamilyScreen), "the family")
        for widget in ("#family-head", "Listing", "#family-text"):
            await until(pilot, lambda widget=widget: "␛" in drawn(app, widget), f"the attack in {widget}")
        _assert_inert(app)
        await pilot.press("3")
        pane = app.screen.query_one(SamplesPane)
        for text in (ATTACK, f"rule:{ATTACK}", f"{ATTACK}:{ATTACK}", "rm"):
            await pilot.press("slash")
            field = app.focused
            assert isinstance(field, Input)
            field.value = text  # as if it was pasted
            await pilot.pause()
            _assert_inert(app)
            await pilot.press("enter")
            await until(pilot, lambda: pane.settled, "its page")
            _assert_inert(app)


def drawn(app: AzrApp, selector: str) -> str:
    """The text of one widget on the screen."""
    region = app.screen.query_one(selector).region
    rows = app.screen._compositor.render_strips()[region.y : region.bottom]
    return "\n".join(row.text[region.x : region.right] for row in rows)


async def test_a_megabyte_on_one_line_is_no_burden_in_lists_and_queues(
    open_run: Any, make_app: Make, until: Any
) -> None:
    folder, run = open_run()
    run.begin()
    run.state("running")
    run.held_trace(1, "\x1b[31mA" * 200_000)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("5")
        await until(pilot, lambda: "␛[31mA" in drawn(app, "#review-words"), "the beginning of it")
        assert app.screen.query_one("#review-words", MarkedText).virtual_size.height < 40
        _assert_inert(app)


async def test_toasts_and_dialogs_show_model_text_inert(
    hostile_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    folder, run = hostile_run
    supervise(folder)
    app = make_app(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None and app.view.steerable, "a live run")
        run.alert(1, 4, ATTACK, ATTACK)
        await until(pilot, lambda: list(app._notifications), "a toast")
        _assert_inert(app)
        await pilot.press("b")
        _assert_inert(app)
        await pilot.press("escape", "4", "d")
        assert isinstance(app.screen, ConfirmScreen)
        _assert_inert(app)


async def test_a_line_of_a_megabyte_is_drawn_whole_and_quickly(open_run: Any, make_app: Make, until: Any) -> None:
    folder, run = open_run()
    run.begin()
    run.state("running")
    sentence = "I plan to escape."
    run.blocked_trace(1, reasoning="\x1b[31mA" * 200_000 + sentence, sentence=sentence)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        page = app.screen.query_one(MarkedText)
        await until(pilot, lambda: page.virtual_size.height > 10_000, "the page laid out")
        await pilot.press("n")
        await until(pilot, lambda: page.scroll_offset.y > 10_000, "the jump to the mark at the end")
        _assert_inert(app)
        rows = ["".join(segment.text for segment in page.render_line(y)) for y in range(page.size.height)]
        assert any("escape." in row for row in rows)


def _assert_inert(app: AzrApp) -> None:
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            _assert_segment_inert(segment)


def _assert_segment_inert(segment: Segment) -> None:
    assert not segment.control
    for char in segment.text:
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"), (char, segment)
    style = segment.style
    if style is None:
        return
    assert not style.blink and style.link is None, segment
    for key, value in (style.meta or {}).items():
        assert "quit" not in str(value), (key, value)
