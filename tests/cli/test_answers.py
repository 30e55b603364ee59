"""Judging answers line by line, in the real jail: right, wrong, hostile, and lines that are no answers at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from azr_platform.cli.answers import CHUNK, check_lines
from azr_sandbox.execution import Execution, Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

ADD = "def f(x):\n    return x + 1"
SEEDS = Path(__file__).parents[3] / "shared/data/azr_seeds/3b_coder_seed_io.jsonl"


class Watched:
    """The real jail, and what was asked of it."""

    def __init__(self, jail: JailPool) -> None:
        self.jail = jail
        self.requests: list[Request] = []

    def run(self, requests: Sequence[Request]) -> list[tuple[Execution, ...]]:
        self.requests += requests
        return self.jail.run(requests)


@pytest.fixture(scope="module")
def pool() -> Iterator[JailPool]:
    try:
        opened = JailPool(Limits(wall_s=60.0, memory_mb=256), workers=1).open()
    except JailUnavailable as error:
        pytest.skip(f"no jail on this machine: {error}")
    with opened:
        yield opened


@pytest.fixture
def jail(pool: JailPool) -> Watched:
    return Watched(pool)


def _judge(jail: Watched, *rows: dict[str, Any] | str) -> list[dict[str, Any]]:
    return list(check_lines([row if isinstance(row, str) else json.dumps(row) for row in rows], jail))


def _deduce(answer: str, output: str = "2") -> dict[str, Any]:
    return {"id": 1, "kind": "deduction", "program": ADD, "input": "1", "output": output, "answer": answer}


def _abduce(answer: str, program: str = ADD, output: str = "2") -> dict[str, Any]:
    return {"id": 1, "kind": "abduction", "program": program, "output": output, "answer": answer}


def _induce(answer: str, *pairs: tuple[str, str]) -> dict[str, Any]:
    return {"id": 1, "kind": "induction", "pairs": list(pairs or (("1", "2"), ("-7", "-6"))), "answer": answer}


@pytest.mark.parametrize(
    ("row", "correct", "outcome"),
    [
        (_deduce("2"), True, "ok"),
        (_deduce(" 2 "), True, "ok"),
        (_deduce("3"), False, "ok"),
        (_deduce("'2'"), False, "ok"),
        (_deduce("1 + 1"), False, "not_a_value"),
        (_deduce("{1: 2, 3: 4}", "{3: 4, 1: 2}"), True, "ok"),
        (_abduce("1"), True, "ok"),
        (_abduce("1.0"), True, "ok"),  # values are compared as Python does: 2.0 is 2
        (_abduce("5"), False, "ok"),
        (_abduce("2 - 1"), False, "not_a_value"),
        (_abduce("'a'"), False, "error"),
        (_abduce("-3", "def f(x):\n    return abs(x)", "3"), True, "ok"),  # any input that leads there
        (_abduce("1, 2", "def f(a, b):\n    return a + b", "3"), True, "ok"),
        (_induce("def f(n):\n    return n + 1"), True, "ok"),
        (_induce("def f(n):\n    return 2"), False, "ok"),  # only the first pair
        (_induce("def f(n):\n    return n + 1 if n > 0 else 1 // 0"), False, "error"),
        (_induce("def g(n):\n    return n + 1"), False, "invalid_program"),
        (_induce("not a program"), False, "invalid_program"),
        (_induce("def f(n):\n    while True:\n        pass", ("1", "2")), False, "cpu"),
    ],
)
def test_an_answer_is_judged_by_its_kind(row: dict[str, Any], correct: bool, outcome: str, jail: Watched) -> None:
    assert _judge(jail, row) == [{"id": 1, "correct": correct, "outcome": outcome}]


def test_a_deduction_s_answer_is_never_run(jail: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    attack = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    rows = [_deduce(attack), _deduce(f"[{attack}]"), _deduce("2", attack), _abduce(attack)]
    assert not any(result["correct"] for result in _judge(jail, *rows))
    assert jail.requests == []
    assert not mark.exists()


def test_an_induction_s_answer_is_run_in_the_jail_alone(jail: Watched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = f"import pathlib\ndef f(n):\n    pathlib.Path({str(mark)!r}).touch()\n    return n + 1"
    (result,) = _judge(jail, _induce(program))
    assert not result["correct"]
    assert len(jail.requests) == 1
    assert not mark.exists()


def test_expected_outputs_never_enter_the_jail(jail: Watched) -> None:
    secret = "'the answer is 31337'"
    program = "def f(x):\n    return str(x)"
    _judge(jail, _abduce("31337", program, secret), _induce(program, ("1", secret)))
    assert len(jail.requests) == 2
    assert "the answer" not in str(jail.requests)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "5",
        "[1]",
        '"text"',
        "{",
        "[" * 100_000,
        "1" * 5000,
        "{}",
        '{"kind": "telepathy", "answer": "1"}',
        '{"kind": [], "answer": "1"}',
        '{"kind": "deduction", "answer": "1"}',
        '{"kind": "deduction", "output": 1, "answer": "1"}',
        '{"kind": "deduction", "output": "1", "answer": 1}',
        '{"kind": "deduction", "output": "1", "answer": null}',
        '{"kind": "abduction", "output": "1", "answer": "1", "program": 5}',
        '{"kind": "induction", "answer": "def f(x): return x"}',
        '{"kind": "induction", "answer": "def f(x): return x", "pairs": 5}',
        '{"kind": "induction", "answer": "def f(x): return x", "pairs": [["1"]]}',
        '{"kind": "induction", "answer": "def f(x): return x", "pairs": [["1", 1]]}',
    ],
    ids=lambda line: line[:80] or "empty",
)
def test_a_line_that_is_no_answer_is_wrong_and_the_next_is_still_judged(line: str, jail: Watched) -> None:
    bad, good = _judge(jail, line, _abduce("1"))
    assert (bad["correct"], bad["outcome"]) == (False, "invalid_input")
    assert good["correct"]


@pytest.mark.parametrize(
    "text", ["\ud800", "\x00", "x" * 2_000_000, "(" * 100_000, "\u202e", "\x1b[2J"], ids=lambda text: ascii(text[:5])
)
def test_hostile_text_anywhere_is_a_wrong_answer(text: str, jail: Watched) -> None:
    rows = [
        _deduce(text),
        _deduce("2", text),
        _abduce(text),
        _abduce("1", text),
        _induce(text),
        _induce(ADD, (text, "2")),
    ]
    results = _judge(jail, *rows, _abduce("1"))
    assert [result["correct"] for result in results] == [False] * 6 + [True]


def test_an_induction_without_pairs_is_not_right_by_default(jail: Watched) -> None:
    row = {"id": 1, "kind": "induction", "pairs": [], "answer": ADD}
    assert not _judge(jail, row)[0]["correct"]


def test_ids_are_kept_whatever_they_are(jail: Watched) -> None:
    ids = [0, "a", None, [1], {"x": 1.5}, True]
    assert [result["id"] for result in _judge(jail, *({**_deduce("2"), "id": number} for number in ids))] == ids
    assert _judge(jail, {"id": 7, "kind": "deduction"})[0]["id"] == 7


def test_many_lines_come_back_in_order_a_chunk_at_a_time(jail: Watched) -> None:
    def lines() -> Iterator[str]:
        for number in range(2 * CHUNK + 3):
            taken.append(number)
            yield json.dumps({**_deduce(str(number)), "id": number})

    taken: list[int] = []
    results = check_lines(lines(), jail)
    assert next(results)["id"] == 0
    assert len(taken) == CHUNK  # not all of a long file is read before the first result
    rest = list(results)
    assert [result["id"] for result in rest] == list(range(1, 2 * CHUNK + 3))
    assert [result["id"] for result in rest if result["correct"]] == [2]


def test_no_lines_give_no_results(jail: Watched) -> None:
    assert _judge(jail) == []


@pytest.mark.skipif(not SEEDS.is_file(), reason="the reference implementation's seed tasks are not beside the checkout")
def test_tasks_of_the_reference_implementation_are_judged_as_it_judged_them(jail: Watched) -> None:
    rows = [json.loads(line) for line in SEEDS.read_text("utf-8").splitlines()[:400:10]]
    right = [
        {"id": n, "kind": "deduction", "program": row["snippet"], "input": row["input"], "output": row["output"]}
        for n, row in enumerate(rows)
    ]
    results = _judge(jail, *({**row, "answer": row["output"]} for row in right))
    unsure = [n for n, result in enumerate(results) if not result["correct"]]
    # Outputs that are no literals (a generator's repr, say) cannot be answered.
    assert all(results[n]["outcome"] == "not_a_value" for n in unsure)
    assert len(unsure) < len(rows) / 10
    found = _judge(jail, *({**row, "kind": "abduction", "answer": row["input"]} for row in right))
    assert sum(result["correct"] for result in found) > 0.85 * len(rows)


@pytest.mark.parametrize(
    ("pairs", "correct", "outcome"),
    [
        ([{"input": "1", "output": "2"}], True, "ok"),
        ([{"input": "1", "output": "3"}], False, "ok"),
        (["12"], False, "invalid_input"),
        ([{"1": "a", "2": "b"}], False, "invalid_input"),
        ([["1", "2", "3"]], False, "invalid_input"),
        ({"12": "x"}, False, "invalid_input"),
    ],
)
def test_pairs_are_lists_or_named_and_nothing_else_passes_for_one(
    jail: Watched, pairs: object, correct: bool, outcome: str
) -> None:
    """Unpacked carelessly, the text "12" is the pair 1, 2, and an object is its two names."""
    (row,) = _judge(jail, {"id": 1, "kind": "induction", "pairs": pairs, "answer": ADD})
    assert (row["correct"], row["outcome"]) == (correct, outcome)
