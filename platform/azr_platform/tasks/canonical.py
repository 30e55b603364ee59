"""Programs up to renaming: one key for all programs that differ in names, comments, docstrings and annotations alone.

text ──► ast.parse ──► one walk: flat tokens, names with the scope they stand in ──► names resolved, then numbered in
the order they occur ──► BLAKE2b. Nothing is compiled or evaluated.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_CHARS: Final = 100_000
"""Longer texts are not parsed."""
ENTRY: Final = "f"
"""The module's function of this name is what a task calls, so it keeps its name."""


@dataclass(eq=False, slots=True)
class _Scope:
    """A module, class, function or comprehension, with the names it binds. Names of a class are attributes."""

    parent: _Scope | None = None
    is_class: bool = False
    is_comprehension: bool = False
    bound: set[str] = field(default_factory=set)
    elsewhere: dict[str, bool] = field(default_factory=dict)
    """Names declared nonlocal (False) or global (True)."""
    parameters: set[str] = field(default_factory=set)
    functions: dict[str, _Scope] = field(default_factory=dict)
    """The scopes of the functions defined here, by name."""

    def holder(self, name: str) -> _Scope | None:
        """The scope whose ``name`` is meant here; None for a builtin or a name that nothing binds."""
        scope: _Scope | None = self
        if self.elsewhere.get(name):
            while scope is not None and scope.parent is not None:
                scope = scope.parent
        elif name in self.elsewhere:
            scope = self.parent
        while scope is not None and (name not in scope.bound or (scope.is_class and scope is not self)):
            scope = scope.parent
        return scope


class _Name(NamedTuple):
    scope: _Scope
    name: str


class _Keyword(NamedTuple):
    """The name of a keyword argument, in a call of ``function`` (empty: of something else than a plain name)."""

    scope: _Scope
    function: str
    name: str


class _Inside(NamedTuple):
    node: ast.AST
    scope: _Scope


_Token = str | _Name | _Keyword


def program_key(text: str) -> str:
    """What a program is up to renaming, as 32 hex digits. Never raises, never evaluates.

    Arguments, locals, imports' names, classes and functions other than the module's ``f`` are numbered in the order
    they occur; comments, layout, docstrings and annotations are left out. A text that does not parse, or is too
    long or too deeply nested to, has the key of its own stripped text.
    """
    digest = blake2b(digest_size=16)
    words = program_words(text)
    if words is None:
        digest.update(b"text" + text.strip().encode("utf-8", "surrogatepass"))
        return digest.hexdigest()
    for word in words:
        data = word.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def program_words(text: str) -> list[str] | None:
    """The program as flat words of its syntax, equal for programs that are the same up to renaming; None for a text
    that `parsed` refuses."""
    tree = parsed(text)
    if tree is None:
        return None
    numbers: dict[tuple[int, str], int] = {}
    return [token if isinstance(token, str) else _resolved(token, numbers) for token in _tokens(tree)]


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None for a text that does not parse, or is too long or too deeply nested to. Never raises,
    compiles or evaluates."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python only warns of is the same program where warnings are errors
            return ast.parse(text) if len(text) <= MAX_CHARS else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _resolved(token: _Name | _Keyword, numbers: dict[tuple[int, str], int]) -> str:
    """A number for a name that the program binds, the name itself for any other."""
    if isinstance(token, _Keyword):
        definer = token.scope.holder(token.function)
        called = definer.functions.get(token.function) if definer is not None else None
        holder = called if called is not None and token.name in called.parameters else None
    else:
        holder = token.scope.holder(token.name)
    if holder is None or holder.is_class or (holder.parent is None and token.name == ENTRY):
        return "=" + token.name
    return f"#{numbers.setdefault((id(holder), token.name), len(numbers))}"


def _tokens(tree: ast.Module) -> list[_Token]:
    """The program as flat tokens; each node closes with a token, so that no two trees read the same."""
    tokens: list[_Token] = []
    stack: list[_Token | _Inside] = [_Inside(tree, _Scope())]
    while stack:  # no recursion: a program may be nested deeper than Python's stack allows
        item = stack.pop()
        if isinstance(item, _Inside):
            stack.extend(reversed(list(_parts(item.node, item.scope))))
        else:
            tokens.append(item)
    return tokens


