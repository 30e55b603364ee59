"""The update against a naive implementation of the same mathematics, and what it does when numbers go bad."""

from __future__ import annotations

import copy
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
import torch

from azr_platform.config.schema import OptimizerConfig, UpdateConfig
from azr_platform.rollout.scoring import score
from azr_platform.trainer.rollouts import Rewarded
from azr_platform.trainer.update import Updater

Policy = Callable[..., Any]
Make = Callable[..., list[Rewarded]]

# With a small epsilon AdamW divides a gradient that is all but zero by itself, and rounding decides its sign.
OPTIMIZER = OptimizerConfig(
    learning_rate=0.01, betas=(0.9, 0.95), epsilon=1e-3, weight_decay=0.1, grad_clip=0.5, warmup_steps=0
)


def _updater(model: Any, optimizer: OptimizerConfig = OPTIMIZER, *, steps: int = 10, **update: Any) -> Updater:
    return Updater(model, optimizer, UpdateConfig(**update), steps=steps, temperature=0.8)


def _parameters(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def _distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max(float((a[name] - b[name]).abs().max()) for name in a)


class Naive:
    """The same update written a second time: whole sequences, one at a time, AdamW by hand from its paper."""

    def __init__(self, model: Any, optimizer: OptimizerConfig, update: UpdateConfig, temperature: float) -> None:
        self.model, self.optimizer, self.settings, self.temperature = model, optimizer, update, temperature
        self.first = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        self.second = copy.deepcopy(self.first)
        self.count = 0

    def update(self, rewarded: list[Rewarded], rng: random.Random) -> tuple[list[float], float]:
        advantages = self.advantages(rewarded)
        order = list(range(len(rewarded)))
        rng.shuffle(order)
        pieces = min(self.settings.minibatches, len(order))
        with torch.no_grad():
            self.before = [[float(log_probs[t]) for t, log_probs in self.tokens(item)] for item in rewarded]
        norms = [self.minibatch(rewarded, advantages, order[number::pieces]) for number in range(pieces)]
        return advantages, statistics.mean(norms)

    def advantages(self, rewarded: list[Rewarded]) -> list[float]:
        groups: dict[object, list[float]] = defaultdict(list)
        keys = []
        for item in rewarded:
            submission = item.rollout.submission
            shared = {"trr++": (submission.role, submission.kind), "reinforce++": None, "grpo": submission.prompt}
            keys.append(shared[self.settings.advantage])
            groups[keys[-1]].append(item.reward)
        advantages = []
        for key, item in zip(keys, rewarded, strict=True):
            rewards = groups[key]
            spread = statistics.stdev(rewards) if len(rewards) > 1 else 0.0
            centred = item.reward - statistics.mean(rewards)
            advantages.append(centred / max(spread, self.settings.std_floor) if spread else 0.0)
        return advantages

    def tokens(self, item: Rewarded) -> list[tuple[int, torch.Tensor]]:
        """Each response token with the distribution it was drawn from."""
        prompt, tokens = item.rollout.prompt_tokens, item.rollout.completion.tokens
        logits = self.model(torch.tensor([[*prompt, *tokens]])).logits[0] / self.temperature
        return [(t, torch.log_softmax(logits[len(prompt) + n - 1], -1)) for n, t in enumerate(tokens)]

    def minibatch(self, rewarded: list[Rewarded], advantages: list[float], chosen: list[int]) -> float:
        settings = self.settings
        total = torch.zeros(())
        tokens = sum(len(rewarded[i].rollout.completion.tokens) for i in chosen)
        for i in chosen:
            completion = rewarded[i].rollout.completion
            for (token, log_probs), engine, before in zip(
                self.tokens(rewarded[i]), completion.log_probs, self.before[i], strict=True
            ):
                cap = settings.mismatch_cap
                old, trust = (before, min(math.exp(before - engine), cap)) if cap else (engine, 1.0)
                ratio = torch.exp(log_probs[token] - old)
                clipped = torch.clamp(ratio, 1 - settings.clip_low, 1 + settings.clip_high)
                objective = torch.min(ratio * advantages[i], clipped * advantages[i])
                entropy = -(log_probs.exp() * log_probs).sum()
                share = {"token_mean": tokens, "sequence_mean": len(completion.tokens) * len(chosen)}
                bonus = settings.entropy_coefficient * entropy
                total = total - (objective * trust + bonus) / share[settings.aggregation]
        names = dict(self.model.named_parameters())
        gradients = dict(zip(names, torch.autograd.grad(total, list(names.values())), strict=True))
        norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients.values()))
        scale = min(1.0, self.optimizer.grad_clip / (norm + 1e-6))
        self.count += 1
        beta1, beta2 = self.optimizer.betas
        with torch.no_grad():
            for name, p in names.items():
                g = gradients[name] * scale
                self.first[name] = beta1 * self.first[name] + (1 - beta1) * g
                self.second[name] = beta2 * self.second[name] + (1 - beta2) * g * g
                m = self.first[name] / (1 - beta1**self.count)
                v = self.second[name] / (1 - beta2**self.count)
                p -= self.optimizer.learning_rate * self.optimizer.weight_decay * p
                p -= self.optimizer.learning_rate * m / (v.sqrt() + self.optimizer.epsilon)
        return norm


