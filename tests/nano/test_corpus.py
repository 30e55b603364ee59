"""The corpus speaks the common format, holds no held-out program, and says true things where it should."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from azr_platform.nano.corpus import CLEAN, MIXED, Corpus, Example, Mixture, groups
from azr_platform.nano.grammar import identity, random_case
from azr_platform.nano.heldout import (
    NANO_INPUTS,
    PER_KIND,
    PROPOSED_PER_KIND,
    held_out_programs,
    held_out_tasks,
    is_held_out,
)
from azr_platform.records import SELF_PLAY_KINDS, Group, Kind, Role, Task
from azr_platform.tasks.parse import Parsed, parse_response
from azr_platform.tasks.seeds import IDENTITY
from azr_sandbox.execution import Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.pool import JailPool

CAREFUL = Mixture({"careful": 0.6, "check": 0.4}, {"rich": 1.0}, CLEAN.weights, ordered=0.5)


@pytest.fixture
def jail() -> Iterator[JailPool]:
    try:
        with JailPool(workers=2) as pool:
            yield pool
    except JailUnavailable as error:
        pytest.skip(f"no jail to run programs in: {error.reason}")


def read(example: Example) -> Parsed:
    return parse_response(example.response, example.group.role, example.group.kind, inputs_wanted=NANO_INPUTS)


def really_run(source: str, argument: object) -> object:
    """Run a program of our own grammar with Python itself."""
    scope: dict[str, object] = {}
    exec(source, scope)  # the text comes from the grammar
    function = scope["f"]
    assert callable(function)
    return function(argument)


def blocks(prompt: str, name: str) -> list[str]:
    return [part.partition("\n```\n")[0] for part in prompt.split(f"```{name}\n")[1:]]


def shape(source: str) -> str:
    """The program with its variables numbered in the order they appear: equal for programs that differ in names."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = names.setdefault(node.arg, f"v{len(names)}")
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    for node in sorted((n for n in ast.walk(tree) if isinstance(n, ast.Name)), key=lambda n: (n.lineno, n.col_offset)):
        if node.id not in calls:
            node.id = names.setdefault(node.id, f"v{len(names)}")
    return ast.unparse(tree)


def programs(text: str) -> list[str]:
    found = []
    for source in blocks(text, "python"):
        try:
            found.append(shape(source))
        except SyntaxError:
            continue
    return found


@pytest.mark.parametrize("group", groups(), ids=str)
def test_careful_examples_are_well_formed_and_right(group: Group) -> None:
    corpus = Corpus(1)
    for _ in range(300):
        example = corpus.example_of(group, CAREFUL)
        parsed = read(example)
        assert parsed.well_formed, (parsed.problem, example.response)
        check(group, example, parsed)


def check(group: Group, example: Example, parsed: Parsed) -> None:
    """Compare what the example says with what Python computes."""
    value = ast.literal_eval
    if group.role is Role.PROPOSE:
        program = parsed.program or blocks(example.prompt, "python")[0]
        assert len({repr(value(i)) for i in parsed.inputs}) == len(parsed.inputs)
        for text in parsed.inputs:
            really_run(program, value(text))
        return
    source = parsed.program or blocks(example.prompt, "python")[0]
    inputs = list(parsed.inputs) or blocks(example.prompt, "input")
    outputs = [parsed.output] if parsed.output else blocks(example.prompt, "output")
    assert inputs and len(inputs) == len(outputs)
    for text, output in zip(inputs, outputs, strict=True):
        assert really_run(source, value(text)) == value(output), example


@pytest.mark.parametrize("mixture", [CLEAN, MIXED], ids=["clean", "mixed"])
def test_no_held_out_program_occurs_up_to_renaming(mixture: Mixture) -> None:
    held = {shape(task.program) for task in held_out_tasks()}
    corpus = Corpus(2)
    for _ in range(2500):
        example = corpus.example(mixture)
        leaked = held.intersection(programs(example.prompt) + programs(example.response))
        assert not leaked, (example.mode, leaked)


def test_the_ban_is_what_keeps_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {shape(task.program) for task in held_out_tasks()}
    corpus = Corpus(2)
    monkeypatch.setattr("azr_platform.nano.corpus.is_held_out", lambda program: False)
    drawn = [corpus.example(MIXED) for _ in range(2500)]
    assert any(held.intersection(programs(e.prompt) + programs(e.response)) for e in drawn)


def test_every_mode_is_drawn_about_as_often_as_asked() -> None:
    corpus = Corpus(3)
    modes = Counter(corpus.example_of(Group(Role.SOLVE, Kind.DEDUCTION), MIXED).mode for _ in range(4000))
    for mode, share in MIXED.solver.items():
        assert abs(modes[mode] / 4000 - share) < 0.04


def test_the_mixture_holds_right_and_wrong_answers_and_broken_formats() -> None:
    corpus = Corpus(4)
    group = Group(Role.SOLVE, Kind.DEDUCTION)
    right = broken = 0
    for _ in range(1500):
        example = corpus.example_of(group, MIXED)
        parsed = read(example)
        if not parsed.well_formed:
            broken += 1
            continue
        program, text = blocks(example.prompt, "python")[0], blocks(example.prompt, "input")[0]
        right += really_run(program, ast.literal_eval(text)) == ast.literal_eval(parsed.output)
    assert 0.02 < broken / 1500 < 0.08
    assert 0.5 < right / 1500 < 0.9


def test_the_seed_program_is_shown_and_solved() -> None:
    corpus = Corpus(5)
    drawn = [corpus.example(MIXED) for _ in range(4000)]
    roles = {e.group.role for e in drawn if IDENTITY in e.prompt}
    assert roles == set(Role)


def test_the_same_seed_gives_the_same_corpus() -> None:
    first, second, other = Corpus(6), Corpus(6), Corpus(7)
    drawn = [first.example(MIXED) for _ in range(50)]
    assert drawn == [second.example(MIXED) for _ in range(50)]
    assert drawn != [other.example(MIXED) for _ in range(50)]


def test_held_out_tasks_are_distinct_true_and_of_every_kind() -> None:
    tasks = held_out_tasks()
    assert Counter(t.kind for t in tasks) == dict.fromkeys(SELF_PLAY_KINDS, PER_KIND)
    assert len(held_out_programs()) == 3 * PER_KIND >= 1500
    assert sum("proposed" in t.id for t in tasks) == 3 * PROPOSED_PER_KIND
    induction = [t for t in tasks if t.kind is Kind.INDUCTION]
    assert all(len(t.inputs) == NANO_INPUTS and t.shown == NANO_INPUTS // 2 and t.message for t in induction)
    for task in tasks:
        if "proposed" not in task.id:  # of the grammar; what a model wrote runs in the jail only
            observed = [really_run(task.program, ast.literal_eval(i)) for i in task.inputs]
            assert observed == [ast.literal_eval(o) for o in task.outputs]


def test_held_out_proposals_are_what_the_jail_observes(jail: JailPool) -> None:
    tasks = [task for task in held_out_tasks() if "proposed" in task.id][::6]
    ran = jail.run([Request(task.program, task.inputs, together=len(task.inputs) > 1) for task in tasks])
    assert [tuple(e.value for e in executions) for executions in ran] == [task.outputs for task in tasks]


def test_a_program_of_the_grammar_is_known_as_held_out_under_other_names() -> None:
    rng = Random(8)
    held = next(p for p in (random_case(rng, least=2)[0] for _ in range(20_000)) if is_held_out(p))
    assert is_held_out(replace(held, parameter="a" if held.parameter == "x" else "x"))
    assert not is_held_out(identity(held.takes))


def test_a_search_is_right_about_what_explains_the_pairs() -> None:
    corpus, group = Corpus(9), Group(Role.SOLVE, Kind.INDUCTION)
    searched = 0
    for _ in range(1500):
        example = corpus.example_of(group, CLEAN)
        if example.mode != "check" or " ;" not in example.response:  # the seed program is answered at once
            continue
        first, second = blocks(example.prompt, "output")[:2]
        *failed, last = read(example).reasoning.split(" no ; ")
        assert len(failed) <= 2
        for attempt in failed:
            on_first, on_second = attempt.split(" ; ")
            assert reached(on_first) == first
            assert reached(on_second) != second
        on_first, on_second = map(str.strip, last.removesuffix("ok").split(";"))
        for trace, output in ((on_first, first), (on_second, second)):
            assert not trace or reached(trace) == output  # the identity's trace is empty
        searched += bool(failed)
    assert searched > 15


def reached(trace: str) -> str:
    """The value a trace ends with."""
    return trace[trace.rindex("=") + 1 :]


def test_fewer_held_out_tasks_are_a_prefix_and_more_are_refused() -> None:
    def of(kind: Kind, tasks: tuple[Task, ...]) -> list[str]:
        return [t.id for t in tasks if t.kind is kind]

    for kind in SELF_PLAY_KINDS:
        assert of(kind, held_out_tasks(5)) == of(kind, held_out_tasks())[:5]
    with pytest.raises(ValueError, match="there are 500"):
        held_out_tasks(PER_KIND + 1)
