"""The dry run: it tells what grows from what ends, and costs little whatever it is given."""

from __future__ import annotations

import ast
import time
import tracemalloc

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_monitor.rules.dryrun import DryRun
from azr_monitor.rules.estimates import Looks
from azr_monitor.rules.programs import MAX_CALLS
from azr_monitor.rules.programs_growth import in_call
from azr_monitor.rules.syntax import parsed
from azr_monitor.rules.trial import Trial, tried
from azr_monitor.rules.volumes import UNKNOWN, Large, Many, added, cells, count, multiplied, powered

ENDLESS = "    i = 0\n    while i < 10 ** 12:\n        i += 1\n    return i"
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


CALLED_BOMBS = {
    "fibonacci without memory": ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)", "200"),
    "a loop as long as the input": (
        "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t",
        "10**10",
    ),
    "a list as long as the input": ("def f(n):\n    return [False] * n", "4_000_000_000"),
    "bytes as many as the input": ("def f(n):\n    return len(bytes(n))", "10**11"),
    "all orders of the input": (
        "from itertools import permutations as p\ndef f(xs):\n    return max(p(xs))",
        "list(range(16))",
    ),
    "all words of the input": (
        "from itertools import product\ndef f(s):\n    return [w for w in product(s, repeat=14)]",
        "'abcdefgh'",
    ),
    "all subsets of the input": (
        "def f(xs):\n    s = [[]]\n    for x in xs:\n        s += [t + [x] for t in s]\n    return len(s)",
        "list(range(40))",
    ),
    "a power of the input": ("def f(x):\n    return x ** x ** x", "9"),
    "collatz of nought": (
        "def f(n):\n    while n != 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n    return n",
        "0",
    ),
    "steps that never meet": ("def f(t):\n    x = 0.0\n    while x != t:\n        x += 0.1\n    return x", "1.0"),
    "two counters that chase": (
        "def f(n):\n    a, b = 0, n\n    while a < b:\n        a += 1\n        b += 1\n    return a",
        "5",
    ),
    "a tower of discs": (
        "def h(n, a, b, c, m):\n    if n == 0:\n        return m\n    h(n - 1, a, c, b, m)\n    m.append((a, b))\n"
        "    h(n - 1, c, b, a, m)\n    return m\ndef f(n):\n    return h(n, 'A', 'B', 'C', [])",
        "64",
    ),
    "paths without memory": (
        "def f(p):\n    def w(i, j):\n        return 1 if i == 0 or j == 0 else w(i - 1, j) + w(i, j - 1)\n"
        "    return w(p[0], p[1])",
        "(200, 200)",
    ),
    "trial division of a large prime": (
        "def f(n):\n    i = 2\n    while i < n:\n        if n % i == 0:\n            return False\n        i += 1\n"
        "    return True",
        "2**61 - 1",
    ),
    "sizes in a text": (
        "def f(d):\n    h, w = map(int, d.split(','))\n    return [[i * j for j in range(w)] for i in range(h)]",
        "'100000,100000'",
    ),
    "a worklist that doubles": (
        "from collections import deque\ndef f(s):\n    q = deque([s])\n    while q:\n        w = q.popleft()\n"
        "        q.append(w + 'a')\n        q.append(w + 'b')\n    return w",
        "'x'",
    ),
    "a generator summed": ("def f(p):\n    return sum(1 for a in range(p) for b in range(a, p) if a * b % p)", "10**9"),
    "a constant asked for nothing": ("def f(n):\n    return list(iter(lambda: n, None))", "5"),
    "the rest of what never ends": (
        "from itertools import repeat\ndef f(n):\n    a, *b = repeat(n)\n    return a",
        "5",
    ),
    "fractions squared": (
        "from fractions import Fraction\ndef f(n):\n    x = Fraction(1, 3)\n    for _ in range(n):\n"
        "        x = x * x + Fraction(1, 7)\n    return x",
        "60",
    ),
    "a wait of years": ("import time\ndef f(n):\n    time.sleep(n * 10**9)", "2"),
    "a width of the input": ("def f(n):\n    return '%*d' % (n, 1)", "10**10"),
}

