"""Values against made-up text: a hundred thousand mutations, relations that must hold, and Python's own reading."""

from __future__ import annotations

import ast
import math
import runpy
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_sandbox import values
from azr_sandbox.values import MAX_CHARS, NotALiteral, Value, parse, same

FUZZ = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/fuzz_values.py"), run_name="fuzz_values")
fuzz: Callable[..., Any] = FUZZ["fuzz"]
check: Callable[[str], bool] = FUZZ["check"]


@pytest.mark.slow
@pytest.mark.timeout(3_000)  # ends a hang; says nothing about the machine
def test_a_hundred_thousand_mutations_are_read_or_refused() -> None:
    run = fuzz(100_000, seed=20_260, quiet=True)
    assert run.seen == 100_000
    assert run.literals > 5_000, "most mutations break a text, and yet many must not"
    assert run.chars > 5_000_000


def test_the_fuzzer_notices_what_it_is_there_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(values, "parse", lambda text: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fuzz(50, seed=1, quiet=True)
    with monkeypatch.context() as patched:
        patched.setattr(values, "same", lambda a, b: True)
        with pytest.raises(FUZZ["Broken"], match="refused, and yet equal"):
            fuzz(200, seed=1, quiet=True)
    with monkeypatch.context() as patched:
        patched.setattr(Value, "text", property(lambda self: "0"))
        with pytest.raises(FUZZ["Broken"], match="not equal to its own text"):
            fuzz(200, seed=1, quiet=True)
    with monkeypatch.context() as patched:
        patched.setattr(ast, "literal_eval", lambda text: "another value")
        with pytest.raises(FUZZ["Broken"], match="Python reads something else"):
            fuzz(200, seed=1, quiet=True)


LARGEST = {
    "integers": "[" + "1," * (MAX_CHARS // 2 - 2) + "]",
    "deep lists": ("[" * 100 + "]" * 100 + ",") * (MAX_CHARS // 201),
    "a long text": "'''" + "a\n" * (MAX_CHARS // 2 - 4) + "'''",
    "a dictionary": "{" + ",".join(f"{n}:[{n}]" for n in range(4_500)) + "}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_texts_take_a_bounded_amount_of_memory(name: str) -> None:
    text = LARGEST[name]
    tracemalloc.start()
    try:
        assert same(text, text + " ")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


# Few values, much alike, so that equal pairs and triples are frequent.
atoms = st.sampled_from(
    [None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, -1.0, 1j, 1 + 0j, math.nan, math.inf, "", "1", "a", b"", b"a"]
)
keys = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, "", "1", b""]),
    lambda inner: st.lists(inner, max_size=2).map(tuple) | st.frozensets(inner, max_size=2),
    max_leaves=3,
)
similar: st.SearchStrategy[Any] = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(keys, inner, max_size=2)
        | st.sets(keys, max_size=2)
        | st.frozensets(keys, max_size=2)
    ),
    max_leaves=4,
)


@given(similar, similar, similar)
@settings(max_examples=150, deadline=None)
def test_equality_is_an_equivalence_among_much_alike_values(a: Any, b: Any, c: Any) -> None:
    x, y, z = (parse(repr(value)) for value in (a, b, c))
    assert x == parse(repr(a))
    assert (x == y) == (y == x)
    assert not (x == y and y == z) or x == z
    assert x != y or hash(x) == hash(y)


@given(similar)
@settings(max_examples=150, deadline=None)
def test_a_value_survives_the_way_there_and_back(value: Any) -> None:
    text = repr(value)
    parsed = parse(text)
    assert parse(parsed.text) == parsed
    assert same(parsed.text, text)
    assert same(text.replace(", ", " ,\n"), text) or "'" in text


def spelled_out(structure: object) -> object:
    """A comparison key with its tags written as what they are called: what an imitation of one would look like."""
    if isinstance(structure, tuple):
        return tuple(map(spelled_out, structure))
    if isinstance(structure, frozenset):
        return frozenset(map(spelled_out, structure))
    return structure.name if isinstance(structure, values._Tag) else structure


@given(similar)
@settings(max_examples=100, deadline=None)
def test_spelling_out_how_a_value_is_compared_does_not_make_an_equal_one(value: Any) -> None:
    parsed = parse(repr(value))
    imitation = repr(spelled_out(parsed._structure()))
    assert not same(imitation, repr(value))
    assert not same(f"[{imitation}]", f"[{value!r}]")
    assert not same(f"{{{imitation}: 1}}", repr({1: value}))


@given(st.recursive(atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3)))
@settings(max_examples=100, deadline=None)
def test_python_reads_the_same_from_what_python_writes(value: Any) -> None:
    text = repr(value)
    assert check(text)
    try:
        real = ast.literal_eval(text)
    except ValueError:  # nan, inf and frozenset() are names to it
        return
    assert same(repr(real), text)


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data.decode("utf-8", "surrogateescape"), data.decode("latin-1")):
        try:
            parse(text)
        except NotALiteral:
            continue
