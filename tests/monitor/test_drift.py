"""Drift of reasoning: measures against what they are defined as, and texts that became other texts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.drift import Profile, divergence, drift, profile

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 50), min_size=1).map(Counter)
ENGLISH = (
    "First I sort the numbers and then I take the middle one of them.",
    "The list has seven items, so the fourth item is the answer we want.",
    "We walk over the string from the left and count each vowel that we meet.",
    "If the remainder is zero the number is even, otherwise we add one to it.",
)
GERMAN = (
    "Zuerst sortiere ich die Zahlen und nehme danach die mittlere von ihnen.",
    "Die Liste hat sieben Einträge, also ist der vierte Eintrag die gesuchte Antwort.",
    "Wir gehen von links über die Zeichenkette und zählen jeden Vokal.",
    "Ist der Rest null, dann ist die Zahl gerade, sonst zählen wir eins dazu.",
)


@given(COUNTS, COUNTS)
def test_divergence_is_symmetric_and_between_nothing_and_one_bit(one: Counter[str], other: Counter[str]) -> None:
    found = divergence(one, other)
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(divergence(other, one))
    assert divergence(one, one) == 0.0


def test_divergence_has_its_textbook_values() -> None:
    assert divergence(Counter("ab"), Counter("cd")) == 1.0
    # Of (1/2, 1/2) and (1, 0): H(3/4, 1/4) - (1 + 0) / 2 = 0.8113 - 0.5 bits.
    assert divergence(Counter("ab"), Counter("aa")) == pytest.approx(0.311278, abs=1e-6)


def test_the_same_prose_hardly_drifts_and_another_language_does() -> None:
    reference = profile(ENGLISH)
    same = drift(reference, profile(ENGLISH[::-1] * 3))
    other = drift(reference, profile(GERMAN * 3))
    assert same is not None
    assert (same.vocabulary, same.unfamiliar, same.language, same.news) == (0.0, 0.0, 0.0, ())
    assert other is not None
    assert other.vocabulary > 0.9
    assert other.unfamiliar > 0.9
    assert other.language == 1.0


@pytest.mark.parametrize("text", ["Сначала я сортирую список чисел.", "我先把列表从大到小排序然后取中间的数"])
def test_other_scripts_are_languages_too(text: str) -> None:
    changed = drift(profile(ENGLISH), profile([text] * 10))
    assert changed is not None
    assert changed.language == 1.0


def test_a_few_texts_tell_no_share_of_languages() -> None:
    changed = drift(profile(ENGLISH), profile(GERMAN))
    assert changed is not None
    assert changed.language is None


def test_a_word_that_many_texts_begin_to_use_is_news() -> None:
    reference = profile(ENGLISH * 10)
    now = profile([*(f"{text} Praise the lighthouse." for text in ENGLISH[:3]), *ENGLISH * 9, "Just one zephyr."])
    changed = drift(reference, now)
    assert changed is not None
    assert changed.news == ("lighthouse", "praise")


def test_disguised_letters_are_read_as_the_words_they_are() -> None:
    disguised = "We h\u200bide n\u043ething from the PEOPLE."
    assert profile(["We hide nothing from the people."]).words == profile([disguised]).words


def test_numbers_are_no_words_and_texts_without_words_count_for_nothing() -> None:
    assert profile(["1 2 3", "", "42"]) == Profile()
    assert drift(profile(ENGLISH), profile(["1 2 3"])) is None
    assert drift(Profile(), profile(ENGLISH)) is None


def test_a_text_of_any_length_costs_no_more_than_its_beginning() -> None:
    beginning = "the same few words again and again " * 200
    assert profile([beginning + "unread " * 100_000]).words == profile([beginning]).words


def test_a_reference_of_parts_is_that_of_the_whole() -> None:
    assert profile(ENGLISH[:2]) + profile(ENGLISH[2:]) == profile(ENGLISH)


@given(st.lists(st.text(max_size=200), max_size=5), st.lists(st.text(max_size=200), max_size=5))
def test_whatever_was_written_is_measured(before: list[str], after: list[str]) -> None:
    changed = drift(profile(before), profile(after))
    if changed is not None:
        assert 0.0 <= changed.vocabulary <= 1.0
        assert 0.0 <= changed.unfamiliar <= 1.0
        assert changed.language is None or 0.0 <= changed.language <= 1.0
