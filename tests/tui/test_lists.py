"""The lists of samples and alerts: filter lines, pages that stand still, what the columns show, what the keys do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from azr_platform.channel.messages import Action, Command, Outcome
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor import outcomes
from azr_platform.supervisor.decisions import decide
from azr_tui import steer
from azr_tui.app import AzrApp
from azr_tui.screens.alerts import AlertsPane
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.family import FamilyScreen
from azr_tui.screens.main import MainScreen
from azr_tui.screens.paged import PagedPane
from azr_tui.screens.sample import SampleScreen
from azr_tui.widgets.listing import Column, Listing, chosen_columns
from azr_tui.widgets.marked_text import MarkedText

Make = Callable[..., AzrApp]


def pane_of(app: AzrApp) -> PagedPane[Any]:
    assert isinstance(app.screen, MainScreen) and isinstance(app.screen.pane, PagedPane)
    return app.screen.pane


async def ready(app: AzrApp, pilot: Pilot[None], until: Any, *, live: bool = False) -> None:
    await until(pilot, lambda: app.view.snapshot is not None and (app.view.steerable or not live), "the run")
    await pilot.pause()


async def opened(app: AzrApp, pilot: Pilot[None], until: Any, key: str) -> PagedPane[Any]:
    await pilot.press(key)
    await until(pilot, lambda: pane_of(app).read, "a first page")
    return pane_of(app)


async def typed(app: AzrApp, pilot: Pilot[None], until: Any, text: str) -> None:
    """Type a filter and wait until its page is listed."""
    await pilot.press("slash")
    field = app.focused
    assert isinstance(field, Input)
    field.value = text
    await pilot.press("enter")
    pane = pane_of(app)
    await until(pilot, lambda: pane.query_.text == text and pane.settled, f"the page of {text}")


# -- samples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("step:40 verdict:blocked", [506]),
        ("rule:program.*", [505]),
        ("score:>0.9", [506]),
        ("score:0.5..0.9 role:propose", [505]),
        ("step:..1 kind:ded role:solve", [8, 7]),
        ("step:1 order:oldest role:solve kind:ded", [7, 8]),
        ("reward:<-0.4 step:2 role:propose kind:ind", [18]),
        ("outsmart humans", [506]),
        ('"less intelligent humans"', [506]),
        ("outsmart verdict:allowed", []),
    ],
)
async def test_samples_are_found_by_whatever_is_on_record(
    full_run: Any, make_app: Make, until: Any, shown: Any, text: str, expected: list[int]
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "3")
        await typed(app, pilot, until, text)
        assert [row.id for row in pane.listing.records] == expected
        assert text in shown(app), "the filter in force is in sight"
        assert expected or "no such sample" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(pane.listing.records) == 100, "everything again")
        assert text not in shown(app)


async def test_a_wrong_key_is_said_while_it_is_typed_and_after(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, "3")
        await pilot.press("slash", *"verdct:blocked")
        assert "did you mean 'verdict'?" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: "▲ verdct: is no key" in shown(app), "it is said beside the list")
        await pilot.press("slash", "escape")
        assert pane_of(app).query_.text == "verdct:blocked", "esc in the line leaves the filter as it was"
        await pilot.press("escape")
        await until(pilot, lambda: pane_of(app).query_.text == "", "esc in the list clears it")


async def test_tab_completes_keys_and_values(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, "3")
        await pilot.press("slash", *"ver")
        await until(pilot, lambda: app.focused._suggestion == "verdict:", "a proposal")  # type: ignore[union-attr]
        await pilot.press("tab", *"bl")
        await until(pilot, lambda: app.focused._suggestion == "verdict:blocked", "another")  # type: ignore[union-attr]
        await pilot.press("tab", "enter")
        await until(pilot, lambda: [row.id for row in pane_of(app).listing.records] == [506, 505], "the blocked ones")


@pytest.mark.parametrize(
    ("pane", "begun", "whole"), [("3", "rule:program.p", "program.process"), ("4", "rule:d", "drift.length")]
)
async def test_tab_completes_the_rules_that_the_run_knows(
    full_run: Any, make_app: Make, until: Any, pane: str, begun: str, whole: str
) -> None:
    folder, run = full_run
    run.alert(42, 2, "drift.a\x1b[2J", "a name that cannot be typed")
    run.alert(42, 2, "drift.length", "answers grow longer")
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, pane)
        await pilot.press("slash")
        line = pane_of(app).filter_line
        await until(pilot, lambda: line._rules, "the names of rules")
        await pilot.press(*begun)
        await until(pilot, lambda: line._typed._suggestion, "a suggestion")
        await pilot.press("tab")
        assert line._typed.value == f"rule:{whole}"


async def test_words_are_marked_in_the_list_and_in_the_sample(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, "3")
        await typed(app, pilot, until, "outsmart")
        strips = app.screen._compositor.render_strips()
        found = [
            part for strip in strips for part in strip if part.style and part.style.reverse and part.text == "outsmart"
        ]
        assert found, "reversed in the list"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        page = app.screen.query_one(MarkedText)
        marked = {line.text[m.start : m.end] for line in page.lines for m in line.marks if m.style == "found"}
        assert marked == {"outsmart"}


async def test_going_on_beyond_a_page_turns_it(open_run: Any, make_app: Make, until: Any) -> None:
    folder, run = open_run()
    run.begin()
    for step in range(1, 11):
        run.step(step)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "3")
        await pilot.press("end", "down")
        await until(pilot, lambda: pane.page == 2 and pane.settled, "the second page")
        assert [row.id for row in pane.listing.records] == list(range(20, 0, -1)) and pane.listing.cursor_row == 0
        await pilot.press("up")
        await until(pilot, lambda: pane.page == 1 and pane.settled, "the first page")
        assert pane.listing.chosen.id == 21


@pytest.mark.parametrize(
    ("room", "labels"),
    [(20, ["a", "rest"]), (40, ["a", "b", "rest"]), (60, ["a", "b", "c", "rest"])],
)
def test_columns_give_way_by_their_rank_and_the_last_takes_the_rest(room: int, labels: list[str]) -> None:
    columns = [Column(label, 9, str, rank) for label, rank in (("a", 0), ("b", 1), ("c", 2))]
    chosen = chosen_columns([*columns, Column("rest", 15, str)], room)
    assert [column.label for column, _ in chosen] == labels
    assert sum(width + 1 for _, width in chosen) - 1 == room


@pytest.mark.parametrize(
    ("size", "absent"), [((80, 24), "reward"), ((120, 40), "branch"), ((200, 60), "nothing of it")]
)
async def test_score_and_reason_are_in_sight_at_every_width(
    full_run: Any, make_app: Make, until: Any, shown: Any, size: tuple[int, int], absent: str
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=size) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, "3")
        await until(pilot, lambda: "blocked: trace.outsmart" in shown(app), "a reason")
        row = next(line for line in shown(app).split("\n") if "blocked: trace.outsmart" in line)
        header = next(line for line in shown(app).split("\n") if "verdict" in line and "score" in line)
        assert "0.97" in row and absent not in header


# -- alerts ------------------------------------------------------------------------------------------------


async def test_two_keys_lead_from_anywhere_to_the_sentence(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    sentence = "I will hide this from the monitor."
    run.blocked_trace(42, reasoning="filler\n" * 90 + sentence + "\nfiller" * 60, sentence=sentence)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, "4")
        await pilot.press("enter")
        note = "└ ▲ critical  trace.outsmart: the reasoning aims to deceive people"

        def at_the_sentence() -> bool:
            rows = [row.strip() for row in shown(app).split("\n")]
            return note in rows and rows[rows.index(note) - 1] == sentence

        await until(pilot, at_the_sentence, "the sentence, and below it why")
        await pilot.press("escape", "1", "w")
        await until(pilot, at_the_sentence, "the worst one's")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("severity:high", [3, 2]),
        ("state:open", [4, 3, 2]),
        ("state:ack", [1]),
        ("rule:metrics.* order:oldest", [1, 4]),
        ("about:run", [4, 1]),
        ("step:>38", [4, 3]),
        ("import", [2]),
    ],
)
async def test_alerts_are_narrowed(full_run: Any, make_app: Make, until: Any, text: str, expected: list[int]) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "4")
        await typed(app, pilot, until, text)
        assert [row.id for row in pane.listing.records] == expected


async def test_ten_thousand_alerts_are_paged_and_new_ones_are_marked_until_looked_at(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    with run.writer.batch() as batch:
        for number in range(300):
            row = {"time": 1.7e9, "branch": 1, "step": 42, "severity": 2, "rule": f"r.{number}", "message": "m"}
            batch.add("alerts", row)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "4")
        assert isinstance(pane, AlertsPane)
        seen = [row.id for row in pane.listing.records]
        while pane.more:
            await pilot.press("n")
            await until(pilot, lambda: pane.settled, "the next page")
            seen += [row.id for row in pane.listing.records]
        assert seen == list(range(304, 0, -1))
        await pilot.press("g", "down")
        await until(pilot, lambda: pane.page == 1 and pane.settled, "the first page")
        for _ in range(2):
            run.alert(42, 4, "trace.new", "something new")
        await until(pilot, lambda: "2 newer: g" in shown(app), "a word of it, while the page stands still")
        assert pane.listing.records[0].id == 304
        await pilot.press("g")
        await until(pilot, lambda: pane.listing.records[0].id == 306 and pane.settled, "the new ones")
        assert not pane.unseen(pane.listing.records[0]), "the cursor is on it"
        assert pane.unseen(pane.listing.records[1]) and "•" in shown(app)
        await pilot.press("down")
        assert not pane.unseen(pane.listing.records[1])


def obeys(folder: Any, run: Any) -> Callable[[Command], Outcome]:
    """What a supervisor does about alerts, by its own code, with the test's own writer."""

    def answer(command: Command) -> Outcome:
        with LedgerReader(folder) as reader:
            decision = outcomes.decision_on(reader, command) if command.action is Action.FALSE_ALARM else None
            if decision is not None:
                return decide(reader, run.writer, decision, 1, 42)
            act = {
                Action.ACKNOWLEDGE: outcomes.acknowledge,
                Action.RESOLVE: outcomes.resolve,
                Action.FALSE_ALARM: outcomes.dismiss,
            }[command.action]
            return act(reader, run.writer, command)

    return answer


