"""Log-probabilities and entropies of chosen tokens, without holding the logits of all tokens at once.

```
hidden_TE ─► chunks of tokens ─► logits_CV ─► log-probability of each target, entropy      (logits are let go)
backward:    the same chunks   ─► logits_CV again, from the saved log-sum-exp ─► gradients of hidden_TE and weight_VE
```
A vocabulary is large beside a model: the logits of 16,384 tokens over 151,936 words are 10 GB in float32, and autograd
keeps several copies. Here memory is that of one chunk. The projection is computed twice for it.

Shape suffixes: T = tokens, C = tokens of a chunk, E = hidden size, V = vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 the field's usual name
from torch import Tensor
from torch.autograd.function import once_differentiable


class UnknownHead(ValueError):
    """A model makes its logits in a way that is not known here."""


class Head(NamedTuple):
    """From hidden states to logits: softcap * tanh(scale * (hidden weight^T + bias) / softcap); weight_VE, bias_V."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float = 0.0
    """0: none."""

    def logits(self, hidden_TE: Tensor) -> Tensor:
        """Float32 logits_TV."""
        logits_TV = F.linear(hidden_TE, self.weight, self.bias).float()
        if self.scale != 1.0:
            logits_TV = logits_TV * self.scale
        if self.softcap:
            logits_TV = torch.tanh(logits_TV / self.softcap) * self.softcap
        return logits_TV


def head_of(model: Any) -> Head:
    """The head of a causal language model of the library's; the weight may be the embedding's, too.

    Raises:
        UnknownHead: it has no linear head.
    """
    linear = model.get_output_embeddings()
    if not isinstance(linear, torch.nn.Linear):
        raise UnknownHead(f"a {type(model).__name__} has no linear output layer")

    def setting(name: str, otherwise: float) -> float:
        return float(getattr(model.config, name, None) or otherwise)

    scale = setting("logit_scale", 1.0) / setting("logits_scaling", 1.0)
    return Head(linear.weight, linear.bias, scale, setting("final_logit_softcapping", 0.0))


@torch.no_grad()
def check_head(model: Any) -> None:
    """Compare what ``head_of`` makes of a few tokens with the model's own logits.

    Raises:
        UnknownHead: they differ: log-probabilities would be another model's.
    """
    tokens = torch.arange(1, 5, device=next(model.parameters()).device)[None] % model.config.vocab_size
    own = model(input_ids=tokens, use_cache=False).logits.float()
    ours = head_of(model).logits(model.base_model(input_ids=tokens, use_cache=False).last_hidden_state)
    if own.shape != ours.shape or not torch.allclose(own, ours, rtol=0.01, atol=0.01 * float(own.abs().max())):
        raise UnknownHead(f"the logits of a {type(model).__name__} are not its output layer's of its last hidden state")


def log_probs_of(
    head: Head, hidden_TE: Tensor, targets_T: Tensor, *, temperature: float, entropy: bool, chunk: int = 0
) -> tuple[Tensor, Tensor]:
    """(log-probabilities_T, entropies_T in nats) of the targets at a temperature, float32, differentiable once.

    ``chunk`` tokens at a time; 0 means all at once. Entropies are zeros unless asked for.
    """
    if not chunk:
        return _plain(head, hidden_TE, targets_T, temperature, entropy)
    log_probs_T, entropies_T = _Chunked.apply(  # type: ignore[no-untyped-call]
        hidden_TE, head.weight, head.bias, targets_T, (head.scale, head.softcap, temperature, entropy, chunk)
    )
    return log_probs_T, entropies_T


def _plain(
    head: Head, hidden_TE: Tensor, targets_T: Tensor, temperature: float, entropy: bool
) -> tuple[Tensor, Tensor]:
    log_probs_TV = torch.log_softmax(head.logits(hidden_TE) / temperature, dim=-1)
    log_probs_T = log_probs_TV.gather(1, targets_T[:, None])[:, 0]
    if entropy:
        return log_probs_T, -(log_probs_TV.exp() * log_probs_TV).sum(-1)
    return log_probs_T, torch.zeros_like(log_probs_T)


class _Chunked(torch.autograd.Function):
    """With z the logits over the temperature, p = softmax(z) and H the entropy:

    d log p_t / d z = onehot_t - p        d H / d z = -p * (log p + H)
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_TE: Tensor,
        weight_VE: Tensor,
        bias_V: Tensor | None,
        targets_T: Tensor,
        settings: tuple[float, float, float, bool, int],
    ) -> tuple[Tensor, Tensor]:
        scale, softcap, temperature, entropy, chunk = settings
        head = Head(weight_VE, bias_V, scale, softcap)
        total_T, chosen_T, entropies_T = (
            torch.zeros(len(targets_T), dtype=torch.float32, device=hidden_TE.device) for _ in range(3)
        )
        for start in range(0, len(targets_T), chunk):
            part = slice(start, start + chunk)
            z_CV = head.logits(hidden_TE[part]).div_(temperature)
            total_T[part] = torch.logsumexp(z_CV, dim=-1)
            chosen_T[part] = z_CV.gather(1, targets_T[part, None])[:, 0]
            if entropy:
                log_probs_CV = z_CV.sub_(total_T[part, None])
                entropies_T[part] = -(log_probs_CV.exp() * log_probs_CV).sum(-1)
        ctx.save_for_backward(hidden_TE, weight_VE, bias_V, targets_T, total_T, entropies_T)
        ctx.settings = settings
        return chosen_T - total_T, entropies_T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_T: Tensor, entropy_grad_T: Tensor) -> tuple[Tensor | None, ...]:
        hidden_TE, weight_VE, bias_V, targets_T, total_T, entropies_T = ctx.saved_tensors
        scale, softcap, temperature, entropy, chunk = ctx.settings
        head = Head(weight_VE, bias_V, scale, softcap)
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        hidden_grad_TE = torch.empty_like(hidden_TE) if wants_hidden else None
        # Summed in float32: with many chunks a sum in bfloat16 would lose the small ones.
        weight_grad_VE = torch.zeros_like(weight_VE, dtype=torch.float32) if wants_weight else None
        bias_grad_V = torch.zeros_like(bias_V, dtype=torch.float32) if wants_bias else None
        for start in range(0, len(targets_T), chunk):
            part = slice(start, start + chunk)
            logits_CV = head.logits(hidden_TE[part])
            log_probs_CV = (logits_CV / temperature).sub_(total_T[part, None])
            p_CV = log_probs_CV.exp()
            slope_CV = p_CV * -grad_T[part, None]
            slope_CV[torch.arange(len(slope_CV), device=slope_CV.device), targets_T[part]] += grad_T[part]
            if entropy:
                slope_CV -= log_probs_CV.add_(entropies_T[part, None]).mul_(p_CV).mul_(entropy_grad_T[part, None])
            if softcap:
                slope_CV *= 1.0 - (logits_CV / softcap) ** 2
            slope_CV = slope_CV.mul_(scale / temperature).to(weight_VE.dtype)
            if hidden_grad_TE is not None:
                torch.mm(slope_CV, weight_VE, out=hidden_grad_TE[part])
            if weight_grad_VE is not None:
                weight_grad_VE += slope_CV.t() @ hidden_TE[part]
            if bias_grad_V is not None:
                bias_grad_V += slope_CV.sum(0)
        if weight_grad_VE is not None:
            weight_grad_VE = weight_grad_VE.to(weight_VE.dtype)
        if bias_grad_V is not None:
            bias_grad_V = bias_grad_V.to(bias_V.dtype)
        return hidden_grad_TE, weight_grad_VE, bias_grad_V, None, None
