"""Prompts show what a kind shows, hide what it hides, and never use model text as a template."""

from __future__ import annotations

import ast

import pytest

from azr_platform.records import Kind, Role, Task
from azr_platform.tasks.kinds import KINDS, TaskKind, task_kind
from azr_platform.tasks.prompts import Style, propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks

STYLES: tuple[Style, ...] = ("full", "compact")


def task(kind: Kind) -> Task:
    many = task_kind(kind).many_inputs
    count = 4 if many else 1
    return Task(
        id="t",
        kind=kind,
        program="def f(x):\n    return PROGRAM_TEXT",
        inputs=tuple(f"INPUT_{n}" for n in range(count)),
        outputs=tuple(f"OUTPUT_{n}" for n in range(count)),
        shown=count // 2 if many else 1,
        message="MESSAGE_TEXT" if many else "",
    )


def words(text: str) -> set[str]:
    marks = [
        "PROGRAM_TEXT",
        "MESSAGE_TEXT",
        *(f"INPUT_{n}" for n in range(4)),
        *(f"OUTPUT_{n}" for n in range(4)),
    ]
    return {mark for mark in marks if mark in text}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Kind.DEDUCTION, {"PROGRAM_TEXT", "INPUT_0"}),
        (Kind.ABDUCTION, {"PROGRAM_TEXT", "OUTPUT_0"}),
        (Kind.INDUCTION, {"MESSAGE_TEXT", "INPUT_0", "OUTPUT_0", "INPUT_1", "OUTPUT_1"}),
    ],
)
def test_a_solver_sees_exactly_what_its_kind_shows(style: Style, kind: Kind, shown: set[str]) -> None:
    assert words(solve_prompt(task(kind), style)) == shown


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.kind.value)
def test_a_proposer_sees_its_references(style: Style, kind: TaskKind) -> None:
    assert "PROGRAM_TEXT" in propose_prompt(kind.kind, [task(kind.kind)], style)


def test_full_proposals_show_every_reference_triplet() -> None:
    references = [task(Kind.DEDUCTION)] * 6
    assert propose_prompt(Kind.DEDUCTION, references, "full").count("OUTPUT_0") == 6


@pytest.mark.parametrize("style", STYLES)
def test_induction_needs_the_program_it_is_about(style: Style) -> None:
    with pytest.raises(ValueError, match="needs a reference"):
        propose_prompt(Kind.INDUCTION, [], style)
    assert propose_prompt(Kind.DEDUCTION, [], style)


def test_the_full_format_text_names_every_block_wanted_and_the_count() -> None:
    for kind in KINDS:
        for role, text in (
            (Role.PROPOSE, propose_prompt(kind.kind, [task(kind.kind)], "full", 7)),
            (Role.SOLVE, solve_prompt(task(kind.kind), "full")),
        ):
            ending = text[text.rindex("<think>") :]
            for name in kind.blocks_wanted(role, 7):
                assert f"```{name.value}\n" in ending
    assert "exactly 7 input blocks" in propose_prompt(Kind.INDUCTION, [task(Kind.INDUCTION)], "full", 7)


@pytest.mark.parametrize("style", STYLES)
def test_braces_and_percent_signs_in_model_text_stay_as_they_are(style: Style) -> None:
    hostile = "{0.__class__} %(x)s $name {{}} %s"
    one = Task(id="t", kind=Kind.DEDUCTION, program=hostile, inputs=(hostile,), outputs=("1",))
    assert solve_prompt(one, style).count(hostile) == 2
    assert hostile in propose_prompt(Kind.DEDUCTION, [one], style)


def test_compact_prompts_are_short() -> None:
    for one in seed_tasks(6):
        assert len(solve_prompt(one, "compact")) < 300
        assert len(propose_prompt(one.kind, [one], "compact", 6)) < 80


@pytest.mark.parametrize("count", [2, 3, 10, 31])
def test_the_seeds_are_the_identity_with_distinct_inputs(count: int) -> None:
    seeds = seed_tasks(count)
    assert [s.kind for s in seeds] == [k.kind for k in KINDS]
    for seed in seeds:
        assert seed.program == "def f(a):\n    return a"
        assert seed.inputs[0] == '"Hello world"'
        assert [ast.literal_eval(i) for i in seed.inputs] == [ast.literal_eval(o) for o in seed.outputs]
        assert len(set(seed.outputs)) == len(seed.outputs) == (count if task_kind(seed.kind).many_inputs else 1)
    assert seeds[-1].shown == count // 2


def test_too_few_seed_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        seed_tasks(1)
