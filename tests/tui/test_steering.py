"""Commands from the keys to a real control socket and back; nothing is sent that was not confirmed."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from azr_platform.channel.messages import Action, Command, Decision, Outcome
from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.reader import LedgerReader
from azr_tui import steer
from azr_tui.app import AzrApp
from azr_tui.messages import SampleWanted
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.main import MainScreen
from azr_tui.screens.rollback import RollbackScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.screens.undo import UndoScreen

Make = Callable[..., AzrApp]


async def test_pause_is_two_keys_and_is_answered(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        assert "generate 12/32" in shown(app) and "read-only" not in shown(app)
        await pilot.press("p")
        assert isinstance(app.screen, ConfirmScreen) and not supervisor.commands
        await pilot.press("enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands == [Command(action=Action.PAUSE, who=steer.me())]
        await until(pilot, lambda: "‖ paused" in shown(app), "the new state")
        await until(pilot, lambda: list(app._notifications), "the answer")
        assert [note.message for note in app._notifications] == ["pause: done"]
        assert getpass.getuser() in supervisor.commands[0].who


async def test_a_dashboard_that_only_watches_gives_no_command_and_says_so(
    full_run: Any, supervise: Any, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = AzrApp(full_run[0], poll=0.05, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.status is not None and app.view.snapshot is not None, "a live run")
        await until(pilot, lambda: "read-only: watching only" in shown(app), "that it only watches")
        for key in ("p", "r", "b", "s", "4", "a", "A"):
            await pilot.press(key, "enter")
            assert not isinstance(app.screen, ConfirmScreen | RollbackScreen)
        assert any("azr-platform tui" in note.message for note in app._notifications)
    assert supervisor.commands == []


async def test_resume_carries_its_reason(full_run: Any, supervise: Any, make_app: Make, until: Any) -> None:
    supervisor = supervise(full_run[0])
    supervisor.state = "paused"
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("r", *"looked", "space", *"fine", "enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands == [Command(action=Action.RESUME, who=steer.me(), why="looked fine")]


async def test_stop_needs_a_reason(full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("s", "enter", "space", "enter")
        assert isinstance(app.screen, ConfirmScreen) and "Say why" in shown(app)
        app.screen.query_one(Input).value = ""
        await pilot.press(*"done", "enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands == [Command(action=Action.STOP, who=steer.me(), why="done")]


async def test_rollback_picks_a_checkpoint_shows_what_is_undone_and_asks(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("b")
        assert isinstance(app.screen, RollbackScreen)
        assert app.screen.query_one(OptionList).option_count == 4
        text = shown(app)
        assert "step 40" in text and "leaves behind 2 steps" in text
        assert "step 30" in text and "leaves behind 12 steps" in text
        assert not [each for each in app.screen.query_one(OptionList).options if "alert" in str(each.prompt)], (
            "how many alerts it leaves behind is said once they were counted"
        )
        await pilot.press("down")
        await until(pilot, lambda: "steps 31 to 42, 2m 30s of work on branch 1" in shown(app), "the preview")
        text = shown(app)
        assert "146, of them 2 blocked" in text and "3, of them 3 still open" in text
        assert "deduction 136 -> 100" in text
        await pilot.press("enter")
        await until(pilot, lambda: "Roll back to step 30?" in shown(app), "the question")
        await pilot.press("enter", "enter", "enter")
        assert "Say why" in shown(app) and not supervisor.commands
        await pilot.press(*"deceit", "enter", *"40", "enter")
        assert "Type 30 or rollback" in shown(app) and not supervisor.commands, "another step's number is no yes"
        app.screen.query_one("#typed", Input).value = ""
        await pilot.press(*"30", "enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands == [Command(action=Action.ROLLBACK, who=steer.me(), why="deceit", step=30)]
        await until(pilot, lambda: list(app._notifications), "the supervisor's answer")


async def test_what_alerts_speak_of_is_ticked_into_quarantine(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await _to_the_last_question(app, pilot, until, shown)
        assert "[ ] ▲ sample:506" in shown(app) and "[ ] △ sample:505" in shown(app)
        await pilot.press("space", "down", "space", "down", "space", "up", "space")
        assert "[x] ▲ sample:506" in shown(app) and "[ ] △ sample:505" in shown(app)
        assert "[x] ▲ rule:trace.outsmart" in shown(app)
        await pilot.press("enter", *"deceit", "enter", *"rollback", "enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands[0].exclude == ("sample:506", "rule:trace.outsmart")


async def test_rollback_leaves_out_what_it_is_told_and_takes_another_seed(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await _to_the_last_question(app, pilot, until, shown)
        await pilot.press("tab", *"rule:trace.x, task:seed", "tab", *"7", "enter", *"deceit", "enter", *"30", "enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands == [
            Command(
                action=Action.ROLLBACK,
                who=steer.me(),
                why="deceit",
                step=30,
                exclude=("rule:trace.x", "task:seed"),
                seed=7,
            )
        ]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (("tab", *"seed-deduction"), "Leave out task:ID, sample:NUMBER or rule:ID"),
        (("tab", *"task:"), "Leave out task:ID, sample:NUMBER or rule:ID"),
        (("tab", "tab", *"-1"), "The seed is a whole number, or empty"),
        (("tab", "tab", *"1e9"), "The seed is a whole number, or empty"),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (60, 18)])
async def test_rollback_complains_in_place_of_what_it_cannot_read(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any, keys: Any, complaint: str, size: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=size) as pilot:
        await _live(app, pilot, until)
        await _to_the_last_question(app, pilot, until, shown)
        await pilot.press(*keys, "enter", "w", "enter", *"30", "enter")
        await until(pilot, lambda: complaint in shown(app), "the complaint")
        assert isinstance(app.screen, UndoScreen) and "esc: cancel" in shown(app)
    assert supervisor.commands == []


async def test_rollback_from_a_sample_goes_to_before_it_and_leaves_it_out(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        sample = app.screen
        assert isinstance(sample, SampleScreen)
        await pilot.press("b", "enter")
        await until(pilot, lambda: f"] ▲ sample:{sample.number}" in shown(app), "the question")
        assert f"[x] ▲ sample:{sample.number}" in shown(app)
        await pilot.press("tab", "tab", "tab", *"deceit", "enter", *"rollback", "enter")
        await until(pilot, lambda: supervisor.commands, "the command")
        (command,) = supervisor.commands
        assert command.exclude == (f"sample:{sample.number}",)
        assert command.step == max(step for step in (10, 20, 30, 40) if step < sample.step)


async def test_rollback_says_how_many_checkpoints_were_removed(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervise(full_run[0])
    for checkpoint in (1, 2):
        full_run[1].writer.append("removals", {"time": 1.0, "checkpoint": checkpoint, "reason": "keep_last"})
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("b")
        await until(pilot, lambda: "2 more were removed, as the run's settings say" in shown(app), "the line")


async def test_escape_and_cancel_send_nothing(full_run: Any, supervise: Any, make_app: Make, until: Any) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        for key in "prbs":
            await pilot.press(key)
            assert app.screen.is_modal
            await pilot.press("escape")
            assert isinstance(app.screen, MainScreen)
        await pilot.press("s")
        app.screen.query_one(Input).value = "why"
        await pilot.click("#cancel")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("b", "enter", "escape")
        assert isinstance(app.screen, MainScreen)
    assert supervisor.commands == []


async def test_a_dialog_that_is_left_twice_at_once_is_left_once(
    full_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    """A busy machine hands over both keys before the first has taken effect."""
    supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        for key in "psb":
            await pilot.press(key)
            dialog = app.screen
            assert dialog.is_modal
            for _ in range(3):
                await dialog.run_action("cancel")
            await pilot.pause()
            assert isinstance(app.screen, MainScreen)


async def test_keys_typed_into_a_reason_steer_nothing(
    full_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("p", *"prbsq12345?")
        assert isinstance(app.screen, ConfirmScreen)
        assert app.screen.query_one(Input).value == "prbsq12345?"
        await pilot.press("escape")
    assert supervisor.commands == []


async def test_a_refusal_is_shown_as_one(full_run: Any, supervise: Any, make_app: Make, until: Any) -> None:
    supervisor = supervise(full_run[0])
    supervisor.answer = lambda command: Outcome(ok=False, detail="no checkpoint at step 7 [red]\x1b[31m")
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("p", "enter")
        await until(pilot, lambda: list(app._notifications), "the refusal")
        (note,) = app._notifications
        assert note.severity == "error" and note.title == "✖ Pause failed"
        assert note.message == "no checkpoint at step 7 [red]␛[31m" and not note.markup


async def test_alerts_are_acknowledged_one_or_all(full_run: Any, supervise: Any, make_app: Make, until: Any) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("a", "down", "x")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert supervisor.commands.pop() == Command(action=Action.ACKNOWLEDGE, who=steer.me(), alert=3)
        await pilot.press("down", "down", "x")
        await pilot.press("X")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("enter")
        await until(pilot, lambda: supervisor.commands, "the command for all")
        assert supervisor.commands == [Command(action=Action.ACKNOWLEDGE, who=steer.me(), alert=0)]


async def test_without_a_supervisor_the_keys_only_say_so(full_run: Any, make_app: Make, until: Any, shown: Any) -> None:
    folder, run = full_run
    run.writer.close()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for count, key in enumerate("prbs", 1):
            await pilot.press(key)
            assert isinstance(app.screen, MainScreen)
            assert len(list(app._notifications)) == count
        (note, *_) = app._notifications
        assert note.title == "Read-only" and "azr-platform train --resume" in note.message


async def test_a_supervisor_that_goes_turns_it_read_only_and_one_that_comes_back_does_not(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        supervisor.close()
        await until(pilot, lambda: "read-only" in shown(app), "read-only")
        supervise(full_run[0])
        await until(pilot, lambda: "read-only" not in shown(app), "steerable again")


@pytest.mark.parametrize("noticed", [False, True], ids=["before it is noticed", "after it was noticed"])
async def test_a_supervisor_gone_between_question_and_answer_is_told(
    full_run: Any, supervise: Any, make_app: Make, until: Any, noticed: bool
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("p")
        supervisor.close()
        if noticed:
            await until(pilot, lambda: not app.view.steerable, "the silence noticed")
        await pilot.press("enter")
        await until(pilot, lambda: list(app._notifications), "the failure")
        (note,) = app._notifications
        assert note.severity == "error" and "no supervisor is running" in note.message


async def test_a_slow_answer_stops_neither_the_screen_nor_the_way_out(
    full_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    left = threading.Event()

    def after_it_was_left(command: Command) -> Outcome:
        left.wait()
        return Outcome(ok=True, detail="too late to be seen")

    supervisor = supervise(full_run[0])
    supervisor.answer = after_it_was_left
    app = make_app(full_run[0])
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            await _live(app, pilot, until)
            await pilot.press("p", "enter")
            await until(pilot, lambda: supervisor.commands, "the command on its way")
            await pilot.press("3")
            assert isinstance(app.screen, MainScreen) and app.screen.pane.id == "samples"
            await pilot.press("q")
        assert not app.is_running
        assert not list(app._notifications)
    finally:
        left.set()


async def test_quitting_sends_no_command_and_says_that_the_run_goes_on(
    full_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _live(app, pilot, until)
        await pilot.press("q")
        assert any("The run goes on" in str(text) for text in app._exit_renderables)
    assert supervisor.commands == []


async def _live(app: AzrApp, pilot: Pilot[None], until: Any) -> None:
    await until(pilot, lambda: app.view.snapshot is not None and app.view.steerable, "a live run")
    await pilot.pause()


async def _to_the_last_question(app: AzrApp, pilot: Pilot[None], until: Any, shown: Any) -> None:
    """Choose the checkpoint at step 30."""
    await pilot.press("b", "down", "enter")
    await until(pilot, lambda: "Roll back to step 30?" in shown(app), "the question")


async def _to_the_queue(app: AzrApp, pilot: Any, until: Any, shown: Any) -> None:
    """Open the newest sample that waits for a decision."""
    await _live(app, pilot, until)
    await pilot.press("3", "v", "v", "v")
    await until(pilot, lambda: "verdict:waiting" in shown(app) and "‖ held" in shown(app), "the queue")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")


@pytest.mark.parametrize(("key", "word"), [("A", "allow"), ("B", "block"), ("F", "false-alarm")])
async def test_a_person_decides_about_a_held_sample(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any, key: str, word: str
) -> None:
    folder, run = full_run
    held = run.held_trace(42)
    supervisor = supervise(folder)

    def decide(command: Command) -> Outcome:
        row = {"time": 1.0, "branch": 1, "step": 42, "sample": command.sample, "digest": "d"}
        said = {"decision": str(command.decision), "who": command.who, "note": command.why}
        run.writer.append("decisions", {**row, **said})
        return Outcome(ok=True, detail="decided")

    supervisor.answer = decide
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _to_the_queue(app, pilot, until, shown)
        assert "‖ HELD for a person" in shown(app) and "‖ 1 held" in shown(app)
        await pilot.press(key)
        assert isinstance(app.screen, ConfirmScreen) and not supervisor.commands
        assert f"sample {held}" in shown(app)
        await pilot.press("escape")
        assert not supervisor.commands
        await pilot.press(key, *"fine", "enter")
        await until(pilot, lambda: f"☞ {word} said {steer.me()}" in shown(app), "what was decided")
        decision = Decision(word)
        assert supervisor.commands == [
            Command(action=Action.DECIDE, who=steer.me(), why="fine", sample=held, decision=decision)
        ]
        await until(pilot, lambda: "‖ 1 held" not in shown(app), "nothing held any more")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen) and "‖ held" not in shown(app), "the queue")


async def test_a_sample_of_a_run_that_ended_is_labelled_also_one_that_nobody_held(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    run.state("finished")
    run.writer.close()
    with LedgerReader(folder) as reader:
        number = reader.samples_page(SampleFilter(judged=Judged.ALLOWED), limit=1)[0].id
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        app.post_message(SampleWanted(number))
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        await pilot.press("B")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press(*"-means", "space", *"it", "enter")
        await until(pilot, lambda: "☞ block said" in shown(app), "what was decided")
    with LedgerReader(folder) as reader:
        (row,) = reader.decisions()
        assert (row.sample, row.decision, row.note) == (number, "block", "-means it")
        assert reader.verify().intact


def test_a_decision_about_a_run_that_somebody_else_writes_is_refused_and_says_why(full_run: Any) -> None:
    folder, run = full_run
    held = run.held_trace(42)
    command = Command(action=Action.DECIDE, who=steer.me(), sample=held, decision=Decision.BLOCK)
    outcome = steer.deliver(folder, command, 30.0)
    assert not outcome.ok and outcome.detail.startswith("error: ")
    with LedgerReader(folder) as reader:
        assert reader.decisions() == []
