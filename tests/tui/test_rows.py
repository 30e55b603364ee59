"""The list widget: the cursor, the keys, the mouse; what is drawn is what is in sight, and no more is made."""

from __future__ import annotations

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from azr_tui.widgets.rows import Rows

COUNT = 100_000


class Listed(App[None]):
    """Rows of a number, a word and a coloured text; notes which cells were made and what was told."""

    def __init__(self) -> None:
        super().__init__()
        self.list = Rows()
        self.made: list[int] = []
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield self.list

    def on_mount(self) -> None:
        self.list.set_columns([(Text("id"), 6), (Text("word"), 8), (Text("rest"), 10)])
        self.list.set_rows(COUNT, self.cells)
        self.list.focus()

    def cells(self, row: int) -> list[Text]:
        self.made.append(row)
        rest = Text.assemble(("red", "bold red"), " and long beyond its column")
        return [Text(str(row), justify="right"), Text("[b]日本語日本語"), rest]

    def on_rows_selected(self, message: Rows.Selected) -> None:
        self.told.append(("selected", message.row))

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        self.told.append(("highlighted", message.row))

    def shown(self) -> list[str]:
        width, height = self.list.size
        return [self.list.render_line(y).crop(0, width).text for y in range(height)]


async def test_a_long_list_makes_only_the_rows_in_sight() -> None:
    app = Listed()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        assert set(app.made) <= set(range(12))
        await pilot.press("end")
        assert len(set(app.made)) <= 24
        assert app.shown()[-1].split()[0] == str(COUNT - 1)


async def test_rows_are_cut_to_their_columns_and_model_text_is_no_markup() -> None:
    app = Listed()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        header, first, *_ = app.shown()
        assert header.split() == ["id", "word", "rest"]
        assert first.startswith("     0 [b]日本  red and lo")  # a wide character that does not fit gives way to a blank
        strip = app.list.render_line(1)
        (red,) = [segment for segment in strip if segment.text == "red"]
        assert red.style is not None and red.style.bold and red.style.color is not None


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (["down", "down"], 2),
        (["down", "up", "up"], 0),
        (["pagedown"], 11),
        (["pagedown", "pageup"], 0),
        (["end"], COUNT - 1),
        (["end", "down"], COUNT - 1),
        (["end", "home"], 0),
    ],
)
async def test_keys_move_the_cursor_and_keep_it_in_sight(keys: list[str], row: int) -> None:
    app = Listed()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press(*keys)
        assert app.list.cursor_row == row
        assert app.told[-1] == ("highlighted", row)
        assert str(row) in [line.split()[0] for line in app.shown()[1:]]
        await pilot.press("enter")
        assert app.told[-1] == ("selected", row)


async def test_a_click_moves_the_cursor_and_a_second_one_selects() -> None:
    app = Listed()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("end")
        first = int(app.shown()[1].split()[0])
        await pilot.click(Rows, offset=(3, 4))
        assert app.list.cursor_row == first + 3
        assert ("selected", first + 3) not in app.told
        await pilot.click(Rows, offset=(3, 4))
        assert app.told[-1] == ("selected", first + 3)
        await pilot.click(Rows, offset=(3, 0))  # the header
        assert app.list.cursor_row == first + 3


async def test_fewer_rows_pull_the_cursor_up_and_none_leave_nothing_to_select() -> None:
    app = Listed()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("end")
        app.list.set_rows(5, app.cells)
        assert app.list.cursor_row == 4
        await _settle(pilot)
        assert [line.split()[0] for line in app.shown()[1:6]] == ["0", "1", "2", "3", "4"]
        app.list.set_rows(0, app.cells)
        app.told.clear()
        await pilot.press("enter", "down")
        assert app.list.cursor_row == 0 and not [told for told in app.told if told[0] == "selected"]  # type: ignore[index]
        assert not any(line.strip() for line in app.shown()[1:])


async def test_rows_follow_the_width_of_the_terminal() -> None:
    app = Listed()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("end")
        await pilot.resize_terminal(60, 6)
        await _settle(pilot)
        assert len(app.shown()) == 6
        assert app.shown()[-1].split()[0] == str(COUNT - 1)


async def _settle(pilot: Pilot[None]) -> None:
    await pilot.pause()
