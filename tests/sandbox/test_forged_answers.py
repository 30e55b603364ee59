"""Answers that try to be right without being it, judged as `azr-platform sandbox check` judges them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azr_platform.cli.answers import check_lines
from azr_sandbox.pool import JailPool

Case = dict[str, Any]
DOUBLE = (("1", "2"), ("2", "4"), ("3", "6"))
# Puts the number of the pipe that results leave by into FD.
FIND_FD = "import os\nfor FD in range(3, 64):\n    try: os.fstat(FD)\n    except OSError: continue\n    break\n"
ONE = (1).to_bytes(4, "little")


def deduced(output: str, answer: str) -> Case:
    return {"kind": "deduction", "program": "def f(x): return x", "input": "1", "output": output, "answer": answer}


def abduced(program: str, output: str, answer: str) -> Case:
    return {"kind": "abduction", "program": program, "output": output, "answer": answer}


def induced(answer: str, *pairs: tuple[str, str]) -> Case:
    return {"kind": "induction", "answer": answer, "pairs": [list(pair) for pair in pairs or DOUBLE]}


INCREMENT = "def f(x): return x + 1"
RIGHT = {
    "a number of another type": deduced("1e16", "10000000000000000"),
    "in parentheses": deduced("5", "(5)"),
    "in hexadecimal": deduced("255", "0xff"),
    "a tuple without parentheses": deduced("(1, 2)", "1, 2"),
    "what overflows": deduced("inf", "1e400"),
    "the last of two equal keys": deduced("{1: 2}", "{1: 3, 1: 2}"),
    "an input": abduced(INCREMENT, "3", "2"),
    "an input of two": abduced("def f(x, y): return x + y", "3", "1, 2"),
    "an input in triple quotes": abduced("def f(x): return x", '"\'a"', "''''a'''"),
    "a program": induced("def f(x): return 2 * x"),
    "a lambda": induced("f = lambda x: x + x"),
    "a class that makes numbers": induced("class f(int):\n    def __new__(cls, x): return 2 * x"),
    "an expression for an input": induced("def f(x): return 2 * x", ("len('ab')", "4")),
    "nothing where nothing is due": induced("def f(x): pass", ("1", "None")),
    "no number where none is due": induced("def f(x): return [float('nan')] * 2", ("1", "[nan, nan]")),
    "half a character where it is due": induced("def f(x): return '\\ud800'", ("1", "'\\ud800'")),
}
WRONG = {
    "an injection": deduced("5", "1) or True or f(1"),
    "a call": deduced("5", "f(5)"),
    "a sum": deduced("5", "2+3"),
    "an assignment": deduced("5", "(x := 5)"),
    "a formatted text": deduced("'1'", "f'{1}'"),
    "what equals everything": deduced("5", "type('A', (), {'__eq__': lambda *a: True})()"),
    "nothing": deduced("5", ""),
    "nothing for nothing": deduced("", ""),
    "nothing for None": deduced("None", ""),
    "a comment": deduced("5", "5 # yes"),
    "truth for one": deduced("1", "True"),
    "one for truth": deduced("True", "1"),
    "truth for one as a key": deduced("{1: 2}", "{True: 2}"),
    "truth for one in a set": deduced("{1}", "{True}"),
    "the nearest float": deduced("9007199254740993", "9007199254740992.0"),
    "digits of another script": deduced("1", "\uff11"),
    "a name with half a character": deduced("'a'", "'\\N{\ud800}'"),
    "a number too long": deduced("1" + "0" * 5000, "1" + "0" * 5000),
    "too much space": deduced("1", " " * 10**6 + "1"),
    "an input that is a sum": abduced(INCREMENT, "3", "1+1"),
    "an input that ends the call": abduced(INCREMENT, "3", "1) or 3 or f(1"),
    "an input on two lines": abduced(INCREMENT, "3", "1)\n3 or f(1"),
    "an input that closes the wrong bracket": abduced(INCREMENT, "3", "1), (2"),
    "an input by name": abduced(INCREMENT, "3", "x=2"),
    "an unpacked input": abduced(INCREMENT, "3", "*[2]"),
    "the function itself": abduced("def f(x): return x", "3", "f"),
    "a function": abduced("def f(x): return x()", "3", "lambda: 3"),
    "no input": abduced("def f(): return 3", "3", ""),
    "an input after luck": abduced("import random\ndef f(x): return random.choice([1, 2])", "1", "0"),
    "an object that equals everything": induced(
        "class A:\n    __hash__ = lambda s: 0\n    __eq__ = lambda s, o: True\n    __repr__ = lambda s: '2'\n"
        "def f(x): return A()"
    ),
    "a number that lies": induced("class N(int):\n    __eq__ = lambda s, o: True\ndef f(x): return N(2 * x)"),
    "a list that lies": induced("class L(list): pass\ndef f(x): return L([1])", ("1", "[1]")),
    "the number as text": induced("def f(x): return str(2 * x)"),
    "truth as a number": induced("def f(x): return True", ("1", "1")),
    "a list for a tuple": induced("def f(x): return [1]", ("1", "(1,)")),
    "a range for a list": induced("def f(x): return range(2)", ("1", "[0, 1]")),
    "half a pair for a character": induced("def f(x): return '\\ud83d\\ude00'", ("1", "'\U0001f600'")),
    "an accent apart": induced("def f(x): return 'e\\u0301'", ("1", "'\u00e9'")),
    "no number for a number": induced("def f(x): return float('nan')", ("1", "1")),
    "luck": induced("import random\ndef f(x): return random.choice([2, 4, 6])"),
    "the number as exit status": induced("import sys\ndef f(x): sys.exit(2 * x)"),
    "the number as an error": induced("def f(x): raise Exception(2 * x)"),
    "the number printed": induced("def f(x): print(2 * x)"),
    "a generator": induced("def f(x): yield 2 * x"),
    "a count of calls": induced(
        "import builtins\ndef f(x):\n    builtins.n = getattr(builtins, 'n', 0) + 2\n    return builtins.n"
    ),
    "every comparison patched": induced(
        "import sys\nfor module in list(sys.modules.values()):\n    module.same = module.is_correct = lambda *a: True\n"
        "def f(x): return 0"
    ),
    "every local of the harness": induced(
        "import sys\ndef f(x):\n    frame, seen = sys._getframe(), []\n"
        "    while frame: seen.append(str(frame.f_locals)); frame = frame.f_back\n    return seen"
    ),
    "results put beside one's own": induced(
        "import sys\ndef f(x):\n    frame = sys._getframe()\n"
        f"    while 'frames' not in frame.f_locals: frame = frame.f_back\n"
        f"    frame.f_locals['frames'].append({b'v' + ONE + b'2'!r})\n    return 2 * x"
    ),
    "as many results as inputs, written raw": induced(
        f"{FIND_FD}def f(x):\n    os.write(FD, {(b'v' + ONE + b'2') * 3!r}); os._exit(0)"
    ),
    "the right results, then none": induced(
        f"{FIND_FD}def f(x):\n    os.write(FD, {b''.join(b'v' + ONE + b'%d' % n for n in (2, 4, 6))!r}); os._exit(0)"
    )
    | {"pairs": [["1", "2"], ["2", "4"], ["3", "7"]]},
    "no result": induced("import os\ndef f(x): os._exit(0)"),
    "an output that is no value": induced("def f(x): return 1", ("1", "<object>")),
    "an output that is missing": induced("def f(x): return ''", ("1", "")),
    "no pairs": induced("def f(x): return 1") | {"pairs": []},
    "an input that calls twice": induced("def f(x): return 2", ("1) or f(1", "2")),
}


@pytest.fixture(scope="module")
def judged(pool: JailPool) -> dict[str, bool]:
    cases = RIGHT | WRONG
    lines = [json.dumps({"id": name, **case}) for name, case in cases.items()]
    return {str(row["id"]): row["correct"] for row in check_lines(lines, pool)}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_right_however_it_is_written(judged: dict[str, bool], name: str) -> None:
    assert judged[name] is True


@pytest.mark.parametrize("name", WRONG)
def test_a_forged_answer_is_wrong(judged: dict[str, bool], name: str) -> None:
    assert judged[name] is False
