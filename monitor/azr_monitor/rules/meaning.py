"""Which object an expression stands for, as far as the text alone tells.

Objects of the libraries are dotted names (``os.system``, ``builtins.eval``, ``sys._getframe()`` for what a call
gives); functions, classes and containers of the program are the nodes that make them. Aliases are followed through
imports, assignments, parameters and defaults, containers, returns, class attributes, ``getattr``, ``partial``,
``attrgetter``, ``__import__``, the dictionaries that hold modules and builtins, and modules inside modules
(``contextlib.os``). All work is bounded: each node is looked at once, no answer holds more than ``MAX_NAMES``.
"""

from __future__ import annotations

import ast
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from azr_monitor.rules.constants import Constants
from azr_monitor.rules.flow import Flow
from azr_monitor.rules.names import MAX_NAMES, Names
from azr_monitor.rules.objects import (
    Instance,
    Items,
    Object,
    Partial,
    Reader,
    decorated,
    is_metaclass,
    is_property,
    plain_name,
)
from azr_monitor.rules.syntax import FUNCTIONS, Function, Syntax, own_nodes, returned, words

MAX_DEPTH = 40
DYNAMIC_IMPORTS = frozenset(
    {"builtins.__import__", "importlib.import_module", "importlib.__import__", "importlib.reload", "imp.load_module"}
)
_PASSED_ON = frozenset(
    f"builtins.{name}"
    for name in words("iter list tuple set frozenset sorted reversed enumerate zip filter staticmethod classmethod")
) | {"itertools.chain", "itertools.cycle", "itertools.islice", "copy.copy", "copy.deepcopy", "types.MethodType"}
_ONE_OF = frozenset({"builtins.next", "builtins.max", "builtins.min", "functools.reduce", "random.choice"})
_TAKES = frozenset({"get", "pop", "setdefault", "__getitem__", "popleft", "popitem", "__next__"})
_WHOLE = frozenset({"values", "items", "copy", "keys", "__iter__"})
_LOADERS = ("load_module", "exec_module", "find_module", "find_spec")


