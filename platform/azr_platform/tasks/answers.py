"""When two answers to a free question are the same: as literal values, or as text where they are none.

Both are cleaned first, of what does not change an answer: space around it; a wrapper of LaTeX around the whole,
``$…$``, ``\\(…\\)``, ``\\[…\\]``, ``\\boxed{…}`` or ``\\text{…}``; and, unless it is a literal with it, a full stop at
the end. Text is then compared without its case, runs of space as one. No mathematics is done: ``1/2`` is not ``0.5``.
"""

from __future__ import annotations

from typing import Final

from azr_sandbox import values

_WRAPPERS: Final = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("\\boxed{", "}"), ("\\text{", "}"))
# Nested deeper it is nobody's answer, and must not cost more than linear time.
_MAX_UNWRAPPED: Final = 8
_WORDS: Final = {"true": "True", "false": "False", "none": "None"}


def canonical(text: str) -> values.Value | str | None:
    """What stands for an answer when answers are compared or counted; None when nothing is left of it."""
    bare = _unwrapped(text.strip())
    for candidate in (bare, bare.removesuffix(".").rstrip()):
        try:
            return values.parse(_WORDS.get(candidate.casefold(), candidate))
        except values.NotALiteral:
            continue
    return " ".join(bare.removesuffix(".").split()).casefold() or None


def same_answer(a: str, b: str) -> bool:
    """Whether two answers are the same. One of which nothing is left is the same as none."""
    found = canonical(a)
    return found is not None and found == canonical(b)


def _unwrapped(text: str) -> str:
    for _ in range(_MAX_UNWRAPPED):
        inner = next((inner for pair in _WRAPPERS if (inner := _inside(text, *pair)) is not None), None)
        if inner is None:
            break
        text = inner.strip()
    return text


def _inside(text: str, opening: str, closing: str) -> str | None:
    """What one pair encloses, when it encloses the whole text."""
    if len(text) < len(opening) + len(closing) or not (text.startswith(opening) and text.endswith(closing)):
        return None
    inner = text[len(opening) : len(text) - len(closing)]
    if closing != "}":
        return None if opening in inner or closing in inner else inner
    depth = 0
    for character in inner:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return None
    return inner if depth == 0 else None
