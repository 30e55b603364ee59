"""Rules on what differs from run to run: the order of sets of texts, the addresses that objects show."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.meaning import Instance
from azr_monitor.rules.syntax import own_nodes, walk
from azr_monitor.rules.tree import Program

_SETS = ("set", "frozenset")
_ORDERED = ("list", "tuple")
_ORDERLESS = words(
    "sorted len sum min max set frozenset any all bool Counter isinstance dict sort union intersection difference "
    "issubset issuperset isdisjoint issubset symmetric_difference add update discard fsum prod count fromkeys"
)
_TEXT_METHODS = words(
    "lower upper strip lstrip rstrip title capitalize replace join format casefold swapcase zfill ljust rjust center"
)
_TEXT_LISTS = words("split splitlines rsplit")
_NAMELESS = ("object", "iter", "map", "zip", "weakref")
_SHOWS = frozenset({"__repr__", "__str__", "__format__"})
_MAX_DEPTH = 6


def _set_order(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """The order of a set of texts reaches the result; it changes with the seed of the hashes."""
    if not program.syntax.has(ast.Set, ast.SetComp) and not program.calls_any(*_SETS):
        return
    for call in program.all(ast.Call):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="join"), args=[given]):
                if (is_set(program, given) or _walks_set(program, given)) and _leaves(program, call):
                    yield Hit(call, "a set, put together in the order it happens to have")
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[given]) if holds_texts(program, given):
                if _leaves(program, call):
                    yield Hit(call, "the order of a set")
            case ast.Call(func=ast.Attribute(value=given, attr="pop"), args=[]) if is_set(program, given):
                yield from _taken(program, call, given)
            case ast.Call(func=ast.Name(id="next"), args=[ast.Call(func=ast.Name(id="iter"), args=[given]), *_]):
                if is_set(program, given):
                    yield from _taken(program, call, given)
            case _:
                pass
    yield from _spread(program)
    for comprehension in program.all(ast.ListComp):
        if holds_texts(program, _plain(comprehension.generators[0].iter)) and _leaves(program, comprehension):
            yield Hit(comprehension, "the order of a set")
    for loop in program.all(ast.For):
        if is_set(program, loop.iter) and isinstance(loop.target, ast.Name):
            yield from _put_together(program, loop, loop.target.id)


def _spread(program: Program) -> Iterator[Hit]:
    """Sets of texts that are unpacked, shown, folded, or left with the first item that comes."""
    for starred in program.all(ast.Starred):
        around = program.parents.get(starred)
        if (
            isinstance(around, ast.List | ast.Tuple)
            and holds_texts(program, starred.value)
            and _leaves(program, around)
        ):
            yield Hit(starred, "the order of a set")
    for assign in program.all(ast.Assign):
        match assign.targets:
            case [ast.Tuple(elts=[_, _, *_]) | ast.List(elts=[_, _, *_])] if holds_texts(program, assign.value):
                yield Hit(assign, "items of a set by their places")
            case _:
                pass
    for shown in program.all(ast.FormattedValue):
        if holds_texts(program, shown.value) and _leaves(program, shown):
            yield Hit(shown, "how a set shows itself")
    for call in program.all(ast.Call):
        match call:
            case ast.Call(func=ast.Name(id="str" | "repr"), args=[given]) if holds_texts(program, given):
                if _leaves(program, call):
                    yield Hit(call, "how a set shows itself")
            case ast.Call(func=ast.Name(id="reduce") | ast.Attribute(attr="reduce"), args=[fold, given, *_]):
                adds = isinstance(fold, ast.Lambda) and isinstance(fold.body, ast.BinOp)
                if adds and holds_texts(program, given) and _leaves(program, call):
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


def _taken(program: Program, call: ast.Call, given: ast.expr) -> Iterator[Hit]:
    if holds_texts(program, given) and _leaves(program, call):
        yield Hit(call, "an item of a set by its place")


def _put_together(program: Program, loop: ast.For, item: str) -> Iterator[Hit]:
    """``for w in words: text += w``: what is added to a text is a text, and texts add up in order."""
    for node in (inner for statement in loop.body for inner in walk(statement)):
        match node:
            case ast.AugAssign(target=ast.Name() as total, op=ast.Add(), value=value) if _begins_as_text(
                program, total
            ):
                if any(isinstance(n, ast.Name) and n.id == item for n in walk(value)):
                    yield Hit(loop, "a set, put together in the order it happens to have")
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[ast.Name(id=added)]):
                if added == item and holds_texts(program, loop.iter) and _name_leaves(program, loop, name):
                    yield Hit(loop, "the order of a set")
            case _:
                pass


def _begins_as_text(program: Program, total: ast.Name) -> bool:
    bindings, _ = program.meaning.names.lookup(total)
    return any(
        _is_text(program, binding.node)
        for binding in bindings
        if isinstance(binding.node, ast.Constant | ast.JoinedStr)
    )


def is_set(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression is a set, as far as it can be seen."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() | ast.Sub() | ast.BitXor(), right=right):
            return is_set(program, left, depth + 1) or (
                not isinstance(node.op, ast.Sub) and is_set(program, right, depth + 1)
            )
        case ast.Name():
            values = _values(program, node)
            return bool(values) and all(is_set(program, value, depth + 1) for value in values)
        case _:
            return False


def holds_texts(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression is a set in which texts are: numbers keep their order from run to run."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Set(elts=items):
            return any(_is_text(program, item) for item in items)
        case ast.SetComp(elt=element):
            return _is_text(program, element)
        case ast.Call(func=ast.Name(id="set" | "frozenset"), args=[given]):
            return _gives_texts(program, given)
        case ast.BinOp(left=left, right=right):
            return is_set(program, node) and (
                holds_texts(program, left, depth + 1) or holds_texts(program, right, depth + 1)
            )
        case ast.Name():
            values = _values(program, node)
            return bool(values) and all(holds_texts(program, value, depth + 1) for value in values)
        case _:
            return False


def _gives_texts(program: Program, node: ast.AST) -> bool:
    """Whether walking over an expression gives texts."""
    match node:
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return _is_text(program, element)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return any(_is_text(program, item) for item in items)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="str" | "repr" | "chr"), *_]):
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in _TEXT_LISTS or attr in _TEXT_METHODS
        case _:
            return _is_text(program, node)


def _is_text(program: Program, node: ast.AST, depth: int = 0) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.Call(func=ast.Name(id="str" | "chr" | "repr")):
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in _TEXT_METHODS
        case ast.BinOp(left=left, op=ast.Add(), right=right) if depth < _MAX_DEPTH:
            return _is_text(program, left, depth + 1) or _is_text(program, right, depth + 1)
        case ast.Name() if depth < _MAX_DEPTH:
            values = _values(program, node)
            return bool(values) and all(_is_text(program, value, depth + 1) for value in values)
        case _:
            return False


def _values(program: Program, name: ast.Name) -> list[ast.AST]:
    """What is assigned to a name, when plain assignments are all that binds it."""
    bindings, _ = program.meaning.names.lookup(name)
    found = [binding.node for binding in bindings if binding.kind == "value"]
    return found if len(found) == len(bindings) else []


def _walks_set(program: Program, node: ast.AST) -> bool:
    return isinstance(node, ast.GeneratorExp | ast.ListComp) and is_set(program, node.generators[0].iter)


def _leaves(program: Program, node: ast.AST) -> bool:
    """Whether a value leaves its function, or a name that is returned holds it, with its order."""
    function = next((o for o in program.syntax.around(node) if isinstance(o, ast.FunctionDef | ast.Lambda)), None)
    if not isinstance(function, ast.FunctionDef):
        return False
    parent = program.parents.get(node)
    while isinstance(parent, ast.expr | ast.keyword | ast.comprehension):
        if isinstance(parent, ast.Compare | ast.Lambda | ast.Set | ast.SetComp):
            return False
        if isinstance(parent, ast.Subscript) and parent.slice is node:
            return False
        if isinstance(parent, ast.comprehension) and isinstance(
            program.parents.get(parent), ast.SetComp | ast.DictComp
        ):
            return False
        if isinstance(parent, ast.Call) and _callee(parent) in _ORDERLESS and parent.func is not node:
            return False
        node, parent = parent, program.parents.get(parent)
    match parent:
        case ast.Return():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return _name_leaves(program, parent, name)
        case _:
            return False


def _name_leaves(program: Program, place: ast.AST, name: str) -> bool:
    """Whether what a name holds is returned as it is, and nowhere put in order before."""
    function = next((o for o in program.syntax.around(place) if isinstance(o, ast.FunctionDef)), None)
    if function is None:
        return False
    nodes = list(own_nodes(function))
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=given), attr="sort")) if given == name:
                return False
            case _:
                pass
    for node in nodes:
        match node:
            case ast.Return(value=ast.Name(id=given)) if given == name:
                return True
            case ast.Return(value=ast.Subscript(value=ast.Name(id=given))) if given == name:
                return True
            case ast.Return(value=ast.Call(func=ast.Attribute(attr="join"), args=[ast.Name(id=given)])):
                if given == name:
                    return True
            case _:
                pass
    return False


def _callee(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _address_shown(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """The text of an object that has none of its own shows its address."""
    named = any(definition.name in program.syntax.read for definition in program.all(ast.FunctionDef))
    if not (named or program.syntax.has(ast.ClassDef, ast.Lambda, ast.GeneratorExp) or program.calls_any(*_NAMELESS)):
        return
    parsed = any(text == "0x" or "object at" in text for text, _ in program.strings)
    shown: list[tuple[ast.AST, ast.AST]] = [
        (call, call.args[0]) for call in program.calls("repr", "str", "format", "ascii") if call.args
    ]
    shown += [(part, part.value) for part in program.all(ast.FormattedValue)]
    for mould in program.all(ast.BinOp):
        if isinstance(mould.op, ast.Mod) and isinstance(mould.left, ast.Constant) and isinstance(mould.left.value, str):
            shown.append((mould, mould.right))
    for call in program.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "format":
            shown += [(call, given) for given in call.args]
    for place, value in shown:
        if not isinstance(value, ast.Name | ast.Call | ast.Lambda | ast.GeneratorExp):
            continue
        if not (parsed or _leaves(program, place)):
            continue
        whole = isinstance(value, ast.Call)
        if any(
            _shows_address(one)
            for one in program.meaning.objects(value)
            if not whole or isinstance(one, Instance | str)
        ):
            yield Hit(place, "the address in what an object shows of itself")


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
        ),
        spare=(
            "def f(x):\n    return sorted({'a', 'b', x})[0]",
            "def f(x):\n    return list({1, 2, x})[0] + len({'a', 'b'})",
            "def f(x):\n    out = list(set(x.split()))\n    out.sort()\n    return out",
            "def f(x):\n    return ''.join(sorted(set(x)))",
            "def f(x):\n    a, b = sorted(set(x.split()))[:2]\n    return a",
            "def f(x):\n    (only,) = set(x.split()) - {'a'}\n    return only",
            "def f(x):\n    return f'{len(set(x.split()))}'",
            "def f(x):\n    n = 0\n    for c in set(x):\n        n += x.count(c)\n    return n",
            "def f(x):\n    return max(set(x.split()), key=len) and {w.lower() for w in x}",
        ),
        check=_set_order,
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
