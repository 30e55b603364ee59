"""Majority votes on problems without an answer (TTRL, arXiv 2504.16084, section 2): the pseudo-label.

Pure. The supervisor takes the vote, among the answers that it allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

from azr_platform.records import Task
from azr_platform.tasks.answers import canonical
from azr_platform.tasks.check import answer_problem
from azr_platform.tasks.kinds import Block, task_kind
from azr_platform.tasks.parse import Parsed
from azr_sandbox import values
from azr_sandbox.execution import Execution, Outcome

LEAST_BALLOTS: Final = 2


class Vote(NamedTuple):
    """What a vote came to. ``winner`` is None when it is degenerate; ``problem`` then says why."""

    winner: Hashable | None
    share: float
    """Of the valid ballots, how many the most frequent answer has; 0 without any."""
    problem: str = ""


def majority(ballots: Sequence[Hashable | None], least_share: float = 0.0) -> Vote:
    """The answer with the most ballots. None is an invalid ballot and counts for nothing.

    Degenerate, and without a winner: fewer than two valid ballots, a tie for the first place, or a winner with less
    than ``least_share`` of the valid ballots.
    """
    valid = [ballot for ballot in ballots if ballot is not None]
    ranked = Counter(valid).most_common(2)
    share = ranked[0][1] / len(valid) if valid else 0.0
    if len(valid) < LEAST_BALLOTS:
        return Vote(None, share, f"{len(valid)} valid answers; a vote takes {LEAST_BALLOTS}")
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        return Vote(None, share, "a tie")
    if share < least_share:
        return Vote(None, share, f"the first of the answers has {share:.0%} of the votes, less than {least_share:.0%}")
    return Vote(ranked[0][0], share)


def ballot(task: Task, parsed: Parsed, executions: Sequence[Execution] = ()) -> Hashable | None:
    """What an answer votes for: the value it gives, the input, or what its program returned on the hidden inputs.

    ``executions`` are those of ``check.answer_request``. None for an answer that cannot be judged, or whose program
    did not return a value for every input.
    """
    if answer_problem(task, parsed):
        return None
    about = task_kind(task.kind)
    if about.free:
        return canonical(parsed.output)
    if about.raises:
        return parsed.output
    if about.asked is Block.OUTPUT:
        return values.parse(parsed.output)
    if about.asked is Block.INPUT:
        return values.parse("(" + parsed.inputs[0] + ",)")
    returned = [e.value for e in executions if e.outcome is Outcome.OK and e.value is not None]
    if len(returned) != len(executions) or len(returned) != len(about.tested_pairs(task)):
        return None
    return tuple(values.parse(value) for value in returned)
