"""How tasks are drawn: how many, from where, how often each, and the same again for the same seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.buffers.buffer import Entry
from azr_platform.buffers.sample import DRAWS, Draw, by_step, half_new, max_new, references, uniform
from azr_platform.config.schema import SelfPlayConfig
from azr_platform.records import Kind, Task

NOW = 9


def _entries(*steps: int) -> list[Entry]:
    return [
        Entry(Task(id=f"{step}-{place}", kind=Kind.DEDUCTION, program="", inputs=("1",), outputs=("1",)), step)
        for place, step in enumerate(steps)
    ]


def _steps(tasks: list[Task]) -> list[int]:
    return [int(task.id.split("-")[0]) for task in tasks]


def _frequencies(draw: Draw, entries: list[Entry], count: int, rounds: int = 4000) -> dict[str, float]:
    """How often each task is drawn, per round."""
    rng = random.Random(0)
    seen = Counter(task.id for _ in range(rounds) for task in draw(entries, count, NOW, rng))
    return {entry.task.id: seen[entry.task.id] / rounds for entry in entries}


def test_the_draws_are_those_that_the_configuration_offers() -> None:
    assert set(DRAWS) == set(SelfPlayConfig.model_fields["draw"].annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", DRAWS)
@given(steps=st.lists(st.integers(0, NOW), max_size=20), count=st.integers(0, 30), seed=st.integers(0, 5))
def test_every_draw_gives_the_count_from_the_entries_and_the_same_for_the_same_seed(
    name: str, steps: list[int], count: int, seed: int
) -> None:
    entries = _entries(*sorted(steps))
    drawn = DRAWS[name](entries, count, NOW, random.Random(seed))
    assert len(drawn) == (count if entries else 0)
    assert {task.id for task in drawn} <= {entry.task.id for entry in entries}
    assert drawn == DRAWS[name](entries, count, NOW, random.Random(seed))


@given(steps=st.lists(st.integers(0, NOW), min_size=1, max_size=20), count=st.integers(1, 60))
def test_uniform_repeats_none_more_than_it_must(steps: list[int], count: int) -> None:
    entries = _entries(*steps)
    often = Counter(task.id for task in uniform(entries, count, NOW, random.Random(1)))
    assert max(often.values()) - min(often.get(entry.task.id, 0) for entry in entries) <= 1


def test_uniform_draws_each_alike() -> None:
    entries = _entries(*[0] * 5, *[NOW] * 5)
    assert all(frequency == pytest.approx(0.3, abs=0.03) for frequency in _frequencies(uniform, entries, 3).values())


def test_max_new_takes_every_new_one_and_older_ones_alike() -> None:
    entries = _entries(0, 0, 3, 5, 8, NOW, NOW)
    often = _frequencies(max_new, entries, 4)
    assert [often[entry.task.id] for entry in entries[-2:]] == [1.0, 1.0]
    assert all(often[entry.task.id] == pytest.approx(2 / 5, abs=0.03) for entry in entries[:-2])


def test_max_new_chooses_among_too_many_new_ones_alike() -> None:
    often = _frequencies(max_new, _entries(0, 0, *[NOW] * 8), 4)
    assert list(often.values()) == [0.0, 0.0, *[pytest.approx(0.5, abs=0.03)] * 8]


@pytest.mark.parametrize(("count", "new", "old"), [(8, 4, 4), (7, 4, 3), (1, 1, 0), (2, 1, 1), (12, 6, 6)])
def test_half_new_takes_half_of_each(count: int, new: int, old: int) -> None:
    steps = _steps(half_new(_entries(*[1] * 20, *[NOW] * 20), count, NOW, random.Random(0)))
    assert (steps.count(NOW), steps.count(1)) == (new, old)


def test_half_new_fills_up_with_older_ones_when_few_are_new() -> None:
    steps = _steps(half_new(_entries(*[1] * 20, NOW), 8, NOW, random.Random(0)))
    assert (steps.count(NOW), steps.count(1)) == (1, 7)


@pytest.mark.parametrize("draw", [max_new, half_new])
def test_without_older_ones_no_new_one_comes_twice_before_all_have_come(draw: Draw) -> None:
    for seed in range(20):
        drawn = draw(_entries(*[NOW] * 8), 8, NOW, random.Random(seed))
        assert len({task.id for task in drawn}) == 8


@pytest.mark.parametrize("draw", [max_new, half_new])
def test_without_new_ones_the_older_ones_are_drawn_alike(draw: Draw) -> None:
    often = _frequencies(draw, _entries(0, 1, 2, 3), 2)
    assert list(often.values()) == [pytest.approx(0.5, abs=0.03)] * 4


def test_by_step_draws_in_proportion_to_the_step() -> None:
    entries = _entries(0, 1, 3, 5)
    often = _frequencies(by_step, entries, 10)
    assert [often[entry.task.id] for entry in entries] == pytest.approx([10 / 13, 20 / 13, 40 / 13, 60 / 13], abs=0.06)


# --- references ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, NOW), max_size=20), st.integers(0, 8), st.integers(0, 25))
def test_references_are_distinct_and_among_the_newest(steps: list[int], count: int, recent: int) -> None:
    entries = _entries(*sorted(steps))
    shown = references(entries, count, recent, random.Random(0))
    pool = entries[-recent:] if recent else entries
    assert len(shown) == len({task.id for task in shown}) == min(count, len(pool))
    assert {task.id for task in shown} <= {entry.task.id for entry in pool}
    assert shown == references(entries, count, recent, random.Random(0))


def test_the_newest_of_two_buffers_are_the_newest_of_both() -> None:
    first, second = _entries(1, 2, 3, 8, 8), _entries(0, 0, 0, 0, 0, 1, 2, 3, 8, 8, 8)
    rng = random.Random(0)
    seen = {task.id for _ in range(200) for task in references([*first, *second], 1, 5, rng)}
    assert seen == {entry.task.id for entry in [*first[-2:], *second[-3:]]}


def test_references_are_drawn_alike() -> None:
    entries = _entries(*range(6))
    rng = random.Random(0)
    seen = Counter(task.id for _ in range(4000) for task in references(entries, 2, 0, rng))
    assert all(seen[entry.task.id] / 4000 == pytest.approx(1 / 3, abs=0.03) for entry in entries)
