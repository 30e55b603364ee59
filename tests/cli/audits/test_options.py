"""Options that say which samples are meant."""

from __future__ import annotations

import pytest

from azr_platform.audits.selection import EVERYTHING
from azr_platform.cli.audits.options import selection
from azr_platform.cli.input import BadInput
from azr_platform.ledger.filters import Judged, SampleFilter


def test_options_and_the_filter_narrow_each_other() -> None:
    chosen = selection(3, 90, 2, "step:1-50 verdict:blocked rule:trace.* fig tree", 10)
    assert chosen.filter == SampleFilter(
        judged=Judged.BLOCKED, rule="trace.*", first_step=3, last_step=50, branch=2, text="fig tree", oldest_first=True
    )
    assert chosen.draw == 10
    assert (
        chosen.words
        == "--since 3 --until 90 --branch 2 --where 'step:1-50 verdict:blocked rule:trace.* fig tree' --sample 10"
    )


def test_without_options_everything_is_meant() -> None:
    chosen = selection(None, None, None, "", 0)
    assert (chosen.words, chosen.draw) == ("", 0)
    assert chosen.filter == SampleFilter(oldest_first=True)
    assert EVERYTHING.filter == SampleFilter()
    assert selection(0, None, None, "", 0).words == "--since 0"


@pytest.mark.parametrize(
    ("since", "where", "said"),
    [
        (None, "verdict:odd", "'odd' is not one of"),
        (None, "rool:x", "is no key"),
        (9, "step:1-3", "steps from 9 to 3 are none"),
    ],
)
def test_what_cannot_be_meant_is_refused(since: int | None, where: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        selection(since, None, None, where, 0)
