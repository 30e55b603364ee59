"""The bases of all screens: one that carries the status bar and is kept up to date, a pane inside it, a dialog."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from azr_tui import keys
from azr_tui.view import View
from azr_tui.widgets.key_line import KeyLine
from azr_tui.widgets.status_bar import StatusBar

T = TypeVar("T")


class Leaving(Screen[T]):
    """Leaves once: a second esc or enter that comes before the first took effect is of no account."""

    _left = False

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        if self._left:
            return AwaitComplete()
        self._left = True
        return super().dismiss(result)

    def on_screen_resume(self) -> None:
        self._left = False


class Kept(Leaving[Any]):
    """Kept when it is left, and shown again about something else: to make and dress a screen takes several frames."""

    def begin(self, *about: Any) -> None:
        """Be as one that is new, made of this; called when it is already on top."""
        raise NotImplementedError


class LiveScreen(Leaving[Any]):
    """Status bar above, keys below, ``body`` between."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = StatusBar()
        self._key_line = KeyLine()

    def compose(self) -> ComposeResult:
        yield self._bar
        yield from self.body()
        yield self._key_line

    def body(self) -> ComposeResult:
        """The widgets between the bars."""
        raise NotImplementedError

    def show(self, view: View) -> None:
        """Take over the newest view; called about once a second while the screen is on top."""
        self._bar.show(view)
        self._key_line.show(view.steerable, kept=view.kept)


class Pane(Vertical):
    """One of the main screen's panes; only the one in sight is kept up to date."""

    def show(self, view: View) -> None:
        """Take over the newest view."""
        raise NotImplementedError

    def look_ahead(self, view: View) -> None:
        """Ask for what takes more than a moment to be read, before anybody looks."""

    @property
    def suspect(self) -> tuple[int, int] | None:
        """The sample under the cursor, by number and step, that a rollback should go to before; None for none."""
        return None

    def enter(self) -> None:
        """The pane came into sight: focus what the keys should go to."""


class Dialog(ModalScreen[T], Leaving[T]):  # the first one gives the looks
    """A question or a page over what was on the screen; help and jump work here as everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.HELP, keys.JUMP]

    async def action_help(self) -> None:
        await self.run_action("app.help")

    async def action_jump(self) -> None:
        await self.run_action("app.jump")
