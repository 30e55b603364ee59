"""The scripted engine: chosen words, real tokens and log-probabilities, and the engine behind for the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.rollout.scoring import Pair, score
from azr_platform.rollout.scripted_engine import Line, ScriptedEngine, ScriptError, read_script
from azr_platform.rollout.static_engine import StaticEngine

Build = Callable[..., Any]


@pytest.fixture
def engine(tiny: Build, tokenizer: Any) -> ScriptedEngine:
    model = tiny()
    behind = StaticEngine(model, tokenizer, batch=8, max_tokens=6, temperature=0.8)
    script = [Line("deduce", ["one", "two", "three"]), Line("de", ["second line"])]
    return ScriptedEngine(script, behind, model, tokenizer, 0.8)


def test_matching_prompts_get_the_script_s_words_in_turn(engine: ScriptedEngine) -> None:
    results = engine.generate(["# deduce 1", "define", "# deduce 2"], samples=2, seed=0)
    assert [[completion.text for completion in several] for several in results] == [
        ["one", "two"],
        ["second line", "second line"],
        ["three", "one"],
    ]


def test_what_is_said_has_the_model_s_log_probs_and_ends(engine: ScriptedEngine, tiny: Build, tokenizer: Any) -> None:
    ((completion,),) = engine.generate(["# deduce"], samples=1, seed=0)
    assert completion.finished
    assert completion.tokens == [*tokenizer("one", add_special_tokens=False)["input_ids"], 2]
    (expected,) = score(tiny(), [Pair(engine.encode("# deduce"), completion.tokens)], 0.8)
    assert completion.log_probs == pytest.approx(expected, abs=1e-5)


def test_other_prompts_are_sampled_by_the_engine_behind(engine: ScriptedEngine, tiny: Build, tokenizer: Any) -> None:
    behind = StaticEngine(tiny(), tokenizer, batch=8, max_tokens=6, temperature=0.8)
    results = engine.generate(["zzz", "# deduce", "yyy"], samples=2, seed=5)
    assert [results[0], results[2]] == behind.generate(["zzz", "yyy"], samples=2, seed=5)
    assert [completion.text for completion in results[1]] == ["one", "two"]


def test_a_script_is_read_from_json(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(json.dumps([{"match": "a", "responses": ["b", "c"]}]))
    assert read_script(file) == [Line("a", ["b", "c"])]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[{"match": "a"}]',
        '[{"match": "a", "responses": ["b"], "more": 1}]',
        '[{"match": "a", "responses": "b"}]',
        "\xff",
    ],
)
def test_a_script_of_another_shape_is_refused_by_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ScriptError, match=r"script\.json: not a list"):
        read_script(file)


def test_a_missing_script_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"none\.json: .*No such file"):
        read_script(tmp_path / "none.json")


def test_a_line_without_responses_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text('[{"match": "a", "responses": []}]')
    with pytest.raises(ScriptError, match="responses"):
        read_script(file)
