"""Rules on loops without end: conditions that never turn false, values that double."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.programs_bombs import is_sequence, known, turns
from azr_monitor.rules.syntax import walk
from azr_monitor.rules.tree import Program
from azr_monitor.rules.walked import EAGER, always_true, callee, leaves

_DOUBLINGS = 28
_MANY = 2 * 10**6
_GROWING = words("append extend insert add update appendleft")
_TOUCHING = (ast.Call, ast.Subscript, ast.Attribute)
"""By these something may change what a name stands for, without storing in it."""


def _endless(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for loop in program.all(ast.While):
        # next() and pop() raise when nothing is left, a common way out of ``while True`` inside ``try``.
        if isinstance(program.parents.get(loop), ast.Try):
            continue
        why = "while True without a way out" if always_true(loop.test) else _never_ends(loop) or _stuck(program, loop)
        if why and not leaves(loop):
            yield Hit(loop, why)
    for turn in program.all(ast.For) if not _APPENDING.isdisjoint(program.syntax.attributes) else ():
        walked = _walked_list(turn.iter)
        grown = _grows_at_each_turn(turn) if walked is not None else None
        if walked is None or not grown or grown.isdisjoint(_same_list(program, walked, grown)):
            continue
        if _shrinks(turn, grown) or leaves(turn):
            continue
        bindings, _ = program.meaning.names.lookup(walked)
        if not any(isinstance(b.node, ast.List) and not b.node.elts for b in bindings):
            yield Hit(turn, "a loop over what grows with every turn")
    for digest in program.all(ast.While) if "startswith" in program.syntax.attributes else ():
        if "hexdigest" in program.text and _waits_for_zeros(program, digest.test):
            yield Hit(digest, "a search for a digest that takes longer than anybody waits")
    if "replace" in program.syntax.attributes:
        for change in program.all(ast.Assign):
            if _replaces_by_itself(change) and any(
                isinstance(o, ast.For | ast.While) for o in program.syntax.around(change)
            ):
                yield Hit(change, "what is put into itself with every turn of a loop")
    if program.building.largest >= _DOUBLINGS:
        for loop_ in program.all(ast.For):
            yield from _doubles(program, loop_)
        for call in program.all(ast.Call) if program.syntax.has(ast.Lambda) and "reduce" in program.text else ():
            yield from _folds(program, call)


def _walked_list(node: ast.expr) -> ast.Name | None:
    """The list that a loop walks over, counted or not."""
    match node:
        case ast.Call(func=ast.Name(id="enumerate"), args=[ast.Name() as walked]) | (ast.Name() as walked):
            return walked
        case _:
            return None


def _same_list(program: Program, walked: ast.Name, among: set[str]) -> set[str]:
    """The names of a list among some: ``ys = xs`` makes it one more."""
    if walked.id in among:
        return {walked.id}
    return {
        target.id
        for assign in program.all(ast.Assign)
        if assign.value.__class__ is ast.Name and _is_name(assign.value, walked.id)
        for target in assign.targets
        if isinstance(target, ast.Name)
    }


def _waits_for_zeros(program: Program, test: ast.expr) -> bool:
    """Whether a loop goes on until a digest begins with as many zeros as none does that anybody finds."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "startswith"
        and node.args
        and any(len(text) >= _ZEROS and not text.strip("0") for text in program.texts(node.args[0]))
        for node in walk(test)
    )


_ZEROS = 9


def _replaces_by_itself(change: ast.Assign) -> bool:
    match change:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=text), attr="replace"), args=[_, ast.Name(id=new), *_]),
        ):
            return name == text == new
        case _:
            return False


def _never_ends(loop: ast.While) -> str:
    """Why the test of a loop never turns false, as far as its own body shows; empty when it may."""
    test = walk(loop.test)
    tested = {node.id for node in test if isinstance(node, ast.Name)} - {"len"}
    if not tested or any(isinstance(node, ast.Call) and callee(node) != "len" for node in test):
        return ""
    if any(isinstance(node, ast.Attribute | ast.Subscript | ast.NamedExpr) for node in test):
        return ""
    if any(isinstance(node, ast.Compare) and len(node.ops) > 1 for node in test):
        return ""
    changes = [node for statement in loop.body for node in walk(statement)]
    stored = {n.id for n in changes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    touched = {n.id for c in changes if isinstance(c, _TOUCHING) for n in walk(c) if isinstance(n, ast.Name)}
    if any(isinstance(c, ast.Call) and isinstance(c.func, ast.Name) and c.func.id not in EAGER for c in changes):
        return ""  # a function of the program's may change anything
    if tested.isdisjoint(stored | touched):
        return "a loop whose condition nothing changes"
    match loop.test:
        case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE()], comparators=[ast.Constant()]):
            name = _measured(left)
            if name and _only_grows(loop, name) and name not in touched - {name}:
                return "a loop whose condition only becomes truer"
        case ast.Name(id=name):
            if _only_grows(loop, name) and any(isinstance(n, ast.AugAssign) for n in loop.body) is False:
                return "a loop whose condition only becomes truer"
        case _:
            pass
    return ""


def _stuck(program: Program, loop: ast.While) -> str:
    """Why a loop makes no progress towards its end although it changes something; empty when it may."""
    tested = {node.id for node in walk(loop.test) if isinstance(node, ast.Name)} - {"len"}
    for place, statement in enumerate(loop.body):
        if isinstance(statement, ast.If) and isinstance(statement.body[-1], ast.Continue) and tested:
            asked = {node.id for node in walk(statement.test) if isinstance(node, ast.Name)}
            way = [*loop.body[:place], *statement.body]
            if _touched(way).isdisjoint(tested) and asked.isdisjoint(_touched(loop.body)) and asked:
                return "a way round the loop that changes nothing"
    if len(loop.body) == 1 and _puts_back(loop.body[0], tested):
        return "a loop that puts back whatever it takes"
    match loop.test:
        case ast.Compare(left=ast.Name(id=name) as left, ops=[ast.NotEq()], comparators=[ast.Constant(value=int(end))]):
            bindings, _ = program.meaning.names.lookup(left)
            starts = [b.node.value for b in bindings if b.kind == "value" and isinstance(b.node, ast.Constant)]
            known_start = bool(starts) and all(isinstance(start, int) and start > end for start in starts)
            if known_start and all(b.kind in ("value", "changed") for b in bindings) and _only_grows(loop, name):
                return "a loop whose condition only becomes truer"
        case ast.Compare(left=ast.Call(func=ast.Name(id="len")), ops=[ast.Lt() | ast.LtE()], comparators=[bound]):
            if (known(program, bound) or 0) >= _MANY:
                return "a loop until something has millions of items"
        case ast.Name(id=name):
            changes = [n for n in loop.body if isinstance(n, ast.AugAssign) and _is_name(n.target, name)]
            multiplied = all(isinstance(n.op, ast.Mult | ast.Pow | ast.LShift) for n in changes)
            if changes and multiplied and _only_grows(loop, name):
                return "a loop whose condition only becomes truer"
        case _:
            pass
    return ""


def _touched(body: list[ast.stmt]) -> set[str]:
    """The names that statements store, hand to calls, or reach into."""
    found: set[str] = set()
    for statement in body:
        for node in walk(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found.add(node.id)
            elif isinstance(node, _TOUCHING):
                found.update(inner.id for inner in walk(node) if isinstance(inner, ast.Name))
    return found


def _puts_back(statement: ast.stmt, tested: set[str]) -> bool:
    match statement:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=into), attr=puts),
                args=[*_, ast.Call(func=ast.Attribute(value=ast.Name(id=out), attr=takes))],
            )
        ):
            return into == out and into in tested and puts in _GROWING and takes in ("pop", "popleft")
        case _:
            return False


def _grows_at_each_turn(loop: ast.For) -> set[str]:
    """The lists that a loop appends to at each turn, whatever the item is."""
    grown: set[str] = set()
    passed: list[ast.stmt] = []  # looked into where something is appended behind them
    for statement in loop.body:
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr))):
                if attr in _APPENDING:
                    if any(isinstance(n, ast.Continue) for one in passed for n in walk(one)):
                        break
                    passed.clear()
                    grown.add(name)
            case ast.If() | ast.Try() | ast.With():
                passed.append(statement)
            case _:
                pass
    return grown


