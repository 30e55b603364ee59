"""Errors are believed, where that is asked for, only when every run raises one of the same type."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.pool import JailPool


def raised(pool: JailPool, program: str, arguments: str = "0", *, verified: bool = True) -> Execution:
    ((execution,),) = pool.run([Request(program, (arguments,), verify_errors=verified)])
    return execution


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("def f(x):\n    return 1 / x", "ZeroDivisionError"),
        ("def f(x):\n    assert x > 5, f'{x} is small'", "AssertionError"),
        ("def f(x):\n    raise ValueError(object())", "ValueError"),
        ("class Odd(Exception): pass\ndef f(x):\n    raise Odd", "Odd"),
        ("def f(x):\n    return f(x)", "RecursionError"),
        ("def f(x):\n    raise SystemExit(3)", "SystemExit"),
    ],
)
def test_an_error_of_the_same_type_each_time_is_an_error(pool: JailPool, program: str, name: str) -> None:
    execution = raised(pool, program)
    assert (execution.outcome, execution.raised, execution.value) == (Outcome.ERROR, name, None)


@pytest.mark.parametrize(
    "program",
    [
        "def f(x):\n    raise type('E' + str(hash('a') % 10**9), (Exception,), {})",
        "import os\ndef f(x):\n    raise type('E' + str(os.getpid()), (Exception,), {})",
        "import time\ndef f(x):\n    raise type('E' + str(time.gmtime().tm_year), (Exception,), {})",
    ],
)
def test_an_error_of_another_type_in_another_run_is_nondeterministic(pool: JailPool, program: str) -> None:
    execution = raised(pool, program)
    assert (execution.outcome, execution.raised) == (Outcome.NONDETERMINISTIC, "")
    assert " and then " in execution.detail
    assert raised(pool, program, verified=False).outcome is Outcome.ERROR, "without verifying it would be believed"


@pytest.mark.parametrize(("early", "late"), [("raise ValueError", "return 1"), ("return 1", "raise ValueError")])
def test_an_error_in_some_runs_and_a_value_in_others_is_nondeterministic(pool: JailPool, early: str, late: str) -> None:
    """The verifiers live in other years than the first run."""
    year = datetime.now(UTC).year
    program = f"import time\ndef f(x):\n    if time.gmtime().tm_year <= {year}:\n        {early}\n    {late}"
    assert raised(pool, program).outcome is Outcome.NONDETERMINISTIC


def test_values_are_verified_all_the_same(pool: JailPool) -> None:
    assert raised(pool, "def f(x):\n    return x + 1").value == "1"
    assert raised(pool, "import os\ndef f(x):\n    return os.getpid()").outcome is Outcome.NONDETERMINISTIC


def test_each_input_of_several_ends_by_itself(pool: JailPool) -> None:
    request = Request("def f(x):\n    return 1 // x", ("1", "0"), together=True, verify_errors=True)
    (row,) = pool.run([request])
    assert [(e.value, e.raised) for e in row] == [("1", ""), (None, "ZeroDivisionError")]
