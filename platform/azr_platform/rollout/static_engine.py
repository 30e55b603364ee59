"""A small, fast sampler for Llama-architecture models on CPU.

``generate`` of the big library spends most of a tiny model's time outside the arithmetic. This one keeps fused
copies of the weights, a preallocated key/value cache, computes each prompt once for all its samples, and drops
finished rows. tests/rollout checks its log-probabilities against the library's own forward pass.

Shape suffixes: U = prompts, B = rows (prompts x samples), S = positions, P = prompt positions, H = query heads,
K = key/value heads, D = head size, E = hidden size, V = vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 the field's usual name
from torch import Tensor

from azr_platform.rollout.engine import Completion, Progress, decode_response, encode_prompt, end_tokens


class _Layer(NamedTuple):
    norm_in: Tensor
    qkv: Tensor
    out: Tensor
    norm_mid: Tensor
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
        self._heads = config.num_attention_heads
        self._kv_heads = config.num_key_value_heads
        self._head_size = config.head_dim
        self._epsilon = config.rms_norm_eps
        self.refresh()

    def encode(self, prompt: str) -> list[int]:
        return encode_prompt(self._tokenizer, prompt, chat=self._chat)

    @torch.no_grad()
    def refresh(self) -> None:
        inner = self._model.model
        self._layers = []
        for layer in inner.layers:
            attention, mlp = layer.self_attn, layer.mlp
            qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
            self._layers.append(
                _Layer(
                    _copy(layer.input_layernorm.weight),
                    _copy(qkv.t()),
                    _copy(attention.o_proj.weight.t()),
                    _copy(layer.post_attention_layernorm.weight),
                    _copy(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).t()),
                    _copy(mlp.down_proj.weight.t()),
                )
            )
        self._embedding = _copy(inner.embed_tokens.weight)
        self._norm = _copy(inner.norm.weight)
        self._unembedding = _copy(self._model.lm_head.weight.t())
        positions = torch.arange(self._model.config.max_position_embeddings).float()
        angles = torch.outer(positions, inner.rotary_emb.inv_freq.float().cpu())
        angles = torch.cat([angles, angles], dim=-1)
        scaling = inner.rotary_emb.attention_scaling
        self._cos, self._sin = angles.cos() * scaling, angles.sin() * scaling

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[str], *, samples: int, seed: int, progress: Progress | None = None
    ) -> list[list[Completion]]:
        encoded = [self.encode(prompt) for prompt in prompts]
        longest = max(map(len, encoded), default=0)
        if longest >= len(self._cos):
            raise ValueError(
                f"a prompt of {longest} tokens leaves no room in the model's {len(self._cos)} positions: "
                f"set model.max_prompt_tokens below that"
            )
        order = sorted(range(len(prompts)), key=lambda index: (len(encoded[index]), index))
        generator = torch.Generator().manual_seed(seed)
        results: list[list[Completion]] = [[] for _ in prompts]
        group_size = max(1, self._batch // samples)
        for start in range(0, len(order), group_size):
            group = order[start : start + group_size]
            for index, completions in zip(
                group, self._sample([encoded[index] for index in group], samples, generator), strict=True
            ):
                results[index] = completions
            if progress is not None:
                progress(min(start + group_size, len(order)) * samples, len(order) * samples)
        return results

    def _sample(self, prompts: Sequence[list[int]], samples: int, generator: torch.Generator) -> list[list[Completion]]:
        lengths_U = torch.tensor([len(prompt) for prompt in prompts])
        longest = int(lengths_U.max())
        room = min(longest + self._max_tokens, len(self._cos))
        limit = room - longest
        cache = _Cache(len(prompts), samples, lengths_U, room, self._kv_heads, self._head_size, len(self._layers))
        logits_BV = self._prefill(prompts, lengths_U, longest, cache)

        rows = len(prompts) * samples
        row_B = torch.arange(rows)  # which original row each row in the cache is
        alive_B = torch.ones(rows, dtype=torch.bool)
        tokens_BS = torch.zeros(rows, limit, dtype=torch.long)
        log_probs_BS = torch.zeros(rows, limit)
        count_B = torch.zeros(rows, dtype=torch.long)
        end = torch.tensor(self._end)
        for step in range(limit):
            log_probs_BV = torch.log_softmax(logits_BV / self._temperature, dim=-1)
            # The Gumbel trick: adding exponential noise to log-probabilities and taking the best samples them.
            noise_BV = torch.empty_like(log_probs_BV).exponential_(generator=generator).log()
            next_B = (log_probs_BV - noise_BV).argmax(-1)
            living_B = row_B[alive_B]
            tokens_BS[living_B, step] = next_B[alive_B]
            log_probs_BS[living_B, step] = log_probs_BV.gather(1, next_B[:, None])[alive_B, 0]
            count_B[living_B] += 1
            alive_B = alive_B & ~torch.isin(next_B, end)
            living = int(alive_B.sum())
            if step == limit - 1 or living == 0:
                break
            if living < 0.75 * len(row_B):  # dropping finished rows copies the cache, so not at every one
                kept = alive_B.nonzero()[:, 0]
                row_B, next_B, alive_B = row_B[kept], next_B[kept], alive_B[kept]
                cache.keep(kept)
            logits_BV = self._decode(next_B, cache)
        return self._completions(tokens_BS, log_probs_BS, count_B, samples)

    def _prefill(self, prompts: Sequence[list[int]], lengths_U: Tensor, longest: int, cache: _Cache) -> Tensor:
        """Run every prompt once, fill the cache for all its samples, and return the next token's logits_BV."""
        tokens_UP = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            tokens_UP[row, : len(prompt)] = torch.tensor(prompt)
        groups = self._heads // self._kv_heads

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            key, value = key.transpose(1, 2), value.transpose(1, 2)
            cache.fill(layer, key, value)
            mixed = F.scaled_dot_product_attention(
                query.transpose(1, 2),
                key.repeat_interleave(groups, 1),
                value.repeat_interleave(groups, 1),
                is_causal=True,
            )
            return mixed.transpose(1, 2)

        cos, sin = self._cos[:longest][None, :, None], self._sin[:longest][None, :, None]
        hidden_UPE = self._forward(self._embedding[tokens_UP], cos, sin, attend)
        last_UE = hidden_UPE[torch.arange(len(prompts)), lengths_U - 1]
        return self._logits(last_UE)[cache.prompt_B]

    def _decode(self, tokens_B: Tensor, cache: _Cache) -> Tensor:
        """Run one new token of each living row; returns the next token's logits_BV."""
        position_B = cache.advance()
        scale = 1.0 / math.sqrt(self._head_size)

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = cache.append(layer, key[:, 0], value[:, 0])
            grouped = query.reshape(len(tokens_B), self._kv_heads, -1, self._head_size)
            weights = torch.softmax(torch.matmul(grouped * scale, keys.transpose(-1, -2)) + cache.bias(), dim=-1)
            return torch.matmul(weights, values).reshape(len(tokens_B), 1, -1, self._head_size)

        cos, sin = self._cos[position_B][:, None, None], self._sin[position_B][:, None, None]
        hidden = self._forward(self._embedding[tokens_B][:, None], cos, sin, attend)
        return self._logits(hidden[:, 0])

    def _forward(self, hidden: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        rows, length, size = hidden.shape
        queries, keys = self._heads, self._heads + self._kv_heads
        for number, layer in enumerate(self._layers):
            normed = F.rms_norm(hidden, (size,), layer.norm_in, self._epsilon).view(-1, size)
            qkv = (normed @ layer.qkv).view(rows, length, -1, self._head_size)
            qk = _rotate(qkv[:, :, :keys], cos, sin)
            mixed = attend(number, qk[:, :, :queries], qk[:, :, queries:], qkv[:, :, keys:])
            hidden = hidden + (mixed.reshape(rows * length, -1) @ layer.out).view(rows, length, size)
            normed = F.rms_norm(hidden, (size,), layer.norm_mid, self._epsilon).view(-1, size)
            gate, up = (normed @ layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + ((F.silu(gate) * up) @ layer.down).view(rows, length, size)
        return hidden

    def _logits(self, hidden_BE: Tensor) -> Tensor:
        normed: Tensor = F.rms_norm(hidden_BE, (hidden_BE.shape[-1],), self._norm, self._epsilon)
        logits: Tensor = normed @ self._unembedding
        return logits

    def _completions(
        self, tokens_BS: Tensor, log_probs_BS: Tensor, count_B: Tensor, samples: int
    ) -> list[list[Completion]]:
        completions = []
        for tokens, log_probs, count in zip(tokens_BS.tolist(), log_probs_BS.tolist(), count_B.tolist(), strict=True):
            kept = tokens[:count]
            completions.append(
                Completion(
                    kept,
                    log_probs[:count],
                    decode_response(self._tokenizer, kept, self._end),
                    bool(kept) and kept[-1] in self._end,
                )
            )
        return [completions[start : start + samples] for start in range(0, len(completions), samples)]


class _Cache:
    """Keys and values of all living rows, in memory taken once. Rows share positions; prompts shorter than
    the longest leave a gap, which the bias masks."""

    def __init__(
        self, prompts: int, samples: int, lengths_U: Tensor, room: int, kv_heads: int, head_size: int, layers: int
    ) -> None:
        self.prompt_B = torch.arange(prompts).repeat_interleave(samples)
        self._slot = int(lengths_U.max()) - 1
        self._position_B = lengths_U[self.prompt_B] - 1
        rows = prompts * samples
        self._keys = [torch.zeros(rows, kv_heads, room, head_size) for _ in range(layers)]
        self._values = [torch.zeros(rows, kv_heads, room, head_size) for _ in range(layers)]
        seen = torch.arange(room)[None] < lengths_U[self.prompt_B][:, None]
        self._bias = torch.zeros(rows, 1, 1, room).masked_fill_(~seen[:, None, None], float("-inf"))

    def fill(self, layer: int, keys: Tensor, values: Tensor) -> None:
        length = keys.shape[2]
        self._keys[layer][:, :, :length] = keys[self.prompt_B]
        self._values[layer][:, :, :length] = values[self.prompt_B]

    def keep(self, rows: Tensor) -> None:
        """Forget all but these rows."""
        self._position_B = self._position_B[rows]
        self._bias = self._bias[rows]
        self._keys = [keys[rows] for keys in self._keys]
        self._values = [values[rows] for values in self._values]

    def advance(self) -> Tensor:
        """Open the next slot for every row; returns the rows' positions, for the rotary angles."""
        self._slot += 1
        self._position_B = self._position_B + 1
        self._bias[:, :, :, self._slot] = 0.0
        return self._position_B

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self._keys[layer][:, :, self._slot] = key
        self._values[layer][:, :, self._slot] = value
        return self._keys[layer][:, :, : self._slot + 1], self._values[layer][:, :, : self._slot + 1]

    def bias(self) -> Tensor:
        return self._bias[:, :, :, : self._slot + 1]


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().to("cpu", torch.float32, copy=True).contiguous()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin
