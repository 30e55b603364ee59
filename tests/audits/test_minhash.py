"""Near copies among many texts."""

from __future__ import annotations

import random
import string
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits.minhash import ALIKE, PLACES, groups, likeness, sketches

_RNG = random.Random(1)
WORDS = ["".join(_RNG.choices(string.ascii_lowercase, k=_RNG.randint(2, 9))) for _ in range(2000)]


def _texts(rng: random.Random, many: int, words: int) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(many)]


def _changed(rng: random.Random, text: str, share: float) -> str:
    return " ".join(rng.choice(WORDS) if rng.random() < share else word for word in text.split())


def _jaccard(one: str, other: str) -> float:
    sides = [{text[at : at + 5] for at in range(len(text) - 4)} for text in (one, other)]
    return len(sides[0] & sides[1]) / len(sides[0] | sides[1])


@pytest.mark.parametrize("words", [4, 20, 200])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_likeness_estimates_the_share_of_common_shingles(words: int, share: float) -> None:
    rng = random.Random(3)
    texts = _texts(rng, 200, words)
    others = [_changed(rng, text, share) for text in texts]
    truth = np.array([_jaccard(one, other) for one, other in zip(texts, others, strict=True)])
    off = likeness(sketches(texts), sketches(others)) - truth
    assert abs(off.mean()) < 0.015 and off.std() < 0.08


def test_near_copies_are_found_and_others_are_not() -> None:
    rng = random.Random(4)
    texts = _texts(rng, 500, 40)
    copies = [_changed(rng, text, 0.04) for text in texts]
    found = groups(sketches(texts + copies))
    assert sum(found[500 + n] == n for n in range(500)) >= 495
    assert len(set(groups(sketches(texts)).tolist())) == 500


def test_numbers_signs_and_case_make_no_difference() -> None:
    rows = sketches(["I will HIDE 17 files!", "i will hide, 4 files", "i will find 4 files"])
    assert likeness(rows[0], rows[1]) == 1.0 > likeness(rows[0], rows[2])


@given(st.lists(st.text(max_size=40), max_size=30))
def test_every_text_has_its_place_whatever_it_holds(texts: list[str]) -> None:
    rows = sketches(texts)
    found = groups(rows).tolist()
    assert rows.shape == (len(texts), PLACES)
    assert all(first <= at and found[first] == first for at, first in enumerate(found))
    for at, text in enumerate(texts):
        assert found[at] == found[texts.index(text)], "the same text is in the same group"
    assert np.array_equal(rows, np.concatenate([sketches([text]) for text in texts])) if texts else not found


def test_a_text_of_lone_surrogates_and_controls_is_no_trouble() -> None:
    assert sketches(["\ud800\udfff\x00" * 9, "", " "]).shape == (3, PLACES)


def test_time_grows_as_that_of_sorting_even_where_all_texts_are_alike() -> None:
    rng = random.Random(6)
    (text,) = _texts(rng, 1, 60)
    rows = sketches([_changed(rng, text, 0.03) for _ in range(1000)])
    many = np.concatenate([rows] * 16)

    def seconds(given: np.ndarray) -> float:
        begun = time.process_time()
        groups(given)
        return time.process_time() - begun

    seconds(rows)
    few = min(seconds(rows) for _ in range(3))
    assert seconds(many) < few * 16 * 4, "compared pair by pair it would be 256 times"


def test_a_chain_of_likeness_is_parted_so_that_all_are_like_the_first() -> None:
    rng = random.Random(9)
    chain = _texts(rng, 1, 60)
    for _ in range(12):
        chain.append(_changed(rng, chain[-1], 0.12))
    rows = sketches(chain)
    found = groups(rows)
    assert likeness(rows[0], rows[-1]) < ALIKE and 1 < len(set(found.tolist())) < 8
    assert (likeness(rows, rows[found]) >= ALIKE).all()


def test_even_a_chain_without_end_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azr_platform.audits.minhash._LEADERS", 2)
    rng = random.Random(9)
    chain = _texts(rng, 1, 60)
    for _ in range(40):
        chain.append(_changed(rng, chain[-1], 0.1))
    assert len(set(groups(sketches(chain)).tolist())) == 3
