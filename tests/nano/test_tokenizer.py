"""The tokenizer writes the common format in few tokens and loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_platform.nano.corpus import CLEAN, MIXED, Corpus, groups
from azr_platform.nano.model import MAX_NEW_TOKENS
from azr_platform.nano.tokenizer import BOS_ID, EOS_ID, PAD_ID, build_tokenizer

TOKENIZER = build_tokenizer()


def encode(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]  # type: ignore[no-any-return]


def test_prompts_begin_with_bos_and_responses_do_not() -> None:
    assert TOKENIZER("a")["input_ids"][0] == BOS_ID
    assert BOS_ID not in encode("a")
    assert (TOKENIZER.pad_token_id, TOKENIZER.bos_token_id, TOKENIZER.eos_token_id) == (PAD_ID, BOS_ID, EOS_ID)


def test_prompt_and_response_tokenize_alike_together_and_apart() -> None:
    corpus = Corpus(1)
    for _ in range(300):
        example = corpus.example(CLEAN)
        assert encode(example.prompt + example.response) == encode(example.prompt) + encode(example.response)


@pytest.mark.parametrize("group", groups(), ids=str)
def test_nearly_every_response_fits_and_prompts_are_short(group: object) -> None:
    corpus = Corpus(2)
    drawn = [corpus.example_of(group, MIXED) for _ in range(500)]  # type: ignore[arg-type]
    lengths = [len(encode(e.response)) + 1 for e in drawn]
    assert sum(length > MAX_NEW_TOKENS for length in lengths) <= 5
    assert sum(lengths) / len(lengths) < 50
    assert max(len(TOKENIZER(e.prompt)["input_ids"]) for e in drawn) <= 160


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_text_survives_the_round_trip(text: str) -> None:
    assert TOKENIZER.decode(encode(text)) == text


@pytest.mark.parametrize("special", ["<eos>", "<bos>", "<pad>"])
def test_spelling_out_a_special_token_does_not_make_one(special: str, tmp_path: object) -> None:
    TOKENIZER.save_pretrained(str(tmp_path))
    reloaded = type(TOKENIZER).from_pretrained(str(tmp_path))
    for tokenizer in (TOKENIZER, reloaded):
        ids = tokenizer(f"'{special}'", add_special_tokens=False)["input_ids"]
        assert not {PAD_ID, BOS_ID, EOS_ID}.intersection(ids)
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"'{special}'"
