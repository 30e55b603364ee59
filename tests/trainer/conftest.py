"""A tiny policy, and rollouts of it that look as if a supervisor had judged them."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

collect_ignore_glob = [] if find_spec("torch") and find_spec("transformers") else ["test_*.py"]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from azr_platform.nano.tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.fixture(scope="session")
def policy(tokenizer: Any) -> Callable[..., Any]:
    """Builds a tiny Llama; the same seed gives the same weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def build(seed: int = 0, **settings: Any) -> Any:
        torch.manual_seed(seed)
        wanted = {
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 128,
            "initializer_range": 0.2,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            **settings,
        }
        return LlamaForCausalLM(LlamaConfig(**wanted)).eval()

    return build


@pytest.fixture(scope="session")
def rewarded() -> Callable[..., list[Any]]:
    """Makes rewarded rollouts with random tokens, slightly off-policy log-probabilities and random rewards."""
    from azr_platform.channel.messages import Judgement, Submission
    from azr_platform.records import SELF_PLAY_KINDS, Role
    from azr_platform.rollout.engine import Completion
    from azr_platform.rollout.scoring import Pair, score
    from azr_platform.trainer.rollouts import Rewarded, Rollout

    def make(model: Any, count: int, seed: int = 0, temperature: float = 1.0) -> list[Any]:
        rng = random.Random(seed)
        made = []
        for number in range(count):
            role, kind = rng.choice(list(Role)), rng.choice(SELF_PLAY_KINDS)
            prompt = [1, *(rng.randrange(3, 250) for _ in range(rng.randrange(1, 12)))]
            tokens = [*(rng.randrange(3, 250) for _ in range(rng.randrange(0, 9))), 2]
            (exact,) = score(model, [Pair(prompt, tokens)], temperature)
            old = [value + rng.gauss(0, 0.15) for value in exact]
            rollout = Rollout(
                Submission(
                    uid=str(number), role=role, kind=kind, prompt=str(number // 4), response="", tokens=len(tokens)
                ),
                prompt,
                Completion(tokens, old, "", finished=True),
                Judgement(uid=str(number), sample=number + 1, allowed=True, well_formed=True),
            )
            made.append(Rewarded(rollout, rng.choice([-1.0, -0.5, 0.5, 1.0])))
        return made

    return make
