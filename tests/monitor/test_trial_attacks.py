"""Programs that attack the interpreter of trials: each would hang it, eat its memory, crash it or get out of it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_monitor.rules.programs_growth import in_call
from azr_monitor.rules.syntax import parsed
from azr_monitor.rules.trial import Outcome, Trial, tried

MOST_SECONDS = 2
MOST_BYTES = 512 * 2**20
_SHARED = "functools.reduce(lambda a, b: [a, a], range(60), 1)"
_HASHED = "functools.reduce(lambda a, b: (a, a), range(60), 1)"
_SIGNS = "itertools.product((-1, -2), repeat=14)"
_LIBRARIES = (
    "import functools, heapq, itertools, math\nfrom collections import Counter, OrderedDict, deque\n"
    "from fractions import Fraction\n"
)
EXPRESSIONS = (
    # numbers
    "10 ** 10 ** 8",
    "True << 10 ** 10",
    "round(1, -10 ** 9)",
    "round(Fraction(1, 3), -10 ** 9)",
    "Fraction('1e1000000000')",
    "Fraction(2 ** 30000) ** 30000",
    "Fraction(3) ** Fraction(10 ** 9)",
    "2 ** Fraction(10 ** 10)",
    "math.comb(10 ** 3000, 300)",
    "math.perm(10 ** 6)",
    "math.lcm(*[10 ** 9999 + k for k in range(100)])",
    "int('9' * 10 ** 7)",
    # sequences
    "[0] * 10 ** 10",
    "list(itertools.product(*[[1, 2]] * 500, repeat=8))",
    "('a' * 30000).translate({97: 'b' * 30000})",
    "('{0}' * 13000).format('a' * 40000)",
    "f'{1:1000000000}'",
    "'%1000000000d' % 1",
    "Counter({1: 'a' * 30000}) + Counter({1: 'a' * 30000})",
    # what C walks by itself
    "1.5 in range(10 ** 12)",
    "{-1}.isdisjoint(range(10 ** 12))",
    "{1}.difference_update(range(10 ** 12))",
    "frozenset([1]).issuperset(range(10 ** 12))",
    "list(iter([].copy, 1))",
    "next(filter(None, itertools.repeat(0)))",
    # what is compared, hashed or shown as often as it is shared
    f"{_SHARED} == {_SHARED}",
    f"str({_SHARED})",
    f"list(iter(lambda: {_SHARED}, {_SHARED}))",
    f"list(itertools.groupby([{_SHARED}, {_SHARED}]))",
    f"heapq.heapify([{_SHARED}, {_SHARED}])",
    f"heapq.heappush([(0, {_SHARED})], (0, {_SHARED}))",
    f"Counter(a={_SHARED}, b={_SHARED}).most_common()",
    f"dict(a={_SHARED}).items() == dict(a={_SHARED}).items()",
    f"[{_SHARED}].index({_SHARED})",
    f"'a'.encode({_SHARED})",
    f"Counter([{_HASHED}])",
    f"dict([({_HASHED}, 1)])",
    f"set().union([{_HASHED}])",
    f"{{1: 2}}[{_HASHED}]",
    # keys of one hash
    "set(range(0, 20000 * (2 ** 61 - 1), 2 ** 61 - 1))",
    f"set({_SIGNS})",
    f"Counter({_SIGNS})",
    f"dict.fromkeys({_SIGNS})",
    f"dict((t, 1) for t in {_SIGNS})",
    # iterators inside one another
    "next(functools.reduce(lambda a, b: zip(a), range(5000), [1]))",
    "functools.reduce(lambda a, b: itertools.chain(a), range(5000), [1])",
    "functools.reduce(lambda a, b: (x for x in a), range(3000), [1])",
)
_TREE = (
    "class N: pass\n    a = N()\n    a.l = 1\n    for _ in range(60):\n        b = N()\n"
    "        b.l = b.r = a\n        a = b\n"
)
_DIAMONDS = "class A0: pass\n" + "".join(f"class A{i}(A{i - 1}, A{i - 1}): pass\n" for i in range(1, 45))
_WIDE = "    a = (1 << 39000) - 1\n    b = (1 << 20000) + 7\n"
_MANY_LINES = "        x = [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" * 3000
BODIES = (
    "while True:\n        try:\n            while True: n += 1\n        except BaseException:\n            pass",
    "while True:\n        try:\n            while True: n += 1\n        finally:\n            continue",
    "t = 1\n    for _ in range(60): t = (t, t)\n    del {}[t]",
    "t = 1\n    for _ in range(60): t = (t, t)\n    set().update([t])",
    f"{_TREE}    return [].index(a)",
    f"{_TREE}    return 'a'.encode(a)",
    f"x = 1\n{_WIDE}    while True: c = a % b",
    f"x = 1\n{_WIDE}    while True: c = divmod(a, b)",
    "a = (1 << 3900) - 1\n    while True: c = pow(a - 1, (1 << 1999) - 1, a)",
    "x = Fraction((1 << 9000) - 1, (1 << 8000) + 1)\n    while True: z = x + 1 / x",
    "c = Counter({1: 'a' * 1000})\n    while True: c.update(c)",
    "s = '\\U0001F600' * 39000\n    kept = []\n    while True: kept.append(s.lower())",
    "d = dict(zip(range(6000), range(6000)))\n    kept = []\n    while True: kept.append(dict(d))",
    "s = 'a' * 39000\n    t = 'b' + 'a' * 19000\n    while True: s.rfind(t)",
    "a = set(range(5000))\n    b = set(a)\n    while True: a - b",
    "r = [[0] * 300 for _ in range(300)]\n    x = [0] * 299 + [1]\n    while True: r.count(x)",
    f"while True:\n        def g():\n    {_MANY_LINES.replace(chr(10), chr(10) + '    ')}\n        n += 1",
)
PROGRAMS = (
    _DIAMONDS + "def f(n):\n    return A44().x",
    _DIAMONDS + "def f(n):\n    return isinstance(A44(), N)\nclass N: pass",
    "break\ndef f(n): return n",
    "return 1\ndef f(n): return n",
    "yield 1\ndef f(n): return n",
    "raise SystemExit\ndef f(n): return n",
    "def f(n):\n    return " + "-" * 700 + "n",
    "def f(n):\n    x = 0.5\n    while x != (1 << 30000): x += 1",
)


def limited(act: Callable[[], object]) -> int:
    """The status of a process that does something with little time and memory: nought where it came to its end."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + MOST_BYTES, held + MOST_BYTES))
            resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 1))
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def run(program: str, call: str = "3") -> Trial:
    return tried(parsed(program), parsed(f"f({call})", mode="eval").body)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_expression_takes_much_time_or_memory(expression: str) -> None:
    assert limited(lambda: run(f"{_LIBRARIES}def f(n):\n    return {expression}")) == 0