@pytest.mark.parametrize(
    "update",
    [
        {"entropy_coefficient": 0.0},
        {"entropy_coefficient": 0.01, "aggregation": "sequence_mean"},
        {"minibatches": 3, "clip_high": 0.28, "entropy_coefficient": 0.0},
        {"minibatches": 2, "advantage": "reinforce++", "std_floor": 2.0, "clip_low": 0.05, "clip_high": 0.05},
        {"advantage": "grpo", "minibatches": 2},
        {"entropy_coefficient": 0.01, "logits_chunk": 5, "packed": True, "clip_high": 0.28},
        {"mismatch_cap": 1.1, "minibatches": 3, "entropy_coefficient": 0.01, "clip_low": 0.001, "clip_high": 0.002},
        {"mismatch_cap": 1.1},
    ],
    ids=str,
)
def test_updates_are_those_of_a_naive_implementation(update: dict[str, Any], policy: Policy, rewarded: Make) -> None:
    model, other = policy(), policy()
    updater = _updater(model, **update)
    naive = Naive(other, OPTIMIZER, UpdateConfig(**update), 0.8)
    start = _parameters(model)
    for step in (1, 2):
        items = rewarded(model, 14, seed=step, temperature=0.8)
        stats = updater.update(items, step, random.Random(step))
        advantages, norm = naive.update(items, random.Random(step))
        assert stats.advantages == pytest.approx(advantages)
        assert stats.grad_norm == pytest.approx(norm, rel=1e-4)
        # With one minibatch the learner's own ratio is 1 throughout.
        assert (stats.clip_fraction > 0.0) is not (update == {"mismatch_cap": 1.1})
    assert _distance(_parameters(model), _parameters(other)) < 1e-6
    assert _distance(start, _parameters(model)) > 0.005


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean"])
@pytest.mark.parametrize("entropy", [0.0, 0.01])
def test_microbatches_packing_and_chunks_do_not_change_the_result(
    aggregation: str, entropy: float, policy: Policy, rewarded: Make
) -> None:
    results = []
    layouts = [(1, False, 0), (40, False, 0), (100_000, False, 0), (100_000, False, 4), (40, True, 7), (9999, True, 0)]
    for tokens, packed, chunk in layouts:
        model = policy()
        settings = {"aggregation": aggregation, "entropy_coefficient": entropy, "minibatches": 2}
        layout = {"tokens_per_microbatch": tokens, "packed": packed, "logits_chunk": chunk}
        updater = _updater(model, **layout, **settings)
        stats = updater.update(rewarded(model, 16, temperature=0.8), 1, random.Random(0))
        results.append((_parameters(model), stats))
    for parameters, stats in results[1:]:
        assert _distance(parameters, results[0][0]) < 1e-6
        for name in (
            *("loss", "entropy", "clip_fraction", "approx_kl", "ratio_max", "grad_norm"),
            *("mismatch_mean", "mismatch_max", "mismatch_kl"),
        ):
            assert getattr(stats, name) == pytest.approx(getattr(results[0][1], name), rel=1e-4, abs=1e-7), name


