"""What a classifier makes of the prose of a batch: which texts it reads, in windows, each text once.

batch ─► prose of the parts it reads ─► windows ─► new ones scored at once ─► values ─► findings where they pass
                                                        │
                                     raises, answers wrongly, does not score, takes too long: never silent
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from azr_monitor.classifiers.base import Classifier, Noting, OfPrograms, Pointing, Stepped, Unscored
from azr_monitor.policy import Policy
from azr_monitor.records import ASKED, FAILURE, LIMIT, SLOW, UNSCORED, Finding, Part, Severity, Subject, failure
from azr_monitor.rules.programs_texts import Spoken, spoken
from azr_monitor.rules.tree import Program, Unparsable
from azr_monitor.sections import ClassifierSettings, Limits

_MEMO = 8192
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\W\d_]{2,}"
)
"""A plain word; of scripts that set no blanks between words (Thai, Khmer, Chinese, Japanese and others), a sign."""


class Evidence(NamedTuple):
    """What is known about one subject while its batch is judged, and the policy as it holds for it."""

    subject: Subject
    policy: Policy
    findings: list[Finding]
    scores: dict[tuple[str, str], float]


class _Prose(NamedTuple):
    """A text to read: the part it is of, where it begins there, and itself.

    What does not stand there letter by letter, as what is decoded, has a ``span`` for all of it; what is likely to be
    data weighs less.
    """

    part: Part
    base: int
    text: str
    span: tuple[int, int] | None = None
    weight: float = 1.0


class Scorer:
    """A classifier with its settings, and what it said of the last texts."""

    def __init__(self, classifier: Classifier, settings: ClassifierSettings, limits: Limits) -> None:
        self._classifier = classifier
        self._settings = settings
        self._limits = limits
        self._of_programs = isinstance(classifier, OfPrograms) and classifier.reads_programs
        self._known: OrderedDict[str, Mapping[str, float] | Unscored] = OrderedDict()

    def begin_step(self) -> None:
        """A new step begins; for classifiers that count."""
        if isinstance(self._classifier, Stepped):
            self._classifier.begin_step()

    def read(self, batch: Sequence[Evidence]) -> None:
        """Score the prose of a whole batch at once; a failure blocks every subject that had prose to score."""
        wanted = [(evidence, self._prose(evidence.subject)) for evidence in batch]
        began = time.monotonic()
        try:
            windows = {prose.text: self._classifier.windows(prose.text) for _, texts in wanted for prose in texts}
            cut = [text[start:end] for text, ranges in windows.items() for start, end in ranges]
            self._score([text for text in dict.fromkeys(cut) if text not in self._known])
            for evidence, texts in wanted:
                for prose in texts:
                    self._weigh(prose, windows[prose.text], evidence)
        except Exception as error:  # whatever a model library raises, unread prose must not pass
            for evidence, texts in wanted:
                if texts:
                    evidence.findings.append(failure(self._classifier.name, error, texts[0].part))
        self._tell_time(wanted, time.monotonic() - began)
        for text in [text for text, values in self._known.items() if isinstance(values, Unscored)]:
            del self._known[text]
        while len(self._known) > _MEMO:
            self._known.popitem(last=False)

    def _prose(self, subject: Subject) -> list[_Prose]:
        """The texts of a subject that the classifier reads: prose or, where it is one of programs, whole programs."""
        found: list[_Prose] = []
        least = self._settings.min_words
        for part in self._settings.parts:
            text = subject.text(part)
            if not text or len(text) > self._limits.of(part):
                continue
            code = part == "program" or (part == "answer" and subject.kind == "induction")
            if self._of_programs:
                if code:
                    found.append(_Prose(part, 0, text))
                continue
            for piece, span, written, weight in heard(text) if code else [Spoken(text, (0, len(text)), True)]:
                if sum(1 for _ in zip(range(least), _WORD.finditer(piece), strict=False)) >= least:
                    found.append(_Prose(part, span[0], piece, None if written else span, weight))
        return found

    def _score(self, texts: list[str]) -> None:
        """Score texts and keep the values, refusing answers that are not one number in 0..1 a category."""
        if not texts:
            return
        values = self._classifier.score(texts)
        if len(values) != len(texts):
            raise ValueError(f"{len(values)} scores for {len(texts)} texts")
        for text, scores in zip(texts, values, strict=True):
            if not isinstance(scores, Unscored) and (
                set(scores) != set(self._classifier.categories) or not all(0.0 <= v <= 1.0 for v in scores.values())
            ):
                raise ValueError("scores that are not one number in 0..1 for each category")
            self._known[text] = scores

    def _weigh(self, prose: _Prose, ranges: Sequence[tuple[int, int]], evidence: Evidence) -> None:
        """Keep each category's highest value over the windows of a text, and find where it passes a threshold."""
        name, most = self._classifier.name, self._settings.max_windows
        if most and len(ranges) > most:
            why = f"{prose.part} needs {len(ranges)} windows, {name} reads at most {most}"
            evidence.findings.append(Finding(LIMIT, Severity.MEDIUM, prose.part, None, why))
        for start, end in ranges:
            window = _Prose(prose.part, prose.base + start, prose.text[start:end], prose.span, prose.weight)
            values = self._known[window.text]
            whole = prose.span or (window.base, window.base + len(window.text))
            if isinstance(values, Unscored):
                rule, severity = (FAILURE, Severity.HIGH) if self._settings.required else (UNSCORED, Severity.INFO)
                evidence.findings.append(
                    Finding(rule, severity, prose.part, whole, f"{name}: not scored: {values.why}")
                )
                continue
            if isinstance(self._classifier, Noting) and (note := self._classifier.note(window.text)):
                evidence.findings.append(Finding(ASKED, Severity.INFO, prose.part, whole, f"{name}: {note}"))
            for category, value in values.items():
                self._find(category, value * window.weight, window, evidence)

    def _find(self, category: str, value: float, window: _Prose, evidence: Evidence) -> None:
        name = self._classifier.name
        evidence.scores[name, category] = max(value, evidence.scores.get((name, category), 0.0))
        steps = evidence.policy.steps(self._settings, category, window.part)
        passed = [severity for severity, least in steps.items() if value >= least]
        if passed:
            start, end = 0, len(window.text)
            if isinstance(self._classifier, Pointing):
                start, end = self._classifier.place(window.text, category)
            span = window.span or (window.base + start, window.base + end)
            why = f"{name} scores {category} {value:.2f}"
            evidence.findings.append(Finding(f"{name}.{category}", max(passed), window.part, span, why))

    def _tell_time(self, wanted: Sequence[tuple[Evidence, list[_Prose]]], seconds: float) -> None:
        """A batch that takes longer than it may is told of once, on the first subject that was read."""
        budget, read = self._settings.budget_ms, [(evidence, texts) for evidence, texts in wanted if texts]
        if budget and read and seconds * 1000 > budget:
            evidence, texts = read[0]
            why = f"{self._classifier.name} took {seconds * 1000:.0f} ms for {len(read)} samples, budget_ms is {budget}"
            evidence.findings.append(Finding(SLOW, Severity.INFO, texts[0].part, None, why))


@lru_cache(maxsize=128)
def heard(text: str) -> tuple[Spoken, ...]:
    """What a program says, in order. It is remembered for the length of a batch: whoever has just read the program asks
    while its tree is at hand."""
    try:
        return tuple(sorted(spoken(Program(text)), key=lambda one: one.span))
    except Unparsable:
        return (Spoken(text, (0, len(text)), True),)