@pytest.mark.parametrize("body", BODIES)
def test_no_statements_take_much_time_or_memory(body: str) -> None:
    assert limited(lambda: run(f"{_LIBRARIES}def f(n):\n    {body}")) == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_makes_a_trial_fail(program: str) -> None:
    assert limited(lambda: run(program)) == 0


@pytest.mark.parametrize(
    "expression",
    (
        "open(n, 'w')",
        "__import__('os').system('touch ' + n)",
        "eval('open(n, \"w\")')",
        "list(map(open, [n], ['w']))",
        "sorted([n], key=open)",
        "next(iter(lambda: open(n, 'w'), 1))",
        "f.__globals__['__builtins__']['open'](n, 'w')",
        "().__class__.__base__.__subclasses__()",
        "(x for x in n).gi_frame.f_back.f_builtins['open'](n, 'w')",
        "'{0.__class__.__init__}'.format(n)",
        "str.format('{0.__class__}', n)",
        "type(n)('x')",
        "getattr(n, 'upper')()",
    ),
)
def test_nothing_of_the_supervisor_is_reached(expression: str, tmp_path: Path) -> None:
    place = tmp_path / "made"
    trial = run(f"def f(n):\n    return {expression}", repr(str(place)))
    assert trial.outcome is Outcome.UNKNOWN
    assert not place.exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_attack_on_the_trial_costs_no_verdict(program: str) -> None:
    auditor = Auditor.from_policy(load_policy("default"))
    began = time.process_time()
    assert len(auditor.inspect([Subject(id="a", program=program, inputs=("10 ** 9",))])) == 1
    assert time.process_time() - began < MOST_SECONDS


def test_many_inputs_share_the_steps_of_a_few() -> None:
    program = "def f(a, b):\n    while a > -b:\n        a -= b // b\n    return a"
    calls = [f"{10**6 + k}, {10**6}" for k in range(64)]

    def took(many: int) -> float:
        began = time.process_time()
        for call in calls:
            in_call(program, call, many)
        return time.process_time() - began

    assert took(64) < took(8) / 2
