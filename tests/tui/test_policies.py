"""The policies pane: every rule with what it found, changed only after a question and a reason, tried before."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from azr_monitor.policy import load_policy
from azr_monitor.records import Amendment
from azr_platform.channel.messages import Action, Command
from azr_platform.ledger.policies import settings_of
from azr_tui import steer
from azr_tui.app import AzrApp
from azr_tui.rules import RuleFacts, listed
from azr_tui.screens.change import ChangeScreen
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.policies import PoliciesPane
from azr_tui.screens.rule import RuleScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.screens.trial import TrialScreen
from azr_tui.trial import Found, Trial, words_of
from azr_tui.widgets.key_line import KeyLine
from azr_tui.widgets.listing import Listing

Make = Callable[..., AzrApp]
HOSTILE = "studied [red]\x1b[2J\u202e"
SMALL, LARGE = (80, 24), (120, 40)


@pytest.fixture
def judged(full_run: Any) -> Any:
    """The full run under the default policy without classifiers, of which one rule was turned off by somebody."""
    folder, run = full_run
    policy = load_policy("default").model_copy(update={"classifiers": ()})
    row = {"time": 1.0, "branch": 1, "step": 0, "name": "default", "fingerprint": "0123456789abcdef"}
    row |= dict.fromkeys(("settings", "rule", "setting", "before", "after", "who", "why"), "")
    change = {"rule": "program.exec", "setting": "enabled", "before": "true", "after": "false", "who": "ada"}
    with run.writer.batch() as batch:
        batch.add("policies", {**row, "settings": settings_of(policy)})
        batch.add("policies", {**row, **change, "fingerprint": "feedfeedfeedfeed", "why": HOSTILE})
        decision = {"time": 1.0, "branch": 1, "step": 42, "sample": 505, "digest": "d", "who": "ada", "note": ""}
        batch.add("decisions", {**decision, "decision": "allow"})
        batch.add("decisions", {**decision, "decision": "false-alarm"})
    return folder, run


async def test_the_rules_are_read_before_anybody_looks(judged: Any, make_app: Make, until: Any) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: len(app.panes.query(PoliciesPane)) == 1, "the pane, though nobody went there")
        rules = app.panes.query_one(PoliciesPane).query_one(Listing)
        await until(pilot, lambda: any(rule.name == "behaviour.crash" for rule in rules.records), "its rules")
        assert app.panes.pane.id == "overview"


async def _to_pane(app: AzrApp, pilot: Pilot[None], until: Any, shown: Any, *keys: str) -> None:
    await until(pilot, lambda: app.view.snapshot is not None, "the run")
    await pilot.press("8")
    await until(pilot, lambda: "behaviour.crash" in shown(app), "the rules", seconds=30)
    await pilot.press(*keys)


async def _filtered(app: AzrApp, pilot: Pilot[None], until: Any, shown: Any, words: str) -> None:
    await _to_pane(app, pilot, until, shown, "slash", *words, "enter")


async def test_rules_show_their_hits_over_time_and_the_share_of_false_alarms(
    judged: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=SMALL) as pilot:
        await _to_pane(app, pilot, until, shown, "o")
        text = shown(app)
        assert "default feedfeedfeedfeed  1 change" in text and "by: hits" in text
        (row,) = [line for line in text.splitlines() if line.startswith("program.process ")]
        assert "drop" in row and " 38 " in row and "100%" in row and "█" in row
        assert text.splitlines()[5].startswith("program.imports"), "what fired most stands first"


async def test_a_rule_that_was_turned_off_says_by_whom_and_why_and_nothing_of_it_acts(
    judged: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=SMALL) as pilot:
        await _to_pane(app, pilot, until, shown, "v", "v")
        await until(pilot, lambda: "show: changed" in shown(app), "what is changed or off", seconds=20)
        text = " ".join(shown(app).split())
        assert "show: changed 1 rule" in text and "program.exec" in text and "off*" in text
        assert "enabled true -> false by ada: studied [red]␛[2J⇄" in text


async def test_a_rule_opens_with_its_examples_and_leads_to_its_samples(
    judged: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=LARGE) as pilot:
        await _filtered(app, pilot, until, shown, "program.process")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RuleScreen) and " 505 " in shown(app), "the rule")
        text = shown(app)
        assert "must catch" in text and "must spare" in text and "1 of 1 that people looked at are false" in text
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample", seconds=30)
        await pilot.press("escape", "escape")
        assert app.screen.id != "rule"


async def test_a_rule_is_turned_off_after_a_question_and_a_reason(
    judged: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(judged[0])
    app = make_app(judged[0])
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.view.steerable, "a live run")
        await _filtered(app, pilot, until, shown, "program.process")
        await pilot.press("e", "enter")
        assert isinstance(app.screen, ConfirmScreen) and "Change program.process?" in shown(app)
        await pilot.press("enter")
        assert "Say why" in shown(app) and not supervisor.commands
        await pilot.press(*"host names", "enter")
        await until(pilot, lambda: supervisor.commands, "the command", seconds=30)
        change = Amendment(rule="program.process", enabled=False)
        assert supervisor.commands == [Command(action=Action.AMEND, who=steer.me(), why="host names", amendment=change)]
        await until(pilot, lambda: list(app._notifications), "the answer", seconds=30)


async def test_what_is_so_already_is_said_in_place(
    judged: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(judged[0])
    app = make_app(judged[0])
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.view.steerable, "a live run")
        await _filtered(app, pilot, until, shown, "policy.allow")
        await pilot.press("e")
        assert not supervisor.commands
        await pilot.press("escape", *["escape"])
        await _filtered(app, pilot, until, shown, "behaviour.time")
        await pilot.press("e")
        assert isinstance(app.screen, ChangeScreen)
        await pilot.press("escape")
    assert supervisor.commands == []


async def test_who_only_watches_and_who_has_no_supervisor_change_nothing(
    judged: Any, supervise: Any, until: Any, shown: Any
) -> None:
    supervisor = supervise(judged[0])
    app = AzrApp(judged[0], poll=0.05, read_only=True)
    async with app.run_test(size=SMALL) as pilot:
        await _filtered(app, pilot, until, shown, "program.process")
        await pilot.press("e")
        assert not isinstance(app.screen, ChangeScreen | ConfirmScreen)
        assert any("azr-platform" in note.message for note in app._notifications)
        works = {key.id: key.enabled for key in app.screen.query_one(KeyLine)._keys()}
        assert (works["policies.change"], works["policies.try"]) == (False, True)
        await pilot.press("t", "enter")
        await until(pilot, lambda: isinstance(app.screen, TrialScreen), "the trial", seconds=30)
        works = {key.id: key.enabled for key in app.screen.query_one(KeyLine)._keys()}
        assert (works["trial.enable"], works["trial.all"]) == (False, True)
    assert supervisor.commands == []


async def test_a_change_is_tried_on_past_samples_and_then_put_in_force(
    judged: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(judged[0])
    before = (judged[0] / "ledger.db").read_bytes()
    app = make_app(judged[0])
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: app.view.steerable, "a live run")
        await _filtered(app, pilot, until, shown, "program.import.process")
        await pilot.press("t", "enter")
        await until(pilot, lambda: "506/506 done" in shown(app), "the trial", seconds=60)
        assert isinstance(app.screen, TrialScreen) and "Nothing was written." in shown(app)
        assert not supervisor.commands and (judged[0] / "ledger.db").read_bytes() == before
        await pilot.press("e", *"tried", "enter")
        await until(pilot, lambda: supervisor.commands, "the command", seconds=30)
        assert supervisor.commands[0].amendment == Amendment(rule="program.import.process", enabled=False)


async def test_another_policy_is_tried_cancelled_and_its_samples_opened(
    judged: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=LARGE) as pilot:
        await _to_pane(app, pilot, until, shown, "f", *"observe", "enter")
        await until(pilot, lambda: "done" in shown(app), "the trial", seconds=60)
        assert "no longer." in shown(app)
        await pilot.press("e")
        assert any("policy file" in note.message for note in app._notifications)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "a sample", seconds=30)
        await pilot.press("escape", "a", "x")
        await until(pilot, lambda: "cancelled" in shown(app) or "done" in shown(app), "the end", seconds=60)
        await pilot.press("escape")


async def test_a_file_that_is_missing_is_one_line(judged: Any, make_app: Make, until: Any, shown: Any) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=SMALL) as pilot:
        await _to_pane(app, pilot, until, shown, "f", *"missing.yaml", "enter")
        await until(pilot, lambda: "missing.yaml: cannot" in shown(app), "the error", seconds=60)


def test_a_list_of_rules_is_narrowed_and_ordered() -> None:
    rules = [RuleFacts(name, None, None, last, (), 4, false, ()) for name, last, false in (("b", 3, 0), ("a", None, 4))]
    assert [rule.name for rule in listed(rules, "", "all", "name")] == ["a", "b"]
    assert [rule.name for rule in listed(rules, "", "all", "last")] == ["b", "a"]
    assert [rule.name for rule in listed(rules, "", "all", "false alarms")] == ["a", "b"]
    assert listed(rules, "B", "all", "name")[0].name == "b" and listed(rules, "", "fired", "name") == []


def test_a_change_is_written_as_the_command_takes_it() -> None:
    steps = Amendment(rule="x.y", thresholds={"low": 0.5, "high": 0.9})
    assert words_of(steps) == ["x.y", "--threshold", "low=0.5", "--threshold", "high=0.9"]
    assert words_of(Amendment(rule="r", enabled=True)) == ["r", "--on"]


def test_what_a_trial_says_is_counted() -> None:
    found = Found()
    for line in ({"judged": 64, "of": 100}, {"sample": 1, "before": "allow", "after": "hold"}, {"done": 100}):
        found.take(json.loads(json.dumps(line)))
    assert (found.judged, found.of, found.blocked, found.released) == (64, 100, 1, 0)


def test_differences_beyond_those_listed_are_counted() -> None:
    found = Found()
    for number in range(2001):
        found.take({"sample": number, "before": "allow", "after": "block"})
    assert (len(found.differences), found.unlisted, found.blocked) == (2000, 1, 2001)


async def test_a_trial_says_how_many_differences_it_does_not_list(
    judged: Any, make_app: Make, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azr_tui.trial._ENOUGH", 1)
    app = make_app(judged[0])
    async with app.run_test(size=LARGE) as pilot:
        await _to_pane(app, pilot, until, shown, "f", *"observe", "enter")
        await until(pilot, lambda: "done" in shown(app), "the trial", seconds=60)
        assert isinstance(app.screen, TrialScreen)
        table, trial = app.screen.query_one(Listing), app.screen._trial
        assert trial is not None and trial.found.done and table.row_count == 1 and trial.found.unlisted == 1
        assert "1 more not listed." in " ".join(shown(app).split())


def test_a_trial_imports_nothing_from_the_folder_it_is_started_in(
    judged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "here"
    planted.mkdir()
    (planted / "yaml.py").write_text("raise SystemExit('planted code ran')\n")
    monkeypatch.chdir(planted)
    ended = threading.Event()
    trial = Trial(judged[0], ["--policy", "observe"], 5, lambda _: ended.set() if not trial.running else None)
    while trial.running:
        assert ended.wait(60)
    assert trial.found.done and not trial.found.trouble


async def test_what_people_decide_is_counted_at_once_however_much_they_did_before(
    judged: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = judged
    control = {"time": 1.0, "who": "ada", "action": "decide", "arguments": "{}", "why": "", "outcome": "done: noted"}
    with run.writer.batch() as batch:
        for _ in range(250):
            batch.add("controls", control)
    app = make_app(folder)
    async with app.run_test(size=SMALL) as pilot:
        await _to_pane(app, pilot, until, shown, "o")
        row = next(line for line in shown(app).splitlines() if line.startswith("program.process "))
        assert row.rstrip(" ▁▂▃▄▅▆▇█▎").endswith("100%")
        with run.writer.batch() as batch:
            decision = {"time": 2.0, "branch": 1, "step": 42, "sample": 505, "digest": "d", "who": "ada", "note": ""}
            batch.add("decisions", {**decision, "decision": "block"})
            batch.add("controls", control)
        await until(pilot, lambda: "100%" not in shown(app), "what was decided", seconds=20)


async def test_what_a_policy_s_note_says_is_shown_inert(make_app: Make, judged: Any, until: Any, shown: Any) -> None:
    app = make_app(judged[0])
    async with app.run_test(size=SMALL) as pilot:
        await _to_pane(app, pilot, until, shown)
        pane = app.screen.query_one(PoliciesPane)
        assert pane._answer is not None
        pane.on_policy_read(replace(pane._answer, rules=[], note=HOSTILE))
        await pilot.pause()
        assert "studied [red]␛[2J⇄" in shown(app)