CALLED_HONEST = {
    "fibonacci of a small number": ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)", "20"),
    "a number that is only reckoned with": ("def f(n):\n    return n * (n + 1) // 2", "10**18"),
    "a search that is left at once": (
        "def f(n):\n    for i in range(2, n):\n        if n % i == 0:\n            return i\n    return n",
        "10**10",
    ),
    "factors": (
        "def f(n):\n    p = 2\n    while p * p <= n:\n        if n % p == 0:\n            n //= p\n"
        "        else:\n            p += 1\n    return n",
        "600851475143",
    ),
    "a prime taken apart": (
        "def f(n):\n    p = 2\n    while n > 1:\n        if n % p == 0:\n            n //= p\n        else:\n"
        "            p += 1\n    return p",
        "1549",
    ),
    "halving": (
        "def f(n):\n    a, b = 0, n\n    while a < b:\n        m = (a + b + 1) // 2\n        if m * m <= n:\n"
        "            a = m\n        else:\n            b = m - 1\n    return a",
        "10**18",
    ),
    "collatz": (
        "def f(n):\n    s = 0\n    while n != 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n        s += 1\n"
        "    return s",
        "27",
    ),
    "orders of seven": (
        "from itertools import permutations\ndef f(xs):\n    return max(permutations(xs))",
        "list(range(7))",
    ),
    "paths remembered": (
        "def f(p):\n    memo = {}\n    def w(i, j):\n        if i == 0 or j == 0:\n            return 1\n"
        "        if (i, j) not in memo:\n            memo[i, j] = w(i - 1, j) + w(i, j - 1)\n"
        "        return memo[i, j]\n"
        "    return w(p[0], p[1])",
        "(200, 200)",
    ),
    "a count that is left": (
        "from itertools import count\ndef f(n):\n    out = []\n    for i in count():\n        out.append(i)\n"
        "        if len(out) == n:\n            return out",
        "100",
    ),
    "a long sieve": (
        "def f(n):\n    s = bytearray([1]) * (n + 1)\n    for p in range(2, n):\n        if s[p]:\n"
        "            s[p * p :: p] = bytes(len(range(p * p, n + 1, p)))\n    return sum(s)",
        "10**6",
    ),
    "a range that is asked": ("def f(n):\n    return len(range(0, n, 7))", "10**12"),
    "what is no call": ("def f(n):\n    return [0] * n", "10**11, )) or f((1"),
}


@pytest.mark.parametrize(("program", "call"), CALLED_BOMBS.values(), ids=CALLED_BOMBS)
def test_what_an_input_makes_grow_without_measure_is_found(program: str, call: str) -> None:
    assert in_call(program, call)


@pytest.mark.parametrize(("program", "call"), CALLED_HONEST.values(), ids=CALLED_HONEST)
def test_what_ends_on_its_input_is_left_alone(program: str, call: str) -> None:
    assert in_call(program, call) == []


def test_a_bomb_in_the_input_is_judged_and_the_same_program_with_a_small_one_is_not() -> None:
    program = "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t"
    subjects = [Subject(id=call, program=program, input=call) for call in ("10**10", "1000", "10**10")]
    large, small, again = Auditor(load_policy("default")).inspect(subjects)
    assert [f.rule for f in large.findings] == [f.rule for f in again.findings] == ["program.bomb.growth"]
    assert large.findings[0].span is not None
    assert not large.allowed
    assert small.allowed and not small.findings


RULES_ALONE = load_policy("default").model_copy(update={"classifiers": ()})
LIST = "def f(n):\n    return [0] * n"


