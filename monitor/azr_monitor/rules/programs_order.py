"""Rules on what differs from run to run: the order of sets of texts, the addresses that objects show."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule
from azr_monitor.rules.objects import Instance
from azr_monitor.rules.order_loops import put_together, shown_by_loops
from azr_monitor.rules.sets import holds_numbers, holds_texts, is_set, leaves, name_leaves, walks_set
from azr_monitor.rules.syntax import returned, walk
from azr_monitor.rules.tree import Program

_SETS = ("set", "frozenset")
_SHOWING = ("repr", "str", "format", "ascii")
_NAMELESS = ("object", "iter", "map", "zip", "weakref")
_SHOWS = frozenset({"__repr__", "__str__", "__format__"})


def _set_order(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    """The order of a set of texts reaches the result; it changes with the seed of the hashes."""
    if program.given or program.syntax.has(ast.Set, ast.SetComp) or program.calls_any(*_SETS):
        return _order_shown(program)
    return ()  # most programs


def _order_shown(program: Program) -> Iterator[Hit]:
    for call in program.all(ast.Call):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="join"), args=[given]):
                shown = is_set(program, given) or walks_set(program, given) or holds_texts(program, given)
                if shown and leaves(program, call):
                    yield Hit(call, "a set, put together in the order it happens to have")
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[given]) if holds_texts(program, given):
                if leaves(program, call):
                    yield Hit(call, "the order of a set")
            case ast.Call(func=ast.Attribute(value=given, attr="pop"), args=[]) if is_set(program, given):
                yield from _taken(program, call, given)
            case ast.Call(func=ast.Name(id="next"), args=[walked, *_]):
                begun = _iterated(program, walked)
                if begun is not None and is_set(program, begun):
                    yield from _taken(program, call, begun)
            case _:
                pass
    yield from _spread(program)
    yield from _ties_and_places(program)
    for comprehension in program.all(ast.ListComp):
        if holds_texts(program, _plain(comprehension.generators[0].iter)) and leaves(program, comprehension):
            yield Hit(comprehension, "the order of a set")
    yield from shown_by_loops(program)
    yield from put_together(program)


def _ties_and_places(program: Program) -> Iterator[Hit]:
    """Where the order of a set decides less openly: between equals, by a count of its items, as keys of a table."""
    for call in program.all(ast.Call):
        match call:
            case ast.Call(func=ast.Name(id="max" | "min"), args=[given], keywords=[ast.keyword(arg="key"), *_]):
                if is_set(program, given) and leaves(program, call):
                    grade = Severity.MEDIUM if _is_length(call.keywords[0].value) else Severity.LOW
                    yield Hit(call, "whichever of equals comes first in a set", _degree(program, given, grade))
            case ast.Call(func=ast.Name(id="sorted"), args=[given], keywords=[ast.keyword(arg="key", value=key), *_]):
                if is_set(program, given) and _ties(key) and leaves(program, call):
                    yield Hit(call, "equals in the order of a set", _degree(program, given, Severity.MEDIUM))
            case ast.Call(func=ast.Name(id="zip"), args=[*walked]):
                for given in walked:
                    if holds_texts(program, given) and leaves(program, _paired(program, call)):
                        yield Hit(call, "the order of a set")
            case ast.Call(func=ast.Name(id="next"), args=[ast.GeneratorExp(generators=[first, *_]), *_]):
                if is_set(program, first.iter) and leaves(program, call):
                    yield Hit(
                        call, "whichever item of a set comes first", _degree(program, first.iter, Severity.MEDIUM)
                    )
            case ast.Call(func=ast.Attribute(attr="fromkeys") | ast.Name(id="Counter"), args=[given, *_]):
                if is_set(program, given):
                    yield Hit(call, "a table in the order of a set", _degree(program, given, Severity.LOW))
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[given]) if is_set(program, given):
                if not holds_texts(program, given) and leaves(program, call) and not holds_numbers(program, given):
                    yield Hit(call, "the order of a set", Severity.LOW)
            case _:
                pass
    for table in program.all(ast.DictComp):
        match table.generators[0].iter:
            case ast.Call(func=ast.Name(id="enumerate"), args=[given, *_]) if is_set(program, given):
                yield Hit(table, "items of a set by their places", _degree(program, given, Severity.MEDIUM))
            case _:
                pass
    for assign in program.all(ast.Assign):
        match assign.targets:
            case [ast.Tuple(elts=parts) | ast.List(elts=parts)] if any(isinstance(p, ast.Starred) for p in parts):
                if is_set(program, assign.value) and not holds_texts(program, assign.value):
                    yield Hit(assign, "items of a set by their places", Severity.LOW)
            case _:
                pass


def _paired(program: Program, pairs: ast.Call) -> ast.AST:
    """A table of what stands side by side, which is not what it is in another order: ``dict(zip(words, range(3)))``."""
    match program.parents.get(pairs):
        case ast.Call(func=ast.Name(id="dict"), args=[_]) as table if len(pairs.args) > 1:
            return table
        case _:
            return pairs


def _ties(key: ast.expr) -> bool:
    """Whether a key is a length or a count, which many texts share."""
    match key:
        case ast.Lambda(body=ast.UnaryOp(operand=ast.Call(func=function)) | ast.Call(func=function)):
            return _ties(function)
        case ast.Lambda(body=ast.Compare() | ast.Subscript(slice=ast.Constant() | ast.UnaryOp())):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("len", "count")
        case _:
            return False


def _is_length(key: ast.expr) -> bool:
    return isinstance(key, ast.Name) and key.id == "len"


def _degree(program: Program, given: ast.AST, texts: Severity) -> Severity:
    """Numbers keep their order from run to run; of what is not known to be texts, little is said."""
    return texts if holds_texts(program, given) else Severity.INFO


def _spread(program: Program) -> Iterator[Hit]:
    """Sets of texts that are unpacked, shown, folded, or left with the first item that comes."""
    for starred in program.all(ast.Starred):
        around = program.parents.get(starred)
        if isinstance(around, ast.List | ast.Tuple) and holds_texts(program, starred.value) and leaves(program, around):
            yield Hit(starred, "the order of a set")
    for assign in program.all(ast.Assign):
        match assign.targets:
            case [ast.Tuple(elts=[_, _, *_]) | ast.List(elts=[_, _, *_])] if holds_texts(program, assign.value):
                yield Hit(assign, "items of a set by their places")
            case _:
                pass
    for shown in program.all(ast.FormattedValue):
        if holds_texts(program, shown.value) and leaves(program, shown):
            yield Hit(shown, "how a set shows itself")
    for call in program.all(ast.Call):
        match call:
            case ast.Call(func=ast.Name(id="str" | "repr"), args=[given]) if holds_texts(program, given):
                if leaves(program, call):
                    yield Hit(call, "how a set shows itself")
            case ast.Call(func=ast.Name(id="reduce") | ast.Attribute(attr="reduce"), args=[fold, given, *_]):
                adds = isinstance(fold, ast.Lambda) and isinstance(fold.body, ast.BinOp)
                if adds and holds_texts(program, given) and leaves(program, call):
                    yield Hit(call, "a set, put together in the order it happens to have")
            case _:
                pass
    for loop in program.all(ast.For):
        match loop.body[0]:
            case ast.Return(value=ast.Name(id=name)) if isinstance(loop.target, ast.Name) and loop.target.id == name:
                if holds_texts(program, loop.iter):
                    yield Hit(loop, "whichever item of a set comes first")
            case _:
                pass


def _plain(node: ast.expr) -> ast.expr:
    """What is walked over, counted or not: ``enumerate(words)``."""
    match node:
        case ast.Call(func=ast.Name(id="enumerate" | "iter"), args=[walked, *_]):
            return walked
        case _:
            return node


def _iterated(program: Program, walked: ast.AST, depth: int = 0) -> ast.expr | None:
    """What an iterator walks over, made there or named: ``iter(words)``."""
    match walked:
        case ast.Call(func=ast.Name(id="iter"), args=[given]):
            return given
        case ast.Name() if not depth:
            bindings, _ = program.meaning.names.lookup(walked)
            return _iterated(program, bindings[0].node, 1) if len(bindings) == 1 else None
        case _:
            return None


def _taken(program: Program, call: ast.Call, given: ast.expr) -> Iterator[Hit]:
    if not holds_texts(program, given):
        return
    around = program.parents.get(call)
    while isinstance(around, ast.Subscript | ast.Attribute) or (isinstance(around, ast.Call) and not around.args):
        around = program.parents.get(around)
    match around:
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add()) as change if name_leaves(program, change, name):
            yield Hit(call, "a set, put together in the order it happens to have")
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")) as put if name_leaves(
            program, put, name
        ):
            yield Hit(call, "items of a set in the order in which they come out")
        case ast.Expr() if isinstance(given, ast.Name) and _is_kept(program, call, given.id):
            yield Hit(call, "what is left of a set of which whatever comes first is taken away")
        case _ if leaves(program, call):
            yield Hit(call, "an item of a set by its place")
        case _:
            pass


def _is_kept(program: Program, place: ast.AST, name: str) -> bool:
    """Whether a function returns what a name holds, in whatever order, or something that is made of it."""
    function = next((one for one in program.syntax.around(place) if isinstance(one, ast.FunctionDef)), None)
    return function is not None and any(
        isinstance(node, ast.Name) and node.id == name and not _is_counted(program, node)
        for value in returned(function)
        if value is not None
        for node in walk(value)
    )


def _is_counted(program: Program, name: ast.Name) -> bool:
    match program.parents.get(name):
        case ast.Call(func=ast.Name(id="len" | "bool")) | ast.UnaryOp(op=ast.Not()):
            return True
        case _:
            return False


def _address_shown(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """The text of an object that has none of its own shows its address."""
    shows = (
        program.syntax.has(ast.FormattedValue) or program.calls_any(*_SHOWING) or "format" in program.syntax.attributes
    )
    if not shows and not ("%" in program.text and any(one.op.__class__ is ast.Mod for one in program.all(ast.BinOp))):
        return
    named = any(definition.name in program.syntax.read for definition in program.all(ast.FunctionDef))
    if not (named or program.syntax.has(ast.ClassDef, ast.Lambda, ast.GeneratorExp) or program.calls_any(*_NAMELESS)):
        return
    shown: list[tuple[ast.AST, ast.AST]] = [(call, call.args[0]) for call in program.calls(*_SHOWING) if call.args]
    shown += [(part, part.value) for part in program.all(ast.FormattedValue)]
    for mould in program.all(ast.BinOp):
        if isinstance(mould.op, ast.Mod) and isinstance(mould.left, ast.Constant) and isinstance(mould.left.value, str):
            shown.append((mould, mould.right))
    for call in program.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "format":
            shown += [(call, given) for given in call.args]
    if not shown:
        return
    parsed = any(text == "0x" or "object at" in text for text, _ in program.strings)
    for place, value in [(place, _item(value)) for place, value in shown]:
        if not isinstance(value, ast.Name | ast.Call | ast.Lambda | ast.GeneratorExp):
            continue
        if isinstance(value, ast.Lambda | ast.GeneratorExp) and isinstance(place, ast.Call):
            yield Hit(place, "the address of something that has no text of its own")
            continue
        if not (parsed or leaves(program, place)):
            continue
        whole = isinstance(value, ast.Call)
        if any(
            _shows_address(one)
            for one in program.meaning.objects(value)
            if not whole or isinstance(one, Instance | str)
        ):
            yield Hit(place, "the address in what an object shows of itself")


def _item(value: ast.AST) -> ast.AST:
    """What a list shows of: its items."""
    match value:
        case ast.ListComp(elt=item) | ast.List(elts=[item, *_]) | ast.Tuple(elts=[item, *_]):
            return item
        case _:
            return value


def _shows_address(one: object) -> bool:
    match one:
        case Instance(definition):
            plain = not definition.bases and not definition.keywords and not definition.decorator_list
            own = {s.name for s in definition.body if isinstance(s, ast.FunctionDef)}
            own |= {
                t.id for s in definition.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)
            }
            return plain and own.isdisjoint(_SHOWS)
        case ast.Lambda() | ast.GeneratorExp() | ast.FunctionDef():
            return True
        case str():
            return one in ("builtins.object()", "weakref.ref()", "builtins.iter()", "builtins.map()", "builtins.zip()")
        case _:
            return False


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.order",
        Severity.MEDIUM,
        "answers by the order of a set of texts, which changes from run to run",
        catch=(
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
            "def f(s):\n    return next(c for c in frozenset(s))",
            "def f(words):\n    return list(dict.fromkeys(set(words)))",
            "def f(s):\n    return max(set(s), key=s.count)",
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
        ),
        spare=(
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
        ),
        check=_set_order,
        needs=(ast.Set, ast.SetComp, ast.Call),
    ),
    ProgramRule(
        "program.address",
        Severity.MEDIUM,
        "shows the address of an object, which changes from run to run",
        catch=(
            "class A:\n    pass\ndef f(x):\n    return repr(A()).split('0x')[1]",
            "class A:\n    pass\ndef f(x):\n    return str(A())",
            "def f(x):\n    return f'{(lambda: x)}'",
            "class A:\n    pass\ndef f(x):\n    return '%s' % A()",
            "def f(x):\n    def g():\n        pass\n    return '{}'.format(g)",
            "def f(x):\n    g = (i for i in x)\n    return str(g)",
        ),
        spare=(
            "class A:\n    def __repr__(self):\n        return 'A'\n"
            "def f(x):\n    return repr(A()) + hex(x).strip('0x')",
            "def f(x):\n    return hex(x).replace('0x', '') + str(x)",
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\ndef f(x):\n    return str(A(x))",
            "class E(Exception):\n    pass\n"
            "def f(x):\n    try:\n        raise E(x)\n    except E as e:\n        return str(e)",
            "def f(x):\n    g = lambda n: n + 1\n    return str(g(x))",
        ),
        check=_address_shown,
    ),
)
