"""Majority votes: pure, indifferent to order, and without a winner wherever it would be a guess."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.records import Kind, Task
from azr_platform.tasks.parse import Parsed
from azr_platform.tasks.vote import ballot, majority
from azr_sandbox.execution import Execution, Outcome

BALLOTS = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12)


@pytest.mark.parametrize(
    ("ballots", "least", "winner", "share"),
    [
        (["a", "a", "b"], 0.0, "a", 2 / 3),
        (["b", "a", "a", None, None], 0.5, "a", 2 / 3),
        (["a", "a"], 1.0, "a", 1.0),
        (["a", "b"], 0.0, None, 0.5),  # a tie
        (["a", "a", "b", "b", "c"], 0.0, None, 0.4),  # a tie
        (["a", "a", "b", "c", "d"], 0.5, None, 0.4),  # too small a share
        (["a", None, None], 0.0, None, 1.0),  # one answer is no vote
        ([None, None], 0.0, None, 0.0),
        ([], 0.0, None, 0.0),
    ],
)
def test_votes_by_hand(ballots: list[str | None], least: float, winner: str | None, share: float) -> None:
    vote = majority(ballots, least)
    assert (vote.winner, vote.share) == (winner, pytest.approx(share))
    assert bool(vote.problem) == (winner is None)


@given(BALLOTS, st.floats(0, 1), st.randoms(use_true_random=False))
def test_a_winner_has_more_ballots_than_any_other_and_the_order_does_not_matter(
    ballots: list[str | None], least: float, rng: object
) -> None:
    vote = majority(ballots, least)
    counts = Counter(ballot for ballot in ballots if ballot is not None)
    if vote.winner is not None:
        others = [count for answer, count in counts.items() if answer != vote.winner]
        assert counts[str(vote.winner)] > max(others, default=0)
        assert counts.total() >= 2
        assert vote.share >= least
    shuffled = list(ballots)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert majority(shuffled, least) == vote


@given(BALLOTS, st.floats(0, 1))
def test_one_more_ballot_for_the_winner_never_undoes_it(ballots: list[str | None], least: float) -> None:
    vote = majority(ballots, least)
    if vote.winner is not None:
        assert majority([*ballots, str(vote.winner)], least).winner == vote.winner


@given(BALLOTS, st.integers(0, 5), st.floats(0, 1))
def test_invalid_ballots_count_for_nothing(ballots: list[str | None], more: int, least: float) -> None:
    assert majority([*ballots, *[None] * more], least) == majority(ballots, least)


def task(kind: Kind, hidden: int = 1) -> Task:
    count = 2 * hidden if kind is Kind.INDUCTION else 1
    return Task(id="t", kind=kind, program="", inputs=("1",) * count, outputs=("",) * count, shown=count // 2 or 1)


def said(**blocks: object) -> Parsed:
    return Parsed(well_formed=True, **blocks)  # type: ignore[arg-type]


def ran(*values: str | None) -> list[Execution]:
    return [Execution(Outcome.OK if value is not None else Outcome.ERROR, value) for value in values]


def test_an_answer_votes_for_its_value_not_for_its_text() -> None:
    deduction, abduction = task(Kind.DEDUCTION), task(Kind.ABDUCTION)
    assert ballot(deduction, said(output="[1, 2.0]")) == ballot(deduction, said(output="[1,2]"))
    assert ballot(abduction, said(inputs=("{1, 2}, 'a'",))) == ballot(abduction, said(inputs=('{2,1},"a"',)))
    assert ballot(abduction, said(inputs=("1",))) != ballot(abduction, said(inputs=("(1,)",)))
    question = task(Kind.QUESTION)
    assert ballot(question, said(output=r"\boxed{4}")) == ballot(question, said(output="4.0"))


def test_a_program_votes_for_what_it_returned_on_the_hidden_inputs() -> None:
    about = task(Kind.INDUCTION, hidden=2)
    first = ballot(about, said(program="def f(x): ..."), ran("1", "2"))
    assert first == ballot(about, said(program="def f(y): ..."), ran("1.0", "2"))
    assert first != ballot(about, said(program="def f(x): ..."), ran("2", "1"))
    assert ballot(about, said(program="def f(x): ..."), ran("1", None)) is None
    assert ballot(about, said(program="def f(x): ..."), ran("1")) is None


def test_what_cannot_be_judged_is_no_ballot() -> None:
    assert ballot(task(Kind.DEDUCTION), said(output="f(1)")) is None
    assert ballot(task(Kind.ABDUCTION), said(inputs=("1) or (True",))) is None
    assert ballot(task(Kind.QUESTION), said(output="$$")) is None
    assert ballot(task(Kind.QUESTION), Parsed(well_formed=False, problem="no tags")) is None
