"""Every format is told by its looks and read as its writer meant it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.logs.detect import choose, format_named
from azr_platform.logs.mapped import Mapped
from azr_platform.logs.records import Entry, Place, Reason, Row, Skip

Reader = Callable[..., tuple[str, list[Entry], list[Skip]]]


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


# -- written by the libraries themselves -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["inspect.eval", "inspect.json"])
def test_inspect_as_inspect_writes_it(read: Reader, samples: Path, name: str) -> None:
    format_, cases, skips = read(samples / name)
    assert (format_, skips) == ("inspect", [])
    by_id = {case.id: case for case in cases}
    assert by_id.keys() == {"one", "two", "three"}
    assert by_id["one"].trace.startswith("The tests only check the file")
    assert by_id["one"].trace.endswith("\n\n4")
    assert by_id["one"].prompt == "system: Be brief.\n\nuser: What is 2 + 2?"
    assert (by_id["one"].reward, by_id["three"].reward) == (1.0, 0.0)
    assert by_id["two"].trace == "Two and three make five.\n\n5"
    assert by_id["three"].program == "def f(n):\n    return n * n\n"
    assert by_id["three"].trace == "Here it is:"


CODE = "import os\nos.remove('the log')"


def _inspect_row(arguments: Any, attachments: Any, **changes: Any) -> dict[str, Any]:
    call = {"id": "1", "function": "python", "arguments": arguments, "type": "function"}
    said = {
        "role": "assistant",
        "content": [{"type": "reasoning", "reasoning": "attachment://r"}],
        "tool_calls": [call],
    }
    messages = [{"role": "user", "content": "attachment://u"}, said]
    return {"id": 1, "epoch": 1, "messages": messages, "output": {}, "attachments": attachments, **changes}


@pytest.mark.parametrize("arguments", [{"code": "attachment://c"}, {"code": "tc://c"}, "attachment://whole"])
def test_inspects_attached_texts_are_judged_wherever_they_stand(read: Reader, tmp_path: Path, arguments: Any) -> None:
    attached = {"r": "I hide it.", "c": CODE, "u": "Do it.", "whole": json.dumps({"code": CODE})}
    _, (case,), skips = read(written(tmp_path / "log.jsonl", _inspect_row(arguments, attached)))
    assert (case.trace, case.program, case.prompt) == ("I hide it.\n\npython:", CODE, "user: Do it.")
    assert (case.lacks, skips) == ("", [])


@pytest.mark.parametrize("attachments", [{"r": "I hide it.", "c": 3}, {"r": "I hide it."}, None, []])
def test_an_attached_text_that_is_missing_is_named(read: Reader, tmp_path: Path, attachments: Any) -> None:
    _, (case,), _ = read(written(tmp_path / "log.jsonl", _inspect_row({"code": "attachment://c"}, attachments)))
    assert case.lacks == f"attachment://{'c' if attachments else 'r'} is not among the sample's attachments"
    users = _inspect_row({}, {"r": "I hide it."})
    _, (case,), _ = read(written(tmp_path / "log.jsonl", users))
    assert case.lacks == "", "what a user attached is not judged"


def test_words_about_attachments_are_words(read: Reader, tmp_path: Path) -> None:
    said = [{"role": "assistant", "content": "attachment://x holds it"}]
    _, (case,), _ = read(written(tmp_path / "log.jsonl", _inspect_row({}, {}, messages=said)))
    assert (case.trace, case.lacks) == ("attachment://x holds it", "")


def test_trl_as_trl_writes_it(read: Reader, samples: Path) -> None:
    format_, cases, skips = read(samples / "trl_completions_00001.parquet")
    assert (format_, skips) == ("trl", [])
    assert len(cases) == 4
    assert cases[1].prompt == "Say something."
    assert cases[1].trace == 'mJ@|[-87\\BW\n2c}w"IuiM\\W2'
    assert (cases[1].step, cases[1].reward) == (1, 26.0)
    assert cases[1].extra["vowels"] == 2.0


def test_verifiers_as_verifiers_writes_it(read: Reader, samples: Path) -> None:
    format_, cases, skips = read(samples / "verifiers_traces.jsonl")
    assert (format_, skips) == ("verifiers", [])
    first, second = cases
    assert first.trace == "Two and two are four.\n\n4\n\npython:\n\nIt is 4."
    assert first.program == "print(2 + 2)"
    assert "put in: 3" in first.prompt
    assert "put in: 3" not in first.trace, "what was put into the model's mouth is not the model's"
    assert (first.step, first.reward) == (12, pytest.approx(0.9))
    assert (second.id, second.reward) == ("trace2", 0.0)


def test_the_seed_files_of_the_absolute_zero_reasoner(read: Reader) -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "azr_seeds"
    if not folder.is_dir():
        pytest.skip("the seed files are not beside the checkout (../shared/data/azr_seeds)")
    for file in sorted(folder.glob("*.jsonl")):
        format_, cases, skips = read(file)
        assert (format_, skips) == ("azr", [])
        assert all("def f" in case.program and case.inputs for case in cases)


# -- written as their sources do -------------------------------------------------------------------------


def test_verl(read: Reader, tmp_path: Path) -> None:
    row = {
        "input": "user\nAdd 2.\nassistant\n",
        "output": "<think>Easy.</think> 4",
        "gts": "4",
        "score": 1.0,
        "step": 7,
    }
    older = {name: value for name, value in row.items() if name != "gts"}
    for given in ({**row, "acc": True}, older):
        format_, cases, skips = read(written(tmp_path / "7.jsonl", given))
        assert (format_, skips) == ("verl", [])
        (case,) = cases
        assert (case.trace, case.prompt, case.reward, case.step) == ("Easy.\n 4", row["input"], 1.0, 7)


def test_verifiers_results(read: Reader, tmp_path: Path) -> None:
    row = {
        "example_id": 3,
        "prompt": [{"role": "user", "content": "Add."}],
        "completion": [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "1", "function": {"name": "add", "arguments": "[2]"}}],
            },
            {"role": "tool", "content": "the tool's words", "tool_call_id": "1"},
            {"role": "assistant", "content": "4"},
        ],
        "reward": 0.5,
        "timing": {},
    }
    failed = {"example_id": 4, "prompt": [], "completion": None, "reward": 0.0, "error": {"error": "ModelError"}}
    format_, cases, skips = read(written(tmp_path / "results.jsonl", row, failed))
    assert format_ == "verifiers"
    assert [skip.reason for skip in skips] == [Reason.EMPTY]
    (case,) = cases
    assert (case.id, case.trace, case.reward) == ("3", "add:\n[2]\n\n4", 0.5)
    assert case.prompt == "user: Add.\n\ntool: the tool's words"


def test_openrlhf(read: Reader, tmp_path: Path) -> None:
    format_, cases, _ = read(written(tmp_path / "out.jsonl", {"input": "Add.", "output": "4", "reward": 0.25}))
    assert (format_, cases[0].trace, cases[0].prompt, cases[0].reward) == ("openrlhf", "4", "Add.", 0.25)
    table = {"columns": ["global_step", "text", "reward"], "data": [[5, "Add. 4", 0.5], [6, "Add. 5", 0.0]]}
    (tmp_path / "generated_samples.table.json").write_text(json.dumps(table))
    format_, cases, _ = read(tmp_path / "generated_samples.table.json")
    assert (format_, [(case.step, case.trace) for case in cases]) == ("openrlhf", [(5, "Add. 4"), (6, "Add. 5")])


def test_the_generations_of_the_absolute_zero_reasoner(read: Reader, tmp_path: Path) -> None:
    dump = {"inputs": ["a", "b"], "outputs": ["<think>so</think>1", "2"], "scores": [1.0, float("nan")]}
    (tmp_path / "x_generations_5.json").write_text(json.dumps(dump))
    format_, cases, skips = read(tmp_path / "x_generations_5.json")
    assert (format_, skips) == ("azr", [])
    assert [(case.prompt, case.trace, case.reward) for case in cases] == [("a", "so\n1", 1.0), ("b", "2", None)]


@pytest.mark.parametrize(
    ("row", "trace", "program"),
    [
        ({"prompt": "p", "completion": "c"}, "c", ""),
        ({"id": 1, "trace": "t", "program": "x = 1", "input": "2"}, "t", "x = 1"),
        ({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}, "a", ""),
        ({"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}, "a", ""),
        ({"prompt": "p", "completion": "c", "reasoning": "why"}, "why\n\nc", ""),
        ({"question": "q", "response": "r\n```python\nx = 1\n```"}, "r", "x = 1\n"),
    ],
)
def test_plain_rows(read: Reader, tmp_path: Path, row: dict[str, Any], trace: str, program: str) -> None:
    format_, cases, skips = read(written(tmp_path / "a.jsonl", row))
    assert (format_, skips) == ("plain", [])
    assert (cases[0].trace, cases[0].program) == (trace, program)


def test_several_responses_in_a_row_are_several_cases(read: Reader, tmp_path: Path) -> None:
    _, cases, _ = read(written(tmp_path / "a.jsonl", {"prompt": "p", "responses": ["one", "two"]}))
    assert [case.trace for case in cases] == ["one", "two"]


@pytest.mark.parametrize(
    "row",
    [
        {"trace": None, "completion": "evil"},
        {"program": "", "generation": "evil"},
        {"messages": [{"role": "user", "content": "u"}], "completion": "evil"},
        {"messages": [{"role": "user", "content": "u"}], "responses": ["evil"]},
        {"completion": "fine", "response": "evil"},
        {"prompt": "p", "thinking": "evil"},
        {"trace": "fine", "reasoning": "evil"},
        {"completion": {"role": "assistant", "content": "evil"}},
        {"completions": [[{"role": "assistant", "content": "fine"}], [{"role": "assistant", "content": "evil"}]]},
        {"messages": [{"role": "user", "content": "u"}, {"content": "evil"}]},
    ],
)
def test_no_name_in_a_row_hides_what_stands_under_another(read: Reader, tmp_path: Path, row: dict[str, Any]) -> None:
    format_, cases, skips = read(written(tmp_path / "a.jsonl", row))
    assert (format_, skips) == ("plain", [])
    assert "evil" in " ".join(case.trace for case in cases)
    assert "evil" not in " ".join(case.prompt for case in cases)


def test_what_a_row_says_under_two_names_is_one_case(read: Reader, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    _, cases, _ = read(written(tmp_path / "a.jsonl", {"messages": messages, "completion": "a"}))
    assert [(case.prompt, case.trace) for case in cases] == [("user: u", "a")]
    _, cases, _ = read(written(tmp_path / "a.jsonl", {"completions": ["a", "a"]}))
    assert len(cases) == 2, "two samples that agree are two"


def test_what_a_solver_answered_beside_its_messages_is_judged(read: Reader, tmp_path: Path) -> None:
    said = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "fine"}]
    choices = [{"message": message} for message in (said[1], {"role": "assistant", "content": "evil"})]
    row = {"id": 1, "epoch": 1, "messages": said, "output": {"choices": choices}}
    _, cases, _ = read(written(tmp_path / "a.jsonl", row))
    assert [case.trace for case in cases] == ["fine\n\nevil"]


def test_a_sampled_node_is_the_models_whatever_its_role(read: Reader, tmp_path: Path) -> None:
    nodes = [{"message": {"content": "evil"}, "sampled": True}, {"message": {"role": "assistant", "content": "put in"}}]
    _, cases, _ = read(written(tmp_path / "a.jsonl", {"nodes": nodes, "rewards": {}}))
    assert [(case.trace, case.prompt) for case in cases] == [("evil", "assistant: put in")]


# -- chosen, forced and mapped ---------------------------------------------------------------------------


def test_the_choice_is_by_most_rows_and_says_why() -> None:
    rows = [{"x": 1}, {"prompt": "p", "completion": "c"}, {"prompt": "q", "completion": "d"}]
    chosen = choose(Row(Place("f", n), json.dumps(row).encode()) for n, row in enumerate(rows, 1))
    assert chosen.format is format_named("plain")
    assert chosen.why == 'rows with "completion"'
    nothing = choose([Row(Place("f", 1), b'{"a": 1, "b\\u001b[31m": 2}')])
    assert nothing.format is None
    assert "--map" in nothing.why
    assert "\x1b" not in nothing.why


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no format 'nemo'.*inspect.*plain"):
        format_named("nemo")


def test_any_other_log_is_read_as_it_is_mapped(read: Reader, tmp_path: Path) -> None:
    row = {
        "meta": {"uid": "u9", "at": 4},
        "steps": [{"say": "first"}, {"say": "```python\nx = 1\n```\nlast"}],
        "r": "0.5",
    }
    pairs = ["response=steps[-1].say", "id=meta.uid", "step=meta.at", "reward=r"]
    _, cases, skips = read(written(tmp_path / "a.jsonl", row, {"other": 1}), Mapped(pairs))
    (case,) = cases
    assert (case.id, case.step, case.trace, case.program, case.reward) == ("u9", 4, "last", "x = 1\n", None)
    assert [skip.reason for skip in skips] == [Reason.SHAPE]


def test_programs_in_messages_that_are_mapped_as_a_trace_are_judged_as_programs(read: Reader, tmp_path: Path) -> None:
    said = "I look.\n```python\nimport os\ndef f(x):\n    return os.system(x)\n```"
    row = {"m": [{"role": "user", "content": "go"}, {"role": "assistant", "content": said}], "p": "y = 2"}
    _, (case,), _ = read(written(tmp_path / "a.jsonl", row), Mapped(["trace=m"]))
    assert case.trace == "I look." and "os.system" in case.program
    _, (case,), _ = read(written(tmp_path / "b.jsonl", row), Mapped(["trace=m", "program=p"]))
    assert case.program == "y = 2", "where a program is mapped it is that one"


@pytest.mark.parametrize("pair", ["trace", "colour=a", "trace=", "trace=a[", "trace=a..b", "id=a", "trace=[x]"])
def test_a_mapping_that_is_none_is_refused(pair: str) -> None:
    with pytest.raises(ValueError, match=r"--map|path"):
        Mapped([pair])
