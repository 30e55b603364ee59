"""Given problems and what is right: reinforcement learning with verifiable rewards (arXiv 2501.12948, section 2.2).

```
draw P problems ─► G samples each ─► review ─► reward: accuracy and format
```
The supervisor deals the problems and keeps what is right; a problem is an id and a prompt here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from azr_platform.config.schema import Config
from azr_platform.records import Phase, Role
from azr_platform.trainer.regimes.base import Buffers, Practice
from azr_platform.trainer.rollouts import Question, Rollout
from azr_platform.trainer.sampling import Sampler


class Rlvr:
    """Asks P problems a step, G times each. It keeps nothing from step to step."""

    def __init__(self, config: Config, sampler: Sampler) -> None:
        self._samples = config.problems.samples
        self._sampler = sampler

    def begin(self) -> None:
        """Nothing precedes step 1."""

    def buffers(self) -> Buffers:
        return {}

    def restore(self, buffers: Buffers) -> None:
        """There is nothing to put back."""

    def practise(self, step: int) -> Practice:
        """Ask the step's problems."""
        link = self._sampler.link
        questions = [Question(Role.SOLVE, p.kind, p.prompt, p.task) for p in link.draw()]
        solves = self._sampler.sample(Phase.SOLVE, questions, self._samples, "solve")
        link.safe_point("problems solved")
        return Practice({Phase.SOLVE: solves}, self._sampler.solve_rewards(solves), self.metrics(solves))

    def metrics(self, solves: Sequence[Rollout]) -> dict[str, float]:
        """The numbers of this regime (see trainer/metrics.py)."""
        metrics: dict[str, float] = {"problems": len({rollout.submission.task for rollout in solves})}
        for outcomes in outcomes_by_problem(solves).values():
            name = f"difficulty/{sum(outcomes)}"
            metrics[name] = metrics.get(name, 0) + 1
        return metrics


def outcomes_by_problem(solves: Sequence[Rollout]) -> dict[str, list[bool]]:
    """Whether each allowed sample of a problem was right; problems of which nobody knows are left out."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for rollout in solves:
        if rollout.judgement.allowed and rollout.judgement.decided:
            outcomes[rollout.submission.task].append(rollout.judgement.correct)
    return outcomes
