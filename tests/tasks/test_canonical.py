"""Programs up to renaming."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.tasks.canonical import MAX_CHARS, program_key

SAME = [
    ("def f(a):\n    return a + 1", "def f(first):\n    return first + 1"),
    ("def f(a):\n    b = a * 2\n    return b", "def f(x):\n    y = x * 2\n    return y"),
    ("def f(a):\n    return a", 'def f(a: int) -> int:\n    """Gives it back."""\n    return (a)  # as it is'),
    ("def f(a):\n    b = 1\n    return b", "def f(a):\n    b: int = 1\n    return b"),
    ("def g(a):\n    return a\ndef f(b):\n    return g(b)", "def h(a):\n    return a\ndef f(a):\n    return h(a)"),
    ("def f(a):\n    return g(x=a)\ndef g(x):\n    return x", "def f(a):\n    return g(y=a)\ndef g(y):\n    return y"),
    ("import math\ndef f(a):\n    return math.sqrt(a)", "import math as m\ndef f(a):\n    return m.sqrt(a)"),
    ("from math import sqrt\ndef f(a):\n    return sqrt(a)", "from math import sqrt as r\ndef f(a):\n    return r(a)"),
    ("def f(a):\n    return [x for x in a]", "def f(a):\n    return [a for a in a]"),
    ("def f(a):\n    return [(t := x) for x in a], t", "def f(a):\n    return [(u := x) for x in a], u"),
    ("def f(a):\n    return (lambda x, y=a: x)(1)", "def f(b):\n    return (lambda b, c=b: b)(1)"),
    ("f = lambda a: a", "f = lambda b: b"),
    (
        "def f(a):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n",
        "def f(a):\n    k = 0\n    def h():\n        nonlocal k\n        k += 1\n    h()\n    return k",
    ),
    (
        "t = 0\ndef f(a):\n    global t\n    t = a\n    return t",
        "total = 0\ndef f(a):\n    global total\n    total = a\n    return total",
    ),
    (
        "def f(a):\n    try:\n        return a[0]\n    except IndexError as e:\n        return str(e)",
        "def f(a):\n    try:\n        return a[0]\n    except IndexError as why:\n        return str(why)",
    ),
    (
        "def f(a):\n  match a:\n    case [x, *rest]:\n      return rest\n    case {'k': v, **more}:\n      return v",
        "def f(a):\n  match a:\n    case [y, *tail]:\n      return tail\n    case {'k': w, **most}:\n      return w",
    ),
    ("class A:\n    n = 1\ndef f(a):\n    return A.n", "class B:\n    n = 1\ndef f(a):\n    return B.n"),
    ("def f(a):\n    return 0x10", "def f(a):\n    return 16"),
]

DIFFERENT = [
    ("def f(a):\n    return a + 1", "def f(a):\n    return a + 2"),
    ("def f(a):\n    return a + 1", "def f(a):\n    return a - 1"),
    ("def f(a):\n    return 1", "def f(a):\n    return True"),
    ("def f(a):\n    return 1", "def f(a):\n    return 1.0"),
    ("def f(a):\n    return 1", "def f(a):\n    return '1'"),
    ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"),
    ("def f(a):\n    return sum(a)", "def f(a):\n    return max(a)"),
    ("def f(a):\n    return a.x", "def f(a):\n    return a.y"),
    ("def f(a):\n    return a(x=1)", "def f(a):\n    return a(y=1)"),
    ("def f(a):\n    return a", "def g(a):\n    return a"),
    ("def f(a, b):\n    return a", "def f(a, *b):\n    return a"),
    ("def f(a, b):\n    return a", "def f(a, *, b):\n    return a"),
    ("def f(a, b=1):\n    return a", "def f(a, b):\n    return a"),
    ("def f(a):\n    b = a\n    return b", "def f(a):\n    b = a\n    return a"),
    ("import math\ndef f(a):\n    return math.sin(a)", "import cmath as math\ndef f(a):\n    return math.sin(a)"),
    ("import os.path as p\nf = p", "import os.path\nf = os"),
    ("def f(a):\n    return 'a' 'b'", "def f(a):\n    return 'a', 'b'"),
    ("def f(a):\n    return [[a], []]", "def f(a):\n    return [[a, []]]"),
    ("def f(a):\n    return {**a}", "def f(a):\n    return {None: a}"),
    ("def f(a):\n    if a:\n        b = 1\n        a = 2", "def f(a):\n    if a:\n        b = 1\n    a = 2"),
    ("class A:\n    n = 1\ndef f(a):\n    return A.n", "class A:\n    m = 1\ndef f(a):\n    return A.m"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_renaming_and_commentary_keep_the_key(one: str, other: str) -> None:
    assert program_key(one) == program_key(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_computes_otherwise_has_another_key(one: str, other: str) -> None:
    assert program_key(one) != program_key(other)


# Programs as source with holes for names: five different identifiers fill {0} to {4}.
_names = st.lists(
    st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).filter(
        lambda name: name not in ("f", "sum", "len") and not keyword.iskeyword(name)
    ),
    min_size=5,
    max_size=5,
    unique=True,
)
_OPERATORS = ("+", "-", "*", "//", "%", "**", "<<", "|")
_expression = st.recursive(
    st.sampled_from(["{0}", "{1}", "len({1})", "sum({1})"]) | st.integers(0, 99).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(_OPERATORS), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda e: f"[{{3}} + {e} for {{3}} in {{1}}]"),
        inner.map(lambda e: f"(lambda {{4}}: {{4}} + {e})({{0}})"),
        inner.map(lambda e: f"{{2}}({e})"),
    ),
    max_leaves=6,
)


def _filled(expressions: Sequence[str], names: Sequence[str]) -> str:
    a, b, helper, item, inner = names
    lines = [f"def {helper}({a}):", f"    {b} = [{a}]", f"    return {a}", f"def f({a}, {b}):"]
    for expression in expressions:
        for hole, name in enumerate((a, b, helper, item, inner)):
            expression = expression.replace(f"{{{hole}}}", name)
        lines.append(f"    {a} = {expression}")
    return "\n".join([*lines, f"    return {a}"])


@given(st.lists(_expression, min_size=1, max_size=4), _names, _names)
def test_any_renaming_keeps_the_key(expressions: list[str], one: list[str], other: list[str]) -> None:
    assert program_key(_filled(expressions, one)) == program_key(_filled(expressions, other))


class _Changed(ast.NodeTransformer):
    """Changes the n-th constant or operator of a program."""

    def __init__(self, place: int) -> None:
        self.place = place

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        self.place -= 1
        return ast.Constant(node.value + 1) if self.place == -1 and isinstance(node.value, int) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.place -= 1
        if self.place == -1:
            node.op = ast.BitXor()  # none of the operators above
        return self.generic_visit(node)


@given(st.lists(_expression, min_size=1, max_size=4), _names, st.integers(0, 20))
def test_another_constant_or_operator_is_another_key(expressions: list[str], names: list[str], place: int) -> None:
    source = _filled([*expressions, "{0} + 1"], names)
    spots = sum(isinstance(node, ast.Constant | ast.BinOp) for node in ast.walk(ast.parse(source)))
    changed = ast.unparse(_Changed(place % spots).visit(ast.parse(source)))
    assert program_key(changed) != program_key(source)


@given(st.text())
def test_any_text_has_a_key(text: str) -> None:
    key = program_key(text)
    assert len(key) == 32 and key == program_key(text + "\n")


@pytest.mark.parametrize(
    "text",
    [
        "def f(a:\n    return",
        "\0",
        "'\ud800'",
        "(" * 50_000,
        "x = " + "-" * 90_000 + "1",
        "1" + "+1" * 40_000,
        "if a:\n" + "".join(" " * n + "if a:\n" for n in range(1, 99)) + " " * 99 + "pass",
        "x = " + "9" * 5000,
        "a" * (MAX_CHARS + 1),
    ],
)
def test_hostile_texts_have_keys_of_their_own(text: str) -> None:
    assert program_key(text) == program_key("\n" + text if text[:2] != "if" else text)
    assert program_key(text) != program_key(text + "x")


def test_an_integer_too_long_to_write_in_decimal_has_a_key() -> None:
    long = "def f(a):\n    return 0x" + "f" * 20_000
    assert program_key(long) == program_key(long.replace("a", "b", 1))
    assert program_key(long) != program_key(long + "0")


def test_a_program_nested_as_deep_as_the_parser_allows_is_still_renamed() -> None:
    deep = "def f(NAME):\n    return " + "-" * 500 + "NAME"
    assert program_key(deep.replace("NAME", "a")) == program_key(deep.replace("NAME", "b"))
