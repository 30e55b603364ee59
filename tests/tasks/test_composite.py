"""Programs built on given ones: which can be given, and what counts as building on them."""

from __future__ import annotations

import ast

import pytest

from azr_platform.tasks.composite import MAX_CHARS, build, composition_problem, definitions, given_function

PLUS = "def f(x):\n    return x + 1"
DOWN = "def f(n):\n    # counts down\n    return [n] + f(n - 1) if n else []"


def test_a_program_becomes_a_function_that_calls_itself_by_its_new_name() -> None:
    assert given_function(PLUS, 0) == "def g_0(x):\n    return x + 1"
    assert given_function(DOWN, 3) == "def g_3(n):\n    return [n] + g_3(n - 1) if n else []"


def test_definitions_number_the_functions_in_order() -> None:
    both = definitions([PLUS, DOWN])
    assert [node.name for node in ast.parse(both).body if isinstance(node, ast.FunctionDef)] == ["g_0", "g_1"]
    with pytest.raises(ValueError, match="program 1"):
        definitions([PLUS, "import math\ndef f(x): return x"])


@pytest.mark.parametrize(
    "program",
    [
        "def f(x:",
        "f = lambda x: x",
        "def g(x):\n    return x\ndef f(x):\n    return g(x)",
        "import math\ndef f(x):\n    return x",
        "@staticmethod\ndef f(x):\n    return x",
        "async def f(x):\n    return x",
        "def f(f):\n    return f",
        "def f(x):\n    f = 1\n    return f",
        "def f(x):\n    def f():\n        return 1\n    return f()",
        "def f(x):\n    global f\n    return x",
        "def f(x):\n    return g_1(x)",
        "def f(g_0):\n    return g_0",
        "def f(x):\n    import os as g_7\n    return x",
        "def f(x):\n    return '" + "x" * MAX_CHARS + "'",
        "def f(x):\n    return " + "(" * 500 + "x" + ")" * 500,
        "def f(x):\n    return " + "-" * 1500 + "x",
    ],
)
def test_a_program_that_would_not_stand_by_itself_under_another_name_is_not_given(program: str) -> None:
    assert given_function(program, 0) is None


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("def f(x):\n    return g_0(g_1(x))", ""),
        ("def helper(x):\n    return g_1(x)\ndef f(x):\n    return g_0(x) + helper(x)", ""),
        ("def f(x):\n    return g_0(x)", "does not call g_1"),
        ("def f(x):\n    return g_0(x), g_1", "does not call g_1"),
        ("def f(x):\n    return 'g_0(x) g_1(x)'", "does not call g_0"),
        ("def f(x:", "does not parse"),
        ("def g_0(x):\n    return 1\ndef f(x):\n    return g_0(g_1(x))", "redefines g_0"),
        ("def f(x):\n    g_1 = int\n    return g_0(g_1(x))", "redefines g_1"),
        ("def f(x, g_1=int):\n    return g_0(g_1(x))", "redefines g_1"),
        ("def f(x):\n    return [g_0(g_1(y)) for g_0 in [int] for y in x]", "redefines g_0"),
        ("from math import floor as g_0\ndef f(x):\n    return g_0(g_1(x))", "redefines g_0"),
        ("class g_0: pass\ndef f(x):\n    return g_0(g_1(x))", "redefines g_0"),
        ("del g_0\ndef f(x):\n    return g_0(g_1(x))", "redefines g_0"),
        ("def f(x):\n    global g_0\n    return g_0(g_1(x))", "redefines g_0"),
        ("def f(x):\n    if (g_0 := int):\n        return g_0(g_1(x))", "redefines g_0"),
        (
            "def f(x):\n    try:\n        return g_0(g_1(x))\n    except Exception as g_0:\n        return 1",
            "redefines g_0",
        ),
        ("def f(x):\n    match x:\n        case {**g_0}:\n            return g_0(g_1(x))", "redefines g_0"),
        ("def f(x):\n    match x:\n        case [*g_0] | (1 as g_0):\n            return g_0(g_1(x))", "redefines g_0"),
    ],
)
def test_a_proposal_must_call_every_given_function_and_bind_none(program: str, why: str) -> None:
    problem = composition_problem(program, 2)
    assert why in problem
    assert bool(problem) == bool(why)


def test_the_program_that_runs_holds_the_definitions_first() -> None:
    whole, problem = build("def f(x):\n    return g_0(x)", [PLUS])
    assert problem == ""
    assert [node.name for node in ast.parse(whole).body if isinstance(node, ast.FunctionDef)] == ["g_0", "f"]
