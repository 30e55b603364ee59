"""What every screen of the dashboard has: its looks, its keys, the help, the jump to a place, the command palette."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.terminal_theme import TerminalTheme
from textual.app import App, ScreenStackError, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widget import Widget

from azr_tui import keymap, keys, themes
from azr_tui.screens.help import HelpScreen
from azr_tui.screens.jump import JumpScreen, Target, targets
from azr_tui.screens.live import Kept
from azr_tui.screens.main import MainScreen
from azr_tui.settings import Settings
from azr_tui.symbols import AsciiOnly, NoDim, terminal_is_ascii
from azr_tui.terminal import TerminalDriver
from azr_tui.widgets.plots import Zooming

USUAL = Settings()


class DressedApp(App[None]):
    """The looks and the keys are those of ``settings``, where a theme chosen with a key is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.RUN]

    def __init__(self, settings: Settings) -> None:
        # With NO_COLOR the terminal's own two colours are used; otherwise Textual would turn red into near black.
        super().__init__(ansi_color="NO_COLOR" in os.environ)
        self._settings = settings
        self._kept: dict[type[Kept], Kept] = {}
        self._ascii_terminal = terminal_is_ascii(os.environ)
        self._ascii_only, self._no_dim = AsciiOnly(enabled=False), NoDim(enabled=False)
        for theme in themes.THEMES.values():
            self.register_theme(theme)
        self.set_keymap(dict(settings.keys))
        self._dress(settings)

    def get_driver_class(self) -> type[Driver]:
        """Textual's for this machine, or ours in the place of the one for terminals."""
        usual = super().get_driver_class()
        return TerminalDriver if usual is LinuxDriver else usual

    @property
    def panes(self) -> MainScreen:
        """The screen with the panes."""
        raise NotImplementedError

    @property
    def top(self) -> Screen[object] | None:
        """The screen on top; None while the app goes down, when threads may still report."""
        try:
            return self.screen
        except ScreenStackError:
            return None

    # -- looks -------------------------------------------------------------------------------------------

    @property
    def ansi_theme(self) -> TerminalTheme:
        """What the names of colours look like."""
        return themes.colours(self.theme) if self.theme in themes.NAMES else super().ansi_theme

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Symbols become ASCII last, after whatever else is done to a line."""
        own = [each for each in (self._no_dim, self._ascii_only) if each.enabled]
        return [*own[:1], *super().get_line_filters(), *own[1:]]

    def _dress(self, settings: Settings) -> None:
        self._settings = settings
        self._ascii_only.enabled = settings.in_ascii(self._ascii_terminal)
        self._no_dim.enabled = settings.theme == themes.HIGH_CONTRAST
        self.theme = settings.theme

    def action_theme(self, name: str) -> None:
        """Change to a theme, and keep it for the next time."""
        self._dress(self._settings.with_theme(name))
        try:
            self._settings.keep_theme()
        except (OSError, UnicodeDecodeError) as error:
            self.notify(f"The theme could not be kept: {error}", severity="warning", markup=False)

    def action_next_theme(self) -> None:
        self.action_theme(themes.after(self._settings.theme))

    # -- screens over the panes --------------------------------------------------------------------------

    def show_screen(self, kind: type[Kept], *about: Any) -> None:
        """Push a screen of a kind: the one that was kept, or a new one where that is somewhere below already."""
        kept = self._kept.get(kind)
        if kept is not None and kept not in self.screen_stack:
            self.push_screen(kept)
            kept.begin(*about)
        else:
            screen = kind(*about)
            if kept is None:
                self._kept[kind] = screen
                self.install_screen(screen, kind.__name__)
            self.push_screen(screen)

    # -- help, jump, palette -----------------------------------------------------------------------------

    def action_help(self) -> None:
        self.show_screen(HelpScreen)

    def action_jump(self) -> None:
        def go(target: Target | None) -> None:
            if target is not None:
                target.go()

        self.push_screen(JumpScreen(targets(self.screen)), go)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every act of the run, of each pane, and of the screen that is on top, with its key; and the themes."""
        own = keymap.of(self)
        for group, bindings in keys.GROUPS.items():
            if group in ("The run", "Panes"):
                stem, act = "", self._act_of_run if group == "The run" else self._act_of_panes
            elif group.lower() in self.panes.names:
                stem, act = f"{group}: ", partial(self._act_in, group.lower())
            elif group == "Plots" and (zooming := self._zooming(screen)) is not None:
                stem, act = f"{group}: ", partial(self._act_on, zooming)
            elif group in keys.SCREENS and screen.BINDINGS[: len(bindings)] == bindings:
                stem, act = f"{group}: ", partial(self._act_on, screen)
            else:
                continue
            for binding in bindings:
                told = f"{binding.tooltip} ({keymap.shown(binding, own)})"
                yield SystemCommand(f"{stem}{binding.description}", told, partial(act, binding))
        for name in themes.NAMES:
            yield SystemCommand(f"Theme: {name}", "Change to it, and keep it", partial(self.action_theme, name))

    async def _act_of_run(self, binding: Binding) -> None:
        await self.run_action(f"app.{binding.action}")

    async def _act_of_panes(self, binding: Binding) -> None:
        self._to_panes()
        await self.run_action(f"screen.{binding.action}", self.panes)

    async def _act_in(self, pane: str, binding: Binding) -> None:
        self._to_panes()
        await self.panes.action_pane(pane)
        await self.run_action(binding.action, self.panes.pane)

    async def _act_on(self, place: Widget, binding: Binding) -> None:
        await self.run_action(binding.action, place)

    def _zooming(self, screen: Screen[Any]) -> Zooming | None:
        """What shows plots on a screen, if anything does."""
        place = self.panes.pane if screen is self.panes else screen
        return place if isinstance(place, Zooming) else None

    def _to_panes(self) -> None:
        """Close whatever is over the panes."""
        while self.screen is not self.panes:
            self.pop_screen()
