"""The numbers a step leaves in the ledger, by name.

```
reward/ROLE/KIND        mean reward of the trained samples        solve_rate/KIND     share of right answers
format_rate/ROLE/KIND   share of well-formed responses            valid_rate/KIND     share of valid proposals
learnability/KIND       mean worth of the valid proposals         difficulty/I        proposals solved I times of n
buffer/KIND             tasks kept                                repeats             valid proposals seen before
response_length/mean|min|max  tokens    samples, blocked, trained  counts             tokens_per_second  sampled
loss  entropy (nats)  clip_fraction  approx_kl  ratio_max  grad_norm  learning_rate
seconds/generate|review|update
```
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from azr_platform.buffers.buffer import TaskBuffer
from azr_platform.records import Kind, Phase, Role
from azr_platform.trainer.rollouts import Rewarded, Rollout
from azr_platform.trainer.update import UpdateStats


def step_metrics(
    *,
    rollouts: Mapping[Phase, Sequence[Rollout]],
    rewarded: Sequence[Rewarded],
    worths: Mapping[Kind, Sequence[float]],
    successes: Iterable[Sequence[bool]],
    repeats: int,
    buffers: Mapping[Kind, TaskBuffer],
    seconds: Mapping[str, float],
    update: UpdateStats | None,
) -> dict[str, float]:
    """All metrics of one step. A share or mean over nothing is left out rather than made up."""
    everything = [rollout for batch in rollouts.values() for rollout in batch]
    metrics: dict[str, float] = {
        "samples": len(everything),
        "blocked": sum(not rollout.judgement.allowed for rollout in everything),
        "trained": len(rewarded),
        "repeats": repeats,
    }
    rewards: dict[str, list[float]] = defaultdict(list)
    for item in rewarded:
        rewards[f"reward/{item.rollout.group}"].append(item.reward)
    well_formed: dict[str, list[float]] = defaultdict(list)
    for rollout in everything:
        well_formed[f"format_rate/{rollout.group}"].append(rollout.judgement.well_formed)
    valid: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts.get(Phase.PROPOSE, ()):
        valid[f"valid_rate/{rollout.submission.kind.value}"].append(rollout.judgement.valid)
    solved: dict[str, list[float]] = defaultdict(list)
    for rollout in everything:
        if rollout.submission.role is Role.SOLVE and rollout.judgement.allowed:
            solved[f"solve_rate/{rollout.submission.kind.value}"].append(rollout.judgement.correct)
    worth = {f"learnability/{kind.value}": list(values) for kind, values in worths.items()}
    for name, values in {**rewards, **well_formed, **valid, **solved, **worth}.items():
        if values:
            metrics[name] = sum(values) / len(values)
    for outcomes in successes:
        name = f"difficulty/{sum(outcomes)}"
        metrics[name] = metrics.get(name, 0) + 1
    for kind, buffer in buffers.items():
        metrics[f"buffer/{kind.value}"] = len(buffer)
    lengths = [len(rollout.completion.tokens) for rollout in everything]
    if lengths:
        metrics["response_length/mean"] = sum(lengths) / len(lengths)
        metrics["response_length/min"] = min(lengths)
        metrics["response_length/max"] = max(lengths)
    if seconds.get("generate"):
        metrics["tokens_per_second"] = sum(lengths) / seconds["generate"]
    metrics.update({f"seconds/{name}": value for name, value in seconds.items()})
    if update is not None:
        for name in ("loss", "entropy", "clip_fraction", "approx_kl", "ratio_max", "grad_norm", "learning_rate"):
            metrics[name] = getattr(update, name)
    return metrics