def test_the_mismatch_is_that_of_the_learner_before_it_moves(policy: Policy, rewarded: Make) -> None:
    """Engine's probabilities are the learner's, but for a noise of 0.15."""
    for cap in (0.0, 3.0):
        model = policy()
        items = rewarded(model, 60, temperature=0.8)
        before = score(model, [item.rollout.pair for item in items], 0.8)
        engine = [item.rollout.completion.log_probs for item in items]
        differences = [
            b - e for ours, theirs in zip(before, engine, strict=True) for b, e in zip(ours, theirs, strict=True)
        ]
        stats = _updater(model, mismatch_cap=cap, minibatches=3 if cap else 1).update(items, 1, random.Random(0))
        assert stats.mismatch_mean == pytest.approx(statistics.mean(map(abs, differences)), rel=1e-3)
        assert stats.mismatch_max == pytest.approx(max(map(abs, differences)), rel=1e-3)
        k3 = statistics.mean(math.exp(d) - 1 - d for d in differences)
        assert stats.mismatch_kl == pytest.approx(k3, rel=1e-2)
        assert 0.005 < stats.mismatch_kl < 0.025  # half the noise's variance, about


def test_a_token_that_the_engine_thought_unlikely_counts_no_more_than_the_cap(policy: Policy, rewarded: Make) -> None:
    """The trouble that truncation is for: one token with a ratio of e^20 would be all of the gradient."""
    norms = {}
    for cap in (0.0, 2.0):
        model = policy()
        items = [replace(item, reward=-1.0 if n else 1.0) for n, item in enumerate(rewarded(model, 8))]
        off = items[1].rollout.completion
        off = msgspec.structs.replace(off, log_probs=[value - 20.0 for value in off.log_probs])
        items[1] = replace(items[1], rollout=replace(items[1].rollout, completion=off))
        settings = {"mismatch_cap": cap, "advantage": "reinforce++", "entropy_coefficient": 0.0}
        norms[cap] = _updater(model, **settings).update(items, 1, random.Random(0)).grad_norm
    assert norms[0.0] > 1e5 > 100 > norms[2.0] > 0.0


