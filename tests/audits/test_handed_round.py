"""One reading serves several readers: each sees all of the stream in order; when one fails, nothing stays behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits import handed_round
from azr_platform.audits.handed_round import hand_round

READERS: list[Callable[[Iterator[int]], Any]] = [
    list,
    sum,
    lambda stream: max(stream, default=None),
    lambda stream: list(islice(stream, 3)),  # has enough before the end
    lambda stream: "asks for nothing",
    lambda stream: [one for one in stream if one % 2],
]


def _threads() -> int:
    return threading.active_count()


@given(numbers=st.lists(st.integers(0, 9), max_size=20), part=st.integers(1, 5))
def test_each_makes_of_the_stream_what_it_would_make_alone(numbers: list[int], part: int) -> None:
    before, heard, read = _threads(), [], []

    def stream() -> Iterator[int]:
        for number in numbers:
            read.append(number)
            yield number

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handed_round, "_PART", part)
        found = hand_round(stream(), READERS, heard.append)
    assert found == [reader(iter(numbers)) for reader in READERS]
    assert read == numbers and sum(heard) == len(numbers), "read once"
    assert _threads() == before


def test_they_take_turns_and_no_more_than_a_part_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_round, "_PART", 2)
    running: list[str] = []
    order: list[str] = []

    def reader(name: str) -> Callable[[Iterator[int]], int]:
        def read(stream: Iterator[int]) -> int:
            for number in stream:
                assert running == []
                running.append(name)
                order.append(f"{name}{number}")
                running.clear()
            return 0

        return read

    hand_round(range(4), [reader("a"), reader("b")], lambda count: None)
    assert order == ["a0", "a1", "b0", "b1", "a2", "a3", "b2", "b3"]


class _Fault(Exception):
    """Stands for whatever goes wrong."""


def _fails(after: int) -> Callable[[Iterator[int]], int]:
    def read(stream: Iterator[int]) -> int:
        for number, _ in enumerate(stream):
            if number == after:
                raise _Fault
        raise _Fault

    return read


@pytest.mark.parametrize("after", [0, 3, 99])
def test_what_one_raises_ends_all_and_no_thread_stays(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    monkeypatch.setattr(handed_round, "_PART", 2)
    before = _threads()
    with pytest.raises(_Fault):
        hand_round(range(10), [*READERS, _fails(after), list], lambda count: None)
    assert _threads() == before


def test_what_the_stream_or_the_listener_raises_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_round, "_PART", 2)

    def broken() -> Iterator[int]:
        yield from range(5)
        raise _Fault

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    before = _threads()
    with pytest.raises(_Fault):
        hand_round(broken(), READERS, lambda count: None)
    with pytest.raises(KeyboardInterrupt):
        hand_round(range(9), READERS, interrupted)
    assert _threads() == before
