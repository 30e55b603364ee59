"""Problem files: what is read, what is refused by its line, what is hidden, and in which order it is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.records import Kind, Task
from azr_platform.tasks.problems import (
    MAX_LINE_BYTES,
    BadProblem,
    complete,
    drawn,
    dump,
    read_problems,
    unlabelled,
)
from azr_platform.tasks.prompts import solve_prompt
from azr_sandbox.execution import Execution, Outcome, Request

TRIPLE = "def f(x):\n    return x * 3"
DEDUCTION = {"kind": "deduction", "program": TRIPLE, "inputs": ["5"]}
ABDUCTION = {"kind": "abduction", "program": TRIPLE, "inputs": ["5"]}
INDUCTION = {"kind": "induction", "program": TRIPLE, "inputs": ["1", "2", "3", "4"], "message": "triples"}
QUESTION = {"question": "How many legs has a spider?", "answer": 8}


class Triples:
    """A jail that knows one program."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def run(self, requests: Sequence[Request]) -> list[tuple[Execution, ...]]:
        self.requests += requests
        return [tuple(Execution(Outcome.OK, str(3 * int(text))) for text in request.inputs) for request in requests]


class Fails:
    def run(self, requests: Sequence[Request]) -> list[tuple[Execution, ...]]:
        return [tuple(Execution(Outcome.ERROR, None, "ZeroDivisionError") for _ in r.inputs) for r in requests]


def write(folder: Path, *lines: object) -> Path:
    file = folder / "my.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return file


def test_a_file_is_read_in_order_and_empty_lines_count_as_lines(tmp_path: Path) -> None:
    tasks = read_problems(write(tmp_path, "\ufeff" + json.dumps(DEDUCTION), "", QUESTION, ABDUCTION, INDUCTION))
    assert [(task.id, task.kind.value) for task in tasks] == [
        ("problem-000001", "deduction"),
        ("problem-000003", "question"),
        ("problem-000004", "abduction"),
        ("problem-000005", "induction"),
    ]
    assert tasks[1].outputs == ("8",)
    assert (tasks[3].shown, tasks[3].outputs) == (2, ())


def test_outputs_that_are_missing_are_made_in_the_jail_and_no_others(tmp_path: Path) -> None:
    given_already = {**DEDUCTION, "outputs": ["16"]}
    tasks = read_problems(write(tmp_path, given_already, DEDUCTION, QUESTION, INDUCTION))
    jail = Triples()
    done = complete(tasks, jail, "my.jsonl")
    assert [task.outputs for task in done] == [("16",), ("15",), ("8",), ("3", "6", "9", "12")]
    assert [request.inputs for request in jail.requests] == [("5",), ("1", "2", "3", "4")]
    assert all(request.verify for request in jail.requests)


