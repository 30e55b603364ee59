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
