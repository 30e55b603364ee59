"""One sample, whole: why it was allowed or blocked, and every text with the findings marked in it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from azr_platform.channel.messages import Decision
from azr_platform.ledger.records import SampleDetail
from azr_tui import keys
from azr_tui.messages import DecisionWanted, SampleWanted
from azr_tui.sample_page import sample_lines
from azr_tui.screens.live import LiveScreen
from azr_tui.widgets.marked_text import MarkedText


class SampleScreen(LiveScreen):
    """``n`` and ``N`` go from mark to mark, ``[`` and ``]`` to the neighbours; ``A``, ``B`` and ``F`` decide."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.SAMPLE]

    def __init__(self, detail: SampleDetail) -> None:
        super().__init__()
        self._detail = detail
        self._text = MarkedText(id="sample")

    @property
    def number(self) -> int:
        """The ledger's id of the sample in sight."""
        return self._detail.sample.id

    @property
    def step(self) -> int:
        """The step that it belongs to."""
        return self._detail.sample.step

    def body(self) -> ComposeResult:
        yield self._text

    def on_mount(self) -> None:
        self._text.show(sample_lines(self._detail))
        self._text.focus()

    def replace(self, detail: SampleDetail) -> None:
        """Show another sample in the same place."""
        self._detail = detail
        self._text.scroll_to(y=0, animate=False)
        self._text.show(sample_lines(detail))

    def action_back(self) -> None:
        self.dismiss()

    def action_finding(self, direction: int) -> None:
        if not self._text.jump(direction):
            self.notify("No further mark." if self._detail.findings else "Nothing is marked here.", markup=False)

    def action_decide(self, decision: str) -> None:
        self.post_message(DecisionWanted(self.number, Decision(decision)))

    def action_neighbour(self, direction: int) -> None:
        wanted: Message = SampleWanted(self.number + direction)
        self.post_message(wanted)
