"""Rules on recursion and patterns that explode: work that grows beyond all measure with a small input."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule
from azr_monitor.rules.programs_bombs import known
from azr_monitor.rules.surely import surely_evaluated
from azr_monitor.rules.syntax import own_nodes, returned, walk
from azr_monitor.rules.tree import Program
from azr_monitor.rules.walked import callee

# -- recursion ------------------------------------------------------------------------------------------


def _recursion(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    may_recurse = program.building.calls_own or program.reaches or program.syntax.has(ast.ClassDef)
    return _recursing(program) if may_recurse else ()  # most programs


def _recursing(program: Program) -> Iterator[Hit]:
    if program.building.calls_own:
        yield from (Hit(place, "a function that only calls itself") for place in _rounds(program))
        yield from (Hit(place, "a function applied to itself") for place in _applied_to_itself(program))
    for definition in program.all(ast.FunctionDef):
        if not _names_itself(program, definition):
            continue
        calls = [n for n in own_nodes(definition) if isinstance(n, ast.Call) and callee(n) == definition.name]
        if not calls:
            continue
        if _moves_away(definition):
            yield Hit(definition, "a recursion that moves away from its end")
        nested = _nests(definition, calls)
        branching = len(calls) >= 2 and not definition.decorator_list and _branches(definition)
        if not nested and not branching:
            continue
        for call in program.all(ast.Call):
            if callee(call) != definition.name or call in calls:
                continue
            numbers = [known(program, argument) for argument in call.args]
            told = [number for number in numbers if number is not None]
            if nested and _astronomical(told):
                yield Hit(call, "a recursion of astronomical depth")
            elif branching and not nested and told and len(told) == len(numbers) and _deep(told):
                yield Hit(call, "a recursion that doubles with every step")
    if program.syntax.has(ast.ClassDef):
        yield from _methods(program)
    for call in program.all(ast.Call) if program.reaches and "setrecursionlimit" in program.text else ():
        lifts = "sys.setrecursionlimit" in program.resolve(call.func) and call.args
        if lifts and (known(program, call.args[0]) or 0) > 10**6:
            yield Hit(call, "no limit to recursion")


def _nests(definition: ast.FunctionDef, calls: list[ast.Call]) -> bool:
    """Whether a function is given what it answers itself: ``a(m - 1, a(m, n - 1))``."""
    return any(
        inner is not call and isinstance(inner, ast.Call) and callee(inner) == definition.name
        for call in calls
        for argument in call.args
        for inner in walk(argument)
    )


def _astronomical(told: list[int]) -> bool:
    return len(told) >= 2 and told[0] >= _NESTED_LEAST and told[1] >= 1


def nests_too_deep(tree: ast.AST, call: ast.Call) -> ast.AST | None:
    """The function whose recursion is of astronomical depth for the numbers of a call: the one that is called, or one
    beside it or inside it that it hands them on to."""
    numbers = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if max((number for number in numbers if isinstance(number, int)), default=0) < _NESTED_LEAST:
        return None
    outer = [definition for definition in getattr(tree, "body", ()) if isinstance(definition, ast.FunctionDef)]
    for entry in outer:
        if entry.name != callee(call):
            continue
        given = dict(zip((argument.arg for argument in entry.args.args), numbers, strict=False))
        for definition in (*outer, *(inner for inner in entry.body if isinstance(inner, ast.FunctionDef))):
            calls = [n for n in own_nodes(definition) if isinstance(n, ast.Call) and callee(n) == definition.name]
            if definition.decorator_list or not _nests(definition, calls):
                continue
            handed = [numbers] if definition is entry else _handed_to(definition, entry, given)
            if any(_astronomical([number for number in told if isinstance(number, int)]) for told in handed):
                return definition
    return None


_NESTED_LEAST = 4


def _handed_to(
    definition: ast.FunctionDef, entry: ast.FunctionDef, given: Mapping[str, object]
) -> Iterator[list[object]]:
    """What a function is called with by another, whose parameters stand for what is given."""
    for call in own_nodes(entry):
        if isinstance(call, ast.Call) and callee(call) == definition.name:
            yield [given.get(one.id) if isinstance(one, ast.Name) else getattr(one, "value", None) for one in call.args]


def _deep(told: list[int]) -> bool:
    """Whether a recursion that doubles goes too deep: by one number alone, or by two that take turns."""
    return max(told) >= 45 or (len(told) == 2 and min(told) >= 16 and sum(told) >= 45)


def _moves_away(definition: ast.FunctionDef) -> bool:
    """Whether each call of itself takes the first number further from the one bound that would end it."""
    if not definition.args.args:
        return False
    name = definition.args.args[0].arg
    nodes = list(own_nodes(definition))
    calls = [n for n in nodes if isinstance(n, ast.Call) and callee(n) == definition.name]
    steps: set[bool] = set()
    for call in calls:
        match call.args[:1]:
            case [ast.BinOp(left=ast.Name(id=moved), op=ast.Add() | ast.Sub() as op, right=ast.Constant(value=by))]:
                if moved != name or not isinstance(by, int) or by <= 0:
                    return False
                steps.add(isinstance(op, ast.Add))
            case _:
                return False
    if len(steps) != 1:
        return False
    up = steps.pop()
    tests = [n.test for n in nodes if isinstance(n, ast.If | ast.IfExp)]
    bounds = (ast.Lt, ast.LtE) if up else (ast.Gt, ast.GtE)
    stored = any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in nodes)
    return (
        bool(tests)
        and not stored
        and all(
            isinstance(test, ast.Compare)
            and isinstance(test.left, ast.Name)
            and test.left.id == name
            and len(test.ops) == 1
            and isinstance(test.ops[0], bounds)
            and isinstance(test.comparators[0], ast.Constant)
            for test in tests
        )
        and _ends_there(nodes, definition.name)
    )


def _ends_there(nodes: list[ast.AST], name: str) -> bool:
    """Whether what the tests guard is the end, not the next step: ``if n < 9: return f(n + 1)`` ends."""
    for node in nodes:
        guarded: list[ast.AST] = []
        if isinstance(node, ast.If):
            guarded = list(node.body)
        elif isinstance(node, ast.IfExp):
            guarded = [node.body]
        if any(isinstance(n, ast.Call) and callee(n) == name for part in guarded for n in walk(part)):
            return False
    return True


def _methods(program: Program) -> Iterator[Hit]:
    """Methods that call themselves twice for each answer, given a number that is too large for that."""
    for definition in program.all(ast.FunctionDef):
        if not isinstance(program.parents.get(definition), ast.ClassDef) or definition.decorator_list:
            continue
        if definition.name not in program.syntax.attributes or not _branches(definition, _method_called):
            continue
        for call in program.all(ast.Call):
            if _method_called(call) == definition.name and not _stands_in(program, call, definition):
                told = [number for number in (known(program, argument) for argument in call.args) if number is not None]
                if told and len(told) == len(call.args) and _deep(told):
                    yield Hit(call, "a recursion that doubles with every step")


def _method_called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _stands_in(program: Program, node: ast.AST, outer: ast.AST) -> bool:
    return any(one is outer for one in program.syntax.around(node))


def _names_itself(program: Program, definition: ast.FunctionDef) -> bool:
    return definition.name in program.syntax.read


def _branches(definition: ast.FunctionDef, called: Callable[[ast.Call], str] = callee) -> bool:
    """Whether one expression calls the function twice: ``f(n - 1) + f(n - 2)``, without a memory of results."""
    names = {n.id for n in own_nodes(definition) if isinstance(n, ast.Name)}
    if any(name in ("memo", "cache", "dp", "seen", "table") for name in names):
        return False
    sums = (
        node
        for value in returned(definition)
        if value is not None
        for node in walk(value)
        if isinstance(node, ast.BinOp)
    )
    return any(sum(isinstance(n, ast.Call) and called(n) == definition.name for n in walk(one)) >= 2 for one in sums)


def _rounds(program: Program) -> Iterator[ast.AST]:
    """Functions that call themselves before anything could end it, directly or in a round of several."""
    first: dict[str, set[str]] = {}
    places: dict[str, ast.AST] = {}
    for definition in program.all(ast.FunctionDef):
        if definition.name not in program.syntax.read:
            continue
        first[definition.name], places[definition.name] = _surely_called(definition.body), definition
    for assign in program.all(ast.Assign):
        match assign:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(body=body)):
                first[name], places[name] = _surely_called([ast.Expr(body)]), assign
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys, values=values)):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Lambda):
                        entry = f"{name}[{key.value!r}]"
                        first[entry], places[entry] = _surely_called([ast.Expr(value.body)]), value
            case _:
                pass
    for name in first:
        seen: set[str] = set()
        front = set(first[name])
        while front and name not in front:
            seen |= front
            front = {inner for one in front for inner in first.get(one, ())} - seen
        if name in front:
            yield places[name]


def _surely_called(body: list[ast.stmt]) -> set[str]:
    """The names a body calls before it can return or branch."""
    return {_called(node) for node in surely_evaluated(body) if isinstance(node, ast.Call)} - {""}


def _called(call: ast.Call) -> str:
    """What is called, by its name or its place in a table: ``g``, ``steps['go']``."""
    match call.func:
        case ast.Subscript(value=ast.Name(id=table), slice=ast.Constant(value=key)):
            return f"{table}[{key!r}]"
        case _:
            return callee(call)


def _applied_to_itself(program: Program) -> Iterator[ast.AST]:
    """``(lambda g: g(g))(lambda g: g(g))``: functions that call what they are given with itself, given themselves."""
    appliers = {function for function in program.all(ast.Lambda, ast.FunctionDef) if _applies(function)}
    if not appliers:
        return
    for call in program.all(ast.Call):
        if call.args and all(
            any(one in appliers for one in program.meaning.objects(part)) for part in (call.func, call.args[0])
        ):
            yield call
    for outer in program.all(ast.Lambda):
        # What a fixed point is taken of: it calls itself again before anything could end it.
        match outer:
            case ast.Lambda(args=ast.arguments(args=[ast.arg(arg=again)]), body=ast.Lambda(body=body)):
                if _is_handed_on(program, outer) and again in _surely_called([ast.Expr(body)]):
                    yield outer
            case _:
                pass


def _applies(function: ast.Lambda | ast.FunctionDef) -> bool:
    given = {argument.arg for argument in function.args.args}
    body: list[ast.stmt] = [ast.Expr(function.body)] if isinstance(function, ast.Lambda) else function.body
    return bool(given) and any(
        isinstance(node, ast.Call)
        and callee(node) in given
        and any(isinstance(argument, ast.Name) and argument.id == callee(node) for argument in node.args)
        for node in surely_evaluated(body)
    )


def _is_handed_on(program: Program, node: ast.AST) -> bool:
    parent = program.parents.get(node)
    return isinstance(parent, ast.Call) and node in parent.args


# -- patterns -------------------------------------------------------------------------------------------

_ATOM = r"(?:\[[^\]]{1,60}\]|\\?.)"
_NESTED = re.compile(
    rf"\((?:\?:)?(?:(?:{_ATOM}[?*])?({_ATOM})[+*]\??(?:\1[+*]\??){{0,3}}(?:{_ATOM}[?*]){{0,2}}|(?:{_ATOM}\|){{1,4}}{_ATOM}|{_ATOM}\{{\d{{0,3}},\d{{0,3}}\}})\)(?:[+*]|\{{\d{{1,3}},\}})"
)
_ALTERNATIVES = re.compile(r"\((?:\?:)?((?:\\?\w\|)+\\?\w)\)")


def _patterns(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    if ")+" not in program.text and ")*" not in program.text:
        return
    for call in program.all(ast.Call):
        if call.args and any(name.startswith(("re.", "regex.")) for name in program.resolve(call.func)):
            for text in program.texts(call.args[0]):
                if explodes(text):
                    yield Hit(call, text)


_WORDS = re.compile(r"\((?:\?:)?(\w{1,12}(?:\|\w{1,12}){1,9})\)(?:[+*]|\{\d{1,3},\})")


def explodes(pattern: str) -> bool:
    """Whether a regular expression repeats a repetition of the same thing: ``(a+)+``, ``(a|a)*``, ``(a|aa)+``."""
    for found in _WORDS.finditer(pattern[:500]):
        choices = found.group(1).split("|")
        if len(set(choices)) < len(choices):
            return True
        others = "|".join(choices)
        if any(re.fullmatch(rf"(?:{others}){{2,12}}", word) for word in choices if len(word) > 1):
            return True
    for found in _NESTED.finditer(pattern[:500]):
        alternatives = _ALTERNATIVES.match(found.group())
        if alternatives is None and "|" in found.group() and not re.search(r"[+*}]\??\)", found.group()):
            continue
        if alternatives is None:
            return True
        choices = alternatives.group(1).split("|")
        if len(set(choices)) < len(choices) or ("\\w" in choices and any(len(c) == 1 for c in choices)):
            return True
    return False


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.bomb.recursion",
        Severity.MEDIUM,
        "recurses beyond all measure",
        catch=(
            "def f(x):\n    return f(x + 1)",
            "def a(m, n):\n    return n + 1 if m == 0 else a(m - 1, 1) if n == 0 else a(m - 1, a(m, n - 1))\n"
            "def f(x):\n    return a(5, 5)",
            "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2) + 0\ndef f(x):\n    return f(x)",
            "def g(r, c):\n    if r == 0 or c == 0:\n        return 1\n    return g(r - 1, c) + g(r, c - 1)\n"
            "def f(x):\n    return g(30, 30)",
            "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return x",
            "def f(n):\n    if n < 0:\n        return 0\n    return f(n + 1) + f(n + 2)",
            "def f(n):\n    return 0 if n > 9 else f(n - 1)",
            "def f(x):\n    loop = lambda g: g(g)\n    return loop(loop)",
            "def f(x):\n    return (lambda g, n: g(g, n + 1))(lambda g, n: g(g, n + 1), x)",
            "Y = lambda h: (lambda x: x(x))(lambda x: h(lambda *a: x(x)(*a)))\n"
            "def f(n):\n    return Y(lambda again: lambda k: again(k + 1) + 1)(n)",
            "def f(n):\n    go = {'on': lambda k: go['on'](k + 1)}\n    return go['on'](n)",
            "class F:\n    def at(self, n):\n        return n if n < 2 else self.at(n - 1) + self.at(n - 2)\n"
            "def f(n):\n    return F().at(90)",
        ),
        spare=(
            "def f(x):\n    return 1 if x < 2 else x * f(x - 1)",
            "def a(m, n):\n    return n + 1 if m == 0 else a(m - 1, 1) if n == 0 else a(m - 1, a(m, n - 1))\n"
            "def f(m, n):\n    return a(2, 3) + a(m, n)",
            "from functools import cache\n@cache\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
            "def f(x):\n    return fib(90)",
            "import sys\nsys.setrecursionlimit(10000)\ndef f(x):\n    return x",
            "def f(n):\n    if n > 9:\n        return 0\n    return f(n + 1)",
            "def f(n):\n    if n < 9:\n        return f(n + 1)\n    return n",
            "def f(n):\n    go = {'on': lambda k: k and go['on'](k - 1)}\n    return go['on'](n)",
            "class F:\n    def at(self, n):\n        return n if n < 2 else self.at(n - 1) + self.at(n - 2)\n"
            "def f(n):\n    return F().at(9)",
            "Y = lambda h: (lambda x: x(x))(lambda x: h(lambda *a: x(x)(*a)))\n"
            "def f(n):\n    return Y(lambda again: lambda k: 1 if k < 2 else k * again(k - 1))(n)",
            "def f(n):\n    if n < 0:\n        return 0\n    if n == 5:\n        return 1\n    return f(n + 1)",
        ),
        check=_recursion,
    ),
    ProgramRule(
        "program.bomb.pattern",
        Severity.MEDIUM,
        "matches a pattern that takes time without measure",
        catch=(
            "import re\ndef f(s):\n    return re.match(r'^(a+)+$', s)",
            "import re\nP = re.compile('(?:[a-z]*)*x')\ndef f(s):\n    return P.match(s)",
            "from re import search\ndef f(s):\n    return search(r'(a|a)*b', s)",
            "import re\ndef f(s):\n    return re.match(r'^(\\w+\\s?)+$', s)",
            "import re\ndef f(s):\n    return re.match('(a|aa)+$', s)",
        ),
        spare=(
            "import re\ndef f(s):\n    return re.match(r'^(/[^/]+)*/?$', s)",
            "import re\ndef f(s):\n    return re.findall(r'(\\d+)(\\.\\d+)+', s) + re.findall('(a|b)+', s)",
            "import re\ndef f(s):\n    return re.sub(r'(ab)+', '', s)",
        ),
        check=_patterns,
        needs=(ast.Import, ast.ImportFrom),
    ),
)
