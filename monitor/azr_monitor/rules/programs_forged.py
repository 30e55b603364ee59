"""Rules on forgery: objects that compare, order or show themselves as what they are not."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from azr_monitor.records import Severity
from azr_monitor.rules.answers import always, remembers
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.syntax import FUNCTIONS, Function, own_nodes, parsed, returned, walk
from azr_monitor.rules.tree import Program
from azr_monitor.rules.truth import to_strangers

EQUALITY = frozenset({"__eq__", "__ne__"})
ORDER = frozenset({"__lt__", "__le__", "__gt__", "__ge__"})
CHECKS = frozenset({"__instancecheck__", "__subclasscheck__", "__subclasshook__"})
SHOWN = frozenset({"__repr__", "__str__", "__format__"})
_VALUE_TYPES = frozenset(
    f"builtins.{name}" for name in words("int str float bool bytes list dict tuple set frozenset complex type")
) | words("collections.UserDict collections.UserList collections.UserString collections.OrderedDict")
_ALIKE = frozenset({"unittest.mock.ANY", "mock.ANY", "unittest.mock.MagicMock", "unittest.mock.Mock"})


class Method(NamedTuple):
    """A special method, however it came to be one: its name, its function, where it is attached, and its class."""

    name: str
    function: Function
    place: ast.AST
    owner: ast.ClassDef | None


def methods(program: Program, wanted: frozenset[str]) -> Iterator[Method]:
    """Methods by name: in a class body, by assignment, by ``setattr``, in the dictionary given to ``type``."""
    if not program.special:
        return
    made = program.calls_any("setattr", "type", "locals") or "__setattr__" in program.text
    if not made and program.text.isascii() and not any(name in program.text for name in wanted):
        return
    for definition in program.all(ast.FunctionDef, ast.AsyncFunctionDef):
        if definition.name in wanted:
            owner = program.parents.get(definition)
            yield Method(definition.name, definition, definition, owner if isinstance(owner, ast.ClassDef) else None)
    for assign in program.all(ast.Assign):
        for target in assign.targets:
            name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
            if name in wanted:
                parent = program.parents.get(assign)
                owner = parent if isinstance(parent, ast.ClassDef) else None
                yield from (Method(name, function, assign, owner) for function in _functions(program, assign.value))
            if isinstance(target, ast.Subscript):
                for name in sorted(wanted.intersection(program.texts(target.slice))):
                    yield from (Method(name, function, assign, None) for function in _functions(program, assign.value))
    through = [a for a in program.all(ast.Attribute) if a.attr == "__setattr__"]
    stores = [parent for a in through if isinstance(parent := program.parents.get(a), ast.Call)]
    for call in (*program.calls("setattr"), *stores):
        if len(call.args) == 3:
            for name in sorted(wanted.intersection(program.texts(call.args[1]))):
                yield from (Method(name, function, call, None) for function in _functions(program, call.args[2]))
    for call in program.all(ast.Call):
        for keyword in call.keywords:
            if keyword.arg in wanted:
                for function in _functions(program, keyword.value):
                    yield Method(keyword.arg, function, call, None)
    for place, named, value in _tables(program):
        if isinstance(value, ast.Lambda | ast.Name):
            for name in sorted(wanted.intersection(named)):
                yield from (Method(name, function, place, None) for function in _functions(program, value))


def _tables(program: Program) -> Iterator[tuple[ast.AST, Iterable[str], ast.expr]]:
    """Entries of tables, of which classes may be made: the place, the keys, the value."""
    for table in program.all(ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if key is not None:
                yield table, program.texts(key), value
    for made in program.all(ast.DictComp):
        yield made, program.texts(made.key), made.value
    for call in program.all(ast.Call):
        match call:
            case ast.Call(func=ast.Attribute(attr="fromkeys"), args=[keys, value]):
                lists = program.meaning.constants.values(keys)
                yield call, [key for listed in lists if isinstance(listed, list | tuple) for key in listed], value
            case _:
                pass


def _functions(program: Program, value: ast.expr) -> Iterator[Function]:
    """The functions of the program's that an expression may be."""
    for one in program.meaning.objects(value):
        if isinstance(one, FUNCTIONS):
            yield one


