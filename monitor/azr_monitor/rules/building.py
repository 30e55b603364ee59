"""Whether a program builds constants at all, told at a glance: most do not, and need no second look.

These are guesses about where the work of ``azr_monitor.rules.constants`` may be worth it, never about what is there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from math import inf

from azr_monitor.rules.names import targets
from azr_monitor.rules.syntax import Syntax, once, walk, words

_MATERIAL = 8
_CODES = 3
_ROUNDS = 6
_TEXTS = (str, bytes)
_PARTS = (ast.Constant, ast.BinOp)
_NUMBERS = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Tuple)


class Building:
    """What in one program may put texts or numbers together."""

    def __init__(self, syntax: Syntax, text: str) -> None:
        self.syntax = syntax
        self.text = text

    def candidates(self) -> Iterator[ast.expr]:
        """Expressions that may put a constant text together; of a chain of operators the whole alone."""
        if not self._has_material:
            return
        parents = self.syntax.parents
        for node in (*self.syntax.all(ast.BinOp, ast.JoinedStr), *self.syntax.all(ast.Call, ast.Subscript)):
            inner = isinstance(node, ast.BinOp) and isinstance(parents.get(node), ast.BinOp)
            if inner or not _may_build(node) or _is_letter(node):
                continue
            if not self._is_given(node):
                yield node

    @once
    def largest(self) -> float:
        """The largest number written out; infinite where a power or a shift may make any."""
        if any(node.op.__class__ in (ast.Pow, ast.LShift) for node in self.syntax.all(ast.BinOp)):
            return inf
        largest: float = 0
        for node in self.syntax.all(ast.Constant):
            value = node.value
            if (value.__class__ is int or value.__class__ is float) and value > largest:
                largest = value
        return largest

    @once
    def _has_material(self) -> bool:
        """Whether the constants of the program are enough to build a text of any length from."""
        letters = 0
        least = _CODES if "chr" in self.syntax.read else _MATERIAL
        for node in self.syntax.all(ast.Constant):
            value = node.value
            if isinstance(value, _TEXTS):
                if self.syntax.parents[node].__class__ is not ast.Expr:
                    letters += len(value)
            elif value.__class__ is int and value >= 9:
                letters += 1
            if letters >= least:
                return True
        return False

    @once
    def hides(self) -> bool:
        """Whether the program decodes, reverses or spells out text: else what it builds is there to be read."""
        return (
            not _BUILDERS.isdisjoint(self.syntax.attributes)
            or not self.syntax.read.isdisjoint(("chr", "bytes", "bytearray"))
            or any(
                node.op.__class__ is ast.Add and isinstance(node.right, ast.Constant) and isinstance(node.left, _PARTS)
                for node in self.syntax.all(ast.BinOp)
            )
            or "::-" in self.text
        )

    def _is_given(self, node: ast.AST, surely: bool = False) -> bool:
        """Whether an expression works on what a function is given or, unless ``surely``, has gathered, as far as one
        look tells."""
        for _ in range(60):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[inner, *_]):
                    if isinstance(inner, ast.Name) and not self._spells and not surely:
                        return True
                    node = inner
                case ast.Call(func=ast.Name(id="map" | "reversed" | "sorted" | "filter"), args=[_, *_] as arguments):
                    node = arguments[-1]
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=[inner, *_]) if (
                    name not in self._only_given
                ):
                    node = inner
                case (
                    ast.Call(func=ast.Attribute(value=value)) | ast.Subscript(value=value) | ast.Attribute(value=value)
                ):
                    node = value
                case ast.Call(func=ast.Name(), args=[inner, *_]):
                    node = inner
                case ast.BinOp(left=left, right=right):
                    surely = True
                    if self._is_given(right, surely):
                        return True
                    node = left
                case ast.ListComp(generators=[first, *_]) | ast.GeneratorExp(generators=[first, *_]):
                    node = first.iter
                case ast.Name(id=name):
                    return name in self._only_given
                case _:
                    return False
        return False

    @once
    def _spells(self) -> bool:
        return not self.syntax.read.isdisjoint(("chr", "bytes", "bytearray", "map", "reversed"))

    @once
    def _only_given(self) -> set[str]:
        """Parameters of what the program does not call itself, and names that stand for nothing but parts of them."""
        named = self.syntax.read | self.syntax.attributes
        called = [d for d in self.syntax.all(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef) if d.name in named]
        inner = {a.arg for d in (*called, *self.syntax.all(ast.Lambda)) for a in walk(d) if isinstance(a, ast.arg)}
        given = {parameter.arg for parameter in self.syntax.all(ast.arg)} - inner - self._defaulted
        sources: list[tuple[str, ast.expr]] = []
        for assign in self.syntax.all(ast.Assign, ast.AugAssign, ast.NamedExpr):
            for target in assign.targets if isinstance(assign, ast.Assign) else [assign.target]:
                sources += [(name, assign.value) for name in targets(target)]
        for turn in self.syntax.all(ast.For, ast.comprehension):
            sources += [(name, turn.iter) for name in targets(turn.target)]
        given -= {name for name, _ in sources}
        if not given:
            return given
        # A name that stands for parts of others, or of itself, is taken for one of them until something else is found.
        derived = ({name for name, _ in sources} - given) & self._plainly_bound
        for _ in range(_ROUNDS):
            self.__dict__["_only_given"] = given | derived  # it is looked up below
            other = {name for name, value in sources if name in derived and not self._is_given(value, surely=True)}
            if not other:
                return given | derived
            derived -= other
        return given

    @property
    def _defaulted(self) -> set[str]:
        """Parameters that stand for what is written out unless something else is given."""
        found: set[str] = set()
        for parameters in self.syntax.all(ast.arguments):
            if parameters.defaults:
                found.update(p.arg for p in (*parameters.posonlyargs, *parameters.args)[-len(parameters.defaults) :])
            found.update(p.arg for p, d in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True) if d)
        return found

    @once
    def _plainly_bound(self) -> frozenset[str]:
        """Names that nothing binds but assignments, loops and comprehensions."""
        return self.syntax.bound - {
            *(argument.arg for argument in self.syntax.all(ast.arg)),
            *(d.name for d in self.syntax.all(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)),
            *(name for a in self.syntax.all(ast.AnnAssign) for name in targets(a.target)),
            *(
                name
                for item in self.syntax.all(ast.withitem)
                if item.optional_vars
                for name in targets(item.optional_vars)
            ),
            *((alias.asname or alias.name) for i in self.syntax.all(ast.Import, ast.ImportFrom) for alias in i.names),
        }

    # -- numbers ----------------------------------------------------------------------------------------

    @once
    def numbers(self) -> frozenset[str]:
        """Names that are somewhere given a number that is written out: others need no second look."""
        found: set[str] = {parameter.arg for parameter in self.syntax.all(ast.arg)} if self.calls_own else set()
        for assign in self.syntax.all(ast.Assign, ast.AugAssign, ast.NamedExpr):
            if isinstance(assign.value, _NUMBERS):
                for target in assign.targets if isinstance(assign, ast.Assign) else [assign.target]:
                    found.update(targets(target))
        return frozenset(found)

    @once
    def calls_own(self) -> bool:
        """Whether the program calls a function of its own, and so may hand numbers to parameters."""
        own = {definition.name for definition in self.syntax.all(ast.FunctionDef)}
        syntax = self.syntax
        return syntax.has(ast.Lambda) or not (own.isdisjoint(syntax.read) and own.isdisjoint(syntax.attributes))

    def may_be_number(self, node: ast.AST) -> bool:
        """Whether all that an expression reads is given a number somewhere: most are not, at a glance."""
        stack = [node]
        for _ in range(200):
            if not stack:
                return True
            inner = stack.pop()
            match inner:
                case ast.Name(id=name):
                    if name not in self.numbers:
                        return False
                case ast.BinOp(left=left, right=right):
                    stack += (left, right)
                case ast.UnaryOp(operand=operand):
                    stack.append(operand)
                case ast.Call(args=arguments):
                    stack += arguments
                case ast.Constant():
                    pass
                case _:
                    return False
        return False


def _is_letter(node: ast.AST) -> bool:
    """Whether an expression gives one letter only: no text as yet."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "chr"


