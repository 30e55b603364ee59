"""JSON lines in, one answer a line out, whatever the lines hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azr_sandbox.batch import run_lines
from azr_sandbox.pool import JailPool

SEEDS = Path(__file__).resolve().parents[3] / "shared/data/azr_seeds"


def answers(pool: JailPool, *rows: object) -> list[dict[str, object]]:
    return list(run_lines((row if isinstance(row, str) else json.dumps(row) for row in rows), pool))


def test_one_input_gives_one_flat_answer(pool: JailPool) -> None:
    (answer,) = answers(pool, {"id": "a", "program": "def f(x, y=2):\n    return x + y", "input": "1, y=3"})
    assert list(answer) == ["id", "outcome", "value", "detail", "cpu_ms", "wall_ms"]
    assert (answer["id"], answer["outcome"], answer["value"], answer["detail"]) == ("a", "ok", "4", "")
    assert isinstance(answer["cpu_ms"], float)
    assert isinstance(answer["wall_ms"], float)


def test_several_inputs_give_results(pool: JailPool) -> None:
    (answer,) = answers(pool, {"id": 7, "program": "def f(x): return 1 / x", "inputs": ["2", "0", "x y"]})
    assert list(answer) == ["id", "results"]
    results = answer["results"]
    assert isinstance(results, list)
    assert [row["outcome"] for row in results] == ["ok", "error", "invalid_input"]
    assert [row["value"] for row in results] == ["0.5", None, None]


def test_lines_are_answered_in_order_with_bad_ones_in_place(pool: JailPool) -> None:
    good = {"id": 1, "program": "def f(x): return x", "input": "1"}
    rows = answers(
        pool,
        good,
        "",
        "not json",
        "[1]",
        '{"id": 2, "input": "1"}',
        '{"id": 3, "program": 5, "input": "1"}',
        '{"id": 4, "program": "def f(x): return x"}',
        '{"id": 5, "program": "def f(x): return x", "input": 1}',
        '{"id": 6, "program": "def f(x): return x", "inputs": "1"}',
        '{"id": 7, "program": "def f(x): return x", "input": "1", "inputs": []}',
        '{"id": 8, "program": "def f(x): return x", "inputs": []}',
        '{"id": 9, "program": "def f(:", "input": "1"}',
        '{"id": {"x": [1]}, "program": "def f(x): return x", "input": "1"}',
        "[" * 100_000,
        {**good, "id": None},
    )
    got = [(row["id"], row.get("outcome", row.get("results"))) for row in rows]
    assert got == [
        (1, "ok"),
        (None, "invalid_input"),
        (None, "invalid_input"),
        (2, "invalid_program"),
        (3, "invalid_program"),
        (4, "invalid_input"),
        (5, "invalid_input"),
        (6, "invalid_input"),
        (7, "invalid_input"),
        (8, []),
        (9, "invalid_program"),
        ({"x": [1]}, "ok"),
        (None, "invalid_input"),
        (None, "ok"),
    ]
    assert str(rows[1]["detail"]).startswith("line 3 is not JSON (")


def test_more_lines_than_one_batch(pool: JailPool) -> None:
    rows = answers(pool, *({"id": i, "program": "def f(x): return x", "input": str(i)} for i in range(300)))
    assert [row["value"] for row in rows] == [str(i) for i in range(300)]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_json_has_no_number_for_comes_back_as_text(pool: JailPool, number: str) -> None:
    (answer,) = answers(pool, f'{{"id": [{number}, 1.5], "program": "def f(x): return x", "input": "1"}}')
    assert answer["id"] == [number, 1.5]
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@given(
    st.text(max_size=60)
    | st.dictionaries(
        st.sampled_from(["id", "program", "input", "inputs"]),
        st.none() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2),
    ).map(json.dumps)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_raises(pool: JailPool, line: str) -> None:
    for answer in run_lines([line], pool):
        assert json.dumps(answer)


@pytest.mark.slow
def test_real_model_written_programs_end_as_they_should(pool: JailPool) -> None:
    if not SEEDS.is_dir():
        pytest.skip("the seed programs are not beside the checkout (../shared/data/azr_seeds)")
    lines = []
    for path in sorted(SEEDS.glob("*_seed_io.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            program = "\n".join([*row.get("imports", []), row["snippet"]])
            inputs = row["inputs"] if "inputs" in row else [row["input"]]
            lines.append(json.dumps({"id": len(lines), "program": program, "inputs": inputs}))
    lines = lines[::12]  # `benchmarks/seeds.py` runs them all
    outcomes = [
        row["outcome"]
        for answer in run_lines(lines, pool)
        for row in answer["results"]  # type: ignore[attr-defined]
    ]
    assert len(lines) > 100
    assert outcomes.count("ok") / len(outcomes) > 0.9
    assert outcomes.count("crash") == 0
