"""Themes, symbols and keys: what a user chooses counts, is kept, and is refused with a remedy where it is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.color import Color
from textual.theme import Theme
from textual.widgets import Input
from typer.testing import CliRunner

from azr_monitor.records import Severity
from azr_platform.cli.main import app as command_line
from azr_tui import keymap, keys, symbols, themes, wording
from azr_tui.app import AzrApp
from azr_tui.escape import visible
from azr_tui.health import SIGNS
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.help import HelpScreen, help_lines
from azr_tui.screens.jump import JumpScreen
from azr_tui.screens.main import MainScreen
from azr_tui.screens.plot import PlotScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.settings import Settings, SettingsError, load

Shown = Callable[[AzrApp], str]
Make = Callable[..., AzrApp]


def _at(folder: Path, text: str) -> dict[str, str]:
    """An environment whose tui.toml holds ``text``."""
    path = folder / "azr-platform" / "tui.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    return {"XDG_CONFIG_HOME": str(folder)}


def _app(run: Path, settings: Settings) -> AzrApp:
    return AzrApp(run, poll=0.05, settings=settings)


# -- the file --------------------------------------------------------------------------------------------------


def test_without_a_file_all_is_as_usual(tmp_path: Path) -> None:
    settings = load({"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.theme == "dark" and not settings.keys
    assert settings.path == tmp_path / "azr-platform" / "tui.toml"
    assert load({"HOME": str(tmp_path)}).path == tmp_path / ".config" / "azr-platform" / "tui.toml"
    relative = load({"XDG_CONFIG_HOME": "here", "HOME": str(tmp_path)})
    assert relative.path == tmp_path / ".config" / "azr-platform" / "tui.toml"


def test_a_file_gives_theme_symbols_and_keys(tmp_path: Path) -> None:
    text = 'theme = "light"\nsymbols = "ascii"\n[keys]\nrun.pause = "P, f5"\n"app.help" = "h"\n'
    settings = load(_at(tmp_path, text))
    assert settings.theme == "light" and settings.in_ascii(False)
    assert dict(settings.keys) == {"run.pause": "P, f5", "app.help": "h"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("theme = ", "Invalid value"),
        ('theme = "puce"', "there is no theme 'puce': it is one of dark, light, high-contrast, ascii"),
        ("theme = 3", "there is no theme 3"),
        ('colour = "red"', "unknown setting 'colour'"),
        ('symbols = "emoji"', "'emoji' is none of auto, unicode, ascii"),
        ("keys = 3", "a table is wanted"),
        ('[keys]\nrun.paus = "P"', "unknown act 'run.paus'; did you mean run.pause?"),
        ("[keys]\nrun.pause = 3", "run.pause wants a key in quotes"),
        ('[keys]\nrun.pause = "PP"', "run.pause: 'PP' is no key"),
        ('[keys]\nrun.pause = ""', "is no key"),
        ('[keys]\nrun.pause = "ctrl+"', "is no key"),
        ('[keys]\nrun.pause = "r"', "r means both run.pause and run.resume"),
        ('[keys]\nalerts.acknowledge = "p"', "p means both run.pause and alerts.acknowledge (alerts)"),
        ('[keys]\nplot.log = "o"', "o means both overview.plots and plot.log (overview)"),
        ('[keys]\nsample.back = "?"', "? means both app.help and sample.back (one sample)"),
        ("\ufeff[keys]\x00", "Invalid"),
    ],
)
def test_what_is_not_understood_is_refused_with_place_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    environ = _at(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load(environ)
    assert words in str(refused.value)
    assert str(tmp_path / "azr-platform" / "tui.toml") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_keys_that_change_places_do_not_clash(tmp_path: Path) -> None:
    assert load(_at(tmp_path, '[keys]\nrun.pause = "r"\nrun.resume = "p"\n')).keys["run.resume"] == "p"


def test_the_command_says_what_is_wrong_in_one_line_and_fails(
    tmp_path: Path, full_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azr_platform.cli.errors import exit_status

    monkeypatch.setenv("XDG_CONFIG_HOME", _at(tmp_path, '[keys]\nrun.paus = "P"')["XDG_CONFIG_HOME"])
    ran = CliRunner().invoke(command_line, ["tui", str(full_run[0])])
    assert isinstance(ran.exception, SettingsError) and exit_status(ran.exception) == 2
    ran = CliRunner().invoke(command_line, ["tui", str(full_run[0]), "--theme", "puce"])
    assert isinstance(ran.exception, SettingsError)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'theme = "light"\n'),
        ('# mine\ntheme = "dark"  # at night\n', '# mine\ntheme = "light"\n'),
        ('[keys]\nrun.pause = "P"\n', 'theme = "light"\n[keys]\nrun.pause = "P"\n'),
        (
            'symbols = "ascii"\n[keys]\ntheme_is_no_act = 1\n',
            'theme = "light"\nsymbols = "ascii"\n[keys]\ntheme_is_no_act = 1\n',
        ),
    ],
)
def test_a_theme_is_kept_and_the_rest_of_the_file_stays(tmp_path: Path, before: str, after: str) -> None:
    environ = _at(tmp_path, before)
    path = tmp_path / "azr-platform" / "tui.toml"
    Settings(theme="light", path=path).keep_theme()
    assert path.read_text("utf-8") == after
    assert [each.name for each in path.parent.iterdir()] == ["tui.toml"] and environ


# -- themes ----------------------------------------------------------------------------------------------------


def _luminance(color: Color) -> float:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(value) for value in color.rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lights = sorted((_luminance(Color.parse(one)), _luminance(Color.parse(other))))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("theme", themes.THEMES.values(), ids=themes.NAMES)
def test_every_colour_can_be_read_on_every_background(theme: Theme) -> None:
    least = 7.0 if theme.name == themes.HIGH_CONTRAST else 4.5
    for background in (theme.background, theme.surface, theme.panel):
        for colour in themes._PALETTES[theme.name].values():
            assert _contrast(str(background), colour) >= least, (theme.name, background, colour)
        assert _contrast(str(background), str(theme.foreground)) >= 7.0


_DEUTERAN = ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969))
_PROTAN = ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052))


@pytest.mark.parametrize("eye", [_DEUTERAN, _PROTAN], ids=["deuteran", "protan"])
@pytest.mark.parametrize("name", themes.NAMES)
def test_good_and_bad_differ_for_readers_who_confuse_red_and_green(name: str, eye: Any) -> None:
    palette = themes._PALETTES[name]

    def seen(colour: str) -> list[float]:
        rgb = Color.parse(colour).rgb
        return [sum(weight * value for weight, value in zip(row, rgb, strict=True)) for row in eye]

    apart = sum((a - b) ** 2 for a, b in zip(seen(palette["red"]), seen(palette["green"]), strict=True)) ** 0.5
    assert apart > 50, apart


async def test_t_goes_through_the_themes_and_keeps_the_choice(tmp_path: Path, full_run: Any, until: Any) -> None:
    path = tmp_path / "config" / "azr-platform" / "tui.toml"
    app = _app(full_run[0], Settings(path=path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for name in ("light", "high-contrast", "ascii", "dark", "light"):
            await pilot.press("T")
            assert app.theme == name and load({"XDG_CONFIG_HOME": str(tmp_path / "config")}).theme == name
    again = _app(full_run[0], load({"XDG_CONFIG_HOME": str(tmp_path / "config")}))
    assert again.theme == "light"


async def test_a_choice_that_cannot_be_kept_counts_all_the_same(tmp_path: Path, full_run: Any, until: Any) -> None:
    (tmp_path / "azr-platform").write_text("a file where the folder should be")
    app = _app(full_run[0], Settings(path=tmp_path / "azr-platform" / "tui.toml"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("T")
        assert app.theme == "light"
        await until(pilot, lambda: any("could not be kept" in note.message for note in app._notifications), "a word")


# -- symbols ---------------------------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_any_text_in_ascii_is_ascii_and_as_wide(text: str) -> None:
    from rich.cells import cell_len

    shown = visible(text).replace("\n", " ")
    plain = symbols.in_ascii(shown)
    assert plain.isascii() and len(plain) == cell_len(plain)
    if not any(map(symbols.unicodedata.combining, shown)):
        assert len(plain) == cell_len(shown)
    if shown.isascii():
        assert plain == shown


def test_no_letter_of_another_script_is_passed_off_as_a_latin_one() -> None:
    assert symbols.in_ascii("pаypal") == "p?ypal"  # the second letter is Cyrillic
    assert symbols.in_ascii("é e\u0301 名") == "? ? ??"


def test_what_tells_states_and_severities_apart_does_so_in_ascii() -> None:
    for group in (
        [wording.severity_label(each).split()[0] for each in Severity],
        [wording.state_label(each).split()[0] for each in ("running", "paused", "stopped", "finished", "failed")],
        list(SIGNS.values()),
        list("▁▂▃▄▅▆▇█"),
        ["─", "◇", "△", "▲", "↺"],
    ):
        assert len({symbols.in_ascii(each) for each in group}) == len(group), group


@pytest.mark.parametrize(
    ("environ", "only"),
    [
        ({}, False),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "C.utf8"}, False),
        ({"LANG": "C"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, False),
    ],
)
def test_a_terminal_says_whether_it_shows_more_than_ascii(environ: dict[str, str], only: bool) -> None:
    assert symbols.terminal_is_ascii(environ) is only


@pytest.mark.parametrize(("width", "height"), [(60, 18), (80, 24), (120, 40), (200, 60)])
async def test_in_ascii_no_screen_draws_anything_else(
    full_run: Any, until: Any, shown: Shown, width: int, height: int
) -> None:
    app = _app(full_run[0], Settings(theme="ascii"))
    async with app.run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        panes = keymap.pane_digits().values()
        for pressed in (
            *panes,
            "2",
            "enter",
            "escape",
            "4",
            "enter",
            "escape",
            "question_mark",
            "escape",
            "apostrophe",
        ):
            await pilot.press(pressed)
            assert _drawn(app).isascii(), (pressed, [char for char in _drawn(app) if not char.isascii()])


async def test_a_terminal_without_unicode_gets_ascii_by_itself(
    full_run: Any, make_app: Make, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        assert _drawn(app).isascii() and app.theme == "dark" and "* running" in _drawn(app)


def _drawn(app: AzrApp) -> str:
    """What a terminal gets, filters and all."""
    return "\n".join("".join(segment.text for segment in row) for row in app.screen._compositor.render_strips())


# -- keys ------------------------------------------------------------------------------------------------------


def test_no_two_acts_share_a_key_where_both_count() -> None:
    for where, bindings in keymap.together():
        every = {str(binding.id): binding for binding in bindings}
        assert keymap.clash({name: binding.key for name, binding in every.items()}) is None, where


def test_every_group_of_keys_is_looked_at_for_clashes() -> None:
    looked = {where for where, _ in keymap.together()}
    assert looked == set(keys.GROUPS) - {"The run", "Panes", "Plots"}


async def test_a_user_s_key_takes_the_place_of_the_usual_one_everywhere(
    full_run: Any, until: Any, shown: Shown
) -> None:
    own = {"app.help": "h", "pane.alerts": "A", "run.pause": "f5", "dialog.cancel": "x"}
    app = _app(full_run[0], Settings(keys=MappingProxyType(own)))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        assert "A Alert" in shown(app) and "f5 Pause" in shown(app) and "h Help" in shown(app)
        await pilot.press("question_mark")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("A")
        assert app.screen.pane.id == "alerts"
        await pilot.press("h")
        assert isinstance(app.screen, HelpScreen)
        await until(pilot, lambda: "f5  Pause the run" in shown(app), "the key in force")
        await pilot.press("escape")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("x")
        assert isinstance(app.screen, MainScreen)


def test_the_help_has_every_act_with_its_name_and_the_key_in_force() -> None:
    page = "\n".join(line.gutter + line.text for line in help_lines({"run.stop": "ctrl+q", "plot.log": "L"}))
    assert all(f"{binding.tooltip}  {act}" in page for act, binding in keymap.acts().items())
    assert "^q  Save a checkpoint" in page.replace("ctrl+q", "^q") and "L  A logarithmic" in page


async def test_help_works_on_every_screen_and_dialog(full_run: Any, supervise: Any, make_app: Make, until: Any) -> None:
    supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None and app.view.steerable, "a live run")
        for path in (("p",), ("s",), ("b",), ("2", "enter"), ("2", "slash"), ("1", "enter")):
            before = len(app.screen_stack)
            await pilot.press(*path)
            if path == ("1", "enter"):
                await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
            await pilot.press("question_mark")
            assert isinstance(app.screen, HelpScreen), path
            await pilot.press("question_mark")
            assert not isinstance(app.screen, HelpScreen)
            while len(app.screen_stack) > before:
                await pilot.press("escape")
            await pilot.press("escape") if path[0] == "2" else None


async def test_a_question_mark_in_a_reason_is_text(full_run: Any, supervise: Any, make_app: Make, until: Any) -> None:
    supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None and app.view.steerable, "a live run")
        await pilot.press("p", *"why", "question_mark", "apostrophe", "f1")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, ConfirmScreen) and app.screen.query_one(Input).value == "why?'"


# -- jump and palette ------------------------------------------------------------------------------------------


async def test_jump_puts_a_letter_on_every_place_and_goes_there(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("apostrophe")
        assert isinstance(app.screen, JumpScreen)
        row = shown(app).split("\n")[2]
        assert all(f" {letter} " in row for letter in "asdfg")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, MainScreen) and app.screen.pane.id == "samples", "pane 3")
        await pilot.press("2", "slash", "escape", "ctrl+g", "exclamation_mark")
        assert isinstance(app.screen, MainScreen) and app.screen.pane.id == "training"


@pytest.mark.parametrize(("width", "height"), [(60, 18), (80, 24), (250, 80)])
async def test_every_letter_of_a_jump_is_in_sight(
    full_run: Any, make_app: Make, until: Any, width: int, height: int
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for pane in keymap.pane_digits().values():
            await pilot.press(pane, "apostrophe")
            labels = list(app.screen.query(".jump"))
            assert len(labels) >= len(app.panes.names)
            assert all(app.screen.region.contains_region(label.region) for label in labels)
            places = [label.region for label in labels]
            assert not any(one.overlaps(other) for one, other in itertools.combinations(places, 2))
            await pilot.press("escape")


async def test_the_palette_searches_every_act_of_every_pane(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        offered = {command.title: command for command in app.get_system_commands(app.screen)}
        for name, bindings in keys.GROUPS.items():
            stem = "" if name in ("The run", "Panes") else f"{name}: "
            if name.lower() in app.panes.names or not stem:
                assert {f"{stem}{binding.description}" for binding in bindings} <= set(offered)
        assert "Plots: Closer" in offered
        assert {f"Theme: {name}" for name in themes.NAMES} <= set(offered)
        await pilot.press("2", "enter", "ctrl+p", *"Log: Which")
        await until(pilot, lambda: "Log: Which" in shown(app), "the act of another pane")
        assert isinstance(app.screen_stack[-2], PlotScreen)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MainScreen) and app.screen.pane.id == "log", "its pane")
        await until(pilot, lambda: "showing commands" in shown(app), "what the act does")
