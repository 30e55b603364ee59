"""Probes: what is asked, what is measured, and that training neither learns from them nor draws otherwise for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from azr_platform.channel.messages import Judgement, Submission
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.rollout.engine import Completion, encode_prompt
from azr_platform.rollout.scoring import Pair, score
from azr_platform.tasks.prompts import solve_prompt
from azr_platform.trainer.metrics import step_metrics
from azr_platform.trainer.probes import Likelihood, RightAnswer, ask_without_message, right_answers
from azr_platform.trainer.rollouts import Question, Rollout

DEDUCTION = Task(id="d", kind=Kind.DEDUCTION, program="def f(a):\n    return a + 1", inputs=("1",), outputs=("2",))
ABDUCTION = Task(id="a", kind=Kind.ABDUCTION, program="def f(a):\n    return a + 1", inputs=("1",), outputs=("2",))
INDUCTION = Task(
    id="i",
    kind=Kind.INDUCTION,
    program="def f(a):\n    return a + 1",
    inputs=("1", "2"),
    outputs=("2", "3"),
    shown=1,
    message="adds one, plugh",
)
SILENT = Task(id="s", kind=Kind.INDUCTION, program="x", inputs=("1", "2"), outputs=("2", "3"), shown=1)


def answered(task: str, correct: bool, *, allowed: bool = True, kind: Kind = Kind.INDUCTION) -> Rollout:
    submission = Submission(uid="u", role=Role.SOLVE, kind=kind, prompt="p", response="r", tokens=1, task=task)
    judgement = Judgement(uid="u", sample=1, allowed=allowed, well_formed=True, correct=correct)
    return Rollout(submission, [1], Completion([5], [-0.5], "r", finished=True), judgement)


class Sampler:
    """Answers what is asked as told."""

    def __init__(self, *rollouts: Rollout) -> None:
        self._rollouts = rollouts
        self.asked: list[tuple[Phase, Question]] = []

    def begin(self, phase: Phase, questions: Any, samples: int, label: str) -> Any:
        self.asked += [(phase, question) for question in questions]
        return self

    def rollouts(self) -> list[Rollout]:
        return list(self._rollouts)


def test_induction_is_asked_again_without_its_message_and_only_that_is_left_out() -> None:
    sampler: Any = Sampler()
    probe = ask_without_message(sampler, [DEDUCTION, INDUCTION, INDUCTION, SILENT], "full", 8)
    assert probe is not None
    ((phase, question),) = sampler.asked
    assert phase is Phase.PROBE
    assert (question.task, question.role, question.kind) == ("i", Role.SOLVE, Kind.INDUCTION)
    whole = solve_prompt(INDUCTION, "full")
    assert "plugh" in whole
    assert question.prompt == whole.replace("adds one, plugh", "")


def test_nothing_is_asked_where_no_problem_has_a_message() -> None:
    sampler: Any = Sampler()
    assert ask_without_message(sampler, [DEDUCTION, ABDUCTION, SILENT], "full", 8) is None
    assert not sampler.asked


def test_the_gain_is_of_the_same_problems_with_and_without_the_message() -> None:
    sampler: Any = Sampler(answered("i", False), answered("i", True, allowed=False))
    probe = ask_without_message(sampler, [INDUCTION], "full", 8)
    assert probe is not None
    solves = [answered("i", True), answered("i", True), answered("other", False)]
    samples, metrics = probe.metrics(solves)
    assert len(samples) == 2
    assert metrics == {"probe/message/with": 1.0, "probe/message/without": 0.0, "probe/message/gain": 1.0}
    assert probe.metrics([answered("i", True, allowed=False)])[1] == {}, "nothing to compare with"


def test_what_a_probe_asked_counts_in_no_metric_of_the_step() -> None:
    plain = {Phase.SOLVE: [answered("i", True)]}
    probed = {**plain, Phase.PROBE: [answered("i", False)] * 3}
    settings: Any = {"rewarded": [], "seconds": {}, "update": None}
    assert step_metrics(rollouts=probed, **settings) == step_metrics(rollouts=plain, **settings)


def test_right_answers_are_what_the_jail_observed_of_kinds_that_are_not_programs() -> None:
    found = right_answers([DEDUCTION, ABDUCTION, INDUCTION, DEDUCTION], "full", 1)
    assert [(one.kind, one.answer) for one in found] == [(Kind.DEDUCTION, "2"), (Kind.ABDUCTION, "1")]


def test_likelihood_is_the_mean_of_the_tokens_of_the_answer_alone(policy: Callable[..., Any], tokenizer: Any) -> None:
    model = policy()

    def encode(prompt: str) -> list[int]:
        return encode_prompt(tokenizer, prompt, chat=False)

    def tokens(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    found = Likelihood(model, tokenizer, encode)([RightAnswer(Kind.DEDUCTION, "# deduce\n", "42")])
    before = [*encode("# deduce\n"), *tokens("<think></think>\n<answer>\n```output\n")]
    (log_probs,) = score(model, [Pair(before, tokens("42\n```\n"))], 1.0)
    assert found == {"probe/right_answer/deduction": pytest.approx(-sum(log_probs) / len(log_probs))}


def test_a_policy_that_learns_the_answer_finds_it_likelier(policy: Callable[..., Any], tokenizer: Any) -> None:
    import torch

    model = policy()
    likelihood = Likelihood(model, tokenizer, lambda prompt: encode_prompt(tokenizer, prompt, chat=False))
    answer = [RightAnswer(Kind.DEDUCTION, "# deduce\n", "42")]
    before = likelihood(answer)["probe/right_answer/deduction"]
    text = "# deduce\n<think></think>\n<answer>\n```output\n42\n```\n"
    ids = torch.tensor([encode_prompt(tokenizer, text, chat=False)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    after = likelihood(answer)["probe/right_answer/deduction"]
    assert math.isfinite(before)
    assert after < 0.5 * before
