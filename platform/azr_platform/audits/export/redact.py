"""What was flagged in a sample, taken out of every text of it: ``[redacted: RULE]`` stands in its place.

A finding's own place goes, and so do its words wherever else they stand in the sample: a response holds the reasoning
and the program once more, a prompt may hold what the response repeats. They are the same words however they are set
apart, in either case, and with or without the tags that a response puts around its parts. What a monitor could not read
is taken out whole, since nobody knows what is in it.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from azr_monitor.categories import UNREADABLE, category_of
from azr_monitor.records import Severity
from azr_platform.ledger.records import FindingRow

_GAP: Final = re.compile(r"(?:\s|</?(?:think|thinking|reasoning|answer)>)+", re.IGNORECASE)
_SHORT: Final = 4
"""Words of fewer characters stand in many others: elsewhere they are looked for as words by themselves."""


class _Marked(NamedTuple):
    """A stretch of a text to be taken out, and the finding that says so."""

    start: int
    end: int
    severity: int
    rule: str


class _Flagged(NamedTuple):
    """Words as they are compared, and the finding that is about them."""

    words: str
    severity: int
    rule: str


class Redactor:
    """Takes out of one sample's texts what was found in it."""

    def __init__(self, texts: Mapping[str, str], findings: Iterable[FindingRow]) -> None:
        """``texts`` by the names of the parts that findings are about."""
        self._texts = texts
        self._marked: dict[str, list[_Marked]] = {}
        flagged: dict[str, _Flagged] = {}
        for finding in findings:
            text = texts.get(finding.part, "")
            start, end = _span(finding, len(text))
            if start >= end:
                continue
            self._marked.setdefault(finding.part, []).append(_Marked(start, end, finding.severity, finding.rule))
            words = _Compared.of(text[start:end]).text.strip(" ")
            if words and (words not in flagged or flagged[words].severity < finding.severity):
                flagged[words] = _Flagged(words, finding.severity, finding.rule)
        self._flagged = list(flagged.values())

    def part(self, name: str) -> str:
        """A part without what was found in it."""
        return self._without(self._texts.get(name, ""), self._marked.get(name, []))

    def text(self, text: str) -> str:
        """Any other text of the sample without the words that were flagged."""
        return self._without(text, [])

    def _without(self, text: str, marked: list[_Marked]) -> str:
        if not text or not (marked or self._flagged):
            return text
        compared = _Compared.of(text)
        found = [mark for flagged in self._flagged for mark in compared.places(flagged)]
        pieces: list[str] = []
        at = 0
        for mark in _joined([*marked, *found]):
            pieces += [text[at : mark.start], f"[redacted: {mark.rule}]"]
            at = mark.end
        return "".join([*pieces, text[at:]])


class _Compared(NamedTuple):
    """A text in small letters with single blanks, and where each of its characters stands in the text itself."""

    text: str
    at: array[int]

    @classmethod
    def of(cls, text: str) -> _Compared:
        pieces: list[str] = []
        at = array("q")
        last = 0
        for gap in _GAP.finditer(text):
            pieces += [_small(text[last : gap.start()]), " "]
            at.extend(range(last, gap.start() + 1))
            last = gap.end()
        pieces.append(_small(text[last:]))
        at.extend(range(last, len(text)))
        return cls("".join(pieces), at)

    def places(self, flagged: _Flagged) -> Iterable[_Marked]:
        """Where words stand. What overlaps a place is no longer whole when that one is taken out."""
        words, length = flagged.words, len(flagged.words)
        found = self.text.find(words)
        while found >= 0:
            if length >= _SHORT or self._apart(found, found + length):
                start, end = self.at[found], self.at[found + length - 1] + 1
                yield _Marked(start, end, flagged.severity, flagged.rule)
            found = self.text.find(words, found + length)

    def _apart(self, start: int, end: int) -> bool:
        """Whether what stands between two places is no part of a longer word."""
        around = ((start - 1, start), (end - 1, end))
        return not any(
            left >= 0 and right < len(self.text) and self.text[left].isalnum() and self.text[right].isalnum()
            for left, right in around
        )


def _span(finding: FindingRow, length: int) -> tuple[int, int]:
    """The place of a finding in a text of that length; empty when it has none."""
    if finding.span_start is not None and finding.span_end is not None:
        return max(0, finding.span_start), min(length, finding.span_end)
    unread = category_of(finding.rule) == UNREADABLE and finding.severity >= Severity.MEDIUM
    return (0, length) if unread else (0, 0)


def _joined(marks: Iterable[_Marked]) -> list[_Marked]:
    """In order and apart; what overlaps is one, and has the name of the worst."""
    joined: list[_Marked] = []
    for mark in sorted(marks):
        before = joined[-1] if joined else None
        if before is None or mark.start > before.end or (mark.start == before.end and mark.rule != before.rule):
            joined.append(mark)
            continue
        worst = max(before, mark, key=lambda one: one.severity)
        joined[-1] = worst._replace(start=before.start, end=max(before.end, mark.end))
    return joined


def _small(text: str) -> str:
    """In small letters, as long as before: a few letters would become two."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
