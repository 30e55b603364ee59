"""The dry run: it tells what grows from what ends, and costs little whatever it is given."""

from __future__ import annotations

import ast
import time

import pytest

from azr_monitor.rules.dryrun import DryRun
from azr_monitor.rules.volumes import UNKNOWN, Large, Many, added, cells, count, multiplied, powered

BOMBS = {
    "a list that is multiplied": "def f(n):\n    s = [1]\n    for _ in range(30):\n        s = s * 4\n    return s",
    "a tower of powers": "def f(n):\n    a = 9\n    for _ in range(6):\n        a = a ** a\n    return a",
    "a text mirrored": "def f(n):\n    t = 'ab'\n    for _ in range(50):\n        t = t + t[::-1]\n    return t",
    "a table of tables": "def f(n):\n    k = 30000\n    return [[0] * k for _ in range(k)]",
    "loops in loops": "def f(n):\n    t = 0\n    for a in range(2000):\n        for b in range(2000):\n"
    "            for c in range(2000):\n                t += c\n    return t",
    "calls that double": "def g(k, a):\n    return a if k == 0 else g(k - 1, a) + g(k - 1, a)\ndef f(n):\n"
    "    return g(64, 1)",
    "lists that double in a recursion": "def g(i):\n    if i == 60:\n        return [[]]\n    r = g(i + 1)\n"
    "    return r + [[i] + x for x in r]\ndef f(n):\n    return g(0)",
    "a loop that swings": "def f(n):\n    i = 9\n    while i > 0:\n        i = i - 1 if i > 5 else i + 1\n    return i",
    "a loop that feeds itself": "def f(n):\n    q = [1]\n    while q:\n        x = q.pop()\n        q.append(x)\n"
    "        q.append(x)\n    return n",
    "a loop far from its end": "def f(n):\n    i = 0\n    while i < 10 ** 12:\n        i += 1\n    return i",
    "a bomb behind a condition": "def f(n):\n    if n == 7:\n        s = 'x'\n        for _ in range(60):\n"
    "            s = s + s\n        return s\n    return n",
}

HONEST = {
    "a remembered recursion": "def f(n):\n    memo = {}\n    def g(k):\n        if k in memo:\n"
    "            return memo[k]\n"
    "        memo[k] = k if k < 2 else g(k - 1) + g(k - 2)\n        return memo[k]\n    return g(60)",
    "a small recursion": "def g(k):\n    return k if k < 2 else g(k - 1) + g(k - 2)\ndef f(n):\n    return g(22)",
    "a modular square": "def f(n):\n    t = 3\n    for _ in range(1000):\n        t = t * t % 97\n    return t",
    "a loop that is left": "def f(n):\n    for i in range(10 ** 12):\n        if i * i > n:\n            return i",
    "a slow loop that ends": "def f(n):\n    i = 0\n    while i < 100000:\n        i += 1\n    return i",
    "a worklist that empties": "def f(n):\n    q = [64]\n    while q:\n        x = q.pop()\n        if x > 1:\n"
    "            q.append(x // 2)\n    return n",
    "collatz": "def f(n):\n    k = 27\n    while k != 1:\n        k = k // 2 if k % 2 == 0 else 3 * k + 1\n"
    "    return k",
    "a list handed away": "def g(q):\n    q.clear()\ndef f(n):\n    q = [1]\n    while q:\n        q.append(2)\n"
    "        g(q)\n    return n",
    "a product of sizes": "def f(n):\n    return [[i * j for j in range(300)] for i in range(300)]",
}


@pytest.mark.parametrize("program", BOMBS.values(), ids=BOMBS)
def test_what_grows_without_measure_is_found(program: str) -> None:
    assert [one for one in DryRun(ast.parse(program)).found if one.sure]


@pytest.mark.parametrize("program", HONEST.values(), ids=HONEST)
def test_what_ends_is_left_alone(program: str) -> None:
    assert DryRun(ast.parse(program)).found == []


@pytest.mark.parametrize(
    "program",
    [
        "def f(n):\n"
        + "".join(f"{'    ' * (d + 1)}for a{d} in range(9):\n" for d in range(18))
        + "    " * 19
        + "n += 1",
        "def g(a):\n    return [g(a + 1), g(a + 2), g(a + 3)]\ndef f(n):\n    return g(0)",
        "def f(n):\n    x = 3\n    while x:\n        x = x ** x ** x * x\n    return x",
        "def f(n):\n    q = [0]\n    for i in q:\n        q.extend(q)\n    return q",
        "def f(n):\n    return " + "(" * 60 + "n" + " + 1)" * 60,
        "def f(n):\n    x = [0]\n    for _ in range(40):\n        y = []\n        y.append(x)\n        y.append(x)\n"
        "        x = y\n    return len([x])",
        "def f(n):\n    x = [1]\n    x.append(x)\n    x.append(x)\n    return [x] * 3",
        "def f(n):\n    d = {}\n    while True:\n        d[str(d)] = d\n    return d",
    ],
)
def test_a_dry_run_costs_little_whatever_it_is_given(program: str) -> None:
    tree = ast.parse(program)
    began = time.process_time()
    DryRun(tree)
    assert time.process_time() - began < 1.0


def test_sizes_stay_exact_while_small_and_become_sizes_after() -> None:
    assert multiplied([1, 2], 3) == [1, 2, 1, 2, 1, 2]
    assert multiplied("ab", 10**9) == Many(2 * 10**9, 10**9)
    assert count(added(Many(5.0, 5.0), [1])) == 6
    assert isinstance(powered(10, 10**9), Large)
    assert powered(2, 10) == 1024
    assert multiplied(UNKNOWN, 3) is UNKNOWN
    assert cells(Many(3.0, 900.0)) == 900