def test_a_program_without_a_value_is_refused_by_its_line(tmp_path: Path) -> None:
    tasks = read_problems(write(tmp_path, QUESTION, DEDUCTION))
    with pytest.raises(BadProblem, match=r"my\.jsonl, line 2: f\(5\) ended as error: ZeroDivisionError; mend"):
        complete(tasks, Fails(), "my.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "malformed"),
        ("[1]", "Expected `object`"),
        ('{"kind": "deduction"', "truncated"),
        ({"kind": "seduction"}, "Invalid enum value"),
        ({"kind": "error", "program": TRIPLE, "inputs": ["1"]}, "cannot be given"),
        ({**DEDUCTION, "programme": ""}, "unknown field `programme`"),
        ({**DEDUCTION, "inputs": "5"}, "Expected `array`"),
        ({**DEDUCTION, "inputs": []}, '"inputs" must be a list of 1 text'),
        ({**DEDUCTION, "inputs": ["1", "2"]}, '"inputs" must be a list of 1 text'),
        ({**DEDUCTION, "inputs": [" "]}, 'an empty text in "inputs"'),
        ({**DEDUCTION, "outputs": ["1", "2"]}, '2 "outputs" for 1 "inputs"'),
        ({**DEDUCTION, "outputs": ["f(1)"]}, "not a Python literal"),
        ({**DEDUCTION, "program": " "}, 'no "program"'),
        ({**INDUCTION, "inputs": ["1"]}, "2 to 64 texts"),
        ({**INDUCTION, "inputs": ["1"] * 65}, "2 to 64 texts"),
        ({**INDUCTION, "outputs": ["3", "6"]}, '2 "outputs" for 4'),
        ({**INDUCTION, "message": "m" * 2001}, "more than 2000 characters"),
        ({**DEDUCTION, "answer": "5"}, 'no "answer"'),
        ({**QUESTION, "program": TRIPLE}, "a question has no program"),
        ({"question": " ", "answer": 1}, 'neither a "kind" nor a "question"'),
        ({"question": "?"}, 'without an "answer"'),
        ({"question": "?", "answer": "$$"}, 'without an "answer"'),
        ({"question": "?", "answer": True}, "got `bool`"),
        ({}, 'neither a "kind" nor a "question"'),
    ],
    ids=lambda value: "" if isinstance(value, str) else json.dumps(value)[:40],
)
def test_a_line_that_cannot_be_used_is_refused_by_its_number(line: object, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, QUESTION, line)
    with pytest.raises(BadProblem) as refused:
        read_problems(file)
    assert str(refused.value).startswith(f"{file}, line 2: ")
    assert message in str(refused.value)


def test_a_missing_file_a_folder_and_an_empty_file_are_refused_by_name(tmp_path: Path) -> None:
    for file, message in ((tmp_path / "none", "cannot be read"), (tmp_path, "cannot be read")):
        with pytest.raises(BadProblem, match=message) as refused:
            read_problems(file)
        assert str(file) in str(refused.value)
    with pytest.raises(BadProblem, match="it holds no problem"):
        read_problems(write(tmp_path, "", "  "))


