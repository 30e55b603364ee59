"""Keys: each has an id, a label and a tooltip; none hides another; the help and the palette know them all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.binding import Binding
from textual.screen import ModalScreen

from azr_tui import keys, screens
from azr_tui.app import AzrApp
from azr_tui.screens.alerts import AlertsPane
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.family import FamilyScreen
from azr_tui.screens.help import HelpScreen, help_lines
from azr_tui.screens.jump import JumpScreen
from azr_tui.screens.live import Dialog
from azr_tui.screens.log import LogPane
from azr_tui.screens.main import MainScreen
from azr_tui.screens.overview import OverviewPane
from azr_tui.screens.plot import PlotScreen
from azr_tui.screens.review import ReviewPane
from azr_tui.screens.rollback import RollbackScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.screens.samples import SamplesPane
from azr_tui.screens.tasks import TasksPane
from azr_tui.screens.training import TrainingPane

ALL = [binding for group in keys.GROUPS.values() for binding in group]
OWNERS: dict[type[Any], list[Binding]] = {
    AzrApp: keys.RUN,
    MainScreen: keys.PANES,
    OverviewPane: [*keys.OVERVIEW, *keys.PLOT],
    TrainingPane: [*keys.TRAINING, *keys.PLOT],
    PlotScreen: [*keys.ONE_PLOT, *keys.PLOT],
    SamplesPane: keys.SAMPLES,
    AlertsPane: keys.ALERTS,
    LogPane: keys.LOG,
    ReviewPane: keys.REVIEW,
    TasksPane: keys.TASKS,
    FamilyScreen: keys.FAMILY,
    SampleScreen: keys.SAMPLE,
    ConfirmScreen: keys.DIALOG,
    RollbackScreen: keys.DIALOG,
    HelpScreen: keys.DIALOG,
}


def test_every_binding_has_a_unique_id_a_label_and_a_tooltip() -> None:
    ids = [binding.id for binding in ALL]
    assert all(ids) and len(ids) == len(set(ids))
    assert all(binding.description and binding.tooltip for binding in ALL)


def test_every_class_binds_what_the_list_says_and_has_the_action() -> None:
    for owner, bindings in OWNERS.items():
        assert bindings == owner.BINDINGS, owner
        for binding in bindings:
            assert hasattr(owner, f"action_{binding.action.split('(')[0]}"), binding


def test_no_pane_hides_a_key_of_the_run() -> None:
    run = {key for binding in keys.RUN for key in binding.key.split(",")}
    panes = {key for binding in keys.PANES for key in binding.key.split(",")}
    assert not run & panes
    own = (keys.SAMPLE, keys.FAMILY)
    for bindings in (keys.OVERVIEW, keys.SAMPLES, keys.ALERTS, keys.REVIEW, keys.TASKS, *own):
        here = {key for binding in bindings for key in binding.key.split(",")}
        assert not here & run, here & run
        assert bindings in own or not here & panes


def test_the_help_lists_every_key() -> None:
    page = "\n".join(line.gutter + line.text for line in help_lines())
    assert all(binding.tooltip in page for binding in ALL)


async def test_the_palette_offers_every_act(full_run: Any, make_app: Callable[..., AzrApp]) -> None:
    folder: Path = full_run[0]
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        offered = {command.title for command in app.get_system_commands(app.screen)}
    assert {binding.description for binding in (*keys.RUN, *keys.PANES)} <= offered


async def test_a_key_can_be_remapped_by_its_id(full_run: Any, make_app: Callable[..., AzrApp]) -> None:
    app = make_app(full_run[0])
    app.set_keymap({"app.help": "f1"})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)


def test_every_dialog_answers_help_and_jump() -> None:
    for module in pkgutil.iter_modules(screens.__path__):
        importlib.import_module(f"{screens.__name__}.{module.name}")
    dialogs = {each for each in _subclasses(ModalScreen) if each.__module__.startswith("azr_tui.")}
    assert {each for each in dialogs if not issubclass(each, Dialog)} == {JumpScreen}


def _subclasses(kind: type[Any]) -> set[type[Any]]:
    return {each for child in kind.__subclasses__() for each in (child, *_subclasses(child))}