def test_gradient_checkpointing_changes_no_bit(policy: Policy, rewarded: Make) -> None:
    results = []
    for checkpointing in (False, True):
        model = policy()
        calls: list[int] = []
        model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        items = rewarded(policy(), 12)
        updater = _updater(model, gradient_checkpointing=checkpointing)
        updater.update(items, 1, random.Random(0))
        results.append((_parameters(model), len(calls)))
    assert _distance(results[0][0], results[1][0]) == 0.0
    assert results[1][1] == 2 * results[0][1]  # every layer ran a second time


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_model_learns_the_same(policy: Policy, rewarded: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the making of machine code, which takes minutes on a CPU: what was captured runs as it is."""
    captured: list[object] = []

    def backend(graph: Any, _: Any) -> Any:
        captured.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    results = []
    items = rewarded(policy(num_hidden_layers=1), 10)
    for compiled in (False, True):
        model = policy(num_hidden_layers=1)
        _updater(model, compile=compiled).update(items, 1, random.Random(0))
        results.append(_parameters(model))
    assert captured
    assert _distance(*results) < 1e-5


def test_padding_is_reported_and_at_most_what_was_set(policy: Policy, rewarded: Make) -> None:
    shares = {}
    for most, packed in ((1.0, False), (0.1, False), (1.0, True)):
        model = policy()
        stats = _updater(model, max_padding=most, packed=packed).update(rewarded(model, 24), 1, random.Random(0))
        shares[most, packed] = stats.padding
    assert shares[1.0, False] > 0.1 >= shares[0.1, False] > 0.0 == shares[1.0, True]


def test_the_same_update_is_the_same_bit_for_bit(policy: Policy, rewarded: Make) -> None:
    results = []
    for _ in range(2):
        model = policy()
        _updater(model, minibatches=2).update(rewarded(model, 12), 1, random.Random(0))
        results.append(_parameters(model))
    assert _distance(*results) == 0.0


def test_a_right_answer_becomes_likelier_and_a_wrong_one_less_so(policy: Policy, rewarded: Make) -> None:
    model = policy()
    items = [replace(item, reward=1.0 if n % 2 else -1.0) for n, item in enumerate(rewarded(model, 8, temperature=0.8))]
    pairs = [item.rollout.pair for item in items]
    before = [sum(values) for values in score(model, pairs, 0.8)]
    _updater(model, advantage="reinforce++", entropy_coefficient=0.0).update(items, 1, random.Random(0))
    after = [sum(values) for values in score(model, pairs, 0.8)]
    for number, (earlier, later) in enumerate(zip(before, after, strict=True)):
        assert later > earlier if number % 2 else later < earlier


def test_without_any_advantage_nothing_moves(policy: Policy, rewarded: Make) -> None:
    model = policy()
    before = _parameters(model)
    items = [replace(item, reward=0.5) for item in rewarded(model, 6)]
    stats = _updater(model, entropy_coefficient=0.0).update(items, 1, random.Random(0))
    assert stats.advantages == [0.0] * 6
    assert (stats.loss, stats.entropy, stats.grad_norm) == (0.0, 0.0, 0.0)
    assert _distance(before, _parameters(model)) == 0.0


def test_fewer_samples_than_minibatches_is_no_trouble(policy: Policy, rewarded: Make) -> None:
    model = policy()
    stats = _updater(model, minibatches=9, advantage="reinforce++").update(rewarded(model, 2), 1, random.Random(0))
    assert math.isfinite(stats.loss)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_gradient_that_is_no_number_leaves_the_weights_as_they_were(
    bad: float, policy: Policy, rewarded: Make
) -> None:
    model = policy()
    items = rewarded(model, 6)
    updater = _updater(model)
    updater.update(items, 1, random.Random(0))  # so that there are moments, which must not move anything either
    before, state = _parameters(model), copy.deepcopy(updater.optimizer.state())
    old = items[2].rollout.completion
    completion = msgspec.structs.replace(old, log_probs=[bad] * len(old.tokens))
    items[2] = replace(items[2], rollout=replace(items[2].rollout, completion=completion))
    stats = updater.update(items, 2, random.Random(0))
    assert stats.skipped == 1
    assert not math.isfinite(stats.grad_norm), "the metric rules see it"
    assert _distance(before, _parameters(model)) == 0.0
    assert all(torch.equal(value, state[name]) for name, value in updater.optimizer.state().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training


def test_a_gradient_that_is_no_number_costs_its_own_minibatch_alone(policy: Policy, rewarded: Make) -> None:
    model = policy()
    items = rewarded(model, 6)
    old = items[2].rollout.completion
    completion = msgspec.structs.replace(old, log_probs=[math.nan] * len(old.tokens))
    items[2] = replace(items[2], rollout=replace(items[2].rollout, completion=completion))
    before = _parameters(model)
    updater = _updater(model, minibatches=2)
    stats = updater.update(items, 1, random.Random(0))
    assert stats.skipped == 1
    assert math.isnan(stats.grad_norm)
    after = _parameters(model)
    assert _distance(before, after) > 0.0
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert {int(value) for name, value in updater.optimizer.state().items() if name.endswith("/step")} == {1}


def test_a_reward_that_is_no_number_is_refused_before_anything_moves(policy: Policy, rewarded: Make) -> None:
    model = policy()
    before = _parameters(model)
    items = rewarded(model, 4)
    items[1] = replace(items[1], reward=math.nan)
    with pytest.raises(ValueError, match="not a finite number"):
        _updater(model).update(items, 1, random.Random(0))
    assert _distance(before, _parameters(model)) == 0.0


@pytest.mark.parametrize(
    ("warmup", "final", "expected"),
    [
        (0, 1.0, [1.0] * 5),
        (0, 0.0, [1.0, 0.75, 0.5, 0.25, 0.0]),
        (0, 0.2, [1.0, 0.8, 0.6, 0.4, 0.2]),
        (2, 1.0, [0.5, 1.0, 1.0, 1.0, 1.0]),
        (4, 0.2, [0.25, 0.4, 0.45, 0.4, 0.2]),
    ],
)
def test_the_learning_rate_warms_up_and_decays(
    warmup: int, final: float, expected: list[float], policy: Policy
) -> None:
    optimizer = OptimizerConfig(learning_rate=2.0, warmup_steps=warmup, final_fraction=final)
    updater = _updater(policy(), optimizer, steps=5)
    assert [updater.learning_rate(step) for step in range(1, 6)] == pytest.approx([2 * value for value in expected])


def test_a_run_of_one_step_has_a_learning_rate(policy: Policy) -> None:
    assert _updater(policy(), steps=1).learning_rate(1) == OPTIMIZER.learning_rate


def test_the_learning_rate_is_the_one_that_steps(policy: Policy, rewarded: Make) -> None:
    model = policy()
    optimizer = OptimizerConfig(learning_rate=1.0, final_fraction=0.0)
    before = _parameters(model)
    stats = _updater(model, optimizer, steps=4).update(rewarded(model, 6), 4, random.Random(0))
    assert stats.learning_rate == 0.0
    assert _distance(before, _parameters(model)) == 0.0
