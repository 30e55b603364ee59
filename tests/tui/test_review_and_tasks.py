"""The review queue, decided with one key each; the tasks and their families, walked with keys; the sample's page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from azr_platform.channel.messages import Command, Decision, Outcome
from azr_platform.config.load import dump, load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.records import Kind, Role
from azr_platform.supervisor.decisions import decide
from azr_platform.tasks.prompts import propose_prompt
from azr_tui.app import AzrApp
from azr_tui.questions import AskSample, Question, Reply
from azr_tui.sample.attempts import attempt_lines
from azr_tui.sample.dossier import Dossier, read
from azr_tui.sample.reward import reward_lines
from azr_tui.screens.family import FamilyScreen
from azr_tui.screens.main import MainScreen
from azr_tui.screens.paged import PagedPane
from azr_tui.screens.review import ReviewPane
from azr_tui.screens.sample import SampleScreen
from azr_tui.widgets.marked_text import MarkedText

Make = Callable[..., AzrApp]


async def opened(app: AzrApp, pilot: Pilot[None], until: Any, key: str, *, live: bool = False) -> PagedPane[Any]:
    await until(pilot, lambda: app.view.snapshot is not None and (app.view.steerable or not live), "the run")
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pane_of(app), PagedPane) and pane_of(app).settled, "a first page")
    return pane_of(app)


def pane_of(app: AzrApp) -> Any:
    assert isinstance(app.screen, MainScreen)
    return app.screen.pane


# -- review ------------------------------------------------------------------------------------------------


async def test_held_samples_are_decided_with_a_key_each_and_can_be_looked_at_again(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    texts = ("Nobody needs to know of it at all.", "It stays between us, my friend.", "They need not see what I do.")
    numbers = [run.held_trace(42, text) for text in texts]
    supervisor = supervise(folder)

    def obey(command: Command) -> Outcome:
        with LedgerReader(folder) as reader:
            return decide(reader, run.writer, command, 1, 42)

    supervisor.answer = obey
    app = make_app(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await opened(app, pilot, until, "5", live=True)
        assert isinstance(pane, ReviewPane)
        assert [row.id for row in pane.listing.records] == numbers[::-1]
        await until(pilot, lambda: "They need not see what I do." in shown(app), "the very words")
        assert "0.41" in shown(app) and "held for a person: unsure" in shown(app)
        for left, (key, words) in enumerate([("F", texts[1]), ("B", texts[0]), ("A", "nobody is waited for")]):
            await pilot.press(key)
            await until(pilot, lambda left=left: len(pane.listing.records) == 2 - left, "one less")
            await until(pilot, lambda words=words: words in shown(app), "the next one's words")
        assert [(each.sample, each.decision) for each in supervisor.commands] == [
            (numbers[2], Decision.FALSE_ALARM),
            (numbers[1], Decision.BLOCK),
            (numbers[0], Decision.ALLOW),
        ]
        await pilot.press("A")
        assert len(supervisor.commands) == 3, "there is nothing to decide about"
        await pilot.press("v", "v")
        await until(
            pilot, lambda: [row.id for row in pane.listing.records] == numbers, "what was decided, newest first"
        )
        assert "false-alarm" in shown(app) and "block" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen) and "☞ allow said" in shown(app), "one of them")


async def test_a_sample_that_comes_while_another_is_read_is_not_the_one_decided_about(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = full_run
    read = run.held_trace(42, "Nobody needs to know of it at all.")
    supervisor = supervise(folder)
    app = make_app(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await opened(app, pilot, until, "5", live=True)
        await until(pilot, lambda: "Nobody needs to know of it at all." in shown(app), "its words")
        newer = run.held_trace(42, "Let it pass, it is nothing.")
        await until(pilot, lambda: [row.id for row in pane.listing.records] == [newer, read], "both")
        await pilot.press("B")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert [each.sample for each in supervisor.commands] == [read]


async def test_nothing_is_decided_before_its_words_are_in_sight(
    full_run: Any, supervise: Any, make_app: Make, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = full_run
    first = run.held_trace(42, "Nobody needs to know of it at all.")
    run.held_trace(42, "Let it pass, it is nothing.")
    supervisor = supervise(folder)
    app = make_app(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await opened(app, pilot, until, "5", live=True)
        await until(pilot, lambda: "Let it pass, it is nothing." in shown(app), "the first one's words")
        late: list[Question] = []
        ask = app._feed.ask

        def hold_back(question: Question, reply: Reply) -> None:
            if isinstance(question, AskSample):
                late.append(question)
            else:
                ask(question, reply)

        monkeypatch.setattr(app._feed, "ask", hold_back)
        await pilot.press("down", "A", "B", "F")
        assert pane.listing.chosen.id == first and supervisor.commands == []
        assert any(f"words of sample {first} are not shown yet" in note.message for note in app._notifications)
        monkeypatch.setattr(app._feed, "ask", ask)
        ask(late[-1], pane.post_message)
        await until(pilot, lambda: "Nobody needs to know of it at all." in shown(app), "the words")
        await pilot.press("B")
        await until(pilot, lambda: supervisor.commands, "the command")
        assert [each.sample for each in supervisor.commands] == [first]


async def test_who_only_watches_decides_nothing_in_the_queue(
    full_run: Any, supervise: Any, until: Any, shown: Any
) -> None:
    folder, run = full_run
    run.held_trace(42)
    supervisor = supervise(folder)
    app = AzrApp(folder, poll=0.05, read_only=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot, until, "5")
        for key in "ABF":
            await pilot.press(key)
        assert any("azr-platform tui" in note.message for note in app._notifications)
    assert supervisor.commands == []


async def test_the_queue_has_no_words_to_search_for_and_says_so(
    full_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await opened(app, pilot, until, "5")
        assert "nobody is waited for" in shown(app)
        pane.narrow("secret kind:ded")
        await until(pilot, lambda: "3 lists all samples" in shown(app), "the reason")


# -- tasks -------------------------------------------------------------------------------------------------


def program(number: int) -> str:
    return f"def f(x):\n    return x + {number}\n"


@pytest.fixture
def family(open_run: Any) -> tuple[Path, Any]:
    """Three generations: two given tasks, one that was shown both, one that was shown that; answered now and then."""
    folder, run = open_run()
    run.begin()
    run.state("running")
    from azr_platform.records import Task

    tasks: list[Task] = []
    for number, (step, shown_) in enumerate([(0, ()), (0, ()), (3, (0, 1)), (5, (2,))]):
        task = Task(id=f"t{number}", kind=Kind.DEDUCTION, program=program(number), inputs=("1",), outputs=("2",))
        with run.writer.batch() as batch:
            sample = None
            if shown_:
                prompt = propose_prompt(Kind.DEDUCTION, [tasks[each] for each in shown_], "full", 6, [])
                row = run.row(step, Role.PROPOSE, Kind.DEDUCTION, prompt=prompt, task=task.id, outcome="ok")
                sample = batch.add("samples", {**row, "program": task.program, "correct": True})
            texts = {"inputs": json.dumps(["1"]), "outputs": json.dumps(["2"]), "shown": 1, "message": ""}
            place = {"sample": sample, "branch": 1, "step": step, "task": task.id, "kind": "deduction"}
            batch.add("tasks", {**place, **texts, "program": task.program})
            for attempt in range(2 * number):
                answer = run.row(step, Role.SOLVE, Kind.DEDUCTION, task=task.id, answer="2", outcome="ok")
                batch.add("samples", {**answer, "correct": attempt == 0})
        tasks.append(task)
    return folder, run


async def test_tasks_are_sorted_and_narrowed(family: Any, make_app: Make, until: Any, shown: Any) -> None:
    app = make_app(family[0])
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await opened(app, pilot, until, "6")
        assert [row.task for row in pane.listing.records] == ["t3", "t2", "t1", "t0"]
        assert "return x + 3" in shown(app) and "17%" in shown(app)
        for order in ("oldest", "hardest", "easiest", "most-used"):
            await pilot.press("o")
            await until(pilot, lambda order=order: f"order: {order}" in shown(app) and pane.settled, order)
        assert [row.task for row in pane.listing.records] == ["t3", "t2", "t1", "t0"]
        for text, expected in (("rate:>0.2", ["t2", "t1"]), ("used:0", ["t0"]), ("step:3", ["t2"]), ("x + 1", ["t1"])):
            pane.narrow(text)
            await until(pilot, lambda: pane.settled, text)
            assert [row.task for row in pane.listing.records] == expected
        await pilot.press("y")
        await until(pilot, lambda: any("was given" in note.message for note in app._notifications), "no sample")


async def test_a_family_is_walked_with_keys(family: Any, make_app: Make, until: Any, shown: Any) -> None:
    app = make_app(family[0])
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(app, pilot, until, "6")
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, FamilyScreen) and "2 references" in shown(app), "the family")
        screen = app.screen
        assert isinstance(screen, FamilyScreen)
        await until(pilot, lambda: "1 descendant, 4 answers" in shown(app), "all of it")
        text = shown(app)
        assert (
            text.index("↑ was shown")
            < text.index("= this task")
            < text.index("↓ was shown to")
            < text.index("• answer")
        )
        assert "f(1) = 2" in text
        await pilot.press("d")
        await until(pilot, lambda: "Task t3" in shown(app) and "1 reference" in shown(app), "the descendant")
        await pilot.press("u")
        await until(pilot, lambda: "Task t2" in shown(app) and "2 references" in shown(app), "and back up")
        await pilot.press("u")
        await until(pilot, lambda: "Task t0" in shown(app) and "0 references" in shown(app), "a given one")
        await pilot.press("u")
        assert any("none in that direction" in note.message for note in app._notifications)
        for task in ("t2", "t3", "t2"):
            await pilot.press("escape")
            await until(pilot, lambda task=task: f"Task {task}" in shown(app), f"the way back to {task}")
        await until(pilot, lambda: "2 references" in shown(app), "its family")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample that proposed it")
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, FamilyScreen), "and its family again")
        await pilot.press("4")
        assert isinstance(app.screen, MainScreen) and app.screen.pane.id == "alerts", "a digit leads to its pane"


async def test_a_family_too_large_to_list_says_that_there_are_more(
    family: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = family
    with run.writer.batch() as batch:
        for _ in range(101):
            row = run.row(9, Role.SOLVE, Kind.DEDUCTION, task="t3", answer="2", outcome="ok")
            batch.add("samples", {**row, "correct": True})
    app = make_app(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot, until, "6")
        await pilot.press("enter")
        await until(pilot, lambda: "1 reference, 0 descendants, 100+ answers" in shown(app), "the family of t3")


async def test_a_task_in_quarantine_is_marked_with_why(family: Any, make_app: Make, until: Any, shown: Any) -> None:
    folder, run = family
    change = {"branch": 1, "what": "task", "value": "t2", "why": "sample:9 was hostile"}
    run.writer.append("branch_changes", change)
    app = make_app(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot, until, "6")
        await until(pilot, lambda: "⊘" in shown(app) and "in quarantine: 1 task" in shown(app), "the mark")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "⊘ in quarantine: sample:9 was hostile" in shown(app), "and why")


# -- the sample's page -------------------------------------------------------------------------------------


def rewarded_run(run: Any, *settings: str) -> int:
    """A proposal with four answers, one of them right, and two more proposals of its group; returns its number."""
    plain = [f"rewards.{term}=0" for term in ("complexity", "edit_distance", "answer_diversity")]
    config = dump(load("nano", overrides=[*plain, *settings]))
    row = {"name": "r", "created_at": 1.7e9, "version": "0", "seed": 7, "steps": 9, "config": config}
    with run.writer.batch() as batch:
        batch.add("run", row)
        batch.add("branches", {"created_at": 1.7e9, "parent": None, "from_step": 0, "reason": "begun"})
        first = 0
        for number, reward in enumerate((0.75, -0.5, -1.0)):
            given = {"task": f"t{number}", "outcome": "ok", "correct": reward > -1, "program": program(number)}
            sample = batch.add("samples", run.row(1, Role.PROPOSE, Kind.DEDUCTION, **given))
            first = first or sample
            batch.add("verdicts", {"sample": sample, "allowed": True, "action": 0, "severity": 0, "score": 0.0})
            mean, spread = -0.25, 0.9013878188659973
            place = {"sample": sample, "branch": 1, "step": 1, "reward": reward, "trained": True}
            batch.add("rewards", {**place, "advantage": (reward - mean) / spread})
        for attempt in range(4):
            answer = run.row(1, Role.SOLVE, Kind.DEDUCTION, task="t0", answer=f"[{attempt}]", outcome="ok")
            solved = batch.add("samples", {**answer, "phase": "learnability", "correct": attempt == 0})
            batch.add("verdicts", {"sample": solved, "allowed": True, "action": 0, "severity": 0, "score": 0.0})
            rest = {"sample": solved, "branch": 1, "step": 1, "reward": 0.0, "advantage": 0.0, "trained": False}
            batch.add("rewards", rest)
    return first


def told(folder: Path, number: int) -> str:
    with LedgerReader(folder) as reader:
        dossier = read(reader, number)
    assert isinstance(dossier, Dossier)
    return "\n".join(line.gutter + line.text for line in reward_lines(dossier))


def test_the_reward_is_worked_out_from_what_is_on_record(open_run: Any) -> None:
    folder, run = open_run()
    text = told(folder, rewarded_run(run))
    assert "1 of 4 answers right: 1 - 0.250 = 0.750" in text
    assert "+0.750 on record, as worked out" in text
    assert "(0.750 - -0.250) / 0.901 = +1.109" in text and "+1.109 on record, as worked out" in text
    assert "left out of the update" in told(folder, 4)


def test_what_is_not_on_record_is_not_made_up(open_run: Any) -> None:
    folder, run = open_run()
    number = rewarded_run(run, "rewards.complexity=0.1", "update.advantage=reinforce++")
    text = told(folder, number)
    assert "complexity x 0.1 (at most 1); what each came to is not on record" in text
    assert "+0.750 on record = 0.750 x 1.000 of the terms" in text
    assert "all trained samples of this step" in text


def test_a_reward_that_its_own_arithmetic_does_not_explain_is_said_to_differ(open_run: Any) -> None:
    folder, run = open_run()
    rewarded_run(run, "rewards.pay_repeats=false", "rewards.repeated=-0.5")
    answered = told(folder, 2)
    assert "no answers to it are on record" in answered and "it may be one" in answered
    invalid = told(folder, 3)
    assert "no valid task, so nobody was asked" in invalid and "-1.000 on record, as worked out" in invalid


def test_settings_that_cannot_be_read_are_said_so(full_run: Any) -> None:
    assert "the run's settings cannot be read here" in told(full_run[0], 3)


def test_attempts_stand_side_by_side_where_there_is_room(open_run: Any) -> None:
    folder, run = open_run()
    number = rewarded_run(run)
    with LedgerReader(folder) as reader:
        dossier = read(reader, number)
    assert dossier is not None
    wide = [line.text for line in attempt_lines(dossier, 160)]
    assert wide[0] == "Answers to it in this step: 1 of 4 right"
    heads = [line for line in wide if "sample " in line]
    assert len(heads) == 1 and heads[0].count("sample ") == 4 and max(map(len, wide)) <= 160
    narrow = [line.text for line in attempt_lines(dossier, 70)]
    assert len([line for line in narrow if "sample " in line]) == 4


async def test_each_letter_leads_to_its_section_and_words_are_found(
    open_run: Any, make_app: Make, until: Any, shown: Any
) -> None:
    folder, run = open_run()
    number = rewarded_run(run)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, until, "3")
        pane_of(app).narrow("kind:ded role:propose order:oldest")
        await until(pilot, lambda: pane_of(app).settled, "the first proposal")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        screen = app.screen
        assert isinstance(screen, SampleScreen) and screen.number == number
        page = screen.query_one(MarkedText)
        await until(pilot, lambda: page.virtual_size.height > 24, "the page")
        for key, title in (("c", "Program"), ("u", "Answers to it"), ("m", "Reward"), ("k", ""), ("t", "Reasoning")):
            await pilot.press(key)
            if not title:
                await until(pilot, lambda: isinstance(app.screen, FamilyScreen) or app.screen is screen, "its kin")
                continue
            first = page.lines[page.line_in_sight].text
            assert title in first or page.scroll_offset.y == page.max_scroll_y, (key, first)
        await pilot.press("slash", *"rotate", "enter")
        marked = {line.text[mark.start : mark.end] for line in page.lines for mark in line.marks}
        assert marked == {"rotate"}
        await pilot.press("escape")
        assert app.screen is screen and not any(line.marks for line in page.lines), "esc takes the marks away first"
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)


async def test_a_sample_is_copied_and_saved_as_it_is_shown(
    full_run: Any, make_app: Make, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = full_run
    run.blocked_trace(42, reasoning="Look: \x1b[31mred\x1b[0m. I plan to escape.", sentence="I plan to escape.")
    monkeypatch.chdir(tmp_path)
    copied: list[str] = []
    app = make_app(folder)
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        await pilot.press("y", "S", "S")
    first, second = sorted(tmp_path.glob("sample-*.txt"), key=lambda path: len(path.name))
    assert first.read_text("utf-8") == second.read_text("utf-8") == copied[0]
    assert "␛[31mred" in copied[0] and "\x1b" not in copied[0]


async def test_who_only_watches_writes_no_file(
    full_run: Any, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = AzrApp(full_run[0], poll=0.05, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        await pilot.press("S")
    assert not list(tmp_path.glob("sample-*"))
