"""The rule on methods that ask for what they themselves answer: the object can never be used."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.surely import surely_evaluated
from azr_monitor.rules.syntax import own_nodes, walk
from azr_monitor.rules.tree import Program

_SHOWN = {"str": "__str__", "repr": "__repr__", "format": "__format__"}
_ASKED_BY_CALL = {
    **{name: f"__{name}__" for name in words("len iter next bool hash abs int float complex reversed round dir bytes")},
    **_SHOWN,
    "list": "__iter__",
    "tuple": "__iter__",
    "set": "__iter__",
    "sorted": "__iter__",
    "sum": "__iter__",
}
_OPERATORS: dict[type, str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Mod: "__mod__",
    ast.FloorDiv: "__floordiv__",
    ast.Div: "__truediv__",
    ast.Pow: "__pow__",
    ast.BitAnd: "__and__",
    ast.BitOr: "__or__",
    ast.BitXor: "__xor__",
    ast.Eq: "__eq__",
    ast.NotEq: "__ne__",
    ast.Lt: "__lt__",
    ast.Gt: "__gt__",
    ast.LtE: "__le__",
    ast.GtE: "__ge__",
}


def _self_asking(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for definition in program.all(ast.ClassDef):
        methods = {s.name: s for s in definition.body if isinstance(s, ast.FunctionDef) and s.args.args}
        asks = {
            name: {asked for node in surely_evaluated(method.body) for asked in _asked(node, method, methods)}
            | {made for node in surely_evaluated(method.body) for made in _made_again(node, method, definition)}
            | ({"__getattr__"} if name == "__getattr__" and _asks_what_is_nowhere(definition, method) else set())
            for name, method in methods.items()
            if not (name in _FOR_WHAT_IS_MISSING and _prepares(method))
        }
        for method in methods.values():
            if _asks_the_same_again(method):
                yield Hit(method, f"{definition.name}.{method.name}")
        for name, method in methods.items():
            # str() of an object without a __str__ of its own, and of one whose __str__ asks for __repr__, is its repr.
            reached, front = set[str](), asks.get(name, set())
            while front:
                reached |= front
                front = {further for one in front for further in asks.get(one, ())} - reached
            if name in reached:
                yield Hit(method, f"{definition.name}.{name}")


_FOR_WHAT_IS_MISSING = words("__getattr__ __missing__")


def _prepares(method: ast.FunctionDef) -> bool:
    """Whether a method calls others of its object, which may make what was missing: ``self.load()``."""
    me = method.args.args[0].arg
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == me
        for node in own_nodes(method)
    )


def _keeps(method: ast.FunctionDef) -> bool:
    """Whether a method gives its object the item that was missing: ``self[key] = 0``."""
    me = method.args.args[0].arg
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == me
        for node in own_nodes(method)
    )


def _asked(node: ast.AST, method: ast.FunctionDef, methods: dict[str, ast.FunctionDef]) -> Iterator[str]:
    """The methods of its own object that evaluating a node calls."""
    me = method.args.args[0].arg
    attributes = ("__getattribute__",) if "__getattribute__" in methods else ()
    match node:
        case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=name), asked, *_]) if name == me:
            yield from attributes
            if method.name == "__getattr__" and _is_given(asked, method):
                yield "__getattr__"
        case ast.Call(func=ast.Name(id=function), args=[ast.Name(id=name)]) if name == me:
            wanted = _ASKED_BY_CALL.get(function, "")
            yield _text_of(methods) if function in _SHOWN and wanted not in methods else wanted
        case ast.Call(func=ast.Name(id=name)) if name == me:
            yield "__call__"
        case ast.FormattedValue(value=ast.Name(id=name), conversion=conversion) if name == me:
            yield "__repr__" if conversion == ord("r") else _text_of(methods)
        case ast.Attribute(value=ast.Name(id=name), attr=attr, ctx=ast.Load()) if name == me:
            yield from attributes
            asked_method = methods.get(attr)
            if asked_method is not None and any(_is_property(d) for d in asked_method.decorator_list):
                yield attr
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if name == me and attr in methods:
            yield attr
        case ast.Attribute(value=ast.Name(id=name), attr=attr, ctx=ast.Store()) if name == me:
            if method.name == "__setattr__" or _sets(method, attr):
                yield method.name
        case ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id=name), *_]) if name == me:
            yield "__setattr__"
        case ast.Subscript(value=ast.Name(id=name), slice=index) if name == me:
            stores = isinstance(node.ctx, ast.Store)
            yield "__setitem__" if stores else "__getitem__" if "__getitem__" in methods else ""
            if not stores and method.name == "__missing__" and _is_given(index, method) and not _keeps(method):
                yield "__missing__"
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)]) if name == me:
            yield "__contains__"
        case ast.BinOp(left=ast.Name(id=left), op=op, right=ast.Name(id=right)) if left == me:
            if right in {a.arg for a in method.args.args}:
                yield _OPERATORS.get(op.__class__, "")
        case ast.Compare(left=ast.Name(id=left), ops=[compare], comparators=[ast.Name(id=right)]) if left == me:
            if right in {a.arg for a in method.args.args}:
                yield _OPERATORS.get(compare.__class__, "")
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name)) if name == me:
            yield "__bool__"
        case _:
            pass


_WHEN_MADE = words("__init__ __new__ __del__ __post_init__")


def _made_again(node: ast.AST, method: ast.FunctionDef, definition: ast.ClassDef) -> Iterator[str]:
    """Methods that run when an object is made, or goes, and make another: ``self.left = A()`` in ``__init__``."""
    match node:
        case ast.Call(func=ast.Name(id=name)) if name == definition.name and method.name in _WHEN_MADE:
            yield method.name
        case _:
            pass


def _asks_what_is_nowhere(definition: ast.ClassDef, method: ast.FunctionDef) -> bool:
    """Whether what stands in for missing attributes asks for one that is missing too."""
    if definition.bases or definition.decorator_list:
        return False
    me = method.args.args[0].arg
    held = {name.id for name in walk(definition) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    held |= {s.name for s in definition.body if isinstance(s, ast.FunctionDef | ast.ClassDef)}
    held |= {a.attr for a in walk(definition) if isinstance(a, ast.Attribute) and isinstance(a.ctx, ast.Store)}
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == me
        and node.attr not in held
        and not node.attr.startswith("__")
        for node in surely_evaluated(method.body)
    )


def _asks_the_same_again(method: ast.FunctionDef) -> bool:
    """Whether a method asks its own object for the same thing, on whatever way, with nothing changed in between."""
    if len(method.args.args) != 2 or method.name not in ("__getitem__", "__getattr__", "__contains__", "__call__"):
        return False
    me, given = (argument.arg for argument in method.args.args)
    asks = False
    for node in own_nodes(method):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) if name == given:
                return False
            case (
                ast.Attribute(ctx=ast.Store())
                | ast.Subscript(ctx=ast.Store())
                | ast.Try()
                | ast.Call(func=ast.Attribute())
            ):
                return False
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=key)) if name == me and key == given:
                asks |= method.name == "__getitem__"
            case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=name), ast.Name(id=key)]) if name == me:
                asks |= method.name == "__getattr__" and key == given
            case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=key)]) if name == me and key == given:
                asks |= method.name == "__call__"
            case _:
                pass
    return asks


def _text_of(methods: dict[str, ast.FunctionDef]) -> str:
    """Which method gives the text of an object."""
    return "__str__" if "__str__" in methods else "__repr__"


def _is_given(node: ast.AST, method: ast.FunctionDef) -> bool:
    return isinstance(node, ast.Name) and len(method.args.args) > 1 and node.id == method.args.args[1].arg


def _is_property(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id in ("property", "cached_property")


def _sets(method: ast.FunctionDef, attr: str) -> bool:
    """Whether a method is the setter of an attribute."""
    return method.name == attr and any(
        isinstance(decorator, ast.Attribute) and decorator.attr == "setter" for decorator in method.decorator_list
    )


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.bomb.self",
        Severity.MEDIUM,
        "asks an object for what only this method answers, without end",
        catch=(
            "class A:\n    def __getattr__(self, name):\n        return getattr(self, name)\ndef f(x):\n"
            "    return A().v",
            "class A:\n    @property\n    def size(self):\n        return self.size + 1\ndef f(x):\n"
            "    return A().size",
            "class A:\n    def __setattr__(self, k, v):\n        self.k = v\ndef f(x):\n    a = A()\n    a.v = x",
            "class A:\n    def __repr__(self):\n        return f'A({self})'\n    def __str__(self):\n"
            "        return repr(self)\ndef f(x):\n    return str(A())",
            "class A(dict):\n    def __missing__(self, key):\n        return self[key]\ndef f(x):\n    return A()[x]",
            "class A:\n    def __len__(self):\n        return len(self)\ndef f(x):\n    return len(A())",
            "class A:\n    def __iter__(self):\n        return iter(self)\ndef f(x):\n    return list(A())",
            "class A:\n    def __eq__(self, other):\n        return self == other\ndef f(x):\n    return A() == x",
            "class A:\n    def __getattribute__(self, name):\n        return self.values[name]\ndef f(x):\n"
            "    return A().v",
            "class A:\n    def __bool__(self):\n        return not not self\ndef f(x):\n    return 1 if A() else x",
            "class A(dict):\n    def __getitem__(self, k):\n        if k in self:\n            return self[k]\n"
            "        return None\ndef f(x):\n    return A()[x]",
            "class A:\n    def __repr__(self):\n        return f'{self}'\ndef f(x):\n    return repr(A())",
            "class A:\n    def __init__(self):\n        self.next = A()\ndef f(x):\n    return A()",
            "class A:\n    def go(self, n):\n        return self.go(n + 1)\ndef f(x):\n    return A().go(x)",
            "class A:\n    def __getattr__(self, name):\n        return self.other\ndef f(x):\n    return A().v",
        ),
        spare=(
            "class A:\n    def __getattr__(self, name):\n        return self.__dict__.get(name, 0)\ndef f(x):\n"
            "    return A().v",
            "class A:\n    @property\n    def size(self):\n        return self._size + 1\n    @size.setter\n"
            "    def size(self, v):\n        self._size = v\ndef f(x):\n    return A().size",
            "class A:\n    def __setattr__(self, k, v):\n        super().__setattr__(k, v)\ndef f(x):\n    a = A()\n"
            "    a.v = x",
            "class A:\n    def __str__(self):\n        return 'A'\n    def __repr__(self):\n        return str(self)\n"
            "def f(x):\n    return repr(A())",
            "class A:\n    def __len__(self):\n        return len(self.items)\n    def __bool__(self):\n"
            "        return len(self) > 0\ndef f(x):\n    return bool(A())",
            "class A(dict):\n    def __missing__(self, key):\n        self[key] = value = key * 2\n"
            "        return value\n"
            "def f(x):\n    return A()[x]",
            "class A(dict):\n    def __missing__(self, key):\n        self[key] = key * 2\n        return self[key]\n"
            "def f(x):\n    return A()[x]",
            "class A:\n    def __ne__(self, other):\n        return not self == other\n    def __eq__(self, other):\n"
            "        return self.v == other.v\ndef f(x):\n    return A() == x",
            "class A:\n    def __getattr__(self, name):\n        self.load()\n        return getattr(self, name)\n"
            "    def load(self):\n        self.v = 1\ndef f(x):\n    return A().v",
            "class A:\n    def __iter__(self):\n        return self\n    def __next__(self):\n"
            "        raise StopIteration\n"
            "def f(x):\n    return list(A())",
            "class A:\n    def __init__(self, n):\n        self.next = A(n - 1) if n else None\n"
            "    def go(self, n):\n        if n > 9:\n            return n\n        return self.go(n + 1)\n"
            "def f(x):\n    return A(x).go(x)",
        ),
        check=_self_asking,
        needs=(ast.ClassDef,),
    ),
)