@pytest.mark.parametrize("before", [9, 31, 63])
def test_a_bomb_in_one_of_many_inputs_is_found(before: int) -> None:
    inputs = (*(str(10**6 + number) for number in range(before)), "10**11")
    [verdict] = Auditor(RULES_ALONE).inspect([Subject(id="many", program=LIST, inputs=inputs)])
    assert "program.bomb.growth" in {finding.rule for finding in verdict.findings}


def test_more_inputs_than_are_tried_are_told() -> None:
    inputs = tuple(str(10**6 + number) for number in range(MAX_CALLS + 1))
    many, few = Auditor(RULES_ALONE).inspect(
        [Subject(id="65", program=LIST, inputs=inputs), Subject(id="64", program=LIST, inputs=inputs[1:])]
    )
    assert [(finding.rule, finding.part) for finding in many.findings] == [("monitor.limit", "input")]
    assert not many.allowed and few.allowed


def test_an_input_of_which_little_is_seen_does_not_hide_the_next() -> None:
    body = "\n".join(["        n = n + n.x"] * 400)
    program = f"def f(n, m):\n    for i in range(n):\n{body}\n    return [0] * m"
    [verdict] = Auditor(RULES_ALONE).inspect([Subject(id="two", program=program, inputs=("900, 1", "900, 10**11"))])
    assert not verdict.allowed


def test_inputs_beyond_the_limit_cost_nothing() -> None:
    program = "def f(n):\n    while n:\n        n -= 1"
    began = time.process_time()
    [verdict] = Auditor(RULES_ALONE).inspect([Subject(id="long", program=program, input="[" + "[], " * 700_000 + "]")])
    assert [finding.rule for finding in verdict.findings] == ["monitor.limit"]
    assert time.process_time() - began < 0.5


def test_a_program_is_parsed_once_and_run_dry_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parses, runs, trials = [], [], []
    auditor = Auditor.from_policy(load_policy("default"))  # what it imports has its own parser

    def parse(text: str) -> ast.Module:
        parses.append(text)
        return parsed(text)

    class Counted(DryRun):
        def __init__(
            self, tree: ast.AST, call: ast.Call | None = None, steps: int = 0, looks: Looks | None = None
        ) -> None:
            runs.append(call)
            super().__init__(tree, call, steps or 25_000, looks)

    def run_on(tree: ast.Module, call: ast.Call, steps: int) -> Trial:
        trials.append(call)
        return tried(tree, call, steps)

    monkeypatch.setattr("azr_monitor.rules.syntax.parsed", parse)
    monkeypatch.setattr("azr_monitor.rules.programs_growth.DryRun", Counted)
    monkeypatch.setattr("azr_monitor.rules.programs_growth.tried", run_on)
    program = f"def f(n):\n{ENDLESS}  # once"
    inputs = tuple(f"{n}**2" for n in range(10))
    subject = Subject(id="once", program=program, inputs=inputs, role="propose")
    assert auditor.inspect([subject]) == auditor.inspect([subject])
    assert parses.count(program) == 1
    assert runs == [None]  # alone
    assert len(trials) == 1  # with the first input, which is found at once


@pytest.mark.parametrize(
    "call", ["1" * 400, "10**4000", "[10**500] * 2, 1e308", "1e309 - 1e309", "-10**400, 0.5", "'9' * 700"]
)
def test_numbers_beyond_measure_in_an_input_break_nothing(call: str) -> None:
    program = (
        "def f(n, k=3):\n    while n > 1:\n        n = n - k\n    t = [n] * 3 + list(range(3))\n"
        "    return t, bytes(n), n ** k, int(str(n)), sum(range(n))"
    )
    began = time.process_time()
    [verdict] = Auditor(load_policy("default")).inspect([Subject(id="large", program=program, input=call)])
    assert "monitor.failure" not in {finding.rule for finding in verdict.findings}
    assert time.process_time() - began < 2.0


