"""Tokens a second of our update over TRL's GRPO step: python benchmarks/learner.py --help

One random model of 20 million parameters (Qwen2's architecture), one batch of sequences with skewed lengths, one step:
log-probabilities, entropies, clipped loss, backward, clipping of the gradient, AdamW. TRL's GRPOTrainer gets the batch
as it makes one itself (prompts padded on the left to the longest, responses on the right) and goes through it in its
default batches of 8. Only real tokens count. Rounds are interleaved; ratios are of CPU time within a round. TRL is
measured where it can be imported, and said to be missing elsewhere. ``--equal`` gives all sequences one length, so that
nobody pads. ``--memory`` measures instead what the output layer takes, with all logits at once and in chunks, each in a
process of its own.
"""

from __future__ import annotations

import argparse
import copy
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from statistics import median, quantiles
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from azr_platform.channel.messages import Judgement, Submission
from azr_platform.config.schema import OptimizerConfig, UpdateConfig
from azr_platform.records import SELF_PLAY_KINDS, Role
from azr_platform.rollout.engine import Completion
from azr_platform.rollout.logprobs import Head, log_probs_of
from azr_platform.rollout.scoring import Pair, score
from azr_platform.trainer.rollouts import Rewarded, Rollout
from azr_platform.trainer.update import Updater


def model_of_20m() -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=16_000,
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config).eval()


def skewed(count: int) -> list[tuple[int, int]]:
    """Lengths of prompts, 20 to 120, and of responses, log-normal around 48, at most 384."""
    rng = random.Random(0)
    return [(rng.randrange(20, 121), min(384, int(rng.lognormvariate(3.9, 0.9)) + 1)) for _ in range(count)]


def batch(model: Any, lengths: Sequence[tuple[int, int]]) -> list[Rewarded]:
    """Rollouts of random tokens with prompts and responses of these lengths, and random rewards."""
    rng = random.Random(1)
    words = model.config.vocab_size
    pairs = [Pair(*([rng.randrange(3, words) for _ in range(count)] for count in both)) for both in lengths]
    made = []
    for number, (pair, old) in enumerate(zip(pairs, score(model, pairs, 1.0), strict=True)):
        role, kind = list(Role)[number % 2], SELF_PLAY_KINDS[number % 3]
        submission = Submission(uid=str(number), role=role, kind=kind, prompt="", response="", tokens=len(old))
        judgement = Judgement(uid=str(number), sample=number + 1, allowed=True, well_formed=True)
        completion = Completion(list(pair.response), old, "", finished=True)
        made.append(Rewarded(Rollout(submission, pair.prompt, completion, judgement), rng.choice([-1.0, 1.0])))
    return made


def ours(model: Any, items: list[Rewarded], settings: UpdateConfig, optimizer: OptimizerConfig) -> Callable[[], None]:
    updater = Updater(copy.deepcopy(model), optimizer, settings, steps=1, temperature=1.0)

    def step() -> None:
        stats = updater.update(items, 1, random.Random(0))
        assert stats.padding <= 0.1

    return step


def trl(model: Any, items: list[Rewarded], *, checkpointing: bool = False) -> Callable[[], None]:
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    words = {"<unk>": 0, "<s>": 1, "</s>": 2}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, "<unk>")), eos_token="</s>", pad_token="<unk>"
    )
    settings = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        beta=0.0,
        loss_type="bnpo",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=copy.deepcopy(model),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": ["a"] * 8}),
        processing_class=tokenizer,
    )
    policy = trainer.model.train()
    if checkpointing:
        policy.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    fused = True if policy.device.type == "cuda" else None
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-6, betas=(0.9, 0.99), weight_decay=0.01, fused=fused)
    pairs = [item.rollout.pair for item in items]
    most_before, most_after = max(len(p.prompt) for p in pairs), max(len(p.response) for p in pairs)

    whole = {
        "prompt_ids": torch.tensor([[0] * (most_before - len(p.prompt)) + list(p.prompt) for p in pairs]),
        "prompt_mask": torch.tensor([[0] * (most_before - len(p.prompt)) + [1] * len(p.prompt) for p in pairs]),
        "completion_ids": torch.tensor([list(p.response) + [0] * (most_after - len(p.response)) for p in pairs]),
        "completion_mask": torch.tensor([[1] * len(p.response) + [0] * (most_after - len(p.response)) for p in pairs]),
        "advantages": torch.tensor([item.reward for item in items]),
        "old_per_token_logps": torch.tensor(
            [
                item.rollout.completion.log_probs + [0.0] * (most_after - len(item.rollout.pair.response))
                for item in items
            ]
        ),
    }
    size = settings.per_device_train_batch_size
    trainer.current_gradient_accumulation_steps = -(-len(pairs) // size)

    def step() -> None:
        optimizer.zero_grad()
        for start in range(0, len(pairs), size):
            part = {name: value[start : start + size].to(policy.device) for name, value in whole.items()}
            part["num_items_in_batch"] = whole["completion_mask"].sum()
            trainer.compute_loss(policy, part).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()

    return step


def memory(chunk: int) -> None:
    """Print by how many MB this process grew for the output layer of 1,024 tokens over Qwen2.5's vocabulary."""
    weight = torch.randn(151_936, 64, requires_grad=True)
    hidden = torch.randn(1024, 64, requires_grad=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    targets = torch.randint(151_936, (1024,))
    values, entropies = log_probs_of(Head(weight), hidden, targets, temperature=1.0, entropy=True, chunk=chunk)
    (values.sum() + entropies.sum()).backward()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sequences", type=int, default=24)
    parser.add_argument("--equal", action="store_true", help="prompts of 72 tokens, responses of 48, without exception")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--memory-of-chunk", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory_of_chunk is not None:
        memory(chosen.memory_of_chunk)
        return
    if chosen.memory:
        for chunk in (0, 1024, 256, 64):
            argv = [sys.executable, __file__, "--memory-of-chunk", str(chunk)]
            grown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
            print(f"output layer, {chunk or 'all'} tokens at a time: {grown} MB more")
        return
    warnings.simplefilter("ignore")
    model = model_of_20m()
    items = batch(model, [(72, 48)] * chosen.sequences if chosen.equal else skewed(chosen.sequences))
    tokens = sum(item.rollout.pair.length for item in items)
    ways = {
        name: ours(
            model,
            items,
            UpdateConfig(tokens_per_microbatch=2048, logits_chunk=chunk, advantage="reinforce++"),
            OptimizerConfig(),
        )
        for name, chunk in (("ours", 1024), ("ours, all logits at once", 0))
    }
    if find_spec("trl") is None:
        print("TRL is not installed: not measured")
    else:
        ways["TRL"] = trl(model, items)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(chosen.rounds + 1):
        for name in random.Random(number).sample(list(ways), len(ways)):
            started = time.process_time()
            ways[name]()
            if number:  # the first warms up
                seconds[name].append(time.process_time() - started)
    print(f"{tokens} tokens in {len(items)} sequences, {chosen.rounds} rounds, {torch.get_num_threads()} thread(s)")
    for name, spent in seconds.items():
        print(f"{name}: {tokens / median(spent):,.0f} tokens a CPU second")
    for name in list(ways)[1:]:
        ratios = [other / own for own, other in zip(seconds["ours"], seconds[name], strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        print(f"ours : {name}  {middle:.2f} (quartiles {low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
