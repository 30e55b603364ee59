"""Lines of JSON as cases: the role and the kind are read where they are our words."""

from __future__ import annotations

import pytest

from azr_platform.cli.cases import case_of


def test_a_role_and_a_kind_of_ours_are_the_subjects() -> None:
    subject = case_of({"id": 1, "trace": "x", "role": "propose", "kind": "induction"}, 1).subject
    assert (subject.role, subject.kind) == ("propose", "induction")


@pytest.mark.parametrize("value", ["teacher", "", None, 3, ["propose"], {"propose": 1}])
def test_other_words_under_those_keys_mean_nothing(value: object) -> None:
    subject = case_of({"id": 1, "trace": "x", "role": value, "kind": value}, 1).subject
    assert (subject.role, subject.kind) == ("", "")


@pytest.mark.parametrize("key", ["trace", "program", "message", "input", "inputs", "output", "imports"])
@pytest.mark.parametrize("value", [0, False, {}, 7, {"a": "b"}])
def test_what_is_no_text_is_refused_even_where_it_is_empty(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        case_of({"id": 1, "trace": "x", "program": "y", key: value}, 1)


def test_null_is_the_same_as_nothing() -> None:
    assert case_of({"trace": "x", "program": None, "inputs": None}, 1) == case_of({"trace": "x"}, 1)
