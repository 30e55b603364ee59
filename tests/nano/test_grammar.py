"""The grammar's own arithmetic agrees with Python, for thousands of programs."""

from __future__ import annotations

import contextlib
import re
from random import Random

import pytest

from azr_platform.nano.grammar import (
    Program,
    identity,
    random_arguments,
    random_case,
    random_program,
    random_value,
    with_slip,
)
from azr_platform.nano.operations import InapplicableError, Value, ValueType
from azr_platform.tasks.seeds import IDENTITY


def really_run(source: str, argument: Value) -> object:
    """Run a program of our own grammar (never a model's) with Python itself."""
    scope: dict[str, object] = {}
    exec(source, scope)  # the text comes from the grammar
    function = scope["f"]
    assert callable(function)
    return function(list(argument) if isinstance(argument, list) else argument)


def draws(seed: int, count: int) -> list[tuple[Program, Value]]:
    rng = Random(seed)
    programs = [random_program(rng) for _ in range(count)]
    return [(p, random_value(rng, p.takes)) for p in programs]


def test_every_program_computes_what_its_source_computes() -> None:
    inapplicable = 0
    for program, argument in draws(1, 4000):
        try:
            expected = program.run(argument)
        except InapplicableError:
            inapplicable += 1
            with pytest.raises((ValueError, IndexError)):
                really_run(program.source, argument)
        else:
            found = really_run(program.source, argument)
            assert (type(found), found) == (type(expected), expected), program.source
    assert 0 < inapplicable < 400


def test_slips_also_compute_what_their_source_says_and_mostly_differ() -> None:
    rng = Random(2)
    changed = 0
    for program, argument in draws(3, 1500):
        slip = with_slip(rng, program)
        changed += slip.key != program.key
        with contextlib.suppress(InapplicableError):
            assert slip.run(argument) == really_run(slip.source, argument), slip.source
    assert changed > 700


def test_forward_traces_hold_true_equations_and_end_at_the_result() -> None:
    for program, argument in [random_case(Random(n)) for n in range(2000)]:
        steps = program.forward(argument)
        assert steps[-1].value == program.run(argument)
        for step in steps:
            check_step(step.text)


def check_step(text: str) -> None:
    equation = re.fullmatch(r"(?:\w=)?(-?\d+)([-+*/])(\d+)=(-?\d+)", text)
    if equation:
        a, symbol, b, result = int(equation[1]), equation[2], int(equation[3]), int(equation[4])
        assert {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[symbol] == result, text
    comparison = re.fullmatch(r"(-?\d+)([<>])(\d+)([TF])", text)
    if comparison:
        a, b = int(comparison[1]), int(comparison[3])
        assert (a < b if comparison[2] == "<" else a > b) == (comparison[4] == "T"), text
    assert equation or comparison or re.fullmatch(r"(?:\w=)?(-?\d+|'\w*'|\[[-\d, ]*\])", text), text


def test_backward_traces_hold_true_equations_and_end_at_the_argument() -> None:
    for program, argument in [random_case(Random(n)) for n in range(2000)]:
        steps = program.backward(argument)
        assert steps[-1].value == argument
        for step in steps:
            check_step(step.text)


def test_renaming_keeps_the_key_and_changes_the_source() -> None:
    program, argument = random_case(Random(5), least=3)
    other = Program(program.takes, program.operations, tuple("uwyz"[: len(program.targets)]))
    assert other.key == program.key and other.source != program.source
    assert other.run(argument) == program.run(argument)


def test_the_grammar_covers_every_type_and_length() -> None:
    programs = [program for program, _ in draws(7, 500)]
    assert {p.takes for p in programs} == set(ValueType)
    assert {len(p.operations) for p in programs} == {1, 2, 3, 4}
    assert {name for p in programs for name in p.message.split()} >= {"plus", "if", "loop", "map", "dup", "first"}


def test_arguments_are_distinct_and_run() -> None:
    rng = Random(11)
    for _ in range(200):
        program, first = random_case(rng)
        arguments = random_arguments(rng, program, 6, first)
        if arguments is not None:
            assert len({repr(a) for a in arguments}) == 6
            assert [program.run(a) for a in arguments]


def test_the_identity_is_the_seed_program() -> None:
    assert identity(ValueType.STR, "a").source == IDENTITY
    assert identity(ValueType.LIST).run([1]) == [1] and identity(ValueType.INT).message == "same"