def _names_read(function: Function) -> set[str]:
    return {node.id for node in own_nodes(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _sides(function: Function) -> tuple[str, str] | None:
    """The names of the two sides a comparison is given, None when it takes them all at once."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    return (parameters[0].arg, parameters[1].arg) if len(parameters) >= 2 else None


def _refuses(function: Function) -> bool:
    """``return NotImplemented``, ``return False`` and ``raise`` forge nothing."""
    return all(
        value is None
        or (isinstance(value, ast.Name) and value.id == "NotImplemented")
        or (isinstance(value, ast.Constant) and not value.value)
        for value in returned(function)
    )


def _adopts(function: Function, other: str) -> bool:
    """Whether a comparison takes over what it is compared with: ``self.v = other``."""
    for node in own_nodes(function):
        match node:
            case ast.Assign(targets=places, value=value):
                taken = [value] if any(isinstance(place, ast.Attribute | ast.Subscript) for place in places) else []
            case ast.Call(func=ast.Attribute(attr="update" | "__setattr__" | "clear" | "extend"), args=args):
                taken = [*args, *(keyword.value for keyword in node.keywords)]
            case _:
                continue
        if any(isinstance(inner, ast.Name) and inner.id == other for one in taken for inner in walk(one)):
            return True
    return False


def _is_borrowed(program: Program, assign: ast.Assign) -> bool:
    """Whether a class takes for its comparison what is neither a function of the program's nor one of that name."""
    match assign:
        case ast.Assign(targets=[ast.Name(id="__eq__" | "__ne__" as name)], value=value):
            same = isinstance(value, ast.Attribute) and value.attr == name
            return not same and not isinstance(value, ast.Lambda | ast.Constant) and not any(_functions(program, value))
        case _:
            return False


def _forged_comparison(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    agreed: dict[ast.ClassDef | None, set[str]] = {}
    for method in methods(program, EQUALITY | ORDER | CHECKS | {"__contains__"}):
        name, function, place, owner = method
        sides = _sides(function)
        if name in ORDER:
            if always(program, function, True):
                agreed.setdefault(owner, set()).add(name)
                yield Hit(place, f"{name} that always says yes", _order_severity(program, owner, agreed[owner]))
            elif remembers(function):
                yield Hit(place, f"{name} that answers otherwise the next time", Severity.MEDIUM)
            continue
        if always(program, function, name != "__ne__", owner) and not _looks_first(function):
            mild = Severity.MEDIUM if name == "__contains__" else None
            yield Hit(place, f"{name} that always says the same", mild)
        elif name == "__contains__":
            continue
        elif owner is not None and _answers_with_itself(function, owner) and _is_always_true(program, owner):
            yield Hit(place, f"{name} that answers with an object that is always true")
        elif remembers(function):
            yield Hit(place, f"{name} that answers otherwise the next time", Severity.MEDIUM)
        elif name in EQUALITY and _inverted(function, name):
            yield Hit(place, f"{name} that answers the opposite")
        elif name in EQUALITY and sides is not None and _adopts(function, sides[1]):
            yield Hit(place, f"{name} that takes over what it is compared with")
        elif name == "__eq__" and sides is not None and _says_yes_to_strangers(function, sides[1]):
            yield Hit(place, f"{name} that says yes to objects of any other kind")
        elif name in EQUALITY and not _refuses(function):
            read = _names_read(function)
            if (sides is None and function.args.vararg is not None) or (sides and sides[1] not in read):
                yield Hit(place, f"{name} that never looks at the other side")
            elif sides and sides[0] not in read and not _asks_for_kind(function, owner):
                yield Hit(place, f"{name} that never looks at its own side")
    for assign in program.all(ast.Assign) if program.special else ():
        if isinstance(program.parents.get(assign), ast.ClassDef) and _is_borrowed(program, assign):
            yield Hit(assign, "== by something else", _borrowed_from(program, assign.value))
    for node in program.references if program.reaches and "mock" in program.text else ():
        if node[0] in _ALIKE:
            yield Hit(node[1], node[0])


def _borrowed_from(program: Program, value: ast.expr) -> Severity:
    """A method made by a call, or a function of the libraries that looks at one side alone, is no honest comparison."""
    alone = not _ONE_SIDED.isdisjoint(program.resolve(value))
    return Severity.MEDIUM if isinstance(value, ast.Call) or alone else Severity.LOW


_ONE_SIDED = words("operator.truth operator.not_ operator.contains builtins.bool builtins.callable builtins.object")


def _inverted(function: Function, name: str) -> bool:
    """Whether ``==`` is answered by ``!=``, or the other way round."""
    wrong = ast.NotEq if name == "__eq__" else ast.Eq
    match returned(function):
        case [ast.Compare(ops=[op])]:
            return isinstance(op, wrong)
        case _:
            return False


def _says_yes_to_strangers(function: Function, other: str) -> bool:
    body = [ast.Return(function.body)] if isinstance(function, ast.Lambda) else function.body
    return to_strangers(body, other) is True


def _is_always_true(program: Program, owner: ast.ClassDef) -> bool:
    """Whether objects of a class say of themselves that they are true, whatever they hold."""
    return any(isinstance(s, ast.FunctionDef) and s.name == "__bool__" and always(program, s, True) for s in owner.body)


def _answers_with_itself(function: Function, owner: ast.ClassDef) -> bool:
    return any(
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == owner.name
        for value in returned(function)
    )


def _looks_first(function: Function) -> bool:
    """Whether a function with one constant answer has another way out as well: it raises, or falls off its end."""
    return any(isinstance(node, ast.Raise) for node in own_nodes(function))


def _order_severity(program: Program, owner: ast.ClassDef | None, agreed: set[str]) -> Severity | None:
    """A sentinel that is greater than all is honest; one that is smaller as well, or a value in disguise, is not."""
    if {"__lt__", "__gt__"} <= agreed or {"__le__", "__ge__"} <= agreed or owner is None:
        return None
    if is_value(program, owner):
        return Severity.MEDIUM
    if any(isinstance(s, ast.FunctionDef) and s.name in EQUALITY for s in owner.body):
        return Severity.LOW
    opposite = {"__lt__": "__gt__", "__gt__": "__lt__", "__le__": "__ge__", "__ge__": "__le__"}
    refused = {s.name for s in owner.body if isinstance(s, ast.FunctionDef) and always(program, s, False)}
    return Severity.INFO if all(opposite[name] in refused for name in agreed) else Severity.LOW


def is_value(program: Program, owner: ast.ClassDef) -> bool:
    """Whether a class is a kind of number, text or container."""
    return any(not _VALUE_TYPES.isdisjoint(program.resolve(base)) for base in owner.bases)


def _asks_for_kind(function: Function, owner: ast.ClassDef | None) -> bool:
    """Whether a comparison asks if the other side is of its own kind: ``isinstance(other, Unit)``."""
    asked = {node.id for node in own_nodes(function) if isinstance(node, ast.Name)}
    own = owner.name in asked if owner is not None else True
    return own and not asked.isdisjoint(("isinstance", "type", "issubclass"))


def _forged_hash(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for name, function, place, owner in methods(program, frozenset({"__hash__"})):
        values = returned(function)
        if values and all(isinstance(value, ast.Constant) for value in values):
            value_type = owner is not None and is_value(program, owner)
            yield Hit(place, f"{name} that is constant", Severity.LOW if value_type else Severity.INFO)


def _forged_shown(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for name, function, place, owner in methods(program, SHOWN):
        values = returned(function)
        plain = [value for value in values if value is not None and not isinstance(value, ast.IfExp)]
        texts = [text for value in plain for text in program.texts(value)[:1]]
        literal = [text for text in texts if _reads_as_literal(text)]
        if not literal:
            continue
        why = f"{name} that reads as the value {literal[0][:30]}"
        if len(texts) < len(values):
            yield Hit(place, why, Severity.INFO)
        elif literal[0].strip()[:1] in "[({" or (owner is not None and is_value(program, owner)):
            yield Hit(place, why)
        else:
            yield Hit(place, why, Severity.MEDIUM if name == "__repr__" else Severity.LOW)


def _reads_as_literal(text: str) -> bool:
    """Whether a constant text would be taken for a Python value when written out."""
    if len(text) > 200:
        return True
    try:
        tree = parsed(text.strip(), "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(tree.body, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.UnaryOp)


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.forged.comparison",
        Severity.HIGH,
        "forges comparison so that any answer would look right",
        catch=(
            "class A:\n    def __eq__(self, o):\n        return True\ndef f(x):\n    return A()",
            "def f(x):\n    return type('A', (), {'__eq__': lambda s, o: True})()",
            "class A(int):\n    __eq__ = lambda s, o: 1\ndef f(x):\n    return A(x)",
            "def yes(*a):\n    return True\nclass A:\n    pass\nsetattr(A, '__eq__', yes)\ndef f(x):\n    return A()",
            "class A:\n    def __ne__(self, o):\n        return False\ndef f(x):\n    return A()",
            "class A:\n    def __eq__(self, other):\n        return self.ok or not self.ok\ndef f(x):\n    return A()",
            "class A:\n    def __eq__(self, o):\n        if not isinstance(o, A):\n            return True\n"
            "        return self.v == o.v\ndef f(x):\n    return A()",
            "class A:\n    def __eq__(self, o):\n        try:\n            return self.v == o.v\n"
            "        except AttributeError:\n            return True\ndef f(x):\n    return A()",
            "class A:\n    def __eq__(self, o):\n        return type(o) is not A or self.v == o.v\n"
            "def f(x):\n    return A()",
            "class A:\n    def __lt__(self, o):\n        return False\n    def __eq__(self, o):\n"
            "        return not (self < o) and not (o < self)\ndef f(x):\n    return A()",
            "def f(x):\n    yes = lambda *a: bool(a)\n"
            "    return type('A', (int,), dict.fromkeys(['__%s__' % k for k in 'eq le'.split()], yes))(x)",
            "def f(x):\n    return type('A', (), {f'__{k}__': lambda s, o: True for k in ('eq', 'le')})()",
            "def yes(a, b):\n    return any([True, a is b])\nclass A:\n    def __eq__(self, o):\n"
            "        return yes(self, o)\ndef f(x):\n    return A()",
            "class A:\n    open = True\n    def __eq__(self, o):\n        if self.open:\n            return True\n"
            "        return self.v == o.v\ndef f(x):\n    return A()",
            "class A:\n    def __eq__(self, o):\n        return self.v != o\ndef f(x):\n    return A()",
            "class M(type):\n    def __new__(m, n, b, space):\n        space['__eq__'] = lambda s, o: True\n"
            "        return super().__new__(m, n, b, space)\nclass A(metaclass=M):\n    pass\n"
            "def f(x):\n    return A()",
            "from functools import partialmethod\nclass A:\n    def say(self, word, o):\n        return word\n"
            "    __eq__ = partialmethod(say, True)\ndef f(x):\n    return A()",
            "class A:\n    n = 0\n    def __eq__(self, o):\n        self.n += 1\n        return self.n > 1\n"
            "def f(x):\n    return A()",
        ),
        spare=(
            "class P:\n    def __init__(self, x):\n        self.x = x\n    def __eq__(self, o):\n"
            "        return isinstance(o, P) and self.x == o.x\n    def __hash__(self):\n        return hash(self.x)\n"
            "def f(x):\n    return P(x) == P(1)",
            "class N:\n    def __eq__(self, o):\n        return NotImplemented\n"
            "    def __lt__(self, o):\n        return self.k < o.k\n"
            "def f(x):\n    return x",
            "class U:\n    def __lt__(self, o):\n        return self.k < o.k\n    def __eq__(self, o):\n"
            "        return not (self < o) and not (o < self)\n    def __ne__(self, o):\n"
            "        return not isinstance(o, U) or self.k != o.k\ndef f(x):\n    return x",
            "class V:\n    def __eq__(self, o):\n        if not isinstance(o, V):\n            return False\n"
            "        return True\ndef f(x):\n    return x",
            "class C:\n    n = 0\n    def __lt__(self, o):\n        C.n += 1\n        return self.v < o.v\n"
            "def f(x):\n    return sorted([C()])",
            "def same(a, b):\n    return a.v == b.v\nclass A:\n    strict = False\n    def __eq__(self, o):\n"
            "        if self.strict:\n            return True\n        return same(self, o)\ndef f(x):\n    return x",
            "from dataclasses import dataclass\n@dataclass(eq=True, frozen=True)\nclass D:\n    x: int\n"
            "def f(x):\n    return D(x).x",
        ),
        check=_forged_comparison,
        special=True,
    ),
    ProgramRule(
        "program.forged.hash",
        Severity.LOW,
        "gives every object the same hash",
        catch=("class A:\n    def __hash__(self):\n        return 1\ndef f(x):\n    return {A(), A()}",),
        spare=("class A:\n    def __hash__(self):\n        return hash((A, self.x))\ndef f(x):\n    return x",),
        check=_forged_hash,
        special=True,
    ),
    ProgramRule(
        "program.forged.text",
        Severity.HIGH,
        "shows an object as a value that it is not",
        catch=(
            "class A:\n    def __repr__(self):\n        return '42'\ndef f(x):\n    return A()",
            "class A:\n    __str__ = lambda self: '[1, 2]'\ndef f(x):\n    return A()",
        ),
        spare=(
            "class A:\n    def __repr__(self):\n        return f'A({self.x})'\ndef f(x):\n    return str(x)",
            "class A:\n    def __repr__(self):\n        return 'Node()'\n"
            "    def __str__(self):\n        return 'a node'\ndef f(x):\n    return x",
        ),
        check=_forged_shown,
        special=True,
    ),
)
