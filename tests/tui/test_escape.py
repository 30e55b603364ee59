"""Text from a model must neither act on the terminal nor hide from the reader."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_tui.escape import visible, visible_line

ATTACKS = {
    "clear screen": "\x1b[2J\x1b[H",
    "colours": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;pwned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "hyperlink": "\x1b]8;;http://example.invalid\x1b\\click\x1b]8;;\x1b\\",
    "eight-bit control": "\x9b31m",
    "carriage return": "honest\rhidden",
    "backspace": "rm\b\bls",
    "delete": "a\x7fb",
    "right-to-left override": "abc\u202edcba",
    "isolate": "\u2066if admin:\u2069",
    "zero width": "pass\u200bword\u200d\ufeff",
    "soft hyphen": "ex\u00adec",
    "tag characters": "hi" + "".join(chr(0xE0000 + ord(c)) for c in "secret"),
    "variation selectors": "x\ufe0f\U000e0101\U000e0152",
    "invisible letter": "a\u3164b\u115f\u2800",
    "odd blank": "a\u00a0b\u3000c\u2003d",
    "line separator": "one\u2028two\u2029three",
    "lone surrogate": "\ud800",
    "private use": "\ue000\U000f0000",
    "stacked marks": "e" + "\u0301" * 40,
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_acting_or_hiding_character_survives(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert shown != text, "the attack would have gone through unchanged"
    _assert_harmless(shown)


@given(st.text())
def test_any_text_keeps_its_length_and_becomes_harmless(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    _assert_harmless(shown)
    assert all(new == old for new, old in zip(shown, text, strict=True) if old == "\n" or " " <= old <= "~")


@given(st.text())
def test_showing_twice_changes_nothing_more(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_a_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    shown = visible_line(text, limit)
    assert "\n" not in shown
    assert len(shown) <= limit
    assert len(text) <= limit or shown.endswith("…")


def test_honest_text_of_any_script_is_left_alone() -> None:
    for text in ("def f(x):\n    return x", "naïve café", "数学と論理", "привет, мир", "שלום", "x² ≤ ∞ 🙂"):
        assert visible(text) == text


def test_control_characters_are_shown_by_their_pictures() -> None:
    assert visible("\x1b\x07\x00\x7f\x85\t") == "␛␇␀␡␦→"


def test_a_megabyte_takes_linear_time(glances: Any) -> None:
    for text in ("\x1b[31m" * 200_000, "é\u202e" * 500_000):
        assert glances(lambda text=text: visible(text), text) < 100


def _assert_harmless(shown: str) -> None:
    marks = 0
    for char in shown:
        category = unicodedata.category(char)
        assert char == "\n" or category not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"), repr(char)
        assert category != "Zs" or char == " ", repr(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        assert marks <= 2
