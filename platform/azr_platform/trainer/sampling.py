"""Sampling under review: what every regime does with a prompt, and the randomness and timing of a step."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple

from azr_platform.channel.messages import Submission
from azr_platform.config.schema import Config
from azr_platform.learning.rewards import accuracy, composite
from azr_platform.records import Phase, Role
from azr_platform.rollout.engine import Completion, Engine
from azr_platform.trainer.busy import Busy
from azr_platform.trainer.link import Link, Pending
from azr_platform.trainer.rollouts import Question, Rewarded, Rollout

REVIEWED_TOGETHER = 32
"""Samples, at least, that go to review at once: few enough that it begins while others are sampled still, many enough
to share a commit of the ledger and the jail's workers."""


class Answer(NamedTuple):
    """One sampled response on its way to review."""

    place: int
    """Of its question."""
    number: int
    completion: Completion
    submission: Submission


class UnderReview:
    """Answers of one phase whose verdicts are being made."""

    def __init__(self, sampler: Sampler, phase: Phase, prompts: Sequence[Sequence[int]]) -> None:
        self._sampler = sampler
        self._phase = phase
        self._prompts = prompts
        self._batches: list[tuple[list[Answer], Pending]] = []

    def submit(self, answers: Sequence[Answer]) -> None:
        """Send these to the supervisor."""
        pending = self._sampler.link.submit(self._phase, [answer.submission for answer in answers])
        self._batches.append((list(answers), pending))

    def rollouts(self) -> list[Rollout]:
        """Wait for the verdicts; every sample with its own, in the questions' order."""
        if self._batches:
            self._sampler.link.at(f"{self._phase.value}: review")
        judged: list[tuple[int, Rollout]] = []
        with self._sampler.timed("review"):
            for answers, pending in self._batches:
                reviewed = pending.reviewed()
                for part, seconds in reviewed.seconds.items():
                    self._sampler.seconds[f"supervisor/{part}"] += seconds
                for (place, number, completion, submission), judgement in zip(
                    answers, reviewed.judgements, strict=True
                ):
                    judged.append((number, Rollout(submission, self._prompts[place], completion, judgement)))
        return [rollout for _, rollout in sorted(judged, key=itemgetter(0))]


class Sampler:
    """Sends prompts through the engine and the supervisor's review, and puts rewards on what was allowed."""

    def __init__(
        self, config: Config, engine: Engine, link: Link, proposer: Engine | None = None, *, seed: int | None = None
    ) -> None:
        """``seed`` of its draws, if not the configuration's."""
        self._config = config
        self._seed = config.run.seed if seed is None else seed
        self._engine = engine
        self._proposer = proposer or engine
        self.link = link
        self.seconds: dict[str, float] = defaultdict(float)
        """How long each activity of the current step took."""
        self.busy = Busy()

    def sample(self, phase: Phase, questions: Sequence[Question], samples: int, label: str) -> list[Rollout]:
        """Sample every question ``samples`` times and have every answer reviewed.

        A prompt that is too long is left out. The samples of a question stand together. All are of one role.
        """
        return self.begin(phase, questions, samples, label).rollouts()

    def begin(self, phase: Phase, questions: Sequence[Question], samples: int, label: str) -> UnderReview:
        """The same, without waiting for the last verdicts: while they are made, something else can be sampled.

        Answers go to review as soon as enough questions are through, in an order that the seed decides.
        """
        limit = self._config.model.max_prompt_tokens
        asked = [(q, tokens) for q in questions if len(tokens := self._engine.encode(q.prompt)) <= limit]
        under_review = UnderReview(self, phase, [tokens for _, tokens in asked])
        if not asked:
            return under_review
        waiting: list[Answer] = []

        def ready(place: int, completions: list[Completion]) -> None:
            question = asked[place][0]
            for number, completion in enumerate(completions, place * samples):
                submission = Submission(
                    uid=f"{self.link.step}-{label}-{number}",
                    role=question.role,
                    kind=question.kind,
                    prompt=question.prompt,
                    response=completion.text,
                    tokens=len(completion.tokens),
                    task=question.task,
                    functions=question.functions,
                )
                waiting.append(Answer(place, number, completion, submission))
            if len(waiting) >= REVIEWED_TOGETHER:
                under_review.submit(waiting)
                waiting.clear()

        self.link.at(f"{phase.value}: sampling")
        engine = self._proposer if questions[0].role is Role.PROPOSE else self._engine
        with self.timed("generate"), self.busy.working():
            engine.generate(
                [question.prompt for question, _ in asked],
                samples=samples,
                seed=self.rng(f"sample-{label}").getrandbits(62),
                progress=self.link.on_progress,
                ready=ready,
            )
            if waiting:
                under_review.submit(waiting)
        return under_review

    # -- rewards -----------------------------------------------------------------------------------------

    def solve_rewards(self, solves: Sequence[Rollout]) -> list[Rewarded]:
        """Accuracy and format (see learning/rewards.py) of each answer that may be learnt from.

        One of which nobody knows whether it is right is dropped, also when its format is wrong.
        """
        rewarded = []
        for rollout in solves:
            judgement = rollout.judgement
            if not judgement.decided:
                continue
            if judgement.allowed:
                rewarded.append(self.rewarded(rollout, accuracy(judgement.correct), judgement.well_formed))
            else:
                rewarded += self.flagged(rollout)
        return rewarded

    def rewarded(self, rollout: Rollout, worth: float, acceptable: bool) -> Rewarded:
        """The rollout with its format-aware reward."""
        settings = self._config.rewards
        reward = composite(worth, acceptable=acceptable, wrong=settings.wrong, malformed=settings.malformed)
        return Rewarded(rollout, reward)

    def flagged(self, rollout: Rollout) -> list[Rewarded]:
        """A flagged sample is dropped, unless the run was told to punish it; one without a ledger row always is."""
        if self._config.rewards.punish_flagged and rollout.judgement.sample > 0:
            return [Rewarded(rollout, self._config.rewards.malformed)]
        return []

    # -- plumbing ----------------------------------------------------------------------------------------

    def rng(self, label: str) -> random.Random:
        """A generator of its own for each draw: nothing to save, and a resumed step draws the same."""
        key = f"{self._seed}/{self.link.step}/{label}".encode()
        return random.Random(int.from_bytes(blake2b(key, digest_size=16).digest(), "big"))  # noqa: S311 not secret

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to ``seconds[name]``."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] += time.monotonic() - started
