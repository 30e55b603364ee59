"""What loading a policy does beyond the library's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from azr_platform.config.schema import ModelConfig
from azr_platform.rollout.engine import encode_prompt
from azr_platform.trainer.model import ModelUnavailable, load_policy

PROMPT = "write <think> and </think>"


@pytest.fixture
def folder(tmp_path: Path, policy: Callable[..., Any]) -> Path:
    """A model whose tokenizer has Qwen3's added tokens: ``<think>`` is one of them, and no special one."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    bpe.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>").save_pretrained(tmp_path)
    policy().save_pretrained(tmp_path)
    return tmp_path


def test_tokens_that_were_never_trained_are_spelled_out_in_prompts(folder: Path) -> None:
    _, plain = load_policy(ModelConfig(path=str(folder), dtype="float32"))
    _, tokenizer = load_policy(ModelConfig(path=str(folder), dtype="float32", spell_out="<think> </think>"))
    think = plain.convert_tokens_to_ids("<think>")
    assert think in encode_prompt(plain, PROMPT, chat=False)  # the trap
    tokens = encode_prompt(tokenizer, PROMPT, chat=False)
    assert max(tokens) < 256
    assert tokenizer.decode(tokens) == PROMPT
    assert tokenizer.decode([think]) == "<think>"  # as a response may have it


def test_a_saved_tokenizer_spells_out_as_well(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_policy(ModelConfig(path=str(folder), dtype="float32", spell_out="<think>"))
    again = tmp_path / "again"
    model.save_pretrained(again)
    tokenizer.save_pretrained(again)
    _, loaded = load_policy(ModelConfig(path=str(again), dtype="float32", spell_out="<think>"))
    assert encode_prompt(loaded, PROMPT, chat=False) == encode_prompt(tokenizer, PROMPT, chat=False)


def test_a_token_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"model\.spell_out: '<thought>' is not a token"):
        load_policy(ModelConfig(path=str(folder), dtype="float32", spell_out="<think> <thought>"))


def test_an_attention_that_is_not_installed_is_refused_in_one_line(folder: Path) -> None:
    pytest.importorskip("torch")
    try:
        import flash_attn  # noqa: F401
    except ImportError:
        with pytest.raises(ModelUnavailable, match=r"model\.path = .*lash"):
            load_policy(ModelConfig(path=str(folder), attention="flash_attention_2"))
    else:
        pytest.skip("flash attention is installed here")
