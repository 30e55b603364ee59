"""The rule on work that grows beyond measure, found by a dry run of a program alone and with its inputs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.dryrun import DryRun
from azr_monitor.rules.estimates import STEPS, Looks
from azr_monitor.rules.functions import calls_itself
from azr_monitor.rules.names import targets
from azr_monitor.rules.programs_recursion import nests_too_deep
from azr_monitor.rules.syntax import COMPREHENSIONS, parsed, walk, walked
from azr_monitor.rules.tree import Program
from azr_monitor.rules.trial import STEPS as TRIAL_STEPS
from azr_monitor.rules.trial import Outcome, tried

_LEAST_TURNS = 6
"""A loop of fewer turns makes nothing enormous of what is small."""
_LEAST_DEPTH = 20
_CALLS = 8
"""Calls that each have all the steps there are; more share those of so many."""
_LEAST_STEPS = 2_000
_FEEDS = words("append insert extend")


def _growth(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    if _worth_a_run(program):
        for node, why, sure in DryRun(program.tree).found:
            yield Hit(node, why, None if sure else Severity.LOW)


def in_call(text: str, call: str, of: int = 1) -> list[Hit]:
    """What a program does beyond measure when it is called as ``f(call)``; nothing where either is no Python.

    The call is one ``of`` so many, which share what time there is.
    """
    if not is_worth_a_call(text, call):
        return []
    try:
        syntax = walked(text)
        tree, called = syntax.tree, parsed(f"f({call}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # said elsewhere
    if not isinstance(called, ast.Call):
        return []
    assert isinstance(tree, ast.Module)
    trial = tried(tree, called, min(TRIAL_STEPS, max(_LEAST_STEPS, _CALLS * TRIAL_STEPS // of)))
    if trial.outcome is Outcome.OVER:
        return []
    if trial.excess is not None:
        node, why, sure = trial.excess
        place = node if node in syntax.parents else tree
        return [Hit(place, f"{why}, called with this input", None if sure else Severity.LOW)]
    deep = nests_too_deep(tree, called)
    if deep is not None:
        return [Hit(deep, "a recursion of astronomical depth, called with this input")]
    given = set(ast.walk(called))
    steps = min(STEPS, max(_LEAST_STEPS, _CALLS * STEPS // of))
    looks = syntax.notes.setdefault("looks", Looks({}, {}))
    return [
        Hit(tree if node in given else node, f"{why}, called with this input", None if sure else Severity.LOW)
        for node, why, sure in DryRun(tree, called, steps, looks).found
    ]


def is_worth_a_call(text: str, call: str) -> bool:
    """Whether what is handed over may make a difference: it is large, or it may be what a loop never gets away from."""
    least = _least(text)
    if least == 0 or "*" in call or "<<" in call:
        return True
    if least == _BRANCHED and len(call) > _LONG:
        return True
    largest = max((int(digits[:19]) for digits in _DIGITS.findall(call.replace("_", ""))), default=0)
    return largest >= least or ((largest >= _SOME or len(call) > _LONGER) and _turns_over(text))


@lru_cache(maxsize=64)
def _least(text: str) -> int:
    """The smallest number that may be too large for a program; nought where any input may be."""
    if any(word in text for word in ("while", "iter", "cycle", "repeat")) or _STEEP.search(text) is not None:
        return 0
    if text.count("def ") > 1 or _NESTED.search(text) is not None or _FED.search(text) is not None:
        return 0
    calls_own = text.count("def ") + text.count("lambda") > 1 or text.count("f(") > 1
    return (_BRANCHED if _branches(text) else _DEEP) if calls_own else _LARGE


@lru_cache(maxsize=64)
def _turns_over(text: str) -> bool:
    """Whether a loop makes something of what it made in the turn before, or has another inside."""
    return "for " in text and (_REMADE.search(text) is not None or text.count("for ") > 1)


@lru_cache(maxsize=64)
def _branches(text: str) -> bool:
    """Whether some function is called in two places, or in a loop: each item of a list may double the work."""
    often = 1 if "for " in text else 2
    return any(text.count(f"{name}(") > often for name in set(_DEFINED.findall(text)[:50]))


_NESTED = re.compile(r"\bf\([^\n]{0,80}\bf\(")
_FED = re.compile(r"for \w+ in (\w+):[^#]{0,200}?\b\1\.(?:append|insert)")
_DEFINED = re.compile(r"\bdef (\w+)")
_DIGITS = re.compile(r"\d+")
_STEEP = re.compile(
    r"\*\*|<<|permutations|combinations|product|comb\(|factorial|perm\(|sleep|setrecursion|\+= ?\[|zfill|just"
    r"| for [^\n]* for |__pow__|Fraction|deepcopy|pbkdf2|range\((1, ?)?\d{2,}|\.extend|int\(['\"]|\d{4}"
    r"|pow\([^\n]*pow\(|reduce|\b(?P<squared>\w+) \*= \(?(?P=squared)\b|\b(?P<twice>\w+) \+ (?P=twice)\b"
)
"""What makes much of little."""
_LARGE = 1_000
_DEEP = 20
_BRANCHED = 7
_LONG = 14
_SOME = 9
_LONGER = 60
"""The number in an input, and the length of one, that may be much for a loop that makes more of what it made."""
_REMADE = re.compile(
    r"^ +(\w+)(?:, \w+)* = [^\n]*\b\1\b|^ +(\w+) \*= \2|\.(?:insert|extend|append)\(|yield from", re.MULTILINE
)


def _worth_a_run(program: Program) -> bool:
    """Whether there is a loop, or a recursion, that may hang on nothing but what is written out."""
    if program.syntax.has(ast.While) and _closed_loop(program):
        return True
    if program.building.largest >= _LARGE and program.syntax.has(ast.FunctionDef) and _multiplies_by_much(program):
        return True
    if program.building.largest >= _LEAST_TURNS:
        large: set[str] | None = None
        for call in program.calls("range"):
            if large is None:
                large = _large_names(program)
            if any(_is_large(argument, large) for argument in call.args) and _may_explode(program, call):
                return True
        if program.building.calls_own and _recursion_from_constants(program):
            return True
    if not _FEEDS.isdisjoint(program.syntax.attributes):
        walked = {loop.iter.id for loop in program.all(ast.For) if isinstance(loop.iter, ast.Name)}
        if walked and any(_feeds(program, a, walked) for a in program.all(ast.Attribute)):
            return True
    for loop in program.all(ast.For):
        match loop.iter:
            case ast.Constant(value=str(items)) if len(items) >= _LEAST_TURNS and _multiplies(program, loop):
                return True
            case ast.List(elts=items) | ast.Tuple(elts=items) if len(items) >= _LEAST_TURNS:
                if _multiplies(program, loop):
                    return True
            case _:
                pass
    return False


def _closed_loop(program: Program) -> bool:
    """Whether the test of some ``while`` hangs on no parameter: most do, and cannot be followed."""
    given = {argument.arg for argument in program.all(ast.arg)}
    read_by = [{node.id for node in walk(loop.test) if isinstance(node, ast.Name)} for loop in program.all(ast.While)]
    if not any(read and read.isdisjoint(given) for read in read_by):
        return False
    given.update(name for loop in program.all(ast.For) for name in targets(loop.target))
    for assign in program.all(ast.Assign):
        read = {node.id for node in walk(assign.value) if isinstance(node, ast.Name)}
        if not read.isdisjoint(given):
            given.update(name for target in assign.targets for name in targets(target))
    return any(read and read.isdisjoint(given) for read in read_by)


def _multiplies_by_much(program: Program) -> bool:
    return any(
        isinstance(side, ast.Constant) and isinstance(side.value, int) and side.value >= _LARGE
        for product in program.all(ast.BinOp)
        if isinstance(product.op, ast.Mult)
        for side in (product.left, product.right)
    )


def _large_names(program: Program) -> set[str]:
    return {
        name
        for assign in program.all(ast.Assign)
        if isinstance(assign.value, ast.BinOp)
        or (
            isinstance(assign.value, ast.Constant)
            and isinstance(assign.value.value, int)
            and assign.value.value >= _LEAST_TURNS
        )
        for target in assign.targets
        for name in targets(target)
    }


def _is_large(node: ast.AST, large: set[str]) -> bool:
    match node:
        case ast.Constant(value=int(value)):
            return value >= _LEAST_TURNS
        case ast.Name(id=name):
            return name in large
        case ast.BinOp(left=left, right=right):
            return isinstance(node.op, ast.Pow | ast.LShift) or _is_large(left, large) or _is_large(right, large)
        case _:
            return False


def _may_explode(program: Program, call: ast.Call) -> bool:
    """Whether what walks a range multiplies, adds up sequences, or walks another one."""
    owner = program.parents.get(call)
    while isinstance(owner, ast.expr | ast.comprehension):
        if isinstance(owner, COMPREHENSIONS):
            return (
                any(isinstance(n, (ast.Mult, ast.Pow, *COMPREHENSIONS)) for n in ast.walk(owner) if n is not owner)
                or len(owner.generators) > 1
            )
        owner = program.parents.get(owner)
    return isinstance(owner, ast.For) and _multiplies(program, owner)


def _multiplies(program: Program, loop: ast.For) -> bool:
    """Whether a loop multiplies, adds up what it has, or has loops over ranges inside."""
    for statement in loop.body:
        for node in walk(statement):
            match node:
                case ast.BinOp(op=ast.Mult() | ast.Pow() | ast.LShift() | ast.Add()) if isinstance(
                    program.parents.get(node), ast.Assign
                ):
                    return True
                case ast.AugAssign(op=ast.Mult() | ast.Pow() | ast.LShift()) | ast.AugAssign(value=ast.Name()):
                    return True
                case ast.For(iter=ast.Call(func=ast.Name(id="range"))):
                    return True
                case _:
                    pass
    return False


def _recursion_from_constants(program: Program) -> bool:
    if program.building.largest < _LEAST_DEPTH:
        return False
    own = {definition.name for definition in program.all(ast.FunctionDef) if calls_itself(definition)}
    return any(
        isinstance(call.func, ast.Name)
        and call.func.id in own
        and any(isinstance(a, ast.Constant | ast.List) for a in call.args)
        for call in program.all(ast.Call)
    )


def _feeds(program: Program, node: ast.Attribute, walked: set[str]) -> bool:
    """Whether a loop around it puts something into what it walks over."""
    if node.attr not in _FEEDS or not isinstance(node.value, ast.Name) or node.value.id not in walked:
        return False
    fed = node.value.id
    return any(
        isinstance(loop, ast.For) and isinstance(loop.iter, ast.Name) and loop.iter.id == fed
        for loop in program.syntax.around(node)
    )


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.bomb.growth",
        Severity.MEDIUM,
        "grows or goes on beyond all measure",
        catch=(
            "class Q:\n    def __init__(self):\n        self.items = [1]\n    def turn(self):\n"
            "        self.items.append(self.items.pop(0) + 1)\ndef f(n):\n    q = Q()\n    while q.items:\n"
            "        q.turn()\n    return n",
            "def f(n):\n    k = 30\n    def walk(path):\n        if len(path) == k:\n            return 1\n"
            "        return walk(path + [0]) + walk(path + [1])\n    return walk([])",
            "def f(n):\n    s = [1]\n    k = 10\n    for _ in range(12):\n        s = s * k\n    return len(s)",
            "def f(n):\n    a = 9\n    for _ in range(6):\n        a = a ** a\n    return a % 10",
            "def f(n):\n    size = 30000\n    return len([[0] * size for _ in range(size)])",
            "def f(n):\n    t = 0\n    for a in range(2000):\n        for b in range(2000):\n"
            "            for c in range(2000):\n"
            "                t += a * b\n    return t",
            "def h(k, a, b, c):\n    if k == 0:\n        return 0\n"
            "    return h(k - 1, a, c, b) + 1 + h(k - 1, c, b, a)\n"
            "def f(n):\n    return h(64, 'A', 'B', 'C')",
            "def f(n):\n    q = [1]\n    while q:\n        x = q.pop()\n        q.append(x + 1)\n"
            "        q.append(x + 2)\n    return n",
            "def f(n):\n    t = {0: 1}\n    k = 0\n    while k in t:\n        t[k + 1] = 1\n        k += 1\n"
            "    return k",
            "def f(n):\n    d = {'a': 'lol'}\n    p = 'a'\n    for k in 'bcdefghijk':\n        d[k] = d[p] * 10\n"
            "        p = k\n    return len(d['k'])",
            "def f(n):\n    t = 0\n    while t != 100:\n        t += 3\n    return t",
            "def f(n):\n    a = 1\n    for i in range(1, 10 ** 7):\n        a = a * i\n    return a",
            "def f(n):\n    i = 9\n    while i > 0:\n        i = i - 1 if i > 5 else i + 1\n    return i",
            "def f(n):\n    t = 'ha'\n    for _ in range(50):\n        t = t + t[::-1]\n    return t",
            "def f(n):\n    s = set()\n    i = 0\n    while len(s) < 10:\n        s.add(i % 5)\n        i += 1\n"
            "    return s",
            "def f(n):\n    q = [(0, 0)]\n    while q:\n        x, y = q.pop(0)\n"
            "        for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1)):\n            q.append((x + a, y + b))\n"
            "    return n",
            "def f(n):\n    def subsets(i):\n        if i == 60:\n            return [[]]\n"
            "        rest = subsets(i + 1)\n"
            "        return rest + [[i] + r for r in rest]\n    return len(subsets(0))",
            "def f(n):\n    q = [0]\n    for i in q:\n        if i >= 0:\n            q.append(i + 1)\n    return q",
            "def f(n):\n    i = 0\n    while i < 10 ** 12:\n        i += 1\n    return i",
        ),
        spare=(
            "class T:\n    def __init__(self):\n        self.left = 40\n    def done(self):\n"
            "        return self.left <= 0\n    def tick(self):\n        self.left -= 1\ndef f(n):\n    t = T()\n"
            "    while not t.done():\n        t.tick()\n    return n",
            "def f(n):\n    s = [1]\n    for _ in range(12):\n        s = s * 2\n    return len(s)",
            "def f(n):\n    t = 0\n    for a in range(200):\n        for b in range(200):\n            t += a * b\n"
            "    return t",
            "def h(k):\n    return 1 if k < 1 else h(k - 1) + h(k - 2)\ndef f(n):\n    return h(20)",
            "def f(n):\n    memo = {}\n    def fib(k):\n        if k < 2:\n            return k\n"
            "        if k not in memo:\n"
            "            memo[k] = fib(k - 1) + fib(k - 2)\n        return memo[k]\n    return fib(90)",
            "def f(n):\n    i = 1\n    while i < 4000:\n        i += 1\n    return i",
            "def f(n):\n    s = set()\n    i = 0\n    while len(s) < 10:\n        s.add(i % 50)\n        i += 7\n"
            "    return s",
            "def f(n):\n    q = [64]\n    for i in q:\n        if i > 1:\n            q.append(i // 2)\n    return q",
            "def f(n):\n    t = 1\n    for i in range(100):\n        t = t * t % 97\n    return t",
            "def f(n):\n    q = [n]\n    while q:\n        x = q.pop()\n        if x > 1:\n"
            "            q.append(x - 1)\n    return n",
        ),
        check=_growth,
    ),
)
