"""One sample, whole: why it was allowed or blocked, and every text with the findings marked and explained in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from azr_platform.channel.messages import Decision
from azr_platform.ledger.search import places
from azr_tui import keys
from azr_tui.document import Line, marked
from azr_tui.escape import visible, visible_line
from azr_tui.messages import DecisionWanted, FamilyWanted, NeighbourWanted
from azr_tui.sample.dossier import Dossier
from azr_tui.sample.page import Page, sample_page
from azr_tui.screens.live import Kept, LiveScreen
from azr_tui.view import View
from azr_tui.widgets.field import Field
from azr_tui.widgets.marked_text import MarkedText
from azr_tui.widgets.plain import Plain

_LONGEST_COPIED = 200_000
_SECTIONS = {binding.action.split("'")[1]: binding for binding in keys.SAMPLE if binding.action.startswith("section")}


class SampleScreen(LiveScreen, Kept):
    """A letter leads to each section, ``n`` and ``N`` from mark to mark, ``[`` and ``]`` along the list; ``A``, ``B``
    and ``F`` decide."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.SAMPLE]

    def __init__(self, dossier: Dossier, rule: str = "", words: Sequence[str] = (), listed: bool = False) -> None:
        super().__init__()
        self._listed = listed
        self._dossier = dossier
        self._rule = rule
        self._words = words
        self._sought = ""
        self._page = Page([], {})
        self._width = 0
        self._sections = Plain(id="sample-sections")
        self._text = MarkedText(id="sample")
        self._find = Field(placeholder="words to find in this sample", id="sample-find")

    @property
    def number(self) -> int:
        """The ledger's id of the sample in sight."""
        return self._dossier.detail.sample.id

    @property
    def step(self) -> int:
        """The step that it belongs to."""
        return self._dossier.detail.sample.step

    def body(self) -> ComposeResult:
        yield self._sections
        yield self._text
        yield self._find

    def on_mount(self) -> None:
        self._find.display = False
        self._text.focus()

    def on_resize(self) -> None:
        """The answers stand side by side where there is room for that, so another width is another page."""
        self.call_after_refresh(self._lay_out)

    def begin(self, dossier: Dossier, rule: str = "", words: Sequence[str] = (), listed: bool = False) -> None:
        self._dossier, self._rule, self._words, self._listed = dossier, rule, words, listed
        self._sought, self._width = "", 0
        self._find.display = False
        self.set_focus(self._text)
        self._lay_out(keep=False)

    def replace(
        self, dossier: Dossier, rule: str = "", words: Sequence[str] | None = None, listed: bool = False
    ) -> None:
        """Show another sample, or the same one after it changed, in the same place."""
        same = dossier.detail.sample.id == self.number
        self._listed = self._listed if same else listed
        self._dossier, self._rule = dossier, rule
        self._words = self._words if words is None else words
        self._width = 0
        self._lay_out(keep=same)

    # -- keys --------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        if self._sought:
            self._seek("")
        else:
            self.dismiss()

    def action_section(self, name: str) -> None:
        if name in self._page.sections:
            self._text.go_to(self._page.sections[name])
        else:
            self.notify(f"This sample has no such part: {name}.", markup=False)

    def action_finding(self, direction: int) -> None:
        if not self._text.jump(direction):
            marks = self._text.marks()[1]
            self.notify("No further mark." if marks else "Nothing is marked here.", markup=False)

    def action_decide(self, decision: str) -> None:
        self.post_message(DecisionWanted(self.number, Decision(decision)))

    def action_neighbour(self, direction: int) -> None:
        self.post_message(NeighbourWanted(direction, self.number, self._listed))

    def action_kin(self) -> None:
        task = self._dossier.detail.sample.task
        if task and self._dossier.task is not None:
            self.post_message(FamilyWanted(task))
        else:
            self.action_section("kin")

    def action_find(self) -> None:
        self._find.display = True
        self._find.value = self._sought
        self.set_focus(self._find)

    def action_copy(self) -> None:
        text = self._plain()
        self.app.copy_to_clipboard(text[:_LONGEST_COPIED])
        cut = f", its first {_LONGEST_COPIED:,} characters" if len(text) > _LONGEST_COPIED else ""
        self.notify(f"Sample {self.number} is in the terminal's clipboard{cut}, as it is shown.", markup=False)

    def action_save(self) -> None:
        """Write what is shown to a file of a new name in the folder that the dashboard was started in."""
        path = next(
            path
            for number in range(1, 10_000)
            if not (path := Path(f"sample-{self.number}{f'-{number}' if number > 1 else ''}.txt")).exists()
        )
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self._plain())
        except OSError as error:
            self.notify(f"{path.absolute()}: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"Written to {visible_line(str(path.absolute()), 300)}, as it is shown.", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is written by a dashboard that only watches."""
        return not (action == "save" and self._only_watches())

    # -- what happens ------------------------------------------------------------------------------------

    def show(self, view: View) -> None:
        super().show(view)
        self._draw_sections()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._find.display = False
        self._text.focus()
        self._seek(event.value.strip())

    def on_marked_text_moved(self) -> None:
        self._draw_sections()

    def on_marked_text_clicked(self, event: MarkedText.Clicked) -> None:
        """A click on a finding leads to the words that it quotes."""
        if event.line.name.startswith("to "):
            self._land(event.line.name.removeprefix("to "))

    # -- inside ------------------------------------------------------------------------------------------

    def _lay_out(self, keep: bool = True) -> None:
        width = self._text.scrollable_content_region.width
        if width <= 0 or width == self._width:
            return
        first, self._width = not self._width, width
        self._page = sample_page(self._dossier, width=width)
        self._text.show(self._marked(self._page.lines))
        if first and not keep:
            self._text.scroll_to(y=0, animate=False, immediate=True)
        if first and self._rule:
            rule, self._rule = self._rule, ""
            self.call_after_refresh(self._land, f"{rule} ")  # not before the page's height is known
        self._draw_sections()

    def _marked(self, lines: list[Line]) -> list[Line]:
        if self._sought:
            pattern = re.compile(re.escape(self._sought), re.IGNORECASE)
            return marked(lines, lambda text: [found.span() for found in pattern.finditer(text)])
        return marked(lines, lambda text: places(text, self._words)) if self._words else lines

    def _seek(self, words: str) -> None:
        """Mark these words too, and go to the first; without words, back to how it was."""
        self._sought = visible(words)
        self._text.show(self._marked(self._page.lines))
        if words and not self._text.jump(1):
            self._text.scroll_to(y=0, animate=False)
            found = self._text.marks()[1]
            self.notify("No further place below: n and N go on." if found else "Not found.", markup=False)
        self._draw_sections()

    def _land(self, name: str) -> None:
        """Go to the place whose explanation begins with that name."""
        lines = self._text.lines
        number = next((index for index, line in enumerate(lines) if line.name.startswith(name)), None)
        if number is not None:
            self._text.go_to(number, lead=True)

    def _draw_sections(self) -> None:
        """Which parts there are, by their letters; the one in sight is reversed."""
        sections = self._page.sections
        here = self._text.line_in_sight
        current = next((name for name in reversed(sections) if sections[name] <= here + 1), "")
        text = Text(no_wrap=True, overflow="ellipsis")
        for name, binding in _SECTIONS.items():
            if name in sections:
                style = "reverse" if name == current else ""
                text.append(f"{binding.key} ", style=f"bold {style}").append(binding.description, style=style).append(
                    " "
                )
        at, marks = self._text.marks()
        if marks:
            text.append(f" mark {at}/{marks}: n N", style="bold yellow")
        self._sections.put(text)

    def _plain(self) -> str:
        """The page as it is shown: whatever would act on a terminal is replaced in it."""
        return "".join(f"{line.gutter}{line.text}\n" for line in self._page.lines)

    def _only_watches(self) -> bool:
        view = getattr(self.app, "view", None)
        return isinstance(view, View) and view.read_only
