"""The language of the filter lines: what each term means, what is refused and with which words, and no crash ever."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from azr_platform.ledger.filters import AlertFilter, AlertState, Judged, SampleFilter, TaskFilter, TaskOrder
from azr_tui import query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", SampleFilter()),
        ("step:120-140", SampleFilter(first_step=120, last_step=140)),
        ("step:5", SampleFilter(first_step=5, last_step=5)),
        ("step:>5", SampleFilter(first_step=6)),
        ("step:<=5", SampleFilter(last_step=5)),
        ("step:5..", SampleFilter(first_step=5)),
        ("step:..9", SampleFilter(last_step=9)),
        ("kind:ded role:solve", SampleFilter(kind="deduction", role="solve")),
        ("KIND:Deduction", SampleFilter(kind="deduction")),
        ("verdict:blocked", SampleFilter(judged=Judged.BLOCKED)),
        ("rule:trace.*", SampleFilter(rule="trace.*")),
        ("reward:-0.5..0.5", SampleFilter(least_reward=-0.5, most_reward=0.5)),
        ("reward:<0", SampleFilter(most_reward=math.nextafter(0, -1))),
        ("score:>=0.5", SampleFilter(least_score=0.5)),
        ("score:>.5", SampleFilter(least_score=math.nextafter(0.5, 1))),
        ("task:abc", SampleFilter(task="abc")),
        ("order:oldest", SampleFilter(oldest_first=True)),
        ("outsmart humans", SampleFilter(text="outsmart humans")),
        ('"kind:deduction" role:solve', SampleFilter(text='"kind:deduction"', role="solve")),
        ('"a b" step:3 c', SampleFilter(text='"a b" c', first_step=3, last_step=3)),
        ("def f(x):", SampleFilter(text="def f(x):")),
    ],
)
def test_a_line_says_which_samples(text: str, expected: SampleFilter) -> None:
    found = query.samples(text)
    assert (found.filter, found.problem) == (expected, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("setp:5", "did you mean 'step'?"),
        ("colour:red", "there are step, role"),
        ("verdict:blokced", "did you mean 'blocked'?"),
        ("verdict:x", "is not one of allowed, blocked, held"),
        ("step:five", "'five' is no range"),
        ("step:1.5", "whole numbers"),
        ("step:1e300", "whole numbers"),
        ("step:<1e999", "whole numbers"),
        ("reward:..", "is no range"),
        ("role:", ""),
    ],
)
def test_what_cannot_be_read_is_said_and_the_rest_counts(text: str, words: str) -> None:
    found = query.samples(f"{text} kind:induction")
    assert words in found.problem and found.filter.kind == "induction"


def test_lines_of_alerts_and_tasks() -> None:
    assert query.alerts("severity:high state:open rule:trace.* step:3 about:run jail").filter == AlertFilter(
        severity=3, state=AlertState.OPEN, rule="trace.*", first_step=3, last_step=3, with_sample=False, text="jail"
    )
    assert query.alerts("state:false").filter.state is AlertState.FALSE_ALARM
    assert query.tasks("kind:abd rate:<=0.25 used:>=4 order:hardest sort").filter == TaskFilter(
        kind="abduction", most_rate=0.25, least_used=4, order=TaskOrder.HARDEST, text="sort"
    )


def test_a_term_is_set_replaced_and_taken_out() -> None:
    line = query.with_term("words role:propose step:3", "role", "solve")
    assert line == "words step:3 role:solve"
    assert query.with_term(line, "role", None) == "words step:3"
    assert query.tasks(query.with_term("", "order", "most-used")).filter.order is TaskOrder.MOST_USED


def test_keys_values_and_rules_are_completed() -> None:
    keys = query.SAMPLE_KEYS
    assert query.completion("step:3 ver", keys) == "step:3 verdict:"
    assert query.completion("verdict:bl", keys) == "verdict:blocked"
    assert query.completion("rule:trace.o", keys, ["trace.outsmart"]) == "rule:trace.outsmart"
    assert [query.completion(text, keys) for text in ("", "zzz", 'x "ste', "verdict:blocked")] == [None] * 4


@pytest.mark.parametrize(
    ("keys", "read"),
    [(query.SAMPLE_KEYS, query.samples), (query.ALERT_KEYS, query.alerts), (query.TASK_KEYS, query.tasks)],
)
def test_a_completed_value_is_one_term(keys: Sequence[query.Key], read: Callable[[str], query.Query[Any]]) -> None:
    for key in keys:
        for value in key.values:
            line = query.completion(f"{key.name}:{value[:-1]}", keys)
            assert line == f"{key.name}:{value}"
            found = read(line)
            assert (found.problem, found.filter.text) == ("", "")


def test_quotes_stay_only_where_a_search_reads_them() -> None:
    assert query.alerts('"state: x" state:open').filter == AlertFilter(text="state: x", state=AlertState.OPEN)
    assert query.tasks('"x + 1"').filter == TaskFilter(text="x + 1")
    assert query.tasks('a "b c').filter.text == "a b c"
    assert query.alerts('"" "').filter == AlertFilter()


def test_whatever_is_typed_is_read_without_a_crash() -> None:
    rng = random.Random(3)
    signs = [
        "step",
        "kind",
        ":",
        "-",
        "..",
        "<",
        ">",
        "=",
        '"',
        " ",
        "1",
        "9" * 400,
        "e",
        ".",
        "\x1b",
        "\u202e",
        "é",
        "*",
    ]
    for _ in range(3000):
        text = "".join(rng.choices(signs, k=rng.randint(0, 12)))
        for parse in (query.samples, query.alerts, query.tasks):
            assert isinstance(parse(text).problem, str)
        query.completion(text, query.SAMPLE_KEYS)
        query.with_term(text, "kind", None)
