"""The rule on iterators that never stop, taken whole, it may be by way of names and of what only passes items on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.syntax import own_nodes, walk
from azr_monitor.rules.tree import Program
from azr_monitor.rules.truth import truth
from azr_monitor.rules.walked import CONSUMERS, SHORTEST, TAKES_ALL, always_true, callee, consumed, leaves

_MAX_DEPTH = 8
_ENDLESS = words("itertools.count itertools.cycle")
_PASSING = words(
    "map filter enumerate accumulate starmap filterfalse pairwise iter from_iterable dropwhile takewhile chain zip "
    "islice"
)
_SECOND = words("filter filterfalse starmap dropwhile takewhile")
_ASKING = words("any all")


def _endless_iterators(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Generators and iterators that never end, taken whole."""
    own = _never_ending(program)
    library = (program.reaches or any(name.startswith("itertools") for name, _ in program.modules)) and (
        program.syntax.has(ast.Import, ast.ImportFrom)
        and any(name in program.text for name in ("count", "cycle", "repeat"))
    )
    if not (own or library or "iter" in program.syntax.read):
        return
    search = _Search(program, own)
    for call in program.all(ast.Call):
        if (search.begins(call) and consumed(program, call)) or (
            call.args and _takes_all(call) and search.endless(call.args[0])
        ):
            yield Hit(call, "all of an iterator that never ends")
        elif call.args and callee(call) in _ASKING and search.endless(call.args[0]):
            yield Hit(call, "a question that one of its answers never comes to")
        elif call.args and callee(call) == "next" and search.endless(call.args[0]) and _finds_none(call.args[0]):
            yield Hit(call, "a search that finds nothing")
    for asked in program.all(ast.Compare):
        if isinstance(asked.ops[0], ast.In | ast.NotIn) and search.endless(asked.comparators[0]):
            yield Hit(asked, "a question that one of its answers never comes to")
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


def _finds_none(walked: ast.expr) -> bool:
    return isinstance(walked, ast.GeneratorExp) and any(truth(test) is False for test in walked.generators[0].ifs)


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
            case ast.Call(func=ast.Name(id="iter"), args=[ast.Lambda(body=ast.Constant(value=given)), wanted]):
                return not isinstance(wanted, ast.Constant) or bool(given != wanted.value)
            case ast.Call(func=ast.Name(id="iter"), args=[ast.Lambda(body=body), wanted]):
                return (self._stays(body) and ast.dump(body) != ast.dump(wanted)) or self._is_new(wanted)
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

    def _stays(self, node: ast.expr) -> bool:
        """Whether an expression is the same each time: it is made of names that nothing adds to."""
        inner = walk(node)
        changing = {
            change.target.id for change in self.program.all(ast.AugAssign) if isinstance(change.target, ast.Name)
        }
        return not any(
            isinstance(one, ast.Call | ast.Subscript | ast.Attribute)
            or (isinstance(one, ast.Name) and one.id in changing)
            for one in inner
        )

    def _is_new(self, node: ast.expr) -> bool:
        """Whether an expression is an object of its own, which equals no other: ``object()``."""
        if isinstance(node, ast.Name):
            bindings, _ = self.program.meaning.names.lookup(node)
            return bool(bindings) and all(isinstance(b.node, ast.expr) and self._is_new(b.node) for b in bindings)
        return isinstance(node, ast.Call) and callee(node) == "object"

    def endless(self, node: ast.AST, depth: int = 0) -> bool:
        """Whether an expression is an iterator that never ends, made there or handed on."""
        if depth > _MAX_DEPTH:
            return False
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[_, *_] as given) if name in _PASSING:
                if self.begins(node):
                    return True
                if name == "islice" or (name == "takewhile" and not _always_holds(given[0])):
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
        methods = {s.name: s for s in definition.body if isinstance(s, ast.FunctionDef)}
        if (
            ("__next__" in methods and _never_stops(methods["__next__"]))
            or ("__iter__" in methods and _turns_forever(methods["__iter__"]))
            or ("__getitem__" in methods and "__iter__" not in methods and _never_stops(methods["__getitem__"]))
        ):
            endless.add(definition)
    for generator in program.all(ast.FunctionDef):
        if _turns_forever(generator) or _hands_on_to_itself(generator):
            endless.add(generator)
    return endless


def _turns_forever(generator: ast.FunctionDef) -> bool:
    last = generator.body[-1]
    return isinstance(last, ast.While) and always_true(last.test) and _only_yields(last)


def _always_holds(predicate: ast.expr) -> bool:
    """Whether a predicate holds for all whole numbers from nought on."""
    match predicate:
        case ast.Lambda(args=ast.arguments(args=[ast.arg(arg=given)]), body=ast.Compare() as test):
            match test:
                case ast.Compare(left=ast.Name(id=name), ops=[ast.GtE()], comparators=[ast.Constant(value=0)]):
                    return name == given
                case ast.Compare(left=ast.Name(id=name), ops=[ast.Gt()], comparators=[ast.UnaryOp(op=ast.USub())]):
                    return name == given
                case _:
                    return truth(test) is True
        case ast.Lambda(body=body):
            return truth(body) is True
        case _:
            return False


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
            "from itertools import count\ndef f(x):\n    return any(v < 0 for v in count(x)) or -1 in count(x)",
            "from itertools import count, takewhile\ndef f(x):\n    return sum(takewhile(lambda v: v >= 0, count(x)))",
            "def f(x):\n    return list(iter(lambda: x, None))",
            "class S:\n    def __iter__(self):\n        while True:\n            yield 1\n"
            "def f(x):\n    return list(S())",
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
            "def f(n):\n    return list(iter(lambda: n, n))",
            "def f(n):\n    for k in iter(lambda: n, 0):\n        n -= 1\n    return n",
        ),
        check=_endless_iterators,
        needs=(ast.Call, ast.While, ast.ClassDef),
    ),
)
