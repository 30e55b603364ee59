"""The rule on answers that differ from run to run, wherever in a program the difference comes from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule
from azr_monitor.rules.functions import parameters
from azr_monitor.rules.given import takes_text
from azr_monitor.rules.syntax import words
from azr_monitor.rules.tree import Program
from azr_monitor.rules.unsteady import NOTHING, NUMBER, TEXT, Sure, Value
from azr_monitor.rules.unsteady_calls import HASH, holds_handle
from azr_monitor.rules.unsteady_runs import Run, shown

_ENTRY = "f"
_SETS = ("set", "frozenset", "hash")
_NAMELESS = ("object", "map", "zip", "filter", "iter", "weakref")
_TEXTUAL = words("str repr format print ascii dumps")


def _unsteady(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    return _answers(program) if _may_differ(program) else ()


def _may_differ(program: Program) -> bool:
    """Whether there is anything at all that differs from run to run: in most programs there is not."""
    syntax = program.syntax
    if syntax.has(ast.Set, ast.SetComp) or program.calls_any(*_SETS) or "__hash__" in syntax.attributes:
        return True
    if any(given.is_set for given in program.given.values()) or ("keys" in syntax.attributes and syntax.has(ast.BinOp)):
        return True
    nameless = syntax.has(ast.ClassDef, ast.Lambda, ast.GeneratorExp) or program.calls_any(*_NAMELESS)
    textual = syntax.has(ast.JoinedStr) or not (
        _TEXTUAL.isdisjoint(syntax.read) and _TEXTUAL.isdisjoint(syntax.attributes)
    )
    nameless = nameless or any(definition.name in syntax.read for definition in program.all(ast.FunctionDef))
    return nameless and (textual or "%" in program.text)


def _answers(program: Program) -> Iterator[Hit]:
    for entry in _entries(program):
        answers = Run(program).answers(entry, _given(program, entry))
        for value, place in answers:
            mark = shown(value)
            if mark is None and holds_handle(value):
                yield Hit(place, HASH)
            elif mark is not None:
                yield Hit(place, mark.why, _GRADES[mark.sure])


_GRADES = {Sure.YES: None, Sure.MAYBE: Severity.LOW, Sure.UNKNOWN: Severity.INFO}


def _entries(program: Program) -> Iterator[ast.FunctionDef]:
    for statement in getattr(program.tree, "body", ()):
        if isinstance(statement, ast.FunctionDef) and statement.name == _ENTRY:
            yield statement


def _given(program: Program, entry: ast.FunctionDef) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in parameters(entry):
        known = program.given.get(name)
        if known is not None:
            found[name] = known.value
        else:
            found[name] = _told(program, entry, name)
    return found


def _told(program: Program, entry: ast.FunctionDef, name: str) -> Value:
    """What is known of a parameter by what is said of it and done with it."""
    for argument in (*entry.args.posonlyargs, *entry.args.args):
        if argument.arg == name and argument.annotation is not None:
            written = ast.unparse(argument.annotation)
            if _NUMBERS.fullmatch(written):
                return Value("list", item=NUMBER) if "[" in written else NUMBER
    # Numbers go by the name of ``s`` as well.
    return TEXT if name != "s" and takes_text(program.syntax, name) else NOTHING


_NUMBERS = re.compile(r"(?:int|float|bool)|(?:[Ll]ist|[Tt]uple|[Ss]et|Sequence|Iterable)\[(?:int|float|bool)\b.*\]")


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.unsteady",
        Severity.MEDIUM,
        "answers what differs from run to run",
        catch=(
            "def f(names):\n    order = {}\n    for i, n in enumerate(set(names)):\n        order[n] = i\n"
            "    return [order[n] for n in names]",
            "def f(a, b):\n    return '/'.join(dict.fromkeys(a).keys() ^ set(b))",
            "def f(x):\n    u = set(x.split())\n    pairs = []\n    while len(u) > 1:\n"
            "        pairs.append((u.pop(), u.pop()))\n    return sorted(pairs)",
            "from enum import Enum\nclass E(Enum):\n    A = 1\n"
            "def f(x):\n    return [e.value for e in {E(v) for v in x}]",
            "from datetime import date\ndef f(x):\n    return [d.day for d in {date.fromisoformat(t) for t in x}]",
            "class A:\n    pass\ndef f(x):\n    log = []\n    log.append('made ' + str(A()))\n    return log",
            "def f(x):\n    return ['%s' % step for step in (lambda v: v, abs)]",
            "def f(x):\n    h = hash(x.lower())\n    if h % 2:\n        return x\n    return ''",
            "class B:\n    bits = 0\n    def add(self, w):\n        self.bits |= 1 << hash(w.lower()) % 8\n"
            "def f(x):\n    b = B()\n    b.add(x)\n    return bin(b.bits)",
            "def f(x):\n    votes = dict.fromkeys(set(x.split()), 1)\n    return max(votes, key=votes.get)",
            "def f(x):\n    todo = set(x.split())\n    out = []\n    def take():\n        out.append(todo.pop())\n"
            "    while todo:\n        take()\n    return out",
            "def f(x):\n    return list({'a', 'b', x})[0]",
            "def f(x):\n    return {'a', 'b', x}.pop()",
            "def f(x):\n    return ' '.join(set(x))",
            "def f(x):\n    return list(set(x.split()))",
            "def f(x):\n    s = ''\n    for c in set(x):\n        s += c\n    return s",
            "def f(x):\n    return str(set(x.split())) + f'{x}'",
            "def f(x):\n    u = set(x.split())\n    return f'{u}'",
            "def f(x):\n    a, *b = set(x.split())\n    return a",
            "def f(x):\n    return [*{w.lower() for w in x}]",
            "def f(x):\n    for w in set(x.split()):\n        return w",
            "def f(x):\n    return [(i, w) for i, w in enumerate(set(x.split()))]",
            "def f(x):\n    u = {w.lower() for w in x}\n    out = [w for w in u]\n    return out",
            "def f(words):\n    return list(set(words))[0]",
            "def f(x):\n    out = []\n    for w in set(x.split()):\n        out.append(w.upper())\n    return out",
            "def f(words):\n    first = {w[0] for w in words}\n    return first.pop() if first else ''",
            "def f(names):\n    g = {}\n    for n in set(names):\n        g.setdefault(len(n), []).append(n)\n"
            "    return g",
            "def f(x):\n    d = {e.split('@')[1] for e in x}\n    return [i for i in d]",
            "def f(x):\n    s = set(x.lower())\n    out = ''\n    while s:\n        out += s.pop()\n    return out",
            "def f(text):\n    return next(c for c in frozenset(text))",
            "def f(words):\n    return list(dict.fromkeys(set(words)))",
            "def f(text):\n    return max(set(text), key=text.count)",
            "def f(x: list[str]):\n    first, *rest = frozenset(x)\n    return first",
            "def f(x):\n    x = x.lower()\n    return {c: i for i, c in enumerate(set(x))}",
            "def f(x):\n    last = None\n    for w in set(x.split()):\n        last = w\n    return last",
            "def f(x):\n    h = 0\n    for c in set(x.lower()):\n        h = h * 31 + ord(c)\n    return h",
            "def f(x):\n    d = {}\n    for w in set(x.split()):\n        d[w] = len(d)\n    return d",
            "def f(x):\n    u = list(set(x.split()))\n    return [u.index(w) for w in x.split()]",
            "def f(x):\n    return sorted(set(x.split()), key=len)",
            "def f(x):\n    return list(zip(set(x.split()), range(9)))",
            "def unique(x):\n    return set(x.split())\ndef f(x):\n    return '-'.join(unique(x))",
            "class B:\n    def __init__(self, x):\n        self.s = set(x.split())\n    def show(self):\n"
            "        return ','.join(self.s)\ndef f(x):\n    return B(x).show()",
            "def f(x):\n    r = []\n    u = set(x.split())\n    while u:\n        r.append(u.pop())\n    return r",
            "class A:\n    pass\ndef f(x):\n    return repr(A()).split('0x')[1]",
            "class A:\n    pass\ndef f(x):\n    return str(A())",
            "def f(x):\n    return f'{(lambda: x)}'",
            "class A:\n    pass\ndef f(x):\n    return '%s' % A()",
            "def f(x):\n    def g():\n        pass\n    return '{}'.format(g)",
            "def f(x):\n    g = (i for i in x)\n    return str(g)",
        ),
        spare=(
            "def f(x):\n    u = set(x.split())\n    return u.pop() if len(u) == 1 else None",
            "from functools import reduce\ndef f(x):\n    return reduce(lambda a, w: a + len(w), set(x.split()), 0)",
            "def f(x):\n    best = ''\n    for w in set(x.split()):\n        if w > best:\n            best = w\n"
            "    return best",
            "def f(x):\n    seen = {}\n    for w in x.split():\n        seen.setdefault(hash(w), []).append(w)\n"
            "    return [len(v) for v in seen.values()]",
            "def f(s, t):\n    return hash(s.lower()) == hash(t.lower())",
            "from enum import IntEnum\nclass E(IntEnum):\n    A = 1\n"
            "def f(x):\n    return [e.value for e in {E(v) for v in x}]",
            "def f(edges):\n    near = {}\n    for u, v in edges:\n        near.setdefault(str(u), set()).add(str(v))\n"
            "    dist, queue = {'a': 0}, ['a']\n    for n in queue:\n        for m in near[n]:\n"
            "            if m not in dist:\n                dist[m] = dist[n] + 1\n                queue.append(m)\n"
            "    return dist['e']",
            "class V:\n    def __init__(self, x):\n        self.x = x\n    def __str__(self):\n"
            "        return f'<{self.x}>'\n"
            "def f(x):\n    v = V(x)\n    return f'{v}, {len([v])}'",
            "def f(x):\n    return sorted({'a', 'b', x})[0]",
            "def f(x: list[int]):\n    return list({i * i for i in x})[0] + len({'a', 'b'})",
            "def f(words):\n    return sorted(set(words)), len(set(words)), list(dict.fromkeys(words))",
            "def f(words):\n    return max(sorted(set(words)), key=len)",
            "def f(x):\n    out = list(set(x.split()))\n    out.sort()\n    return out",
            "def f(x):\n    return ''.join(sorted(set(x)))",
            "def f(x):\n    a, b = sorted(set(x.split()))[:2]\n    return a",
            "def f(x):\n    (only,) = set(x.split()) - {'a'}\n    return only",
            "def f(x):\n    return f'{len(set(x.split()))}'",
            "def f(x):\n    n = 0\n    for c in set(x):\n        n += x.count(c)\n    return n",
            "def f(x):\n    return {w.lower() for w in x}",
            "def f(x):\n    t = 0\n    for c in set(x.lower()):\n        t = t + x.count(c) ** 2\n    return t",
            "def f(x):\n    d = {}\n    for w in set(x.split()):\n        d[w] = x.count(w)\n    return d",
            "def f(x):\n    return sorted(set(x.split()), key=lambda w: (len(w), w))",
            "def f(x):\n    u = set(x.split())\n    u = sorted(u)\n    return u",
            "def f(words):\n    u = list(set(words))\n    return len(u), sorted(u)[0] if u else None",
            "class A:\n    def __repr__(self):\n        return 'A'\n"
            "def f(x):\n    return repr(A()) + hex(x).strip('0x')",
            "def f(x):\n    return hex(x).replace('0x', '') + str(x)",
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\ndef f(x):\n    return str(A(x))",
            "class E(Exception):\n    pass\n"
            "def f(x):\n    try:\n        raise E(x)\n    except E as e:\n        return str(e)",
            "def f(x):\n    g = lambda n: n + 1\n    return str(g(x))",
        ),
        check=_unsteady,
    ),
)