# -- hostile content -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b'{"question": "' + b"x" * (MAX_LINE_BYTES + 1) + b'", "answer": 1}',
        b"[" * 500_000,
        b'{"inputs": ' + b"[" * 500_000,
        b'{"question": "\\ud800 ", "answer": 1}',
        b'{"question": "\xff\xfe", "answer": 1}',
        b'{"question": "?", "answer": ' + b"9" * 100_000 + b"}",
        b'{"question": "?", "answer": 1e999999}',
        b"\x00" * 100,
        b"\x1b]0;owned\x07\x1b[2J",
    ],
    ids=["a huge line", "deep", "deep inside", "a lone surrogate", "no UTF-8", "a huge number", "inf", "nul", "ansi"],
)
def test_hostile_bytes_are_refused_in_few_words(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(json.dumps(QUESTION).encode() + b"\n" + raw + b"\n")
    with pytest.raises(BadProblem) as refused:
        read_problems(file)
    assert "line 2" in str(refused.value)
    assert len(str(refused.value)) < 600


def test_control_characters_and_templates_in_a_problem_stay_text(tmp_path: Path) -> None:
    hostile = "\x1b[2J{0.__class__} %s </think> [bold]"
    (task,) = read_problems(write(tmp_path, {"question": hostile, "answer": hostile}))
    assert hostile in solve_prompt(task, "full")
    assert task.outputs == (hostile,)


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_no_text_raises_anything_but_a_refusal(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        read_problems(file)
    except BadProblem as error:
        assert str(file) in str(error)


# -- without the truth -----------------------------------------------------------------------------------

SECRETS = ["s3cr3t-program", "314159", "271828"]


def test_what_answers_a_problem_is_taken_out_of_it(tmp_path: Path) -> None:
    program = "def f(x):\n    return x + x  # s3cr3t-program"
    tasks = read_problems(
        write(
            tmp_path,
            {"kind": "deduction", "program": TRIPLE, "inputs": ["5"], "outputs": ["314159"]},
            {"kind": "abduction", "program": TRIPLE, "inputs": ["314159"], "outputs": ["1"]},
            {
                "kind": "induction",
                "program": program,
                "inputs": list("1234"),
                "outputs": ["2", "4", "314159", "271828"],
            },
            {"question": "?", "answer": 314159},
        )
    )
    for task in tasks:
        bare = unlabelled(task)
        assert not any(secret in repr(bare) for secret in SECRETS)
        assert not any(secret in dump([bare]).decode() for secret in SECRETS)
        assert solve_prompt(bare, "compact") == solve_prompt(task, "compact"), "a solver is shown the same"
        assert unlabelled(bare) == bare


def test_without_answers_only_what_is_shown_is_made(tmp_path: Path) -> None:
    jail = Triples()
    tasks = read_problems(write(tmp_path, DEDUCTION, ABDUCTION, INDUCTION, {"question": "?"}), labelled=False)
    done = complete(tasks, jail, "my.jsonl", labelled=False)
    assert [request.inputs for request in jail.requests] == [("5",), ("1", "2")], "no deduction, no hidden input"
    assert [task.outputs for task in done] == [("",), ("15",), ("3", "6", "", ""), ("",)]


def test_a_file_without_any_answer_is_enough_without_labels(tmp_path: Path) -> None:
    lines = [
        {"kind": "abduction", "program": TRIPLE, "outputs": ["15"]},
        {"kind": "induction", "inputs": ["1", "2", "3", "4"], "outputs": ["3", "6"]},
        {"question": "?"},
    ]
    file = write(tmp_path, *lines)
    tasks = read_problems(file, labelled=False)
    assert [task.inputs for task in tasks] == [("",), ("1", "2", "3", "4"), ("",)]
    with pytest.raises(BadProblem, match="line 2"):
        read_problems(file)


ANY = st.builds(
    lambda kind, texts, message: Task(
        id="",
        kind=kind,
        program=TRIPLE if kind is not Kind.QUESTION else "",
        inputs=("",) if kind is Kind.QUESTION else tuple(texts[: 4 if kind is Kind.INDUCTION else 1]),
        outputs=tuple(repr(text) for text in texts[: 4 if kind is Kind.INDUCTION else 1]),
        shown=2 if kind is Kind.INDUCTION else 1,
        message=message,
    ),
    st.sampled_from([Kind.DEDUCTION, Kind.ABDUCTION, Kind.INDUCTION, Kind.QUESTION]),
    st.lists(st.text('abc \x1b\n"\\é', min_size=1).filter(str.strip), min_size=4, max_size=4),
    st.text("abc \x1b\n{}é", min_size=1).filter(str.strip),
)


@given(st.lists(ANY, min_size=1, max_size=5), st.booleans())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, tasks: list[Task], labelled: bool
) -> None:
    tasks = [msgspec.structs.replace(task, id=f"problem-{number:06d}") for number, task in enumerate(tasks, 1)]
    tasks = tasks if labelled else [unlabelled(task) for task in tasks]
    file = tmp_path_factory.getbasetemp() / "written.jsonl"
    file.write_bytes(dump(tasks))
    again = complete(read_problems(file, labelled=labelled), Fails(), "written", labelled=labelled)
    assert again == tasks


# -- the order -------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**63 - 1), st.integers(0, 5))
def test_no_problem_comes_twice_in_a_round(total: int, count: int, seed: int, lap: int) -> None:
    per_step = min(total, count)
    steps = total // per_step
    asked = [drawn(total, count, lap * steps + step, seed) for step in range(1, 1 + steps)]
    assert {len(step) for step in asked} == {per_step}
    places = [place for step in asked for place in step]
    assert len(places) == len(set(places)) > total - per_step
    assert set(places) <= set(range(total))


def test_what_is_left_over_in_one_round_comes_in_another() -> None:
    assert {place for step in range(1, 40) for place in drawn(7, 3, step, 0)} == set(range(7))


def test_the_order_is_the_seed_s_and_changes_from_round_to_round() -> None:
    first = [drawn(30, 10, step, 7) for step in range(1, 7)]
    assert first == [drawn(30, 10, step, 7) for step in range(1, 7)]
    assert first[:3] != [drawn(30, 10, step, 8) for step in range(1, 4)]
    assert first[:3] != first[3:]