def _may_build(node: ast.AST) -> bool:
    """Whether an expression looks like one that puts a constant text together: worth the work of trying."""
    kind = node.__class__
    if kind is ast.Call:  # most are, and of nothing that builds
        function = node.func  # type: ignore[attr-defined]
        if function.__class__ is ast.Attribute:
            return function.attr in _BUILDERS
        return function.__class__ is ast.Name and function.id in ("chr", "bytes", "bytearray")
    match node:
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            left: ast.AST = node
            for _ in range(40):
                if not isinstance(left, ast.BinOp):
                    break
                right = left.right
                if isinstance(right, ast.Constant) and isinstance(right.value, str | bytes):
                    return True
                if isinstance(right, ast.Call | ast.Subscript) and _may_build(right):
                    return True
                left = left.left
            return (isinstance(left, ast.Constant) and isinstance(left.value, str | bytes)) or (
                not isinstance(left, ast.BinOp) and _may_build(left)
            )
        case ast.JoinedStr(values=values):
            return len(values) > 1
        case ast.Subscript(slice=ast.Slice(step=ast.UnaryOp())):
            return True
        case _:
            return False


_BUILDERS = words(
    "join decode fromhex unhexlify a2b_hex a2b_base64 b64decode b32decode b85decode a85decode b16decode decompress "
    "translate replace format encode urlsafe_b64decode standard_b64decode unquote to_bytes"
)