async def test_an_alert_is_resolved_with_a_note(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    supervisor.answer = obeys(*full_run)
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until, live=True)
        pane = await opened(app, pilot, until, "4")
        await pilot.press("d")
        assert isinstance(app.screen, ConfirmScreen) and "Resolve alert 4?" in shown(app) and not supervisor.commands
        await pilot.press(*"fine", "enter")
        await until(pilot, lambda: pane.listing.records[0].outcome == "resolved", "the outcome")
        assert supervisor.commands == [Command(action=Action.RESOLVE, who=steer.me(), why="fine", alert=4)]
        assert "1 resolved" in shown(app)
        await pilot.press("d")
        assert any("closed already: resolved" in note.message for note in app._notifications)


async def test_a_false_alarm_becomes_a_label_and_closes_the_alert(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    supervisor = supervise(full_run[0])
    supervisor.answer = obeys(*full_run)
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until, live=True)
        pane = await opened(app, pilot, until, "4")
        await pilot.press("down", "F")
        assert "A false alarm: alert 3?" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: pane.listing.chosen.outcome == "false-alarm", "the outcome")
        assert pane.listing.chosen.id == 3, "the cursor stays"
    with LedgerReader(full_run[0]) as reader:
        assert [(row.sample, row.decision) for row in reader.decisions()] == [(506, "false-alarm")]


