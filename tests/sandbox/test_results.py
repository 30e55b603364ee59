"""What comes out: values, refused inputs and programs, forgeries, residue and nondeterminism."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from azr_sandbox.verdict import order_sensitive

Run = Callable[..., Execution]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[1, 2.5, 'a', b'b', None, True, 1j]", "[1, 2.5, 'a', b'b', None, True, 1j]"),
        ("(1,), (), [[]], {}", "((1,), (), [[]], {})"),
        ("{'b': 1, 'a': {2: (3,)}}", "{'b': 1, 'a': {2: (3,)}}"),
        ("{'b', 'a', 'c'}, frozenset('ba'), set()", "({'a', 'b', 'c'}, frozenset({'a', 'b'}), set())"),
        ("frozenset()", "frozenset()"),
        ("float('nan'), float('-inf'), -0.0, 1e22", "(nan, -inf, -0.0, 1e+22)"),
        ("complex(1, float('nan'))", "(1+nanj)"),
        ("'é\\n\\x00\\ud800\\u202e'", "'é\\n\\x00\\ud800\\u202e'"),
        ("collections.Counter('aab')", "{'a': 2, 'b': 1}"),
        ("collections.OrderedDict(a=1)", "{'a': 1}"),
        ("(d := collections.OrderedDict(a=1, b=2)).move_to_end('a') or d", "{'b': 2, 'a': 1}"),
        ("collections.defaultdict(list, {1: [2]})", "{1: [2]}"),
        ("collections.deque([1, 2], maxlen=2)", "[1, 2]"),
        ("2 ** 13_999", str(2**13_999)),
        ("-7", "-7"),
        ("'a' * 65_000", repr("a" * 65_000)),
    ],
    ids=lambda text: f"{text[:24]}",
)
def test_builtin_values_come_out_as_canonical_literals(run: Run, expression: str, value: str) -> None:
    execution = run(f"import collections\ndef f(x):\n    return {expression}")
    assert (execution.outcome, execution.value) == (Outcome.OK, value)


@pytest.mark.parametrize(
    "body",
    [
        "class S(str): pass\ndef f(x): return S('a')",
        "class I(int):\n    def __repr__(self): return '42'\ndef f(x): return I(1)",
        "class L(list): pass\ndef f(x): return [L([1])]",
        "class D(dict): pass\ndef f(x): return {1: D()}",
        "import enum\nclass E(enum.IntEnum):\n    A = 1\ndef f(x): return E.A",
        "from collections import namedtuple\nP = namedtuple('P', 'a')\ndef f(x): return P(1)",
        "def f(x): return object()",
        "def f(x): return f",
        "def f(x): return int",
        "def f(x): return range(3)",
        "def f(x): return {1: 2}.keys()",
        "def f(x): return (i for i in [1])",
        "def f(x): return ...",
        "def f(x): return NotImplemented",
        "def f(x): return bytearray(b'a')",
        "from decimal import Decimal\ndef f(x): return Decimal(1)",
        "from fractions import Fraction\ndef f(x): return Fraction(1, 2)",
        "async def f(x): return 1",
        "def f(x):\n    x = []\n    x.append(x)\n    return x",
        "def f(x):\n    x = []\n    for _ in range(101): x = [x]\n    return x",
        "def f(x):\n    x = 1\n    for _ in range(60): x = frozenset({x})\n    return x",
        "class M(type):\n    __name__ = 'int'\nclass X(metaclass=M): pass\ndef f(x): return X()",
    ],
    ids=lambda text: f"{text[-28:]!r}",
)
def test_anything_else_is_not_a_value(run: Run, body: str) -> None:
    execution = run(body)
    assert (execution.outcome, execution.value) == (Outcome.NOT_A_VALUE, None)


def test_lying_classes_and_patched_builtins_do_not_change_a_value(run: Run) -> None:
    program = (
        "import builtins, json, sys, io\n"
        "builtins.repr = builtins.str = builtins.ascii = lambda v: '42'\n"
        "builtins.type = lambda v: int\n"
        "builtins.len = lambda v: 0\n"
        "builtins.isinstance = lambda *a: True\n"
        "json.dumps = lambda *a, **k: '42'\n"
        "sys.modules['azr_sandbox.guest.encode'].encode = lambda *a: '42'\n"
        "def f(x):\n    return [7, 'a']"
    )
    assert run(program).value == "[7, 'a']"


def framed(kind: bytes, text: bytes) -> bytes:
    """A payload as the harness in the jail writes it: kind, length, text."""
    return kind + len(text).to_bytes(4, "little") + text


FIND_FD = "for FD in range(3, 64):\n    try: os.fstat(FD)\n    except OSError: continue\n    break"


@pytest.mark.parametrize(
    "payload",
    [
        framed(b"v", b"1) or True"),
        framed(b"v", b'__import__("os")'),
        framed(b"v", b"nan\xff\xfe"),
        framed(b"v", b"[" * 5000),
        framed(b"z", b"1"),
        framed(b"v", b"1\n2"),
        framed(b"v", b""),
        b"v",
        b"v1",
        b"v\xff\xff\xff\xff1",
        framed(b"v", b"1") + b"v",
        framed(b"v", b"1") * 2,
    ],
)
def test_a_forged_result_that_is_no_literal_is_refused(run: Run, payload: bytes) -> None:
    execution = run(f"import os\ndef f(x):\n    os.write(FD, {payload})\n    os._exit(0)\n{FIND_FD}", verify=False)
    assert execution.outcome in (Outcome.NOT_A_VALUE, Outcome.CRASH)
    assert execution.value is None


def test_a_forged_result_achieves_no_more_than_returning_it(run: Run) -> None:
    forged = framed(b"v", b"[1]")
    assert run(f"import os\ndef f(x):\n    os.write(FD, {forged})\n    os._exit(0)\n{FIND_FD}").value == "[1]"


def test_a_result_forged_before_the_real_one_spoils_both(run: Run) -> None:
    forged = framed(b"v", b"[1]")
    execution = run(f"import os\ndef f(x):\n    os.write(FD, {forged})\n    return 2\n{FIND_FD}")
    assert execution.outcome is Outcome.CRASH


def test_a_result_forged_by_a_process_that_stays_is_not_believed(run: Run) -> None:
    forged = framed(b"v", b"1")
    program = f"import os\ndef f(x):\n    os.write(FD, {forged})\n    os.close(FD)\n    while 1: pass\n{FIND_FD}"
    assert run(program, verify=False).outcome is Outcome.CRASH


@pytest.mark.parametrize(
    "text",
    [
        "1) or True or f(1",
        "1), f(2",
        "1)(2",
        "1).__class__(2",
        "1)\nimport os\nf(1",
        "1\n)\n+f(2",
        "1) if True else f(1",
        "1); f(1",
        "x := 1) and (1",
        "1",
        "lambda: (yield)",
        "",
        "1, 2 3",
        "a b",
        "(" * 300,
        "\x00",
        "1 # )",
    ],
    ids=lambda text: f"{text[:20]!r}",
)
def test_an_input_is_the_arguments_of_one_call_or_nothing(run: Run, text: str) -> None:
    program = "def f(*a, **k):\n    return 'ran'"
    execution = run(program, text)
    expected = Outcome.OK if text in ("1", "", "1 # )", "lambda: (yield)") else Outcome.INVALID_INPUT
    assert execution.outcome is expected, execution


def test_inputs_are_expressions_evaluated_inside(run: Run) -> None:
    program = "import math\ndef f(*a, **k):\n    return a, k"
    value = run(program, "*[1, 2], math.floor(2.5), sum(i for i in range(4)), key={'a': [1]}").value
    assert value == "((1, 2, 2, 6), {'key': {'a': [1]}})"


def test_an_input_that_raises_is_an_error_not_a_bad_input(run: Run) -> None:
    assert run("def f(x):\n    return x", "1 / 0").detail == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("def f(:", "SyntaxError"),
        ("g = 1", "defines no function f"),
        ("f = 7", "defines no function f"),
        ("", "defines no function f"),
        ("def f(x):\n\treturn 1\n        return 2", "TabError"),
        ("return 1", "SyntaxError"),
        ("\x00", ""),
        ("\ud800", "surrogate"),
        ("(" * 500, "SyntaxError"),
        ("x = " + "-" * 50_000 + "1", ""),
        ("# " + "a" * 70_000, "more than 65536"),
    ],
    ids=lambda text: f"{text[:16]!r}",
)
def test_what_does_not_compile_or_lacks_f_is_an_invalid_program(run: Run, program: str, detail: str) -> None:
    execution = run(program)
    assert execution.outcome is Outcome.INVALID_PROGRAM
    assert detail in execution.detail


def test_an_oversized_input_is_invalid(run: Run) -> None:
    assert run("def f(x):\n    return 1", f"'{'a' * 70_000}'").outcome is Outcome.INVALID_INPUT


def test_the_main_block_runs_and_printing_is_silent(run: Run) -> None:
    program = (
        "import sys\nprint('x'); sys.stdout.write('y'); sys.stderr.flush()\n"
        "def f(x):\n    print(x, file=sys.stderr)\n    return READY\n"
        "if __name__ == '__main__':\n    READY = True"
    )
    assert run(program).value == "True"


def test_dataclasses_and_type_hints_find_their_module(run: Run) -> None:
    program = (
        "from __future__ import annotations\nfrom dataclasses import dataclass, asdict\nimport typing\n"
        "@dataclass\nclass P:\n    x: int\n"
        "def f(x):\n    return asdict(P(x)), typing.get_type_hints(P)['x'] is int"
    )
    assert run(program, "3").value == "({'x': 3}, True)"


def test_the_program_does_not_inherit_the_harness_future_flags(run: Run) -> None:
    assert run("def f(x: 1 + 1): return f.__annotations__['x']").value == "2"


@pytest.mark.parametrize(
    "body",
    [
        "def f(x): return hash('a')",
        "def f(x): return id(x)",
        "def f(x): return list({'apple', 'banana', 'cherry', 'orange', 'kiwi'})",
        "def f(x): return str({'a', 'b', 'c', 'd', 'e', 'f'})",
        "def f(x): return {'a', 'b', 'c', 'd', 'e'}.pop()",
        "def f(x): return ''.join(frozenset('hello world'))",
        "def f(x): return repr(object())",
        "import random\ndef f(x): return random.random()",
        "import os\ndef f(x): return os.urandom(4)",
        "import uuid\ndef f(x): return str(uuid.uuid4())",
        "import secrets\ndef f(x): return secrets.token_hex(4)",
        "import os\ndef f(x): return os.getpid()",
        "import time\ndef f(x): return time.time()",
        "import time\ndef f(x): return int(time.time()) // 86_400",
        "import time\ndef f(x): return time.strftime('%Y-%m')",
        "import time\ndef f(x): return time.localtime().tm_year",
        "import time\ndef f(x): return time.clock_gettime(time.CLOCK_REALTIME) // 10**6",
        "import datetime\ndef f(x): return datetime.date.today().isoformat()",
        "from datetime import datetime\ndef f(x): return datetime.now().year",
        "import time\ndef f(x): return time.perf_counter_ns()",
        "import sys\ndef f(x): return sys.hash_info.width and id(sys)",
        "import tempfile\ndef f(x): return next(tempfile._get_candidate_names())",
    ],
    ids=lambda text: f"{text[-30:]!r}",
)
def test_what_differs_from_run_to_run_is_nondeterministic(run: Run, body: str) -> None:
    execution = run(body)
    assert (execution.outcome, execution.value) == (Outcome.NONDETERMINISTIC, None), execution
    assert " and then " in execution.detail


@pytest.mark.parametrize(
    "body",
    [
        "def f(x): return {'a', 'b', 'c'}",
        "def f(x): return sorted({'b', 'a'})",
        "def f(x): return {1: {'x', 'y'}, 'k': frozenset('abc')}",
        "import random\ndef f(x):\n    random.seed(1)\n    return random.random()",
        "import datetime\ndef f(x): return (datetime.date(2024, 3, 1) - datetime.timedelta(1)).isoformat()",
        "def f(x): return list({3, 1, 2})",
        "def f(x): return len({'a', 'b'}), 'a' in {'a'}",
        "def f(x): return float('nan')",
    ],
    ids=lambda text: f"{text[-30:]!r}",
)
def test_what_is_equal_in_every_run_verifies(run: Run, body: str) -> None:
    assert run(body).outcome is Outcome.OK


def test_a_two_element_order_is_caught_by_the_further_seeds(pool: JailPool) -> None:
    letters = "abcdefghijklmnop"
    pairs = [(a, b) for a in letters for b in letters if a < b]
    requests = [Request("def f(a, b):\n    return list({a, b})", tuple(repr(pair)[1:-1] for pair in pairs))]
    (executions,) = pool.run(requests)
    caught = sum(execution.outcome is Outcome.NONDETERMINISTIC for execution in executions)
    assert caught / len(pairs) > 0.85


def test_an_error_only_the_second_run_meets_is_nondeterministic(run: Run) -> None:
    program = "import time\ndef f(x):\n    return 1 // (time.localtime().tm_year < 2_000 + YEAR)"
    year = int(run("import time\ndef f(x): return time.localtime().tm_year", verify=False).value or 0)
    execution = run(program.replace("YEAR", str(year - 2_000 + 1)))
    assert execution.outcome is Outcome.NONDETERMINISTIC
    assert "ZeroDivisionError" in execution.detail


def test_unverified_runs_are_taken_at_their_word(run: Run) -> None:
    assert run("import os\ndef f(x): return os.getpid()", verify=False).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{1, 2}", True),
        ("{x for x in y}", True),
        ("f({'a'})", True),
        ("set(x)", True),
        ("hash(x)", True),
        ("a.keys() & b.keys()", True),
        ("k = a.keys(); k | b", True),
        ("WeakSet(x)", True),
        ("ast.literal_eval(x)", True),
        ("a.items(); b - c", False),
        ("{'a': 1}", False),
        ("{}", False),
        ("{k: v for k, v in x}", False),
        ("f'{x} {y}'", False),
        ("'{1, 2}'  # {3}", False),
        ("offset(x); reset()", False),
        ("'''" + "\\'''" * 9_000, False),
        ("'" * 60_001, False),
    ],
    ids=lambda text: f"{text[:20]!r}" if isinstance(text, str) else "",
)
def test_sets_and_hashes_are_spotted_without_parsing(text: str, expected: bool) -> None:
    assert order_sensitive(text) is expected


def test_inputs_of_one_program_do_not_see_each_other(pool: JailPool) -> None:
    program = "import builtins\nseen = []\ndef f(x):\n    seen.append(x)\n    builtins.left = x\n    return seen"
    (executions,) = pool.run([Request(program, ("1", "2", "3", "4"))])
    assert [execution.value for execution in executions] == ["[1]", "[2]", "[3]", "[4]"]


# Walks its own heap page by page; access(2) answers EFAULT for a page that is not there instead of crashing. The
# text looked for is given, and searched, with every byte one higher, so that the scan never finds itself.
SCAN = """
import ctypes
def f(marker):
    next_byte = bytes(range(1, 256)) + b'\\0'
    libc = ctypes.CDLL(None, use_errno=True)
    libc.access.argtypes = [ctypes.c_void_p, ctypes.c_int]
    found = seen = 0
    for near in (id(object()), id('x' * 600), ctypes.addressof(ctypes.create_string_buffer(1 << 16))):
        start = near // 4096 * 4096
        for page in range(start - (24 << 20), start + (24 << 20), 4096):
            if libc.access(page, 0) == -1 and ctypes.get_errno() == 14:
                continue
            seen += 1
            found += ctypes.string_at(page, 4096).translate(next_byte).count(marker)
    return found, seen > 500
"""


def test_an_earlier_programs_text_is_nowhere_in_memory(pool: JailPool) -> None:
    secret = "quetzal-secret-0451-" * 3
    disguised = bytes(byte + 1 for byte in secret.encode())
    planted = Request(f"KEPT = {secret!r}\ndef f(x):\n    return KEPT + {secret!r}", ("0",), verify=False)
    pool.run([planted] * 20)
    generous = Limits(cpu_s=20, wall_s=60)
    with JailPool(generous, workers=1) as lone:
        lone.run([planted] * 10)
        scan = Request(SCAN, (repr(disguised),), verify=False)
        control = Request(f"KEPT = {secret!r}\n{SCAN}", (repr(disguised),), verify=False)
        ((clean,), (found,)) = lone.run([scan, control])
    assert clean.value == "(0, True)", clean
    assert found.value is not None
    assert not found.value.startswith("(0,"), "the scan must find the text where it is known to be"
