"""How a run's reasoning changes: its words and its languages, against what they were when the run began.

    texts of one role ─► Profile (words, languages) ─┐
    texts of the run's first steps ─► Profile ───────┴─► drift: numbers in 0..1, and the words that are new

What such numbers can show: that the prose became another, and which words came. What they cannot: why. A model that
learns to be brief drifts, too; one that hides its thoughts behind the words it always used does not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from azr_monitor.rules.words import sentences

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES: Final = [
    "ar",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "fa",
    "fi",
    "fr",
    "he",
    "hi",
    "hu",
    "id",
    "it",
    "ja",
    "ko",
    "nl",
    "no",
    "pl",
    "pt",
    "ro",
    "ru",
    "sv",
    "th",
    "tr",
    "uk",
    "vi",
    "zh",
    "zxx",
]
"""Those that are told apart; ``zxx`` is what has no language, such as a row of numbers."""
_NONE: Final = "zxx"
_LEAST_LETTERS: Final = {True: 40, False: 12}
"""Shorter texts say little of their language; those that are not ASCII say more."""
_READ: Final = 4000
"""Characters of a text that are looked at: as good a sample of its words as all of them, at a bounded cost."""
_LEAST_TOLD: Final = 10
"""Texts that have a language, or no share of them is told."""
_LEAST_TEXTS: Final = 3
"""A word is news when at least so many texts, and so large a share of them, use it."""
_LEAST_SHARE: Final = 0.02


@dataclass
class Profile:
    """What some texts are made of: how often each word occurs, in how many texts, and in which languages they are."""

    words: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    count: int = 0

    def __add__(self, other: Profile) -> Profile:
        return Profile(
            self.words + other.words,
            self.texts + other.texts,
            self.languages + other.languages,
            self.count + other.count,
        )


@dataclass(frozen=True)
class Drift:
    """How far texts are from a reference, each number in 0..1.

    ``vocabulary``: the Jensen-Shannon divergence of the words' shares, in bits (Lin 1991, equation 4.1); two samples of
    the same prose are not at 0 but at what chance does to them. ``unfamiliar``: the share of words that the reference
    does not know. ``language``: the share of texts, of those that have a language, in another than the reference's
    commonest; None where there are too few. ``news``: words that the reference does not know and several texts use,
    the most used first.
    """

    vocabulary: float
    unfamiliar: float
    language: float | None
    news: tuple[str, ...]


def profile(texts: Iterable[str]) -> Profile:
    """Of each text its beginning. Words are normalised as for the rules (case, look-alikes); numbers are no words."""
    found = Profile()
    for whole in texts:
        text = whole[:_READ]
        words = [
            word for sentence in sentences(text, frozenset()) for word, *_ in sentence if word and not word[0].isdigit()
        ]
        if not words:
            continue
        found.count += 1
        found.words.update(words)
        found.texts.update(set(words))
        enough = sum(map(len, words)) >= _LEAST_LETTERS[text.isascii()]
        if enough and (language := _language(text)) != _NONE:
            found.languages[language] += 1
    return found


def drift(reference: Profile, now: Profile) -> Drift | None:
    """Nothing where one of the two has no words."""
    if not reference.words or not now.words:
        return None
    unfamiliar = sum(count for word, count in now.words.items() if word not in reference.words)
    least = max(_LEAST_TEXTS, math.ceil(_LEAST_SHARE * now.count))
    news = sorted(
        ((count, word) for word, count in now.texts.items() if count >= least and word not in reference.words),
        key=lambda item: (-item[0], item[1]),
    )
    return Drift(
        vocabulary=divergence(reference.words, now.words),
        unfamiliar=unfamiliar / now.words.total(),
        language=_other(reference.languages, now.languages),
        news=tuple(word for _, word in news),
    )


def divergence(one: Counter[str], other: Counter[str]) -> float:
    """The Jensen-Shannon divergence of two counts, in bits: 0 for equal shares, 1 for no word in common."""
    n, m = one.total(), other.total()
    # In order, so that the sum is the same to the last bit however the counts came about.
    terms = []
    for word in sorted(one.keys() | other.keys()):
        p, q = one[word] / n, other[word] / m
        middle = (p + q) / 2
        terms.append((p * math.log2(p / middle) if p else 0.0) + (q * math.log2(q / middle) if q else 0.0))
    return min(1.0, max(0.0, math.fsum(terms) / 2))


def _other(reference: Counter[str], now: Counter[str]) -> float | None:
    if not reference or now.total() < _LEAST_TOLD:
        return None
    commonest = max(sorted(reference), key=reference.__getitem__)
    return 1 - now[commonest] / now.total()


def _language(text: str) -> str:
    return str(_identifier().classify(text)[0])


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    """py3langid's own model, which comes with it (Lui and Baldwin 2012: naive Bayes over byte sequences)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(LANGUAGES)
    return identifier
