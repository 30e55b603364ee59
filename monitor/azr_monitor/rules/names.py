"""Which object a name in a program stands for, as far as the text alone tells.

Scopes follow Python's own rule: a name bound anywhere in a function is local to it and can never fall through
to a builtin, so it is safely shadowed; a module-level binding can, so only an unconditional earlier one counts.
Aliases are followed through imports and plain assignments (``import os as o``, ``e = eval``), attributes,
``getattr`` with a constant name, ``__import__`` and the dictionaries that hold modules and builtins.
Strings are folded where they are built from constants (``'o' + 's'``, ``''.join``, ``chr``, ``[::-1]``).
All work is bounded: nothing here recurses deeper than ``MAX_DEPTH`` or builds text longer than ``MAX_FOLD``.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

MAX_DEPTH = 40
MAX_FOLD = 4096
MAX_NAMES = 8
BUILTINS = frozenset(dir(builtins)) | {"__builtins__", "__loader__", "__spec__"}

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Scope:
    """One scope: what is bound in it and, where plain assignments tell, to what.

    ``bound`` maps each name to the line of its first binding that always happens (0 in a function, where any
    binding counts). ``values`` holds the expressions or dotted module names assigned to a name.
    ``kind`` is ``module``, ``class``, ``function`` or ``comprehension``; the last two are local scopes.
    """

    def __init__(self, kind: str, parent: Scope | None) -> None:
        self.kind = kind
        self.parent = parent
        self.bound: dict[str, int] = {}
        self.values: dict[str, list[ast.expr | str]] = {}
        self.globals: set[str] = set()

    @property
    def local(self) -> bool:
        """Whether a binding here hides the outer name whenever it happens."""
        return self.kind in ("function", "comprehension")

    def bind(self, name: str, line: int, certain: bool, value: ast.expr | str | None) -> None:
        """Record one binding; in a module or class only a ``certain`` one shadows what lies outside."""
        if name in self.globals:
            return
        if self.local:
            self.bound[name] = 0
        elif certain:
            self.bound.setdefault(name, line)
        if value is not None:
            known = self.values.setdefault(name, [])
            if len(known) < MAX_NAMES:
                known.append(value)


class Names:
    """Resolve expressions of one tree to dotted names, each answer memoised."""

    def __init__(self, tree: ast.AST) -> None:
        self.nodes: list[ast.AST] = []
        self.parents: dict[ast.AST, ast.AST] = {}
        self.scopes: dict[ast.AST, Scope] = {}
        self._known: dict[ast.AST, tuple[str, ...]] = {}
        self._folded: dict[ast.AST, str | None] = {}
        self._walk(tree)

    # -- one walk ---------------------------------------------------------------------------------------

    def _walk(self, tree: ast.AST) -> None:
        """Visit every node once, iteratively, in source order; note its parent, its scope, its bindings."""
        stack: list[tuple[ast.AST, Scope]] = [(tree, Scope("module", None))]
        while stack:
            node, scope = stack.pop()
            self.nodes.append(node)
            self.scopes[node] = scope
            self._bind(node, scope)
            inner, outer = scope, scope
            outside: set[ast.AST] = set()
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                    inner = Scope("function", scope)
                    inner.globals.update(_declared_global(node))
                    _bind_parameters(node.args, inner)
                    outside = set(_evaluated_outside(node))
                case ast.arguments(defaults=defaults, kw_defaults=kw_defaults):
                    outer = scope.parent or scope
                    outside = {default for default in (*defaults, *kw_defaults) if default is not None}
                case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                    inner = Scope("comprehension", scope)
                case ast.comprehension(iter=iterable):
                    parent = self.parents.get(node)
                    if isinstance(parent, Comprehension) and parent.generators[0] is node:
                        outer, outside = scope.parent or scope, {iterable}
                case ast.ClassDef():
                    inner = Scope("class", scope)
                    outside = {*node.decorator_list, *node.bases, *node.keywords}
                case _:
                    pass
            for child in reversed(list(ast.iter_child_nodes(node))):
                self.parents[child] = node
                stack.append((child, outer if child in outside else inner))

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        certain = isinstance(self.parents.get(node), ast.Module)
        match node:
            case ast.Import(names=names):
                for alias in names:
                    whole = alias.name if alias.asname else alias.name.split(".")[0]
                    scope.bind(alias.asname or whole, node.lineno, certain, whole)
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    scope.bind(alias.asname or alias.name, node.lineno, certain, f"{module or ''}.{alias.name}")
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind_target(target, value, scope, node.lineno, certain)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind_target(target, value, scope, node.lineno, certain)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                owner = scope
                while owner.parent is not None and owner.kind == "comprehension":
                    owner = owner.parent
                owner.bind(name, node.lineno, False, value)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                scope.bind(node.name, node.lineno, certain, None)
            case ast.For(target=target) | ast.AsyncFor(target=target):
                for name in _targets(target):
                    scope.bind(name, node.lineno, False, None)
            case ast.comprehension(target=target):
                for name in _targets(target):
                    scope.bind(name, 0, True, None)
            case ast.withitem(optional_vars=ast.expr() as target):
                for name in _targets(target):
                    scope.bind(name, 0, False, None)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                scope.bind(name, 0, False, None)
            case ast.AugAssign(target=ast.Name(id=name)):
                scope.bind(name, node.lineno, False, None)
            case _:
                pass

    def _bind_target(self, target: ast.expr, value: ast.expr, scope: Scope, line: int, certain: bool) -> None:
        match target, value:
            case ast.Name(id=name), _:
                scope.bind(name, line, certain, value)
            case (ast.Tuple(elts=left) | ast.List(elts=left), ast.Tuple(elts=right) | ast.List(elts=right)) if len(
                left
            ) == len(right):
                for one, what in zip(left, right, strict=True):
                    for name in _targets(one):
                        scope.bind(name, line, certain, what)
            case _:
                for name in _targets(target):
                    scope.bind(name, line, certain, None)

    # -- answers ----------------------------------------------------------------------------------------

    def bound_anywhere(self, name: str) -> bool:
        """Whether the program binds ``name`` in any scope at all."""
        return any(name in scope.bound or name in scope.values for scope in set(self.scopes.values()))

    def resolve(self, node: ast.AST, depth: int = 0) -> tuple[str, ...]:
        """The dotted names an expression may stand for: ``builtins.eval``, ``os.system``; () when unknown."""
        known = self._known.get(node)
        if known is not None:
            return known
        if depth > MAX_DEPTH:
            return ()
        self._known[node] = ()  # breaks cycles such as ``a = b; b = a``
        found = tuple(dict.fromkeys(self._resolve(node, depth)))[:MAX_NAMES]
        self._known[node] = found
        return found

    def _resolve(self, node: ast.AST, depth: int) -> Iterator[str]:
        match node:
            case ast.Name(id=name):
                yield from self._name(name, node, depth)
            case ast.Attribute(value=value, attr=attr):
                for base in self.resolve(value, depth + 1):
                    yield f"{base}.{attr}"
            case ast.NamedExpr(value=value) | ast.Await(value=value):
                yield from self.resolve(value, depth + 1)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.resolve(body, depth + 1)
                yield from self.resolve(orelse, depth + 1)
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self.resolve(value, depth + 1)
            case ast.Call():
                yield from self._call(node, depth)
            case ast.Subscript(value=value, slice=index):
                key = self.fold(index, depth + 1)
                if key is not None:
                    for base in self.resolve(value, depth + 1):
                        if base in ("sys.modules", "builtins", "builtins.__dict__"):
                            yield key if base == "sys.modules" else f"builtins.{key}"
                        elif base.endswith(".__dict__"):
                            yield f"{base.removesuffix('.__dict__')}.{key}"
                        elif base == "builtins.globals()" and key == "__builtins__":
                            yield "builtins"
            case _:
                return

    def _name(self, name: str, node: ast.AST, depth: int) -> Iterator[str]:
        line = getattr(node, "lineno", 0)
        scope: Scope | None = self.scopes.get(node)
        inner = scope
        while scope is not None:
            if scope.kind != "class" or scope is inner:
                for value in scope.values.get(name, ()):
                    if isinstance(value, str):
                        yield value
                    else:
                        yield from self.resolve(value, depth + 1)
                if name in scope.bound and (scope.local or scope.bound[name] < line):
                    return
            scope = scope.parent
        if name in ("__builtins__", "builtins"):
            yield "builtins"
        elif name in BUILTINS:
            yield f"builtins.{name}"

    def _call(self, node: ast.Call, depth: int) -> Iterator[str]:
        arguments = node.args
        for function in self.resolve(node.func, depth + 1):
            first = self.fold(arguments[0], depth + 1) if arguments else None
            match function:
                case "builtins.__import__" | "importlib.import_module" | "importlib.__import__":
                    if first is not None:
                        yield first.split(".")[0] if function == "builtins.__import__" else first
                case "builtins.getattr" if len(arguments) >= 2:
                    attr = self.fold(arguments[1], depth + 1)
                    if attr is not None:
                        for base in self.resolve(arguments[0], depth + 1):
                            yield f"{base}.{attr}"
                case "builtins.vars" if arguments:
                    for base in self.resolve(arguments[0], depth + 1):
                        yield f"{base}.__dict__"
                case "builtins.globals":
                    yield "builtins.globals()"
                case _:
                    pass

    def fold(self, node: ast.AST, depth: int = 0) -> str | None:
        """The constant text an expression builds, or None when it is not constant or too long."""
        if node in self._folded:
            return self._folded[node]
        if depth > MAX_DEPTH:
            return None
        self._folded[node] = None  # breaks cycles
        text = self._fold(node, depth)
        self._folded[node] = text if text is not None and len(text) <= MAX_FOLD else None
        return self._folded[node]

    def _fold(self, node: ast.AST, depth: int) -> str | None:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Constant(value=bytes(data)):
                return data.decode("latin-1")
            case ast.BinOp(op=ast.Add()):
                return self._joined("", _operands(node), depth)
            case ast.JoinedStr(values=values):
                return self._joined("", values, depth)
            case ast.FormattedValue(value=value):
                return self.fold(value, depth + 1)
            case ast.Subscript(
                value=value, slice=ast.Slice(lower=None, upper=None, step=ast.UnaryOp(ast.USub(), ast.Constant(1)))
            ):
                forward = self.fold(value, depth + 1)
                return forward[::-1] if forward is not None else None
            case ast.Call(func=ast.Name(id="chr"), args=[ast.Constant(value=int(code))]) if 0 <= code < 0x110000:
                return chr(code)
            case ast.Call(func=ast.Attribute(value=value, attr="join"), args=[ast.List() | ast.Tuple() as parts]):
                glue = self.fold(value, depth + 1)
                return self._joined(glue, parts.elts, depth) if glue is not None else None
            case ast.Call(func=ast.Attribute(value=value, attr=method), args=arguments):
                return self._method(value, method, arguments, depth)
            case ast.Name(id=name):
                return self._folded_name(name, node, depth)
            case _:
                return None

    def _joined(self, glue: str, values: list[ast.expr], depth: int) -> str | None:
        parts: list[str] = []
        for value in values[:MAX_FOLD]:
            part = self.fold(value, depth + 1)
            if part is None:
                return None
            parts.append(part)
        return glue.join(parts)

    def _method(self, value: ast.expr, method: str, arguments: list[ast.expr], depth: int) -> str | None:
        if method not in ("lower", "upper", "strip", "decode", "replace"):
            return None
        text = self.fold(value, depth + 1)
        if text is None:
            return None
        match method, [self.fold(argument, depth + 1) for argument in arguments[:3]]:
            case "lower", []:
                return text.lower()
            case "upper", []:
                return text.upper()
            case "strip", []:
                return text.strip()
            case "decode", _:
                return text
            case "replace", [str(old), str(new)] if old:
                return text.replace(old, new)
            case _:
                return None

    def _folded_name(self, name: str, node: ast.AST, depth: int) -> str | None:
        scope = self.scopes.get(node)
        while scope is not None:
            values = scope.values.get(name, [])
            if len(values) == 1 and not isinstance(values[0], str):
                return self.fold(values[0], depth + 1)
            if values or name in scope.bound:
                return None
            scope = scope.parent
        return None


def _targets(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


def _operands(node: ast.BinOp) -> list[ast.expr]:
    """The terms of a chain of ``+``, left to right, however long."""
    terms: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        terms.append(left.right)
        left = left.left
    return [left, *reversed(terms)]


def _bind_parameters(arguments: ast.arguments, scope: Scope) -> None:
    """Bind every parameter; one with a default may stand for that default (``def f(e=eval)``)."""
    positional = [*arguments.posonlyargs, *arguments.args]
    undefaulted = len(positional) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*[None] * undefaulted, *arguments.defaults, *arguments.kw_defaults]
    for parameter, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True):
        scope.bind(parameter.arg, 0, True, default)
    for rest in (arguments.vararg, arguments.kwarg):
        if rest is not None:
            scope.bind(rest.arg, 0, True, None)


def _evaluated_outside(node: Function) -> Iterator[ast.AST]:
    """Decorators and the return annotation belong to the scope around the function."""
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list
        if node.returns is not None:
            yield node.returns


def _declared_global(node: Function) -> Iterator[str]:
    body = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    stack: list[ast.AST] = list(body)
    while stack:
        inner = stack.pop()
        if isinstance(inner, ast.Global):
            yield from inner.names
        elif not isinstance(inner, Function | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(inner))
