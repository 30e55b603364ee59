"""One walk over a syntax tree: every node by its type, and the parent of each."""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, Literal, Protocol, TypeVar, overload

_A = TypeVar("_A", bound=ast.AST)
_B = TypeVar("_B", bound=ast.AST)
_C = TypeVar("_C", bound=ast.AST)
_T = TypeVar("_T")

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@overload
def parsed(text: str) -> ast.Module: ...
@overload
def parsed(text: str, mode: Literal["eval"]) -> ast.Expression: ...
def parsed(text: str, mode: Literal["exec", "eval"] = "exec") -> ast.AST:
    """The tree of a text, as ``ast.parse`` makes it.

    What Python merely warns of is read all the same, without a word: where warnings are errors (``python -W error``) a
    program that the jail would run must not pass for one that is no Python.
    """
    filters = warnings.filters
    # As catch_warnings does it, but for what the parser has no use for: a notice that filters changed, to all modules.
    warnings.filters = _NO_WARNINGS
    try:
        return ast.parse(text, mode=mode)
    finally:
        warnings.filters = filters


_NO_WARNINGS = [("ignore", None, Warning, None, 0)]


class once(Generic[_T]):  # noqa: N801 - used as ``property`` is
    """A property that is worked out when first asked for, as ``functools.cached_property``, but without its lock:
    a program is read by one thread, and asks for a dozen of them."""

    def __init__(self, work: Callable[[Any], _T]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> once[_T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: Any, owner: type) -> once[_T] | _T:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._work(instance)
        return value


def words(text: str) -> frozenset[str]:
    """The words of a text, for lists of names."""
    return frozenset(text.split())


_PLAIN = words(
    "ctx op ops type_comment type_ignores kind id attr arg conversion simple is_async level module name asname rest "
    "kwd_attrs tag str"
)
_LEAVES = (ast.Constant, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.MatchSingleton)


def _inner(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a type of node that hold nodes worth a visit."""
    return () if issubclass(kind, _LEAVES) else tuple(field for field in kind._fields if field not in _PLAIN)


_FIELDS: dict[type, tuple[str, ...]] = {
    kind: _inner(kind) for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_WITH_GAPS = frozenset((ast.Dict, ast.arguments))
"""Nodes in whose lists None stands: for the key of a dictionary's ``**``, for a parameter without a default."""


_BINDING = (
    *(ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
    *(ast.ExceptHandler, ast.MatchAs, ast.MatchStar),
)
"""Nodes that bind names and that most programs have none of."""


class AllNodes(Protocol):
    """``Syntax.all``."""

    @overload
    def __call__(self, one: type[_A], /) -> Iterator[_A]: ...
    @overload
    def __call__(self, one: type[_A], two: type[_B], /) -> Iterator[_A | _B]: ...
    @overload
    def __call__(self, one: type[_A], two: type[_B], three: type[_C], /) -> Iterator[_A | _B | _C]: ...
    @overload
    def __call__(self, *types: type[ast.AST]) -> Iterator[ast.AST]: ...


class Syntax:
    """A tree, walked once without recursion.

    Attributes:
        tree: the root.
        parents: each node's parent; the root has none.
        notes: what whoever reads the tree wants to find again.
    """

    def __init__(self, tree: ast.AST) -> None:
        self.tree = tree
        self.notes: dict[str, Any] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        self._by_type: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        by_type, parents, fields = self._by_type, self.parents, _FIELDS
        stack = [tree]
        while stack:
            node = stack.pop()
            kind = node.__class__
            by_type[kind].append(node)
            inner = fields[kind]
            if not inner:
                continue
            children: list[ast.AST] = []
            for field in inner:
                value = getattr(node, field, None)
                if value.__class__ is list:
                    children += value
                elif value is not None:
                    children.append(value)
            if children:
                if kind in _WITH_GAPS:
                    children = [child for child in children if child is not None]
                for child in children:
                    parents[child] = node
                children.reverse()
                stack += children

    @overload
    def all(self, one: type[_A], /) -> Iterator[_A]: ...
    @overload
    def all(self, one: type[_A], two: type[_B], /) -> Iterator[_A | _B]: ...
    @overload
    def all(self, one: type[_A], two: type[_B], three: type[_C], /) -> Iterator[_A | _B | _C]: ...
    @overload
    def all(self, *types: type[ast.AST]) -> Iterator[ast.AST]: ...
    def all(self, *types: type[ast.AST]) -> Iterator[ast.AST]:
        """Every node of the given exact types, in source order within each type."""
        by_type = self._by_type
        if len(types) == 1:
            return iter(by_type.get(types[0], ()))
        return iter([node for kind in types if kind in by_type for node in by_type[kind]])

    @once
    def types(self) -> frozenset[type[ast.AST]]:
        """The types of the nodes there are."""
        return frozenset(self._by_type)

    @once
    def mentioned(self) -> frozenset[str]:
        """Every name that is read or bound, and of every attribute."""
        return self.read | self.attributes | self.bound

    def has(self, *types: type[ast.AST]) -> bool:
        """Whether there is any node of these types."""
        return not self._by_type.keys().isdisjoint(types)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node stands in, from the inside out."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    @once
    def read(self) -> frozenset[str]:
        """Every name that is read as a plain name."""
        return frozenset([node.id for node in self.all(ast.Name)])

    @once
    def attributes(self) -> frozenset[str]:
        """Every attribute that is named."""
        return frozenset([node.attr for node in self.all(ast.Attribute)])

    @once
    def bound(self) -> frozenset[str]:
        """Every name the program binds, in whatever scope."""
        load = ast.Load
        found = [node.id for node in self.all(ast.Name) if node.ctx.__class__ is not load]
        found += [node.arg for node in self.all(ast.arg)]
        found += [node.name for node in self.all(ast.FunctionDef)]
        if self.has(*_BINDING):
            found += [node.name for node in self.all(ast.AsyncFunctionDef, ast.ClassDef)]
            found += [node.name for node in self.all(ast.ExceptHandler, ast.MatchAs, ast.MatchStar) if node.name]
            for statement in self.all(ast.Import, ast.ImportFrom):
                found += [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
        return frozenset(found)


@lru_cache(maxsize=1)
def walked(text: str) -> Syntax:
    """The tree of a text, walked; the last one is kept until it is let go of (``walked.cache_clear``), for a program
    is looked at from one side and another. Whoever reads it changes nothing.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as ``ast.parse``.
    """
    return Syntax(parsed(text))


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly inside a node, in source order; what is no expression, statement or the like left out."""
    found: list[ast.AST] = []
    kind = node.__class__
    for field in _FIELDS[kind]:
        value = getattr(node, field, None)
        if value.__class__ is list:
            found += value
        elif value is not None:
            found.append(value)
    return [child for child in found if child is not None] if kind in _WITH_GAPS else found


def walk(node: ast.AST) -> list[ast.AST]:
    """A node and all inside it, breadth first."""
    found = [node]
    fields = _FIELDS
    for one in found:
        if fields[one.__class__]:
            found += children(one)
    return found


_OWN_SCOPE = frozenset((ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes inside it."""
    return own([function.body] if isinstance(function, ast.Lambda) else function.body)


def own(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of statements, without those of functions and classes inside them."""
    stack: list[ast.AST] = list(reversed(body))
    while stack:
        node = stack.pop()
        yield node
        kind = node.__class__
        if kind not in _OWN_SCOPE and _FIELDS[kind]:
            stack += children(node)[::-1]


def returned(function: Function) -> list[ast.expr | None]:
    """What a function returns, statement by statement; a lambda's body."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [node.value for node in own_nodes(function) if isinstance(node, ast.Return)]
