"""What a configuration will cost, before anything is loaded: sequences, tokens and memory for a given model."""

from __future__ import annotations

import msgspec

from azr_platform.config.schema import Config

# Parameters in billions, from each model's published card.
KNOWN_SIZES = {
    "nano": 0.0005,
    "Qwen/Qwen2.5-Coder-3B": 3.09,
    "Qwen/Qwen2.5-7B": 7.62,
    "meta-llama/Llama-3.1-8B": 8.03,
}
# bytes a parameter: weights + gradient + two AdamW moments in float32, or bfloat16 weights and gradient
# beside float32 master weights and moments.
_BYTES = {"float32": 16, "bfloat16": 2 + 2 + 4 + 8}


class Plan(msgspec.Struct, frozen=True):
    """Upper bounds of one step, and of the run. Memory counts weights and optimizer, not activations or caches."""

    model: str
    parameters_b: float | None
    training_memory_gb: float | None
    proposals_per_step: int
    rollouts_per_step: int
    solves_per_step: int
    trained_sequences_per_step: int
    max_sampled_tokens_per_step: int
    steps: int


def plan(config: Config) -> Plan:
    proposals = rollouts = 0
    if config.run.regime == "azr":
        proposals = solves = len(config.tasks.kinds) * config.selfplay.proposals
        rollouts = proposals * config.selfplay.rollouts
    else:
        solves = config.problems.per_step * config.problems.samples
    trained = proposals + solves + (rollouts if config.selfplay.train_on_rollouts else 0)
    size = KNOWN_SIZES.get(config.model.path)
    return Plan(
        model=config.model.path,
        parameters_b=size,
        training_memory_gb=None if size is None else round(size * _BYTES[config.model.dtype], 1),
        proposals_per_step=proposals,
        rollouts_per_step=rollouts,
        solves_per_step=solves,
        trained_sequences_per_step=trained,
        max_sampled_tokens_per_step=(proposals + rollouts + solves) * config.model.max_response_tokens,
        steps=config.run.steps,
    )
