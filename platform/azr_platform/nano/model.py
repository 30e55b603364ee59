"""Where the embedded model lies and what it is.

The shipped folder is an ordinary one: ``AutoModelForCausalLM.from_pretrained(weights_path())`` and
``AutoTokenizer.from_pretrained(weights_path())`` load it without a network. Prompts are tokenized with special
tokens (``<bos>`` in front), there is no chat template, and a response ends in ``<eos>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

HIDDEN: Final = 96
LAYERS: Final = 4
HEADS: Final = 4
FEED_FORWARD: Final = 256
POSITIONS: Final = 512
MAX_NEW_TOKENS: Final = 160
"""A response of the embedded model fits in this many tokens."""


def weights_path() -> Path:
    """The folder with the shipped weights and tokenizer.

    Raises FileNotFoundError when the weights are not there, with the command that rebuilds them.
    """
    path = Path(__file__).with_name("weights")
    if not (path / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"{path} holds no model.safetensors; reinstall azr-platform, or rebuild the weights with "
            f"'python -m azr_platform.nano.build --out {path}'"
        )
    return path


def new_model(vocabulary: int, seed: int) -> LlamaForCausalLM:
    """A randomly initialised model for ``vocabulary`` tokens: a small standard Llama, 0.5 M parameters, fp32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from azr_platform.nano.tokenizer import BOS_ID, EOS_ID, PAD_ID

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        initializer_range=0.04,
    )
    model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    assert model.generation_config is not None
    model.generation_config.do_sample = True
    model.generation_config.temperature = 1.0
    model.generation_config.max_new_tokens = MAX_NEW_TOKENS
    return model