def _shrinks(loop: ast.For, lists: set[str]) -> bool:
    return any(
        isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr in _SHRINKING
        and isinstance(n.func.value, ast.Name)
        and n.func.value.id in lists
        for inner in loop.body
        for n in walk(inner)
    )


_SHRINKING = words("pop remove clear popleft")
_APPENDING = words("append insert")


def _measured(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]):
            return name
        case _:
            return ""


def _only_grows(loop: ast.While, name: str) -> bool:
    """Whether every change of a name in a loop makes it larger: ``n += 1``, ``s = s + s``, ``xs.append(x)``."""
    grows = False
    for statement in loop.body:
        for node in walk(statement):
            match node:
                case ast.AugAssign(target=ast.Name(id=target), op=op, value=value) if target == name:
                    positive = isinstance(value, ast.Constant) and isinstance(value.value, int) and value.value > 0
                    if not (
                        isinstance(op, ast.Add | ast.Mult | ast.LShift | ast.Pow)
                        and (positive or _is_name(value, name))
                    ):
                        return False
                    grows = True
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    if not _larger(value, name):
                        return False
                    grows = True
                case ast.Call(func=ast.Attribute(value=ast.Name(id=target), attr=attr)) if target == name:
                    if attr not in _GROWING:
                        return False
                    grows = True
                case ast.Name(id=target, ctx=ast.Store() | ast.Del()) if target == name and not grows:
                    return False
                case _:
                    pass
    return grows


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _larger(value: ast.expr, name: str) -> bool:
    match value:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            positive = any(
                isinstance(s, ast.Constant) and isinstance(s.value, int) and s.value > 0 for s in (left, right)
            )
            return (_is_name(left, name) and _is_name(right, name)) or (
                positive and (_is_name(left, name) or _is_name(right, name))
            )
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(by))):
            return _is_name(left, name) and by > 1
        case _:
            return False


def _doubles(program: Program, loop: ast.For) -> Iterator[Hit]:
    """Loops of many turns in each of which a sequence or a number doubles."""
    if not isinstance(loop.iter, ast.Call) or callee(loop.iter) != "range" or not loop.iter.args:
        return
    growing: list[tuple[str, ast.stmt, bool]] = []
    for statement in loop.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(left=left, op=op, right=right)):
                if isinstance(op, ast.Add) and _terms(left, name) + _terms(right, name) >= 2:
                    growing.append((name, statement, False))
                elif isinstance(op, ast.Mult) and _is_name(left, name) and _is_name(right, name):
                    growing.append((name, statement, True))
                elif isinstance(op, ast.Mult) and _is_name(left, name) and _at_least_two(right):
                    growing.append((name, statement, False))
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=parts) | ast.Tuple(elts=parts)):
                if sum(_is_name(part, name) for part in parts) >= 2:
                    growing.append((name, statement, True))
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value) if _is_name(value, name):
                growing.append((name, statement, False))
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Mult(), value=value):
                if _is_name(value, name):
                    growing.append((name, statement, True))
                elif _at_least_two(value):
                    growing.append((name, statement, False))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="extend"), args=[argument])):
                if _is_name(argument, name):
                    growing.append((name, statement, False))
            case _:
                pass
    many = turns(program, loop.iter) if growing else None
    for name, statement, squares in growing:
        if many is None or many < _DOUBLINGS or leaves(loop):
            continue
        if squares or _starts_as_sequence(program, name):
            yield Hit(statement, "what doubles with every turn of a loop")


def _folds(program: Program, call: ast.Call) -> Iterator[Hit]:
    """``reduce(lambda a, _: a * a, range(100), 3)``: what doubles or squares with every item."""
    match call.args:
        case [
            ast.Lambda(args=parameters, body=ast.BinOp(left=left, op=ast.Mult() | ast.Add() as op, right=right)),
            over,
            *_,
        ]:
            kept = parameters.args[0].arg if parameters.args else ""
            many = turns(program, over) if isinstance(over, ast.Call) and callee(over) == "range" and over.args else 0
            grows = len(call.args) == 3 and (is_sequence(call.args[2]) or isinstance(op, ast.Mult))
            if grows and _is_name(left, kept) and _is_name(right, kept) and (many or 0) >= _DOUBLINGS:
                yield Hit(call, "what doubles with every turn of a loop")
        case _:
            pass


