"""A step's metrics, worked out by hand from a handful of rollouts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from azr_platform.buffers.buffer import TaskBuffer
from azr_platform.channel.messages import Judgement, Submission
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.rollout.engine import Completion
from azr_platform.trainer.health import proposer_metrics
from azr_platform.trainer.metrics import step_metrics
from azr_platform.trainer.rollouts import Rewarded, Rollout
from azr_platform.trainer.update import UpdateStats


def _rollout(role: Role, kind: Kind, *, tokens: int = 4, **judgement: bool) -> Rollout:
    wanted = {"allowed": True, "well_formed": True, **judgement}
    return Rollout(
        Submission(uid="u", role=role, kind=kind, prompt="", response="", tokens=tokens),
        [1],
        Completion([5] * tokens, [0.0] * tokens, "", finished=True),
        Judgement(uid="u", sample=1, **wanted),
    )


D, A = Kind.DEDUCTION, Kind.ABDUCTION
PROPOSALS = [
    _rollout(Role.PROPOSE, D, valid=True, tokens=2),
    _rollout(Role.PROPOSE, D, valid=False),
    _rollout(Role.PROPOSE, D, valid=False, well_formed=False),
    _rollout(Role.PROPOSE, A, valid=True, tokens=12),
]
TRIED = [_rollout(Role.SOLVE, D, correct=number < 1) for number in range(4)]
SOLVES = [
    _rollout(Role.SOLVE, D, correct=True),
    _rollout(Role.SOLVE, D, correct=False, allowed=False),  # dropped: it says nothing about solving
    _rollout(Role.SOLVE, A, correct=False, well_formed=False),
]


def _metrics(seconds: Mapping[str, float] | None = None, update: UpdateStats | None = None) -> dict[str, float]:
    buffer = TaskBuffer(D, 9)
    buffer.plant(Task(id="t", kind=D, program="", inputs=("1",), outputs=("1",)))
    common = step_metrics(
        rollouts={Phase.PROPOSE: PROPOSALS, Phase.LEARNABILITY: TRIED, Phase.SOLVE: SOLVES},
        rewarded=[Rewarded(PROPOSALS[0], 0.75), Rewarded(PROPOSALS[1], -0.5), Rewarded(SOLVES[0], 1.0)],
        seconds=seconds or {},
        update=update,
    )
    of_self_play = proposer_metrics(
        PROPOSALS,
        worths={D: [0.75, 0.25], A: []},
        successes=[[True, False, False, False], [False] * 4, [True, False, False, False]],
        repeats=2,
        held_out=1,
        known=frozenset(),
        buffers={D: buffer},
    )
    return {**common, **of_self_play}


def test_counts_and_rates_by_hand() -> None:
    assert _metrics({"generate": 2.0, "review": 1.0}) == {
        "samples": 11,
        "blocked": 1,
        "trained": 3,
        "repeats": 2,
        "health/held_out": 1,
        "reward/propose/deduction": 0.125,
        "reward/solve/deduction": 1.0,
        "format_rate/propose/deduction": pytest.approx(2 / 3),
        "format_rate/propose/abduction": 1.0,
        "format_rate/solve/deduction": 1.0,
        "format_rate/solve/abduction": 0.0,
        "valid_rate/deduction": pytest.approx(1 / 3),
        "valid_rate/abduction": 1.0,
        "solve_rate/deduction": pytest.approx(2 / 5),  # four tries and one solve, the dropped one left out
        "solve_rate/abduction": 0.0,
        "learnability/deduction": 0.5,  # and none for abduction: a mean of nothing is no number
        "difficulty/1": 2,
        "difficulty/0": 1,
        "buffer/deduction": 1,
        "response_length/mean": pytest.approx((2 + 4 + 4 + 12 + 7 * 4) / 11),
        "response_length/min": 2,
        "response_length/max": 12,
        "tokens_per_second": 25.0,
        "seconds/generate": 2.0,
        "seconds/review": 1.0,
    }


def test_the_update_s_numbers_stand_under_their_names() -> None:
    update = UpdateStats(
        advantages=[1.0],
        loss=0.1,
        entropy=0.2,
        clip_fraction=0.3,
        approx_kl=0.4,
        ratio_max=1.5,
        grad_norm=0.6,
        learning_rate=0.7,
        padding=0.08,
        mismatch_mean=0.01,
        mismatch_max=0.02,
        mismatch_kl=0.03,
        skipped=1,
    )
    found, without = _metrics(update=update), _metrics()
    added = {name: value for name, value in found.items() if name not in without}
    assert added == {
        "loss": 0.1,
        "entropy": 0.2,
        "clip_fraction": 0.3,
        "approx_kl": 0.4,
        "ratio_max": 1.5,
        "grad_norm": 0.6,
        "learning_rate": 0.7,
        "update/padding": 0.08,
        "update/skipped": 1,
        "mismatch/mean": 0.01,
        "mismatch/max": 0.02,
        "mismatch/kl": 0.03,
    }


def test_a_step_without_samples_makes_no_numbers_up() -> None:
    found = step_metrics(rollouts={}, rewarded=[], seconds={"generate": 0.0}, update=None)
    assert found == {"samples": 0, "blocked": 0, "trained": 0, "seconds/generate": 0.0}
    assert proposer_metrics([], worths={}, successes=[], repeats=0, held_out=0, known=frozenset(), buffers={}) == {
        "repeats": 0,
        "health/held_out": 0,
    }
    assert all(math.isfinite(value) for value in found.values())