async def test_an_alert_that_slides_in_under_the_cursor_is_not_acknowledged_unread(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    supervisor = supervise(folder)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until, live=True)
        pane = await opened(app, pilot, until, "4")
        assert pane.listing.chosen.id == 4
        run.alert(42, 4, "trace.new", "something new")
        await until(pilot, lambda: pane.listing.chosen.id == 5, "a new one under the cursor")
        await pilot.press("x")
        assert supervisor.commands == []
        assert any("Alert 5 has just come" in note.message for note in app._notifications)
        await pilot.press("x")
        await until(pilot, lambda: len(supervisor.commands) == 1, "the command for the one that was read")
        run.alert(42, 4, "trace.new", "something newer")
        await until(pilot, lambda: pane.listing.chosen.id == 6, "another")
        await pilot.press("down", "up", "x")
        await until(pilot, lambda: len(supervisor.commands) == 2, "the command: the cursor was led there")
        assert [each.alert for each in supervisor.commands] == [5, 6]


async def test_the_first_alert_of_an_empty_list_is_not_acknowledged_unread(
    full_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    folder, run = full_run
    supervisor = supervise(folder)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until, live=True)
        pane = await opened(app, pilot, until, "4")
        await typed(app, pilot, until, "rule:trace.new")
        assert not pane.listing.records
        run.alert(42, 4, "trace.new", "something new")
        await until(pilot, lambda: pane.listing.records, "a new one under the cursor")
        await pilot.press("x")
        assert supervisor.commands == []
        await pilot.press("x")
        await until(pilot, lambda: supervisor.commands, "the command for the one that was read")


