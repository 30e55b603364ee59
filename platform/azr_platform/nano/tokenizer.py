"""The embedded model's tokenizer: one token for every byte, and one for every frequent piece of text.

The pieces are those of the response format, of the grammar's programs and of its traces, so that a whole
response takes some fifty tokens while every other text can still be written byte by byte.
"""

from __future__ import annotations

from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2

_HEADERS: Final = [
    f"# {verb}\n```{block}\n"
    for verb, block in (
        ("deduce", "python"),
        ("abduce", "python"),
        ("induce", "input"),
        ("propose deduce", "python"),
        ("propose abduce", "python"),
        ("propose induce", "python"),
    )
]
_FORMAT: Final = [
    "<think>",
    "</think>\n<answer>\n",
    "</answer>",
    "\n```\n",
    "\n```\n</answer>",
    *(f"{before}```{block}\n" for block in ("python", "input", "output", "message") for before in ("", "\n```\n")),
    *(f"</think>\n<answer>\n```{block}\n" for block in ("python", "input", "output")),
]
_PROGRAM: Final = [
    "def f(x):\n    ",
    "def f(a):\n    ",
    "\n    ",
    "\n        ",
    "return ",
    "\n    return ",
    "if ",
    ":\n        ",
    "\n    else:\n        ",
    "for i in range(",
    "):\n        ",
    "[e + ",
    " for e in ",
    "len(",
    "sorted(",
    "max(",
    "min(",
    ".upper()",
    "[::-1]",
    "[1:]",
    "[:-1]",
    "[-1]",
    " = ",
    " + ",
    " - ",
    " * ",
    " > ",
    " < ",
    ", ",
]
_OPERATIONS: Final = ["plus", "minus", "times", "max", "min", "if", "loop", "rev", "sort", "app", "pre", "tail"]
_OPERATIONS_TOO: Final = ["init", "map", "len", "lmax", "first", "last", "upper", "dup", "same"]
_WORDS: Final = [*_OPERATIONS, *_OPERATIONS_TOO, "int", "list", "str"]
_TRACE: Final = [f"{before}{name}=" for name in "yzuw" for before in ("", " ")] + [" ; ", " ok", " no"]
_PIECES: Final = [*_HEADERS, *_FORMAT, *_PROGRAM, *_TRACE, *(b + w for w in _WORDS for b in ("", " "))]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A fresh tokenizer, always the same. Prompts get ``<bos>`` in front; responses end in ``<eos>``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([PAD, BOS, EOS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in (PAD, BOS, EOS)])
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=False) for piece in _PIECES])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, BOS_ID)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
        # A prompt quotes text that a model wrote; spelling out a special token must not make one.
        split_special_tokens=True,
    )
