"""When two answers to a question are the same, and that no text makes telling it slow or wrong by default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.tasks.answers import canonical, same_answer


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("4", "4"),
        ("4", "4.0"),
        ("4", " 4. "),
        ("4", "$4$"),
        ("4", "$$ 4 $$"),
        ("4", r"\boxed{4}"),
        ("4", r"$\boxed{4}$."[:-1]),
        ("4", r"\(4\)"),
        ("[1, 2]", "[1,2]"),
        ("{1, 2}", "{2, 1}"),
        ("true", "True"),
        ("NONE", "None"),
        ("Paris", "paris."),
        ("New  York", "new\nyork"),
        (r"\frac{1}{2}", r"\boxed{\frac{1}{2}}"),
        (r"\text{seven}", "Seven"),
        ("x^2", "$x^2$"),
    ],
)
def test_the_same_answer_written_differently(a: str, b: str) -> None:
    assert same_answer(a, b)
    assert same_answer(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("4", "5"),
        ("4", "four"),
        ("1/2", "0.5"),
        ("True", "1"),
        ("'4'", "4"),
        ("'a'", "'A'"),
        ("[1, 2]", "(1, 2)"),
        ("$a$ and $b$", "a$ and $b"),
        (r"\boxed{a}{b}", "a}{b"),
        ("1) or True or f(1", "1"),
        ("", ""),
        ("$$", ""),
        (r"\boxed{}", ""),
        (".", "."),
    ],
)
def test_answers_that_are_not_the_same(a: str, b: str) -> None:
    assert not same_answer(a, b)
    assert not same_answer(b, a)


@given(st.text() | st.from_regex(r"(\\boxed\{|\$|\\\(){0,12}[ -~]{0,9}(\}|\$|\\\)|\.){0,12}", fullmatch=True))
def test_no_text_raises_and_what_is_left_equals_itself(text: str) -> None:
    found = canonical(text)
    assert found == canonical(text)
    assert same_answer(text, text) == (found is not None)


def test_wrappers_without_end_cost_no_more_than_a_few_looks() -> None:
    text = "\\boxed{" * 20_000 + "4" + "}" * 20_000
    assert canonical(text) != canonical("4"), "only a few wrappers are taken off"
    assert same_answer(text, text)
