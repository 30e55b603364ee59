"""What is measured of a task's text; nothing a model wrote can break it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.records import Kind, Task
from azr_platform.tasks.canonical import MAX_CHARS, program_words
from azr_platform.tasks.measures import answer_kind, halstead_words, syntax_nodes


def test_nodes_are_counted_without_the_marks_of_reading_and_writing() -> None:
    """Module, FunctionDef, arguments, arg, Return, BinOp, Name, Add, Constant."""
    assert syntax_nodes("def f(x):\n    return x + 1") == 9


def test_layout_and_comments_do_not_count() -> None:
    assert syntax_nodes("def f( x ):   # add\n\n    return (x + 1)") == syntax_nodes("def f(x):\n    return x + 1")


def test_operators_and_operands_are_told_apart() -> None:
    words = halstead_words("def f(x):\n    return len(x.y) + 0x10")
    assert sorted(words.operators) == ["Add", "Attribute", "Call", "FunctionDef", "Return"]
    assert sorted(words.operands) == ["0x10", "len", "x", "x", "y"]


@pytest.mark.parametrize("text", ["def f(x", "x" * (MAX_CHARS + 1), "(" * 5_000, "-" * 50_000 + "1", "\0", "\ud800"])
def test_a_text_that_is_no_program_measures_nothing(text: str) -> None:
    assert syntax_nodes(text) == 0
    assert halstead_words(text) == ([], [])
    assert program_words(text) is None


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    assert syntax_nodes(text) >= 0
    halstead_words(text)


def test_words_are_equal_up_to_renaming() -> None:
    assert program_words("def f(a):\n    b = a\n    return b") == program_words("def f(x):\n    y = x\n    return y")
    assert program_words("def f(a):\n    return a") != program_words("def f(a):\n    return -a")


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("1", "int"),
        ("True", "bool"),
        ("None", "NoneType"),
        ("-1.5", "float"),
        ("'[1]'", "str"),
        ("[1]", "list"),
        ("(1,)", "tuple"),
        ("{1: 2}", "dict"),
        ("{1}", "set"),
        ("frozenset({1})", "set"),
        ("forty two", "text"),
    ],
)
def test_an_answer_s_kind_is_the_type_of_its_value(output: str, kind: str) -> None:
    task = Task(id="t", kind=Kind.DEDUCTION, program="", inputs=("1",), outputs=(output,))
    assert answer_kind(task) == kind