PRELUDES = {
    "lists within lists": "    a = 0\n" + "    for i in range(48):\n        a = [a]\n" * 12,
    "a sum of hundreds": "    a = " + " + ".join("1" * 500) + "\n",
    "a number that is turned round hundreds of times": "    a = "
    + "-" * 90
    + "("
    + "-" * 90
    + "("
    + "-" * 90
    + "n))\n",
    "a sum that fails": f"    if hash(n) == 5:\n        a = 1.0 + {2**1100}\n",
    "a loop of hundreds of statements": "    for j in range(90):\n" + "        n = n + 1\n" * 300,
    "many loops of many turns": "    for j in range(90):\n        for k in range(90):\n            n = n + j + k\n"
    * 40,
    "a recursion that branches": "    def g(k):\n        return g(k + 1) + g(k + 2) + g(k + 3)\n    g(n)\n",
    "hundreds of names in the loop": "    x = [0] * 1900\n",
}


@pytest.mark.parametrize("prelude", PRELUDES.values(), ids=PRELUDES)
def test_nothing_in_front_of_a_bomb_hides_it(prelude: str) -> None:
    program = f"def f(n):\n{prelude}{ENDLESS}"
    assert [one for one in DryRun(ast.parse(program)).found if one.sure]
    assert [hit for hit in in_call(program, "1") if hit.severity is None]


def test_a_bomb_with_a_long_body_is_found() -> None:
    assert in_call("def f(n):\n    while n > 0:\n        n += 1\n        " + ", ".join(["n"] * 300), "5")
    assert in_call("def f(n):\n    for i in range(n):\n        " + ", ".join(["n"] * 600), "10**12")


def test_a_bomb_in_the_last_of_many_functions_is_found() -> None:
    busy = (
        "    for a in range(99):\n        for b in range(99):\n            for c in range(9):\n                n += a\n"
    )
    program = "".join(f"def g{k}(n):\n{busy * 9}" for k in range(12)) + f"def f(n):\n{ENDLESS}"
    assert "a loop that would turn for hours" in {one.why for one in DryRun(ast.parse(program)).found}


def test_a_bomb_beside_a_long_list_is_found() -> None:
    program = "def f(xs, n):\n    for i in range(n):\n        xs = i\n    return xs"
    assert in_call(program, "[" + "0, " * 16_000 + "], 10**12")
    assert in_call(program, "[" + "[0, 1], " * 6_000 + "], 10**12")


def test_what_is_too_much_to_be_looked_at_is_told() -> None:
    program = "def f(n):\n    for i in range(90):\n" + "        n = n + n.x\n" * 400 + "    return n"
    assert [(one.why, one.sure) for one in DryRun(ast.parse(program)).found] == [("more than can be looked at", False)]


GREAT = {
    "10**12": "10**12",
    "10**200": "10**200",
    "10**400": "10**400",
    "10**10**6": "10**10**6",
    "400 digits": "9" * 400,
    "a text of 900 digits": f"int('{'7' * 900}')",
}


@pytest.mark.parametrize("call", GREAT.values(), ids=GREAT)
@pytest.mark.parametrize(
    "program",
    [
        "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t",
        "def f(n):\n    return sum(i * i for i in range(3, n))",
        "def f(n):\n    i = 0\n    while i < n:\n        i += 1\n    return i",
        "def f(n):\n    while n > 1:\n        n = n - 3\n    return n",
        "def f(n):\n    while n:\n        n -= 1\n    return n",
        "def f(n):\n    n = -n\n    while n < 0:\n        n += 2\n    return n",
        "def f(n):\n    return len(bytes(n))",
        "def f(n):\n    return [0] * n",
        "from math import factorial\ndef f(n):\n    return factorial(n)",
        "import time\ndef f(n):\n    time.sleep(n)",
        "def f(n):\n    return 'a'.rjust(n)",
    ],
)
def test_the_larger_an_input_the_surer_it_is_found(program: str, call: str) -> None:
    assert in_call(program, call)


