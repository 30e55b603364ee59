"""Sampling under review: what every regime does with a prompt, and the randomness and timing of a step."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

from azr_platform.channel.messages import Submission
from azr_platform.config.schema import Config
from azr_platform.learning.rewards import accuracy, composite
from azr_platform.records import Phase, Role
from azr_platform.rollout.engine import Engine
from azr_platform.trainer.link import Link
from azr_platform.trainer.rollouts import Question, Rewarded, Rollout


class Sampler:
    """Sends prompts through the engine and the supervisor's review, and puts rewards on what was allowed."""

    def __init__(self, config: Config, engine: Engine, link: Link, proposer: Engine | None = None) -> None:
        self._config = config
        self._engine = engine
        self._proposer = proposer or engine
        self.link = link
        self.seconds: dict[str, float] = defaultdict(float)
        """How long each activity of the current step took."""

    def sample(self, phase: Phase, questions: Sequence[Question], samples: int, label: str) -> list[Rollout]:
        """Sample every question ``samples`` times and have every answer reviewed, as one batch each.

        A prompt that is too long is left out. The samples of a question stand together. All are of one role.
        """
        limit = self._config.model.max_prompt_tokens
        questions = [q for q in questions if len(self._engine.encode(q.prompt)) <= limit]
        if not questions:
            return []
        self.link.at(f"{phase.value}: sampling")
        engine = self._proposer if questions[0].role is Role.PROPOSE else self._engine
        with self.timed("generate"):
            completions = engine.generate(
                [question.prompt for question in questions],
                samples=samples,
                seed=self.rng(f"sample-{label}").getrandbits(62),
                progress=self.link.on_progress,
            )
        drawn = [(q, completion) for q, several in zip(questions, completions, strict=True) for completion in several]
        submissions = [
            Submission(
                uid=f"{self.link.step}-{label}-{number}",
                role=question.role,
                kind=question.kind,
                prompt=question.prompt,
                response=completion.text,
                tokens=len(completion.tokens),
                task=question.task,
                functions=question.functions,
            )
            for number, (question, completion) in enumerate(drawn)
        ]
        self.link.at(f"{phase.value}: review")
        with self.timed("review"):
            judgements = self.link.review(phase, submissions)
        return [
            Rollout(submission, self._engine.encode(submission.prompt), completion, judgement)
            for submission, (_, completion), judgement in zip(submissions, drawn, judgements, strict=True)
        ]

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
        key = f"{self._config.run.seed}/{self.link.step}/{label}".encode()
        return random.Random(int.from_bytes(blake2b(key, digest_size=16).digest(), "big"))  # noqa: S311 not secret

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to ``seconds[name]``."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] += time.monotonic() - started
