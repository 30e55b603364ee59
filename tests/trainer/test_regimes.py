"""The regimes of given problems: what is asked, what is earned, and what a vote that came to nothing leaves out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from azr_platform.buffers.buffer import NotAllowed
from azr_platform.channel.messages import Judgement, Problem, Reviewed, Reward, Submission
from azr_platform.config.load import load
from azr_platform.config.schema import RunConfig
from azr_platform.records import Kind, Phase
from azr_platform.rollout.engine import Completion
from azr_platform.trainer.loop import Loop
from azr_platform.trainer.regimes.registry import REGIMES
from azr_platform.trainer.rollouts import Rewarded
from azr_platform.trainer.update import UpdateStats

SAMPLES = 4
PROBLEMS = [
    Problem(task="problem-000001", kind=Kind.DEDUCTION, prompt="one"),
    Problem(task="problem-000002", kind=Kind.QUESTION, prompt="two"),
    Problem(task="problem-000003", kind=Kind.DEDUCTION, prompt="three, which is far too long to be asked"),
]


class Engine:
    def encode(self, prompt: str) -> list[int]:
        return [1] * len(prompt)

    def generate(
        self, prompts: Sequence[str], *, samples: int, seed: int, progress: Any = None, ready: Any = None
    ) -> list[list[Completion]]:
        drawn = [[Completion([5, 2], [-0.5, -0.5], "said", finished=True) for _ in range(samples)] for _ in prompts]
        for place, completions in enumerate(drawn):
            ready(place, completions)
        return drawn

    def rest(self) -> None: ...

    def refresh(self) -> None: ...

    def close(self) -> None: ...


class Updates:
    def __init__(self) -> None:
        self.given: list[Rewarded] = []

    def update(self, rewarded: Sequence[Rewarded], step: int, rng: random.Random) -> UpdateStats:
        self.given += rewarded
        return UpdateStats([1.0] * len(rewarded), 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0)


class Answered:
    """A batch whose verdicts are there already."""

    def __init__(self, judgements: list[Judgement]) -> None:
        self._judgements = judgements

    def reviewed(self) -> Reviewed:
        return Reviewed(judgements=self._judgements)


class Link:
    """A supervisor that says of the n-th sample what ``verdict(n)`` says."""

    def __init__(self, verdict: Callable[[int], dict[str, Any]]) -> None:
        self.verdict = verdict
        self.step = 1
        self.samples: list[Submission] = []
        self.phases: list[Phase] = []
        self.metrics: dict[str, float] = {}
        self.rewards: list[Reward] = []
        self.notices: list[str] = []

    def at(self, where: str) -> None: ...
    def on_progress(self, done: int, total: int) -> None: ...
    def safe_point(self, where: str) -> None: ...

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def draw(self) -> list[Problem]:
        return PROBLEMS

    def submit(self, phase: Phase, samples: Sequence[Submission]) -> Answered:
        self.samples += samples
        self.phases.append(phase)
        usual = {"allowed": True, "well_formed": True}
        return Answered(
            [
                Judgement(uid=sample.uid, sample=number + 1, **{**usual, **self.verdict(number)})
                for number, sample in enumerate(samples)
            ]
        )

    def step_done(self, seconds: float, metrics: dict[str, float], rewards: list[Reward]) -> None:
        self.metrics, self.rewards = metrics, rewards


def one_step(regime: str, verdict: Callable[[int], dict[str, Any]]) -> tuple[Link, list[float]]:
    config = load(
        overrides=[f"run.regime={regime}", f"problems.samples={SAMPLES}", "model.max_prompt_tokens=10"],
    )
    link, updates = Link(verdict), Updates()
    loop = Loop(config, Engine(), updates, link)  # type: ignore[arg-type]
    loop.begin()
    assert loop.settled == {}
    loop.step(1)
    return link, [item.reward for item in updates.given]


SAID: list[dict[str, Any]] = [
    {"correct": True},
    {"correct": True},
    {},
    {"well_formed": False},
    {"correct": True},
    {},
    {"allowed": False},
    {},
]


@pytest.mark.parametrize("regime", ["rlvr", "ttrl"])
def test_each_problem_is_asked_g_times_in_one_review_under_its_id(regime: str) -> None:
    link, _ = one_step(regime, lambda number: SAID[number])
    assert link.phases == [Phase.SOLVE]
    assert Counter((sample.task, sample.kind, sample.prompt) for sample in link.samples) == {
        ("problem-000001", Kind.DEDUCTION, "one"): SAMPLES,
        ("problem-000002", Kind.QUESTION, "two"): SAMPLES,
    }


@pytest.mark.parametrize("regime", ["rlvr", "ttrl"])
def test_accuracy_and_format_are_rewarded_and_what_is_blocked_is_dropped(regime: str) -> None:
    link, rewards = one_step(regime, lambda number: SAID[number])
    assert rewards == [1.0, 1.0, -0.5, -1.0, 1.0, -0.5, -0.5]
    assert [reward.trained for reward in link.rewards] == [True] * 6 + [False, True]
    assert link.metrics["solve_rate/deduction"] == 0.5
    assert link.metrics["solve_rate/question"] == pytest.approx(1 / 3)
    assert link.metrics["reward/solve/deduction"] == pytest.approx(0.125)
    assert (link.metrics["problems"], link.metrics["difficulty/2"], link.metrics["difficulty/1"]) == (2, 1, 1)


def test_a_vote_that_came_to_nothing_teaches_nothing_and_is_counted() -> None:
    """The first problem's four samples are undecided: not even the malformed one is trained on."""
    link, rewards = one_step("ttrl", lambda number: {**SAID[number], "decided": number >= SAMPLES})
    assert rewards == [1.0, -0.5, -0.5]
    assert [reward.trained for reward in link.rewards] == [False] * 4 + [True, True, False, True]
    assert "solve_rate/deduction" not in link.metrics
    assert "reward/solve/deduction" not in link.metrics
    assert (link.metrics["problems"], link.metrics["degenerate"]) == (2, 1)
    assert link.metrics["agreement"] == pytest.approx(1 / 3)