async def test_how_many_are_newer_is_not_said_of_a_narrowed_list(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "4")
        await typed(app, pilot, until, "severity:high")
        await pilot.press("down")
        run.alert(42, 1, "metrics.mild", "nothing that the filter lets pass")
        await until(pilot, lambda: app.view.snapshot.alerts[0].id == 5 and pane.settled, "the new one on record")
        assert "newer" not in shown(app)


async def test_open_ones_alone_and_the_oldest_first(full_run: Any, make_app: Make, until: Any, shown: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "4")
        for key, expected in (("v", [4, 3, 2]), ("o", [2, 3, 4]), ("v", [1, 2, 3, 4]), ("o", [4, 3, 2, 1])):
            await pilot.press(key)
            await until(pilot, lambda: pane.settled, "the page")
            assert [row.id for row in pane.listing.records] == expected


async def test_the_next_sample_is_that_of_the_list(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        await opened(app, pilot, until, "3")
        await typed(app, pilot, until, "verdict:blocked")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        screen = app.screen
        assert isinstance(screen, SampleScreen) and screen.number == 506
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.number == 505, "the next of the list")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: list(app._notifications), "a word that there is none")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.number == 506, "back")


async def test_a_look_at_another_sample_does_not_lose_the_place_in_the_list(
    full_run: Any, make_app: Make, until: Any
) -> None:
    """From a sample of the list to the family of its task, to the sample that proposed that, and back."""
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        pane = await opened(app, pilot, until, "3")
        await typed(app, pilot, until, "step:42 role:solve kind:ded")
        first, second = (row.id for row in pane.listing.records)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        screen = app.screen
        assert isinstance(screen, SampleScreen) and screen.number == first
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, FamilyScreen), "its family")
        family = app.screen
        await until(pilot, lambda: family.query_one(Listing).records, "the relatives")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the proposal")
        assert isinstance(app.screen, SampleScreen) and app.screen.number not in (first, second)
        await pilot.press("escape", "escape", "right_square_bracket")
        await until(pilot, lambda: screen.number != first, "the next one")
        assert app.screen is screen and screen.number == second


async def test_letters_that_come_in_one_piece_with_the_slash_steer_nothing(
    full_run: Any, supervise: Any, make_app: Make, until: Any
) -> None:
    """Over a slow line a filter may come at once with the key that opens its line; none of it may act on the run."""
    supervisor = supervise(full_run[0])
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until, live=True)
        for burst in (("3", "slash", *"psbrx"), ("slash", *"psbrx")):
            for key in burst:
                app.post_message(events.Key(key, "/" if key == "slash" else key))
            await until(pilot, lambda: isinstance(app.focused, Input), "the line to type in")
            assert isinstance(app.screen, MainScreen) and app.screen.pane.id == "samples"
            await pilot.press("escape")
    assert supervisor.commands == []