class Meaning:
    """Objects that the expressions of one program stand for, memoised."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.syntax: Syntax = names.syntax
        self.flow = Flow(names.syntax)
        self.constants = Constants(names, weakref.proxy(self), self.flow)  # no cycle: a tree is freed at once
        self._known: dict[ast.AST, tuple[Object, ...]] = {}
        self._resolved: dict[ast.AST, tuple[str, ...]] = {}
        self._returns: dict[ast.AST, list[ast.expr]] = {}
        self._depth = 0

    # -- questions --------------------------------------------------------------------------------------

    def resolve(self, node: ast.AST) -> tuple[str, ...]:
        """The dotted names an expression may stand for: ``builtins.eval``, ``os.system``; () when unknown."""
        known = self._resolved.get(node)
        if known is None:
            known = tuple(one for one in self.objects(node) if isinstance(one, str))
            if self._depth == 0:
                self._resolved[node] = known
        return known

    def objects(self, node: ast.AST) -> tuple[Object, ...]:
        """The objects an expression may stand for, at most ``MAX_NAMES``."""
        known = self._known.get(node)
        if known is not None:
            return known
        if self._depth > MAX_DEPTH:
            return ()
        handler = _HANDLERS.get(node.__class__)
        if handler is None:
            return ()
        self._known[node] = ()  # breaks cycles such as ``a = b; b = a``
        self._depth += 1
        try:
            found: dict[Object, None] = {}
            for one in handler(self, node):
                found[plain_name(one) if isinstance(one, str) else one] = None
                if len(found) >= MAX_NAMES:
                    break
        finally:
            self._depth -= 1
        answer = tuple(found)
        self._known[node] = answer
        return answer

    # -- expressions ------------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> Iterator[Object]:
        bindings, builtin = self.names.lookup(node)
        for binding in bindings:
            match binding.kind:
                case "module":
                    if binding.name:
                        yield binding.name
                case "value":
                    yield from self.objects(binding.node)
                case "definition":
                    yield binding.node
                case "each":
                    yield from self.elements(self.objects(binding.node))
                case "parameter":
                    yield from self._parameter(binding.node, binding.name)
                case _:
                    pass
        if builtin:
            yield "builtins" if node.id in ("__builtins__", "builtins") else f"builtins.{node.id}"

    def _attribute(self, node: ast.Attribute) -> Iterator[Object]:
        for base in self.objects(node.value):
            yield from self._member(base, node.attr)

    def _member(self, base: Object, attr: str, depth: int = 0) -> Iterator[Object]:
        match base:
            case str():
                yield f"{base}.{attr}"
            case Instance(definition) | (ast.ClassDef() as definition):
                for value in self._members(definition, attr, depth):
                    if isinstance(base, Instance) and isinstance(value, FUNCTIONS) and is_property(value):
                        yield from self._result(value)
                    else:
                        yield value
            case _:
                pass

    def _members(self, definition: ast.ClassDef, attr: str, depth: int) -> Iterator[Object]:
        """What a class, its bases, and assignments to attributes of that name give an attribute."""
        for binding in self.names.inner(definition).bindings.get(attr, ()):
            match binding.kind:
                case "value":
                    yield from self.objects(binding.node)
                case "definition":
                    yield binding.node
                case "module":
                    yield binding.name
                case _:
                    pass
        for value in self.flow.attribute_stores.get(attr, ()):
            yield from self.objects(value)
        if depth < 8:
            for base in definition.bases:
                for one in self.objects(base):
                    if isinstance(one, ast.ClassDef) and one is not definition:
                        yield from self._members(one, attr, depth + 1)

    def _one_of(self, nodes: Iterable[ast.AST]) -> Iterator[Object]:
        for node in nodes:
            yield from self.objects(node)

    def _itself(self, node: ast.AST) -> Iterator[Object]:
        yield node

    def _subscript(self, node: ast.Subscript) -> Iterator[Object]:
        keys = self.constants.texts(node.slice)
        for base in self.objects(node.value):
            if isinstance(base, str):
                for key in keys:
                    yield from self._looked_up(base, key)
            else:
                yield from self._chosen(base, node.slice)
        if isinstance(node.value, ast.Name):
            for value in self.flow.container_stores.get(node.value.id, ()):
                yield from self.objects(value)

    def _chosen(self, base: Object, index: ast.expr) -> Iterator[Object]:
        """The item of a container at a constant place, or any of its items."""
        if isinstance(base, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in base.elts):
            place = self.constants.number(index)
            if place is not None and -len(base.elts) <= place < len(base.elts):
                yield from self.objects(base.elts[place])
                return
        if isinstance(base, ast.Dict):
            wanted = self.constants.values(index)
            if wanted:
                for key, value in zip(base.keys, base.values, strict=True):
                    if key is None or any(known in wanted for known in self.constants.values(key)):
                        yield from self.objects(value)
                return
        yield from self.elements((base,))

    def _looked_up(self, base: str, key: str) -> Iterator[Object]:
        """What stands under ``key`` in one of the dictionaries that hold modules, builtins and attributes."""
        if base == "sys.modules":
            yield key
        elif base in ("builtins", "builtins.__dict__"):
            yield f"builtins.{key}"
        elif base.endswith(".__dict__"):
            yield f"{base.removesuffix('.__dict__')}.{key}"
        elif base in ("builtins.globals()", "builtins.locals()", "builtins.vars()"):
            if key in ("__builtins__", "__loader__", "__spec__"):
                yield "builtins" if key == "__builtins__" else f"builtins.{key}"
            for binding in self.names.module.bindings.get(key, ()):
                if binding.kind == "module":
                    yield binding.name
                elif binding.kind in ("value", "definition"):
                    yield from self.objects(binding.node) if binding.kind == "value" else (binding.node,)
            if base == "builtins.locals()" or base == "builtins.vars()":
                yield f"{base}[{key}]"
        else:
            yield f"{base}[]"

    # -- calls ------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Iterator[Object]:
        functions = self.objects(node.func)
        for function in functions:
            yield from self._called(function, node.args, node, 0)
        if isinstance(node.func, ast.Attribute):
            yield from self._method(node.func, node.args)

    def _called(self, function: Object, arguments: list[ast.expr], node: ast.Call, depth: int) -> Iterator[Object]:
        if depth > 4:
            return
        match function:
            case str():
                yield from self._library(function, arguments, node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from self._result(function)
            case ast.ClassDef():
                yield Instance(function)
            case Instance(definition):
                for method in self._members(definition, "__call__", 0):
                    if isinstance(method, FUNCTIONS):
                        yield from self._result(method)
            case Partial(inner, given):
                yield from self._called(inner, [*given, *arguments], node, depth + 1)
            case Reader(kind, name):
                yield from self._read(kind, name, arguments)
            case _:
                pass

    def _read(self, kind: str, name: str, arguments: list[ast.expr]) -> Iterator[Object]:
        if not arguments:
            return
        bases: Iterable[Object] = self.objects(arguments[0])
        if kind == "itemgetter":
            for base in bases:
                if isinstance(base, str):
                    yield from self._looked_up(base, name)
            return
        for attr in name.split(".")[:MAX_DEPTH]:
            bases = [member for base in bases for member in self._member(base, attr)][:MAX_NAMES]
        yield from bases

    def _result(self, function: Function) -> Iterator[Object]:
        """What a function of the program's returns or yields."""
        known = self._returns.get(function)
        if known is None:
            known = [value for value in returned(function) if value is not None]
            if not isinstance(function, ast.Lambda):
                yields = [n.value for n in own_nodes(function) if isinstance(n, ast.Yield) and n.value is not None]
                known.extend(ast.Tuple([value], ast.Load()) for value in yields)
            self._returns[function] = known
        yield from self._one_of(known)

    def _library(self, function: str, arguments: list[ast.expr], node: ast.Call) -> Iterator[Object]:
        """What a call of something in the libraries gives."""
        match function:
            case "builtins.getattr" | "builtins.object.__getattribute__" | "builtins.type.__getattribute__":
                if len(arguments) >= 2:
                    for attr in self.constants.texts(arguments[1]):
                        for base in self.objects(arguments[0]):
                            yield from self._member(base, attr)
                    yield from self._one_of(arguments[2:3])
            case "builtins.vars" if arguments:
                yield from (f"{base}.__dict__" for base in self.objects(arguments[0]) if isinstance(base, str))
            case "functools.partial" | "functools.partialmethod" if arguments:
                yield from (Partial(inner, tuple(arguments[1:])) for inner in self.objects(arguments[0]))
            case "operator.attrgetter" | "operator.methodcaller" | "operator.itemgetter" if arguments:
                for name in self.constants.texts(arguments[0]):
                    yield Reader(function.removeprefix("operator."), name)
            case "operator.getitem" if len(arguments) == 2:
                for base in self.objects(arguments[0]):
                    for key in self.constants.texts(arguments[1]):
                        yield from self._looked_up(base, key) if isinstance(base, str) else ()
            case "builtins.type" if len(arguments) == 1:
                yield from (o.definition for o in self.objects(arguments[0]) if isinstance(o, Instance))
                yield "builtins.type()"
            case "builtins.map" if len(arguments) >= 2:
                yield from (one for f in self.objects(arguments[0]) for one in self._called(f, arguments[1:], node, 3))
            case "builtins.super":
                return
            case _ if function in _PASSED_ON:
                yield from self._one_of(arguments)
            case _ if function in _ONE_OF:
                yield from self.elements(o for argument in arguments for o in self.objects(argument))
            case _ if function in DYNAMIC_IMPORTS or function.rpartition(".")[2] in _LOADERS:
                for name in self.constants.texts(arguments[0]) if arguments else ():
                    yield name.split(".")[0] if function == "builtins.__import__" else name
            case _:
                yield from self._dictionary(function, arguments)
                yield f"{function}()"

    def _dictionary(self, function: str, arguments: list[ast.expr]) -> Iterator[Object]:
        """``get`` and the like on the dictionaries that hold modules, builtins and attributes."""
        base, _, method = function.rpartition(".")
        holds = base in ("sys.modules", "builtins") or base.endswith((".__dict__", "()"))
        if holds and method in _TAKES and arguments:
            for key in self.constants.texts(arguments[0]):
                yield from self._looked_up(base, key)

    def _method(self, function: ast.Attribute, arguments: list[ast.expr]) -> Iterator[Object]:
        """What a method of a container of the program's gives."""
        containers = [o for o in self.objects(function.value) if isinstance(o, ast.AST | Items)]
        if function.attr in _TAKES:
            for container in containers:
                if function.attr in ("get", "__getitem__") and arguments:
                    yield from self._chosen(container, arguments[0])
                else:
                    yield from self.elements((container,))
            yield from self._one_of(arguments[1:2])
            if isinstance(function.value, ast.Name):
                for value in self.flow.container_stores.get(function.value.id, ()):
                    yield from self.objects(value)
        elif function.attr in _WHOLE:
            yield from containers

    # -- containers and parameters ----------------------------------------------------------------------

    def elements(self, containers: Iterable[Object]) -> Iterator[Object]:
        """What walking over these objects gives, the inside of rows included."""
        for container in containers:
            match container:
                case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | Items(nodes=parts):
                    for part in list(parts)[: 4 * MAX_NAMES]:
                        inner = self.objects(part.value if isinstance(part, ast.Starred) else part)
                        for one in inner:
                            yield one
                            if isinstance(one, ast.Tuple | ast.List):
                                for deeper in one.elts[:MAX_NAMES]:
                                    yield from self.objects(deeper)
                case ast.Dict(values=values):
                    for value in values[: 4 * MAX_NAMES]:
                        yield from self.objects(value)
                case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                    yield from self.objects(element)
                case ast.DictComp(value=value):
                    yield from self.objects(value)
                case str():
                    yield f"{container}[]"
                case _:
                    pass

    def _parameter(self, function: ast.AST, name: str) -> Iterator[Object]:
        assert isinstance(function, Function)
        arguments = function.args
        positional = [p.arg for p in (*arguments.posonlyargs, *arguments.args)]
        owner = self.syntax.parents.get(function)
        method = isinstance(owner, ast.ClassDef) and not decorated(function, "staticmethod")
        if method and positional and positional[0] == name:
            assert isinstance(owner, ast.ClassDef)
            yield owner if decorated(function, "classmethod") or is_metaclass(owner) else Instance(owner)
            return
        shift = 1 if method else 0
        rest = arguments.vararg is not None and arguments.vararg.arg == name
        for _, given, keywords in self.flow.calls(function):
            if name in keywords:
                yield from self.objects(keywords[name])
            elif rest:
                yield Items(tuple(given[len(positional) - shift :]))
            elif name in positional:
                place = positional.index(name) - shift
                if 0 <= place < len(given):
                    yield from self.objects(given[place])


_HANDLERS: Mapping[type[ast.AST], Callable[[Meaning, Any], Iterator[Object]]] = {
    ast.Name: Meaning._name,
    ast.Attribute: Meaning._attribute,
    ast.Subscript: Meaning._subscript,
    ast.Call: Meaning._call,
    ast.NamedExpr: lambda self, node: self._one_of((node.value,)),
    ast.Await: lambda self, node: self._one_of((node.value,)),
    ast.Starred: lambda self, node: self._one_of((node.value,)),
    ast.IfExp: lambda self, node: self._one_of((node.body, node.orelse)),
    ast.BoolOp: lambda self, node: self._one_of(node.values),
    ast.BinOp: lambda self, node: self._one_of((node.left, node.right)),
    **dict.fromkeys(
        (ast.Lambda, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
        Meaning._itself,
    ),
}