def test_a_step_whose_every_vote_came_to_nothing_learns_nothing_and_says_so() -> None:
    link, rewards = one_step("ttrl", lambda _: {"decided": False})
    assert rewards == []
    assert any("nothing to learn from" in notice for notice in link.notices)
    assert link.metrics["degenerate"] == 2
    assert "agreement" not in link.metrics


def test_what_a_vote_is_about_is_not_told_where_the_truth_is_known() -> None:
    link, _ = one_step("rlvr", lambda number: SAID[number])
    assert not {"degenerate", "agreement"} & link.metrics.keys()


def test_every_regime_that_can_be_named_is_there_and_has_its_advantage() -> None:
    assert set(REGIMES) == set(RunConfig.model_fields["regime"].annotation.__args__)  # type: ignore[union-attr]
    assert load().update.advantage == "trr++"
    for regime in ("rlvr", "ttrl"):
        assert load("nano", overrides=[f"run.regime={regime}"]).update.advantage == "grpo"
        chosen = load(overrides=[f"run.regime={regime}", "update.advantage=rloo"])
        assert chosen.update.advantage == "rloo"


def test_self_play_takes_no_checkpoint_of_another_regime() -> None:
    loop = Loop(load(), Engine(), Updates(), Link(lambda _: {}))  # type: ignore[arg-type]
    with pytest.raises(NotAllowed, match="not those of self-play"):
        loop.restore({})


def test_the_loop_knows_no_regime_by_name() -> None:
    folder = Path(__file__).parents[2] / "platform/azr_platform/trainer"
    for name in ("loop.py", "sampling.py", "session.py", "update.py", "metrics.py"):
        text = (folder / name).read_text("utf-8")
        assert not [regime for regime in REGIMES if f'"{regime}"' in text]
