"""A small, fast sampler for Llama-architecture models on CPU.

``generate`` of the big library spends most of a tiny model's time outside the arithmetic. This one keeps fused
copies of the weights, a preallocated key/value cache, computes each prompt once for all its samples, and drops
finished rows. tests/rollout checks its log-probabilities against the library's own forward pass.

Shape suffixes: U = prompts, B = rows (prompts x samples, without those dropped), N = tokens going through the layers,
S = positions, P = prompt positions, H = query heads, K = key/value heads, D = head size, E = hidden size,
V = vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 the field's usual name
from torch import Tensor

from azr_platform.rollout.engine import Completion, Progress, Ready, decode_response, encode_prompt, end_tokens
from azr_platform.rollout.weights import with_addition


class _Layer(NamedTuple):
    """Matrices as they are multiplied from the right; those after a norm have its weight in them."""

    qkv: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor


Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class StaticEngine:
    """Samples from a snapshot of a ``LlamaForCausalLM`` without biases; ``refresh`` renews the snapshot.

    The snapshot is float32 on the CPU, wherever and in whatever format the model trains.

    Raises:
        ValueError: the model is not of that architecture.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, batch: int, max_tokens: int, temperature: float, chat: bool = False
    ) -> None:
        config = model.config
        if config.model_type != "llama" or config.attention_bias or config.mlp_bias:
            raise ValueError(
                f"the static engine samples Llama models without biases, not {config.model_type}: "
                'set model.engine = "transformers"'
            )
        if config.hidden_act != "silu":
            raise ValueError(f'the static engine knows no {config.hidden_act}: set model.engine = "transformers"')
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._chat = chat
        self._end = end_tokens(model, tokenizer)
        self._ends_V = torch.zeros(config.vocab_size, dtype=torch.bool)
        self._ends_V[self._end] = True
        self._heads = config.num_attention_heads
        self._kv_heads = config.num_key_value_heads
        self._head_size = config.head_dim
        self._epsilon = config.rms_norm_eps
        self._version = 0
        self._snap()

    def encode(self, prompt: str) -> list[int]:
        return encode_prompt(self._tokenizer, prompt, chat=self._chat)

    def rest(self) -> None:
        """It holds nothing but its copy of the weights between two batches."""

    def refresh(self) -> None:
        self._snap()
        self._version += 1

    def close(self) -> None:
        """Its memory goes with it."""

    @torch.no_grad()
    def _snap(self) -> None:
        """Copy the model's weights, as they are multiplied with."""
        inner = self._model.model
        self._layers = []
        for layer in inner.layers:
            attention, mlp = layer.self_attn, layer.mlp
            # Attention's scale goes into the queries, once instead of at every token.
            query = self._paired(with_addition(attention.q_proj).float()) / math.sqrt(self._head_size)
            key = self._paired(with_addition(attention.k_proj).float())
            qkv = torch.cat([query, key, with_addition(attention.v_proj).float()])
            gate_up = torch.cat([with_addition(mlp.gate_proj), with_addition(mlp.up_proj)]).float()
            self._layers.append(
                _Layer(
                    _copy((qkv * layer.input_layernorm.weight.float()).t()),
                    _copy(with_addition(attention.o_proj).t()),
                    _copy((gate_up * layer.post_attention_layernorm.weight.float()).t()),
                    _copy(with_addition(mlp.down_proj).t()),
                )
            )
        self._embedding = _copy(inner.embed_tokens.weight)
        self._unembedding = _copy((self._model.lm_head.weight.float() * inner.norm.weight.float()).t())
        positions = torch.arange(self._model.config.max_position_embeddings).float()
        angles = torch.outer(positions, inner.rotary_emb.inv_freq.float().cpu())
        self._turns = torch.polar(torch.full_like(angles, inner.rotary_emb.attention_scaling), angles)

    def _paired(self, weight: Tensor) -> Tensor:
        """A query or key matrix with the two halves of each head interleaved: a rotation turns a number of the first
        half with one of the second, and as neighbours they are one complex number."""
        return weight.view(-1, 2, self._head_size // 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        encoded = [self.encode(prompt) for prompt in prompts]
        longest = max(map(len, encoded), default=0)
        if longest >= len(self._turns):
            raise ValueError(
                f"a prompt of {longest} tokens leaves no room in the model's {len(self._turns)} positions: "
                f"set model.max_prompt_tokens below that"
            )
        order = sorted(range(len(prompts)), key=lambda index: (len(encoded[index]), index))
        generator = torch.Generator().manual_seed(seed)
        results: list[list[Completion]] = [[] for _ in prompts]
        group_size = max(1, self._batch // samples)
        done = 0
        for start in range(0, len(order), group_size):
            group = order[start : start + group_size]
            for place, completions in self._sample([encoded[index] for index in group], samples, generator):
                results[group[place]] = completions
                done += samples
                if ready is not None:
                    ready(group[place], completions)
                if progress is not None:
                    progress(done, len(order) * samples)
        return results

    def _sample(
        self, prompts: Sequence[list[int]], samples: int, generator: torch.Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """(a prompt's place, its samples), each as soon as the last of them has ended."""
        lengths_U = torch.tensor([len(prompt) for prompt in prompts])
        longest = int(lengths_U.max())
        limit = min(self._max_tokens, len(self._turns) - longest)
        cache = _Cache(lengths_U, samples, limit, self._kv_heads, self._head_size, len(self._layers))
        logits_BV = self._prefill(prompts, lengths_U, longest, cache).repeat_interleave(samples, 0)

        rows = len(prompts) * samples
        alive_B = torch.ones(rows, dtype=torch.bool)
        tokens_BS = torch.zeros(rows, limit, dtype=torch.long)
        log_probs_BS = torch.zeros(rows, limit)
        counts = [limit] * rows
        missing = [samples] * len(prompts)
        living = rows

        def completions(prompt: int) -> list[Completion]:
            own = slice(prompt * samples, (prompt + 1) * samples)
            several = zip(tokens_BS[own].tolist(), log_probs_BS[own].tolist(), counts[own], strict=True)
            return [self._completion(tokens[:count], log_probs[:count]) for tokens, log_probs, count in several]

        for step in range(limit):
            log_probs_BV = torch.log_softmax(logits_BV / self._temperature, dim=-1)
            next_B = _draw(log_probs_BV, generator)
            # Rows that have ended and are not dropped yet run on; what they say after their end is not looked at.
            tokens_BS[cache.row_B, step] = next_B
            log_probs_BS[cache.row_B, step] = log_probs_BV.gather(1, next_B[:, None])[:, 0]
            ended_B = alive_B & self._ends_V[next_B]
            ended = cache.row_B[ended_B].tolist()
            for row in ended:
                counts[row] = step + 1
                missing[row // samples] -= 1
                if not missing[row // samples]:
                    yield row // samples, completions(row // samples)
            living -= len(ended)
            if step == limit - 1 or not living:
                break
            if ended:
                alive_B = alive_B & ~ended_B
            if living < 0.75 * len(alive_B):  # dropping rows copies the cache, so not at every one
                kept_B = alive_B.nonzero()[:, 0]
                next_B, alive_B = next_B[kept_B], alive_B[kept_B]
                cache.keep(kept_B)
            logits_BV = self._decode(next_B, cache)
        for prompt, count in enumerate(missing):
            if count:  # cut off at the limit
                yield prompt, completions(prompt)

    def _prefill(self, prompts: Sequence[list[int]], lengths_U: Tensor, longest: int, cache: _Cache) -> Tensor:
        """Run every prompt once into the cache; returns the next token's logits_UV."""
        tokens_UP = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            tokens_UP[row, : len(prompt)] = torch.tensor(prompt)
        groups = self._heads // self._kv_heads

        def attend(layer: int, query_NHD: Tensor, key_NKD: Tensor, value_NKD: Tensor) -> Tensor:
            query, key, value = (
                x.view(*tokens_UP.shape, -1, self._head_size).transpose(1, 2) for x in (query_NHD, key_NKD, value_NKD)
            )
            cache.fill(layer, key, value)
            mixed = F.scaled_dot_product_attention(
                query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1), is_causal=True, scale=1.0
            )
            return mixed.transpose(1, 2).flatten(0, 1)

        turns_N = self._turns[:longest].repeat(len(prompts), 1)
        hidden_NE = self._forward(self._embedding[tokens_UP.flatten()], turns_N, attend)
        return self._logits(hidden_NE[torch.arange(len(prompts)) * longest + lengths_U - 1])

    def _decode(self, tokens_B: Tensor, cache: _Cache) -> Tensor:
        """Run one new token of each living row; returns the next token's logits_BV."""
        position_B = cache.advance()
        return self._logits(self._forward(self._embedding[tokens_B], self._turns[position_B], cache.attend))

    def _forward(self, hidden_NE: Tensor, turns_N: Tensor, attend: Attend) -> Tensor:
        size = (hidden_NE.shape[1],)
        queries, keys = self._heads, self._heads + self._kv_heads
        turns = turns_N[:, None]
        rows = len(hidden_NE)
        for number, layer in enumerate(self._layers):
            normed = F.rms_norm(hidden_NE, size, None, self._epsilon)
            qkv = (normed @ layer.qkv).view(rows, -1, self._head_size)
            paired = torch.view_as_complex(qkv.view(rows, -1, self._head_size // 2, 2)[:, :keys])
            qk = torch.view_as_real(paired * turns).view(rows, keys, self._head_size)
            mixed = attend(number, qk[:, :queries], qk[:, queries:], qkv[:, keys:])
            hidden_NE = torch.addmm(hidden_NE, mixed.reshape(rows, -1), layer.out)
            gate, up = (F.rms_norm(hidden_NE, size, None, self._epsilon) @ layer.gate_up).chunk(2, dim=-1)
            hidden_NE = torch.addmm(hidden_NE, F.silu(gate).mul_(up), layer.down)
        return hidden_NE

    def _logits(self, hidden_BE: Tensor) -> Tensor:
        return F.rms_norm(hidden_BE, (hidden_BE.shape[1],), None, self._epsilon) @ self._unembedding

    def _completion(self, tokens: list[int], log_probs: list[float]) -> Completion:
        text = decode_response(self._tokenizer, tokens, self._end)
        return Completion(tokens, log_probs, text, bool(tokens) and tokens[-1] in self._end, self._version)


class _Cache:
    """Keys and values of all living rows, in memory taken once. Rows share slots; prompts shorter than the longest
    leave a gap, which the bias masks."""

    def __init__(self, lengths_U: Tensor, samples: int, limit: int, kv_heads: int, head_size: int, layers: int) -> None:
        longest, rows = int(lengths_U.max()), len(lengths_U) * samples
        self.row_B = torch.arange(rows)
        """Which of the rows at first each row is."""
        self._samples = samples
        self._used = longest
        self._position_B = lengths_U.repeat_interleave(samples) - 1
        # Not cleared: every slot is written before it is read.
        self._keys = [torch.empty(rows, kv_heads, longest + limit, head_size) for _ in range(layers)]
        self._values = [torch.empty(rows, kv_heads, longest + limit, head_size) for _ in range(layers)]
        bias_US = torch.zeros(len(lengths_U), longest + limit)
        bias_US[:, :longest].masked_fill_(torch.arange(longest) >= lengths_U[:, None], float("-inf"))
        self._bias = bias_US.repeat_interleave(samples, 0)[:, None, None]

    def fill(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Keep a layer's keys and values of the prompts, [U, K, P, D], for all their samples."""
        for cache, new in ((self._keys[layer], key), (self._values[layer], value)):
            cache.view(len(new), self._samples, *cache.shape[1:])[:, :, :, : self._used] = new[:, None]

    def keep(self, rows_B: Tensor) -> None:
        """Forget all but these rows."""
        self.row_B, self._position_B, self._bias = self.row_B[rows_B], self._position_B[rows_B], self._bias[rows_B]
        for caches in (self._keys, self._values):
            for number, cache in enumerate(caches):
                caches[number] = kept = cache[: len(rows_B)]
                kept[:, :, : self._used] = cache[rows_B, :, : self._used]

    def advance(self) -> Tensor:
        """Open the next slot for every row; returns the rows' positions, for the rotary angles."""
        self._used += 1
        self._position_B = self._position_B + 1
        return self._position_B

    def attend(self, layer: int, query_BHD: Tensor, key_BKD: Tensor, value_BKD: Tensor) -> Tensor:
        """Take in the new token's key and value; mix what the token sees."""
        used = self._used
        self._keys[layer][:, :, used - 1], self._values[layer][:, :, used - 1] = key_BKD, value_BKD
        keys, values = self._keys[layer][:, :, :used], self._values[layer][:, :, :used]
        query = query_BHD.view(len(keys), keys.shape[1], -1, keys.shape[3])
        weights = torch.matmul(query, keys.transpose(-1, -2)).add_(self._bias[..., :used]).softmax(-1)
        return torch.matmul(weights, values)


def _draw(log_probs_BV: Tensor, generator: torch.Generator) -> Tensor:
    """A token of each row: the first whose cumulated probability is beyond a uniform draw. One of probability 0
    never is."""
    cumulated_BV = log_probs_BV.exp().cumsum(-1)
    # A draw is below 1, and its product with the total rounds to less than the total.
    draw_B = torch.rand(len(log_probs_BV), 1, generator=generator) * cumulated_BV[:, -1:]
    return torch.searchsorted(cumulated_BV, draw_B, right=True)[:, 0]


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().to("cpu", torch.float32, copy=True).contiguous()