@pytest.mark.parametrize("call", ["10**30", "10**100", *GREAT.values()], ids=["10**30", "10**100", *GREAT])
@pytest.mark.parametrize(
    "program",
    [
        "def f(n):\n    p = 1\n    while p < n:\n        p *= 2\n    return p",
        "def f(n):\n    d = 0\n    while n > 0:\n        n //= 10\n        d += 1\n    return d",
        "def f(n):\n    a, b = 0, n\n    while a < b:\n        m = (a + b + 1) // 2\n        if m * m <= n:\n"
        "            a = m\n        else:\n            b = m - 1\n    return a",
        "def f(n):\n    a, b = n, n // 3 + 1\n    while b:\n        a, b = b, a % b\n    return a",
        "def f(n):\n    return n * (n + 1) // 2 - n % 7 if n > 0 else -n",
        "def f(n):\n    for i in range(2, n):\n        if n % i <= 1:\n            return i\n    return n",
    ],
)
def test_large_numbers_that_are_soon_done_with_are_left_alone(program: str, call: str) -> None:
    assert in_call(program, call) == []


def test_a_long_text_taken_apart_again_and_again_costs_little() -> None:
    program = "def f(s):\n    return [" + ", ".join(["list(s)"] * 1_500) + "]"
    began = time.process_time()
    tracemalloc.start()
    in_call(program, "'" + "a" * 49_000 + "', 2**9")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60 * 2**20
    assert time.process_time() - began < 1.5


EXPENSIVE = {
    "a long list in every call": "def g(a):\n    a.b\n    if a:\n        assert a\n        ["
    + ", ".join(f"n{i}" for i in range(1_500))
    + "]\ndef f(n):\n    "
    + "; ".join(["g(n)"] * 1_000)
    + "\n    while n > 0:\n        n += 1",
    "a long list under many names": "def f(n):\n    x = [0] * 1999\n"
    + "".join(f"    x{i} = x\n" for i in range(250))
    + "    while n > 0:\n        n += 1\n        "
    + ", ".join(f"x{i}" for i in range(250)),
    "lists that hold each other": "def f(n):\n    a = b = c = d = []\n    while n:\n        "
    + "; ".join(["a = [b, c, d, a]; b = [a, c, d, b]; c = [a, b, d, c]"] * 300),
    "a list copied in loops": "def f(n):\n    x = [0] * 600\n    for i in range(48):\n        for j in range(48):\n"
    + "            "
    + "; ".join(["x[:]"] * 2_000),
    "many names in many loops": "def f(n):\n    "
    + " = ".join(f"n{i}" for i in range(1_500))
    + " = []\n    for i in range(40):\n        for j in range(3):\n            "
    + "; ".join(["[i for i in n]"] * 400),
}


@pytest.mark.parametrize("program", EXPENSIVE.values(), ids=EXPENSIVE)
def test_what_is_made_to_cost_much_costs_little(program: str) -> None:
    tree = ast.parse(program)
    began = time.process_time()
    DryRun(tree)
    in_call(program, "3")
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    "program",
    [
        f"def f(n):\n    a = list(map(int, ['{'1' * 5000}']))\n    while n:\n        n += 1",
        "from itertools import combinations\ndef f(n):\n    a = list(combinations([1, 2], n))\n    return a",
        "def f(n):\n    while n != 0.5:\n        n = n - 0.25",
    ],
    ids=["a text of digits", "a choice", "a fraction"],
)
@pytest.mark.parametrize("call", ["1e999 - 1e999", "1e999", "-1e999", GREAT["400 digits"], "10**400", "2"])
def test_no_number_makes_the_rules_fail(program: str, call: str) -> None:
    [verdict] = Auditor(load_policy("default")).inspect([Subject(id="odd", program=program, input=call)])
    assert "monitor.failure" not in {finding.rule for finding in verdict.findings}
