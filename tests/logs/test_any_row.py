"""Whatever stands under the names that a format knows, a row is read or refused; nothing else can happen."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.logs.detect import FORMATS, choose, entries
from azr_platform.logs.mapped import Mapped
from azr_platform.logs.records import Format, Place, Row, Skip

NAMES: Final = [
    "input",
    "inputs",
    "output",
    "outputs",
    "score",
    "scores",
    "step",
    "gts",
    "prompt",
    "completion",
    "advantage",
    "reward",
    "trace",
    "program",
    "snippet",
    "imports",
    "messages",
    "message",
    "id",
    "example_id",
    "traces",
    "nodes",
    "rewards",
    "weight",
    "value",
    "text",
    "global_step",
    "attachments",
    "epoch",
    "role",
    "content",
    "sampled",
    "tool_calls",
    "function",
    "arguments",
    "code",
    "choices",
    "run",
    "work",
    "task",
    "error",
    "reasoning",
    "responses",
    "kind",
    "conversations",
]
WORDS: Final = st.sampled_from(
    ["", "assistant", "user", "```python\nx = 1\n```", "attachment://a", "\ud800", "x" * 300, "{}"]
)
LEAVES: Final = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
VALUES: Final = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
ROWS: Final = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
MAPPED: Final = Mapped(
    ["response=messages", "trace=output", "id=id", "input=inputs[0]", "reward=rewards.value", "step=step"]
)


def row(value: Any) -> Row:
    return Row(Place("f", 1), json.dumps(value).encode())


@pytest.mark.parametrize("of", [*FORMATS, MAPPED], ids=lambda of: of.name)
@given(ROWS)
def test_any_row_is_read_or_refused(of: Format, value: dict[str, Any]) -> None:
    found = entries(row(value), of)
    if isinstance(found, Skip):
        assert found.why.isprintable()
    else:
        assert all(case.holds_text for case in found)
        assert all(case.reward is None or abs(case.reward) < float("inf") for case in found)


@given(st.lists(ROWS, max_size=5))
def test_any_rows_have_a_format_or_a_reason(values: list[dict[str, Any]]) -> None:
    chosen = choose(map(row, values))
    assert chosen.why
    assert chosen.why.isprintable()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_row_or_a_skip(data: bytes) -> None:
    for of in FORMATS:
        entries(Row(Place("f", 1), data), of)
