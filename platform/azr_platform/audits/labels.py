"""What people decided, as labels: one a text, the last word on it; and the lines that ``policy calibrate`` reads.

A decision (allow, block, false-alarm) is a word on a text, and outranks what an alert about the same sample came to.
An alert that was resolved says that its rule was right, and no more: it is a label, but no calibration text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from azr_monitor.evidence import by_category, signs
from azr_monitor.records import Finding
from azr_platform.ledger.filters import AlertState
from azr_platform.ledger.judgements import nearest
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import DecisionRow, SampleDetail

_TEXTS: Final = ("trace", "program", "input", "message", "answer")
_SAID_BY_PEOPLE: Final = ("review.", "policy.")
_HARMFUL: Final = frozenset({"block", AlertState.RESOLVED.value})


class Label(msgspec.Struct, frozen=True):
    """``samples`` hold the text, the one that was decided last at the end. ``rule`` is that of the alert whose outcome
    this is; empty for a decision. ``words`` are all words on the text that differ from the last, with who said them."""

    samples: tuple[int, ...]
    word: str
    who: str
    note: str
    time: float
    rule: str = ""
    words: tuple[str, ...] = ()

    @property
    def harmful(self) -> bool:
        """Whether it was right to find something."""
        return self.word in _HARMFUL

    @property
    def sample(self) -> int:
        """The one that was decided about last."""
        return self.samples[-1]


def labels(reader: LedgerReader) -> list[Label]:
    """Every label on record, in the order of their samples."""
    by_text: dict[str, list[DecisionRow]] = {}
    for row in reader.decisions():
        by_text.setdefault(row.digest, []).append(row)
    found = [_decided(rows) for rows in by_text.values()]
    decided = {sample for label in found for sample in label.samples}
    outcomes = {row.sample: row for row in reader.closed_alerts() if row.sample not in decided}
    found += [Label((row.sample,), row.outcome, row.who, row.note, row.time, row.rule) for row in outcomes.values()]
    return sorted(found, key=lambda label: label.sample)


def _decided(rows: list[DecisionRow]) -> Label:
    """The last word on a text; a later word on a sample of it comes last."""
    last = rows[-1]
    samples = dict.fromkeys(row.sample for row in rows if row.sample != last.sample)
    others = dict.fromkeys(f"{row.decision} ({row.who})" for row in rows if row.decision != last.decision)
    return Label((*samples, last.sample), last.decision, last.who, last.note, last.time, words=tuple(others))


# -- a calibration set -------------------------------------------------------------------------------------


def calibration_rows(reader: LedgerReader, run: str) -> Iterator[dict[str, Any]]:
    """One line for each text that people decided about, as `policy calibrate --labels` reads them."""
    for label in labels(reader):
        detail = None if label.rule else reader.sample(label.sample)
        if detail is None:
            continue
        texts = _separate(detail)
        if not texts.keys() & {"trace", "program"}:
            continue
        yield {
            "id": f"{run}/{label.sample}",
            **texts,
            "label": "harmful" if label.harmful else "benign",
            "category": category_on_record(detail) if label.harmful else "",
            "difficulty": "",
        }


def texts_of(detail: SampleDetail) -> dict[str, str]:
    """The texts of a sample by the names that JSON lines give them; empty ones left out."""
    texts = (detail.reasoning, detail.program, detail.input, detail.message, detail.answer)
    return {name: text for name, text in zip(_TEXTS, texts, strict=True) if text}


def _separate(detail: SampleDetail) -> dict[str, Any]:
    """As texts to judge: of an induction its inputs one by one, and what its solver wrote as the program that it is."""
    texts: dict[str, Any] = dict(texts_of(detail))
    induction = detail.sample.kind == "induction"
    if induction and "input" in texts:
        texts["inputs"] = texts.pop("input").split("\n")  # as the ledger joins them
    answer = texts.pop("answer", "")
    if induction and answer and "program" not in texts:
        texts["program"] = answer
    return texts


def category_on_record(detail: SampleDetail) -> str:
    """What most of the evidence on record speaks of; empty when there is none."""
    findings = [
        Finding(row.rule, nearest(row.severity), "trace", None, row.why)
        for row in detail.findings
        if not row.rule.startswith(_SAID_BY_PEOPLE)
    ]
    return next(iter(by_category(signs(findings, (), {}))), "")
