"""Review goes on while samples are still being drawn, and yet everything comes back in the questions' order."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from azr_platform.channel.messages import Beat, FromTrainer, Go, Judgement, Review, Reviewed, SafePoint, ToTrainer
from azr_platform.channel.wire import Disconnected, Wire
from azr_platform.config.load import load
from azr_platform.records import Kind, Phase, Role
from azr_platform.rollout.engine import Completion
from azr_platform.trainer.link import Link, SupervisorLied
from azr_platform.trainer.rollouts import Question
from azr_platform.trainer.sampling import REVIEWED_TOGETHER, Sampler

QUESTIONS = [Question(Role.SOLVE, Kind.DEDUCTION, f"prompt {number}", f"task {number}") for number in range(30)]
SAMPLES = 3


class Supervisor(threading.Thread):
    """The other end of a socket pair: allows every sample, and keeps what it heard."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.wire: Wire[Any] = Wire(sock, FromTrainer)
        self.heard: list[Any] = []
        self.first_review = threading.Event()
        self.change: Callable[[list[Judgement]], list[Judgement]] = list

    def run(self) -> None:
        try:
            while True:
                message = self.wire.receive()
                if isinstance(message, Beat):
                    continue
                self.heard.append(message)
                if isinstance(message, SafePoint):
                    self.wire.send(Go())
                if isinstance(message, Review):
                    self.first_review.set()
                    number = 100 * len(self.heard)
                    judgements = [
                        Judgement(uid=sample.uid, sample=number + place, allowed=True, well_formed=True)
                        for place, sample in enumerate(message.samples)
                    ]
                    self.wire.send(Reviewed(judgements=self.change(judgements), seconds={"jail": 0.5}))
        except Disconnected:
            self.wire.close()


class Engine:
    """Is done with its prompts from the last to the first; waits for the first review in the middle of it."""

    def __init__(self, heard: threading.Event) -> None:
        self._heard = heard

    def encode(self, prompt: str) -> list[int]:
        return [ord(letter) for letter in prompt]

    def rest(self) -> None: ...

    def refresh(self) -> None: ...

    def close(self) -> None: ...

    def generate(
        self, prompts: Sequence[str], *, samples: int, seed: int, progress: Any = None, ready: Any = None
    ) -> list[list[Completion]]:
        drawn = [
            [Completion([number], [-1.0], f"{prompt}: {number}", finished=True) for number in range(samples)]
            for prompt in prompts
        ]
        for place in reversed(range(len(prompts))):
            if place == 0:
                assert self._heard.wait(60), "nothing was sent to review before the last prompt was done"
            ready(place, drawn[place])
        return drawn


@pytest.fixture
def parts() -> Iterator[tuple[Sampler, Supervisor]]:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.settimeout(60)
    link, supervisor = Link(Wire(ours, ToTrainer)), Supervisor(theirs)
    supervisor.start()
    yield Sampler(load(), Engine(supervisor.first_review), link), supervisor
    ours.shutdown(socket.SHUT_RDWR)
    link.close()
    supervisor.join()


Parts = tuple[Sampler, Supervisor]


def test_review_begins_before_sampling_ends_and_splits_no_question(parts: Parts) -> None:
    sampler, supervisor = parts
    rollouts = sampler.sample(Phase.SOLVE, QUESTIONS, SAMPLES, "solve")
    batches = [review.samples for review in supervisor.heard]
    assert len(batches) > 1
    assert all(len(batch) >= REVIEWED_TOGETHER for batch in batches[:-1])
    tasks = [{sample.task for sample in batch} for batch in batches]
    assert sum(map(len, tasks)) == len(QUESTIONS)
    assert sampler.seconds["supervisor/jail"] == 0.5 * len(batches)
    assert [rollout.submission.uid for rollout in rollouts] == [f"0-solve-{n}" for n in range(len(rollouts))]
    for number, rollout in enumerate(rollouts):
        question = QUESTIONS[number // SAMPLES]
        assert rollout.submission.task == question.task
        assert rollout.submission.response == rollout.completion.text == f"{question.prompt}: {number % SAMPLES}"
        assert rollout.prompt_tokens == [ord(letter) for letter in question.prompt]
        assert rollout.judgement.uid == rollout.submission.uid


def test_what_is_asked_next_waits_for_the_verdicts_before_it(parts: Parts) -> None:
    """A safe point between: nothing is taken for an answer to it but its own."""
    sampler, supervisor = parts
    first = sampler.begin(Phase.LEARNABILITY, QUESTIONS, SAMPLES, "rollouts")
    second = sampler.begin(Phase.SOLVE, QUESTIONS[:5], 1, "solve")
    sampler.link.safe_point("between")
    assert isinstance(supervisor.heard[-1], SafePoint)
    assert len(second.rollouts()) == 5  # in whatever order they are wanted
    assert len(first.rollouts()) == len(QUESTIONS) * SAMPLES


def test_verdicts_of_another_batch_are_not_trusted(parts: Parts) -> None:
    sampler, supervisor = parts
    supervisor.change = lambda judgements: judgements[::-1]
    under_review = sampler.begin(Phase.SOLVE, QUESTIONS, SAMPLES, "solve")
    with pytest.raises(SupervisorLied, match="not of the samples sent"):
        under_review.rollouts()


def test_a_prompt_that_is_too_long_is_left_out(parts: Parts) -> None:
    sampler, supervisor = parts
    sampler._config = load(overrides=["model.max_prompt_tokens=8"])
    supervisor.first_review.set()
    rollouts = sampler.sample(Phase.SOLVE, QUESTIONS, 1, "solve")
    assert [rollout.submission.prompt for rollout in rollouts] == [f"prompt {number}" for number in range(10)]
    sampler._config = load(overrides=["model.max_prompt_tokens=7"])
    assert sampler.sample(Phase.SOLVE, QUESTIONS, 1, "solve") == []
