"""Texts that are drawn here look as Textual would draw them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widgets import Static

from azr_tui.widgets.plain import Plain

WIDTH = 30
STYLES = ("bold", "dim", "red", "bold yellow", "reverse", "underline green", "not bold", "on blue")
BASES = ("", "bold", "dim")
LINES = st.text(st.sampled_from("abc xyz→é漢🐍"), max_size=14)
SPANS = st.tuples(st.integers(-2, 50), st.integers(-2, 50), st.sampled_from(STYLES))
Told = list[tuple[str, object, object, bool, bool, bool]]


class Both(App[None]):
    CSS = f"Plain, Static {{ width: {WIDTH}; height: 8; color: $foreground; background: $surface; }}"

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.usual = Plain(), Static(markup=False)

    def compose(self) -> ComposeResult:
        yield self.plain
        yield self.usual


def _told(strip: Strip) -> Told:
    """The characters of a line with what is seen of their styles."""
    return [
        (char, style.color, style.bgcolor, bool(style.bold), bool(style.dim), bool(style.reverse))
        for text, style, _ in strip.adjust_cell_length(WIDTH)
        if style is not None
        for char in text.rstrip() or ""
    ]


@asynccontextmanager
async def drawn() -> AsyncIterator[Both]:
    app = Both()
    async with app.run_test(size=(80, 24)):
        yield app


async def test_texts_look_as_textual_draws_them() -> None:
    async with drawn() as both:

        @settings(deadline=None, max_examples=150)
        @given(st.lists(LINES, min_size=1, max_size=5), st.lists(SPANS, max_size=6), st.sampled_from(BASES))
        def check(lines: list[str], spans: list[tuple[int, int, str]], style: str) -> None:
            text = Text("\n".join(lines), style=style)
            for start, end, name in spans:
                text.stylize(name, start, end)
            both.plain.put(text.copy())
            both.usual.update(text)
            for y in range(5):
                assert _told(both.plain.render_line(y)) == _told(both.usual.render_line(y)), text

        check()


async def test_lines_that_are_not_to_be_broken_are_cut_with_a_sign() -> None:
    async with drawn() as both:
        both.plain.put(Text(f"short\n{'word ' * 10}", no_wrap=True))
        assert both.plain.render_line(0).text.rstrip() == "short"
        assert both.plain.render_line(1).text == f"{'word ' * 10}"[: WIDTH - 1] + "…"
        both.plain.put(Text("漢" * 20, no_wrap=True))
        assert both.plain.render_line(0).cell_length <= WIDTH and both.plain.render_line(0).text.endswith("…")
        both.plain.put(Text("x" * 40, no_wrap=True, overflow="crop"))
        assert both.plain.render_line(0).text == "x" * WIDTH


async def test_lines_that_are_too_long_are_broken_as_ever() -> None:
    async with drawn() as both:
        both.plain.put(Text("word " * 10))
        assert both.plain.render_line(0).text.rstrip() == ("word " * 6).rstrip()
        assert both.plain.render_line(1).text.rstrip() == ("word " * 4).rstrip()