def _parts(node: ast.AST, scope: _Scope) -> Iterator[_Token | _Inside]:
    """A node's tokens and children in order; what it binds is noted in the scopes on the way."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())) | ast.AnnAssign(value=None, target=ast.Name()):
            return  # a docstring, or an annotation alone
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from ("Assign", "[", _Inside(target, scope), "]", _Inside(value, scope), ")")
            return
        case ast.Constant(value=value):
            # hex: Python refuses to write very long integers in decimal
            yield from ("Constant", type(value).__name__, hex(value) if isinstance(value, int) else repr(value))
            return
        case ast.Name(id=name, ctx=ctx):
            if not isinstance(ctx, ast.Load):
                scope.bound.add(name)
            yield "Name"
            yield type(ctx).__name__
            yield _Name(scope, name)
            return
        case ast.NamedExpr(target=target, value=value):
            outside = scope  # in a comprehension, := binds outside it
            while outside.is_comprehension and outside.parent is not None:
                outside = outside.parent
            yield from ("NamedExpr", _Inside(target, outside), _Inside(value, scope), ")")
            return
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            scope.elsewhere |= dict.fromkeys(names, isinstance(node, ast.Global))
            if isinstance(node, ast.Global):
                _top(scope).bound.update(names)
            yield type(node).__name__
            yield from (_Name(scope, name) for name in names)
            yield ")"
            return
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from _import(node, aliases, scope)
            return
        case ast.Call(func=function, args=args, keywords=keywords):
            called = function.id if isinstance(function, ast.Name) else ""
            yield "Call"
            yield from (_Inside(part, scope) for part in (function, *args))
            for keyword in keywords:
                yield "**" if keyword.arg is None else _Keyword(scope, called, keyword.arg)
                yield _Inside(keyword.value, scope)
            yield ")"
            return
    yield type(node).__name__
    yield from _scoped(node, scope) if isinstance(node, _SCOPES) else _fields(node, scope)
    yield ")"


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)
_IGNORED = frozenset({"annotation", "returns", "type_comment", "kind"})
# Fields of other nodes that bind a name: except … as, case … as, *rest, **rest, and type parameters.
_BINDING = frozenset({("ExceptHandler", "name"), ("MatchAs", "name"), ("MatchStar", "name"), ("MatchMapping", "rest")})
_TYPE_PARAMETERS = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})


def _fields(node: ast.AST, scope: _Scope, without: frozenset[str] = frozenset()) -> Iterator[_Token | _Inside]:
    """Every field of a node but those that mean nothing to what it computes."""
    for name, value in ast.iter_fields(node):
        if name in _IGNORED or name in without:
            continue
        if isinstance(value, list):
            yield "["
            for item in value:
                yield _Inside(item, scope) if isinstance(item, ast.AST) else str(item)
            yield "]"
        elif isinstance(value, ast.AST):
            yield _Inside(value, scope)
        elif isinstance(value, str) and (
            (type(node).__name__, name) in _BINDING or type(node).__name__ in _TYPE_PARAMETERS
        ):
            scope.bound.add(value)
            yield _Name(scope, value)
        else:
            yield repr(value)


def _scoped(node: ast.AST, scope: _Scope) -> Iterator[_Token | _Inside]:
    """What a node with a scope of its own evaluates outside it, then what stands inside."""
    inner = _Scope(scope, isinstance(node, ast.ClassDef), isinstance(node, _COMPREHENSIONS))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope.bound.add(node.name)
        if not isinstance(node, ast.ClassDef):
            scope.functions[node.name] = inner
        yield _Name(scope, node.name)
        yield from (_Inside(decorator, scope) for decorator in node.decorator_list)
    if isinstance(node, ast.ClassDef):
        yield from (_Inside(part, scope) for part in (*node.bases, *node.keywords))
    if isinstance(node, _FUNCTIONS):
        yield from _parameters(node.args, scope, inner)
    if isinstance(node, _COMPREHENSIONS):
        first = node.generators[0]
        yield _Inside(first.iter, scope)  # the one part that is evaluated outside
        for generator in node.generators:
            yield from _fields(generator, inner, frozenset({"iter"}) if generator is first else frozenset())
    done = frozenset({"name", "decorator_list", "bases", "keywords", "args", "generators"})
    yield from _fields(node, inner, done)


def _parameters(args: ast.arguments, scope: _Scope, inner: _Scope) -> Iterator[_Token | _Inside]:
    groups = (
        ("/", args.posonlyargs),
        ("", args.args),
        ("*", [args.vararg]),
        ("k", args.kwonlyargs),
        ("**", [args.kwarg]),
    )
    for mark, group in groups:
        yield mark
        for argument in group:
            if argument is not None:
                inner.bound.add(argument.arg)
                inner.parameters.add(argument.arg)
                yield _Name(inner, argument.arg)
    for default in (*args.defaults, "k", *args.kw_defaults):
        yield "none" if default is None else default if isinstance(default, str) else _Inside(default, scope)


def _import(node: ast.Import | ast.ImportFrom, aliases: list[ast.alias], scope: _Scope) -> Iterator[_Token | _Inside]:
    yield type(node).__name__
    if isinstance(node, ast.ImportFrom):
        yield from (node.module or "", str(node.level))
    for alias in aliases:
        plain = alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name
        bound = alias.asname or plain
        # "import a.b" binds a, "import a.b as c" binds a.b
        yield from (alias.name, "whole" if alias.asname and plain != alias.name else "")
        if bound != "*":
            scope.bound.add(bound)
            yield _Name(scope, bound)
    yield ")"


def _top(scope: _Scope) -> _Scope:
    while scope.parent is not None:
        scope = scope.parent
    return scope
