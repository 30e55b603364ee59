"""Given problems without answers: test-time reinforcement learning (arXiv 2504.16084, section 2).

What most of a problem's samples answer stands for what is right. The supervisor takes the vote, so that here only
what is counted differs from ``rlvr``: a problem whose vote came to nothing is in no reward and no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

from azr_platform.trainer.regimes.rlvr import Rlvr, outcomes_by_problem
from azr_platform.trainer.rollouts import Rollout


class Ttrl(Rlvr):
    """Asks P problems a step, G times each; the G answers make one vote."""

    def metrics(self, solves: Sequence[Rollout]) -> dict[str, float]:
        metrics = super().metrics(solves)
        undecided = (r for r in solves if not r.judgement.decided and r.judgement.outcome != "held")
        metrics["degenerate"] = len({r.submission.task for r in undecided})
        shares = [sum(outcomes) / len(outcomes) for outcomes in outcomes_by_problem(solves).values()]
        if shares:
            metrics["agreement"] = sum(shares) / len(shares)
        return metrics