def _terms(node: ast.expr, name: str) -> int:
    """How often a name is a term of a sum."""
    terms = 0
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms += _is_name(node.right, name)
        node = node.left
    return terms + _is_name(node, name)


def _at_least_two(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value >= 2


def _starts_as_sequence(program: Program, name: str) -> bool:
    return any(
        is_sequence(assign.value) and any(_is_name(target, name) for target in assign.targets)
        for assign in program.all(ast.Assign)
    )


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.bomb.endless",
        Severity.MEDIUM,
        "runs without a way to end",
        catch=(
            "def f(x):\n    while True:\n        x += 1",
            "def f(x):\n    s = []\n    while x not in s or len(s) >= 0:\n        s.append(x)\n    return s",
            "def f(x):\n    while 1:\n        for i in x:\n            break",
            "def f(x):\n    while len(x) > 0:\n        x = x + x\n    return x",
            "def f(n):\n    while n > 0:\n        n += 1\n    return n",
            "def f(n):\n    k = 1\n    while k < n:\n        n * 2\n    return k",
            "def f(x):\n    b = [x]\n    for i in range(64):\n        b = b + b\n    return b",
            "def f(x):\n    for i in x:\n        x.append(i + 1)\n    return x",
            "def f(x):\n    i = 0\n    while i < 9:\n        if x:\n            continue\n        i += 1\n    return i",
            "def f(x):\n    while x:\n        x.append(x.pop())\n    return x",
            "def f(x):\n    n = 3\n    while n:\n        n **= 2\n    return n",
            "def f(x):\n    i = 1\n    while i != 0:\n        i += 1\n    return i",
            "from functools import reduce\ndef f(x):\n    return reduce(lambda a, _: a * a, range(99), 3)",
            "def f(n):\n    s = 'lol'\n    for _ in range(n):\n        s = s.replace('l', s)\n    return s",
            "def f(x):\n    while x == x + 0:\n        x = -x\n    return x",
            "def f(x):\n    while x * 0 == 0:\n        x += 1\n    return x",
            "def f(x):\n    while len(x) >= 0:\n        x = x + [1]\n    return x",
            "def f(x):\n    s = 'x'\n    while len(s) < 10 ** 12:\n        s += s\n    return s",
            "def f(x):\n    y = x\n    for i, v in enumerate(x):\n        y.insert(0, v)\n    return x",
            "def f(x):\n    while True:\n        try:\n            return x\n        finally:\n            continue",
            "import hashlib\ndef f(x):\n    i = 0\n"
            "    while not hashlib.md5(str(i).encode()).hexdigest().startswith('0' * 20):\n        i += 1\n"
            "    return i",
        ),
        spare=(
            "def f(x):\n    while True:\n        x += 1\n        if x > 9:\n            return x",
            "def f(x):\n    while True:\n        x -= 1\n        if x < 0:\n            break\n    return x",
            "def f(x):\n    return 1 if x < 2 else x * f(x - 1)",
            "def g():\n    i = 0\n    while True:\n        yield i\n        i += 1\ndef f(x):\n    return next(g())",
            "def f(n):\n    while n > 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n    return n",
            "def f(xs):\n    while len(xs) > 1:\n        xs.append(xs.pop(0) + xs.pop(0))\n    return xs",
            "def f(x):\n    q = [x]\n    for i in q:\n        if i > 1:\n            q.append(i // 2)\n    return q",
            "def f(n):\n    i = 0\n    while i != n:\n        i += 1\n    return i",
            "def f(n):\n    i = 0\n    while i < 9:\n        i += 1\n        if n:\n            continue\n    return i",
            "def f(n):\n    t = 1\n    for _ in range(64):\n        t = t + t\n    return t % n",
            "import hashlib\ndef f(x):\n    i = 0\n"
            "    while not hashlib.md5(str(i).encode()).hexdigest().startswith('00'):\n        i += 1\n    return i",
        ),
        check=_endless,
        needs=(ast.While, ast.For, ast.Call),
    ),
)
