"""The rule on iterators that never stop, taken whole, it may be by way of names and of what only passes items on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.syntax import own_nodes, walk
from azr_monitor.rules.tree import Program
from azr_monitor.rules.walked import CONSUMERS, SHORTEST, TAKES_ALL, always_true, callee, consumed, leaves

_MAX_DEPTH = 8
_ENDLESS = words("itertools.count itertools.cycle")
_PASSING = words(
    "map filter enumerate accumulate starmap filterfalse pairwise iter from_iterable dropwhile chain zip islice"
)
_SECOND = words("filter filterfalse starmap dropwhile")


def _endless_iterators(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Generators and iterators that never end, taken whole."""
    own = _never_ending(program)
    library = any(name in program.text for name in ("count", "cycle", "repeat")) and program.syntax.has(
        ast.Import, ast.ImportFrom
    )
    if not (own or library or "iter" in program.syntax.read):
        return
    search = _Search(program, own)
    for call in program.all(ast.Call):
        if (search.begins(call) and consumed(program, call)) or (
            call.args and _takes_all(call) and search.endless(call.args[0])
        ):
            yield Hit(call, "all of an iterator that never ends")
    for comprehension in program.all(ast.ListComp, ast.SetComp, ast.DictComp):
        assert isinstance(comprehension, ast.ListComp | ast.SetComp | ast.DictComp)
        if search.endless(comprehension.generators[0].iter):
            yield Hit(comprehension, "all of an iterator that never ends")
    for loop in program.all(ast.For):
        if search.endless(loop.iter) and not leaves(loop):
            yield Hit(loop, "all of an iterator that never ends")
    for starred in program.all(ast.Starred):
        if isinstance(program.parents.get(starred), ast.List | ast.Tuple | ast.Set) and search.endless(starred.value):
            yield Hit(starred, "all of an iterator that never ends")


def _takes_all(call: ast.Call) -> bool:
    return call.func.attr in TAKES_ALL if isinstance(call.func, ast.Attribute) else callee(call) in CONSUMERS


class _Search:
    """Which expressions of a program are iterators that never end."""

    def __init__(self, program: Program, own: set[ast.AST]) -> None:
        self.program = program
        self.own = own
        self.names = {definition.name for definition in own if isinstance(definition, ast.FunctionDef | ast.ClassDef)}

    def begins(self, call: ast.Call) -> bool:
        """Whether a call makes an iterator that never ends."""
        if isinstance(call.func, ast.Name) and call.func.id in self.names:
            return any(one in self.own for one in self.program.meaning.objects(call.func))
        match call:
            case ast.Call(
                func=ast.Name(id="iter"), args=[ast.Lambda(body=ast.Constant(value=given)), ast.Constant(value=wanted)]
            ):
                return bool(given != wanted)
            case ast.Call(
                func=ast.Name(id="iter"),
                args=[ast.Name(id="int" | "str" | "list" | "dict" | "float" | "bool"), ast.Constant(value=wanted)],
            ):
                return bool(wanted)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in (
                "count",
                "cycle",
                "repeat",
            ) or (isinstance(call.func, ast.Name) and name not in _PASSING):
                functions = self.program.resolve(call.func)
                return not _ENDLESS.isdisjoint(functions) or (
                    "itertools.repeat" in functions and len(call.args) == 1 and not call.keywords
                )
            case _:
                return False

    def endless(self, node: ast.AST, depth: int = 0) -> bool:
        """Whether an expression is an iterator that never ends, made there or handed on."""
        if depth > _MAX_DEPTH:
            return False
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[_, *_] as given) if name in _PASSING:
                if self.begins(node):
                    return True
                if name == "islice":
                    return False
                if name in SHORTEST:
                    return all(self.endless(one, depth + 1) for one in given[name == "map" :])
                walked = given if name == "chain" else given[name in _SECOND :][:1]
                return any(self.endless(one, depth + 1) for one in walked)
            case ast.Call():
                return self.begins(node)
            case ast.GeneratorExp(generators=[first, *_]):
                return self.endless(first.iter, depth + 1)
            case ast.Name():
                bindings, _ = self.program.meaning.names.lookup(node)
                return bool(bindings) and all(
                    binding.kind == "value" and self.endless(binding.node, depth + 1) for binding in bindings
                )
            case _:
                return False


