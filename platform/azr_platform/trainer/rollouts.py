"""A sample on its way from the engine through review to the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azr_platform.channel.messages import Judgement, Submission
from azr_platform.records import Group, Kind, Role
from azr_platform.rollout.engine import Completion
from azr_platform.rollout.scoring import Pair


@dataclass(frozen=True)
class Rollout:
    """One response with the supervisor's judgement of it."""

    submission: Submission
    prompt_tokens: Sequence[int]
    completion: Completion
    judgement: Judgement

    @property
    def group(self) -> Group:
        return Group(self.submission.role, self.submission.kind)

    @property
    def pair(self) -> Pair:
        return Pair(self.prompt_tokens, self.completion.tokens)


@dataclass(frozen=True)
class Rewarded:
    """A rollout and what it earned. Only these reach the update."""

    rollout: Rollout
    reward: float


@dataclass(frozen=True)
class Question:
    """A prompt to be sampled, and what it is about."""

    role: Role
    kind: Kind
    prompt: str
    task: str = ""
    functions: tuple[str, ...] = ()
