"""The words that a finding is about, with the sentence around them."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from azr_platform.ledger.records import FindingRow, SampleDetail

_AROUND: Final = 240
"""Characters before and after the words, at most."""
_WORDS: Final = 400
_END: Final = re.compile(r"[.!?…]['\")\]]*\s|\n|[。！？]")
"""Where a sentence of prose ends; a line of a program ends where it ends."""


class Quote(msgspec.Struct, frozen=True):
    """``words`` of the ``part`` that a finding is about, and what stands before and after them in the same sentence.
    ``start`` is where the words begin. A model wrote all of it: make it inert wherever it is shown."""

    part: str
    start: int
    before: str
    words: str
    after: str


def quote(detail: SampleDetail, finding: FindingRow | None) -> Quote:
    """The finding's words. Without a place in a text, or without a finding, how the text begins."""
    part = "trace" if finding is None else finding.part
    text = part_of(detail, part)
    start = None if finding is None else finding.span_start
    end = None if finding is None else finding.span_end
    if start is None or end is None or not 0 <= start < end <= len(text):
        whole = text or detail.response or ""
        return Quote(part, 0, "", whole[:_AROUND].lstrip(), "")
    left, right = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    ends = [match.end() for match in _END.finditer(left)]
    stop = _END.search(right)
    before, after = left[ends[-1] if ends else 0 :], right[: stop.end() if stop else len(right)]
    return Quote(part, start, before.lstrip(), text[start : min(end, start + _WORDS)], after.rstrip())


def part_of(detail: SampleDetail, part: str) -> str:
    """The text that the spans of findings on a part count in (``Subject.text`` of the gate); empty for behaviour."""
    texts = {
        "program": detail.program,
        "trace": detail.reasoning,
        "message": detail.message,
        "input": detail.input,
        "answer": detail.answer,
    }
    return texts.get(part) or ""