def _never_ending(program: Program) -> set[ast.AST]:
    """The classes and the generators of the program's that never end."""
    endless: set[ast.AST] = set()
    if not program.syntax.has(ast.Yield, ast.YieldFrom, ast.ClassDef):
        return endless
    for definition in program.all(ast.ClassDef):
        for method in definition.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__next__" and _never_stops(method):
                endless.add(definition)
    for generator in program.all(ast.FunctionDef):
        last = generator.body[-1]
        turns = isinstance(last, ast.While) and always_true(last.test) and _only_yields(last)
        if turns or _hands_on_to_itself(generator):
            endless.add(generator)
    return endless


def _hands_on_to_itself(generator: ast.FunctionDef) -> bool:
    """Whether a generator goes on with another of itself, whatever it is given."""
    if any(isinstance(node, ast.If | ast.Return | ast.Raise | ast.Try | ast.For) for node in generator.body):
        return False
    return any(
        isinstance(s, ast.Expr)
        and isinstance(s.value, ast.YieldFrom)
        and isinstance(s.value.value, ast.Call)
        and callee(s.value.value) == generator.name
        for s in generator.body
    )


def _never_stops(method: ast.FunctionDef) -> bool:
    calls = {c.func.id for c in own_nodes(method) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
    return (
        "next" not in calls
        and not any(isinstance(n, ast.Raise | ast.Subscript) for n in own_nodes(method))
        and not any(
            isinstance(n, ast.Attribute) and n.attr in ("pop", "popleft", "__next__") for n in own_nodes(method)
        )
    )


def _only_yields(loop: ast.While) -> bool:
    for statement in loop.body:
        for node in walk(statement):
            if isinstance(node, ast.Break | ast.Return | ast.Raise):
                return False
    return any(isinstance(n, ast.Yield) for s in loop.body for n in walk(s))


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.bomb.iterator",
        Severity.MEDIUM,
        "takes all of what never ends",
        catch=(
            "class L:\n    def __iter__(self):\n        return self\n    def __next__(self):\n        return 1\n"
            "def f(x):\n    return sum(L())",
            "def g():\n    while True:\n        yield 1\ndef f(x):\n    return list(g())",
            "def f(x):\n    return sum(iter(int, 1))",
            "from itertools import count\ndef f(x):\n    n = count(1)\n    e = (i for i in n if i % 2)\n"
            "    return sum(e)",
            "import itertools\ndef f(x):\n    s = itertools.cycle(x)\n    return list(map(str, s))[:5]",
            "import itertools as i\ndef f(x):\n    return [*map(str, i.count())] + list(x)",
            "from itertools import cycle\ndef f(x):\n    return ''.join(c for c in cycle(x))",
            "def g(n):\n    yield n\n    yield from g(n + 1)\ndef f(x):\n    return sum(g(x))",
            "from itertools import repeat, chain\ndef f(x):\n    n = 0\n    for i in chain(x, repeat(1)):\n"
            "        n += i\n"
            "    return n",
        ),
        spare=(
            "def g(n):\n    if n > 9:\n        return\n    yield n\n    yield from g(n + 1)\ndef f(x):\n"
            "    return sum(g(x))",
            "from itertools import count\ndef f(x):\n    n = count(1)\n    return [next(n) for _ in x]",
            "from itertools import cycle\ndef f(x):\n    c = cycle('ab')\n    return list(zip(x, c))",
            "from itertools import count, cycle\ndef f(x):\n"
            "    return dict(zip(x, count())) | dict(zip(x, cycle('ab')))",
            "from itertools import count, islice\ndef f(x):\n    e = (i for i in count() if i % 2)\n"
            "    return list(islice(e, 5))",
            "from itertools import count, takewhile\ndef f(x):\n    e = (i * i for i in count())\n"
            "    return sum(takewhile(lambda i: i < x, e))",
            "from itertools import count\ndef f(x):\n    for i in count():\n        if i > x:\n            return i",
            "def f(x):\n    return x.count(1) + sum(iter(x))",
        ),
        check=_endless_iterators,
        needs=(ast.Call, ast.While, ast.ClassDef),
    ),
)
