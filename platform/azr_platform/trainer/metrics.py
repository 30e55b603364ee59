"""The numbers a step leaves in the ledger, by name.

```
reward/ROLE/KIND        mean reward of the trained samples        solve_rate/KIND     share of right answers
format_rate/ROLE/KIND   share of well-formed responses            samples, blocked, trained  counts
response_length/mean|min|max  tokens                              tokens_per_second   sampled
loss  entropy (nats)  clip_fraction  approx_kl  ratio_max  grad_norm  learning_rate
update/padding          share of the positions that the update computed
update/skipped          minibatches whose gradient was NaN or infinite, and moved nothing
mismatch/mean|max|kl    learner's and engine's log-probabilities before the update: difference, k3 estimate (nats)
staleness/mean|max      updates between the weights that sampled and those that learn, of the trained samples
seconds/generate|review|update            review: what sampling left to wait for
seconds/supervisor/monitors|jail|ledger   the supervisor's own, most of it while the trainer sampled
idle                    share of the step's time in which the trainer neither sampled nor updated
gpu/utilization         share of it with a kernel running, as NVIDIA's counter says
gpu/memory              share of the GPU's memory in use, by whomever, at the step's end
```
``seconds`` are those that the step's own samples and update took. With ``update.staleness = 1`` an update and the next
step's sampling share their time, and the parts of a step may sum to more than the step, which is from report to report.

Self-play adds
```
valid_rate/KIND         share of valid proposals                  repeats             valid proposals seen before
learnability/KIND       mean worth of the valid proposals         difficulty/I        proposals solved I times of n
buffer/KIND             tasks kept
health/distinct         different programs, of the valid ones     health/new          of them in no buffer before
health/nodes            mean syntax nodes of a program            health/values/TYPE  share of answers of a type
health/values/largest   the largest of those shares               health/held_out     held, held out or in quarantine
```
probe/message/with|without|gain  share of right answers to induction problems with the message and without it
probe/right_answer/KIND          -log p of right answers said at once, in nats a token (trainer/probes.py)
``health`` is about proposals of the kinds that write programs, up to renaming, composites with their functions; TYPE is
that of the (first) output, such as ``int``, or what an error task's program raises.
The supervisor adds what it saw itself: ``oversight/...`` and ``drift/...`` (supervisor/statistics.py), and what the run
asks of its machine: ``load/...`` (supervisor/load.py).
Given problems add ``problems``, how many were asked, ``difficulty/I``, problems solved I times of G, and where a vote
says what is right ``degenerate``, votes that came to nothing, and ``agreement``, the mean share of a problem's allowed
samples that gave the answer which won. There nobody knows the truth: ``solve_rate`` and ``difficulty`` mean agreement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from azr_platform.records import Phase, Role
from azr_platform.trainer.rollouts import Rewarded, Rollout
from azr_platform.trainer.update import UpdateStats


def step_metrics(
    *,
    rollouts: Mapping[Phase, Sequence[Rollout]],
    rewarded: Sequence[Rewarded],
    seconds: Mapping[str, float],
    update: UpdateStats | None,
) -> dict[str, float]:
    """What every regime's step is told by. A share or mean over nothing is left out rather than made up."""
    # What a probe asked was made harder on purpose, and says nothing of how well the policy does.
    everything = [rollout for phase, batch in rollouts.items() if phase is not Phase.PROBE for rollout in batch]
    metrics: dict[str, float] = {
        "samples": len(everything),
        "blocked": sum(not rollout.judgement.allowed for rollout in everything),
        "trained": len(rewarded),
    }
    rewards: dict[str, list[float]] = defaultdict(list)
    for item in rewarded:
        rewards[f"reward/{item.rollout.group}"].append(item.reward)
    well_formed: dict[str, list[float]] = defaultdict(list)
    for rollout in everything:
        well_formed[f"format_rate/{rollout.group}"].append(rollout.judgement.well_formed)
    solved: dict[str, list[float]] = defaultdict(list)
    for rollout in everything:
        if rollout.submission.role is Role.SOLVE and rollout.judgement.allowed and rollout.judgement.decided:
            solved[f"solve_rate/{rollout.submission.kind.value}"].append(rollout.judgement.correct)
    for name, values in {**rewards, **well_formed, **solved}.items():
        metrics[name] = sum(values) / len(values)
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
        metrics["update/padding"] = update.padding
        metrics["update/skipped"] = update.skipped
        for name in ("mean", "max", "kl"):
            metrics[f"mismatch/{name}"] = getattr(update, f"mismatch_{name}")
    return metrics


def staleness_metrics(rewarded: Sequence[Rewarded], version: int) -> dict[str, float]:
    """``version``: how many updates are behind the weights that learn from the samples."""
    ages = [version - item.rollout.completion.version for item in rewarded]
    return {"staleness/mean": sum(ages) / len(ages), "staleness/max": max(ages)} if ages else {}
