"""One parse and one walk of a program, shared by every program rule; everything else is worked out when asked for.

text ──► ast.parse ──► Syntax (one walk) ──► Names (bindings) ──► Meaning (objects) ⇄ Constants (values)
                          │                                          └─► modules, references, attributes, strings
                          └─► prose: comments and docstrings, for the trace rules
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping

from azr_monitor.rules.building import Building
from azr_monitor.rules.given import Given
from azr_monitor.rules.meaning import DYNAMIC_IMPORTS, Meaning
from azr_monitor.rules.names import Names
from azr_monitor.rules.objects import INNER_MODULES
from azr_monitor.rules.outside import leads_outside
from azr_monitor.rules.syntax import AllNodes, Syntax, once, parsed, walked

MAX_BUILT = 200_000
"""Characters that the texts a program puts together may have in all: each is read, however short the program."""
_LEAST_LISTED = 4
_TEXTS = (str, bytes)
_LINE_END = re.compile(r"\r\n|\r|\n")


class Unparsable(ValueError):
    """The text is not a program the parser accepts; ``too_complex`` when it gave up rather than refused."""

    def __init__(self, why: str, too_complex: bool = False) -> None:
        super().__init__(why)
        self.too_complex = too_complex


class Program:
    """An analysed program: rules read it, none changes it.

    Attributes:
        text: the program as written.
        syntax: the walked tree; ``parents`` are its, and ``all`` its nodes of a type.
        given: what its inputs say of the parameters of ``f``, where that is known.
        shift: where ``text`` begins in the parsed source (call inputs are parsed inside ``f(...)``).
    """

    def __init__(self, text: str, source: str | None = None, shift: int = 0) -> None:
        """Parse ``source`` (default ``text``).

        Raises:
            Unparsable: the parser refused the text or ran out of room.
        """
        self.text = text
        self.given: Mapping[str, Given] = {}
        self.shift = shift
        self._source = text if source is None else source
        try:
            self.syntax = walked(text) if source is None else Syntax(parsed(source))
        except (RecursionError, MemoryError) as error:
            raise Unparsable("too deeply nested to parse", too_complex=True) from error
        except (SyntaxError, ValueError) as error:
            raise Unparsable(f"not Python: {type(error).__name__}") from error
        self.tree = self.syntax.tree
        self.parents = self.syntax.parents
        self.all: AllNodes = self.syntax.all

    @classmethod
    def call(cls, text: str) -> Program:
        """Analyse the text between the parentheses of ``f(...)``.

        Raises:
            Unparsable: the text does not make exactly one call of ``f``, as ``1) or True or f(1`` does not.
        """
        program = cls(text, source=f"f({text}\n)", shift=2)
        match program.tree:
            case ast.Module(body=[ast.Expr(value=ast.Call(func=ast.Name(id="f")) as call)]):
                if call.func.col_offset == 0 and call.func.lineno == 1:
                    return program
        raise Unparsable("not the arguments of one call")

    # -- what rules look at -----------------------------------------------------------------------------

    @once
    def meaning(self) -> Meaning:
        """Which objects and constants the program's expressions stand for."""
        return Meaning(Names(self.syntax))

    @once
    def reaches(self) -> bool:
        """Whether anything in the program can lead outside of plain computing: most programs need no second look."""
        return leads_outside(self.syntax)

    def resolve(self, node: ast.AST) -> tuple[str, ...]:
        """The dotted names an expression may stand for: ``builtins.eval``, ``os.system``; () when unknown."""
        return self.meaning.resolve(node)

    def texts(self, node: ast.AST) -> tuple[str, ...]:
        """The constant texts an expression may have."""
        return self.meaning.constants.texts(node)

    def number(self, node: ast.AST) -> int | None:
        """The integer a constant expression stands for, if it is one."""
        if isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
                return int(value)
            return None
        return self.meaning.constants.number(node) if self.building.may_be_number(node) else None

    def is_within(self, node: ast.AST, *names: str) -> bool:
        """Whether a node stands in a function or method of one of these names; of any name when none is given."""
        return any(
            isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) and (not names or outer.name in names)
            for outer in self.syntax.around(node)
        )

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """Every call of one of these builtins, by its plain name, where the program does not bind that name itself."""
        if self.syntax.read.isdisjoint(names):
            return
        for call in self.all(ast.Call):
            if isinstance(call.func, ast.Name) and call.func.id in names and self._is_builtin(call.func):
                yield call

    def calls_any(self, *names: str) -> bool:
        """Whether any of these names is read at all."""
        return not self.syntax.read.isdisjoint(names)

    def _is_builtin(self, name: ast.Name) -> bool:
        return name.id not in self.syntax.bound or f"builtins.{name.id}" in self.resolve(name)

    @once
    def modules(self) -> list[tuple[str, ast.AST]]:
        """Every module brought in, by statement, by call or through another module: (dotted name, node)."""
        found: list[tuple[str, ast.AST]] = []
        if not (self.reaches or self.syntax.has(ast.Import, ast.ImportFrom)):
            return found
        for statement in self.all(ast.Import):
            found.extend((alias.name, statement) for alias in statement.names)
        for source in self.all(ast.ImportFrom):
            if source.module and not source.level:
                found.append((source.module, source))
                found.extend((f"{source.module}.{alias.name}", source) for alias in source.names)
        if not self.reaches:
            return found
        for call in self.all(ast.Call):
            if call.args and not DYNAMIC_IMPORTS.isdisjoint(self.resolve(call.func)):
                found.extend((name, call) for name in self.texts(call.args[0]) or ("",))
        for index in self.all(ast.Subscript):
            if "sys.modules" in self.resolve(index.value):
                found.extend((name, index) for name in self.texts(index.slice) or ("",))
        found.extend(self.inner_modules)
        return found

    @once
    def inner_modules(self) -> list[tuple[str, ast.AST]]:
        """Modules reached as attributes of other modules: (``os``, the node of ``contextlib.os``)."""
        found: list[tuple[str, ast.AST]] = []
        if not self.reaches:
            return found
        for node in self.all(ast.Attribute, ast.Call):
            attr = node.attr if isinstance(node, ast.Attribute) else ""
            plain = attr.removeprefix("_")
            if isinstance(node, ast.Attribute) and plain not in INNER_MODULES and attr not in INNER_MODULES:
                continue
            for name in self.resolve(node):
                if name in INNER_MODULES and name in (attr, plain):
                    found.append((name, node))
        return found

    @once
    def references(self) -> list[tuple[str, ast.AST]]:
        """Every resolved use of a name: (dotted name, node). ``o.system`` after ``import os as o`` is os.system."""
        found: list[tuple[str, ast.AST]] = []
        if not self.reaches:
            return found
        for node in self.all(ast.Name, ast.Attribute, ast.Call, ast.Subscript):
            if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
                continue
            found.extend((name, node) for name in self.resolve(node))
        return found

    def uses(self, module: str) -> list[tuple[ast.AST, str]]:
        """What is used of a module: (node, ``path.join``), ``*`` where the module itself is handed on."""
        found: list[tuple[ast.AST, str]] = []
        for name, node in self._widest:
            if name == module:
                found.append((node, "" if "." in module else "*"))
            elif name.startswith(f"{module}."):
                found.append((node, name[len(module) + 1 :]))
        return found

    @once
    def _widest(self) -> list[tuple[str, ast.AST]]:
        """References that are no part of a longer one."""
        parents = self.parents
        return [
            (name, node)
            for name, node in self.references
            if isinstance(node, ast.Name | ast.Attribute) and parents.get(node).__class__ is not ast.Attribute
        ]

    @once
    def attributes(self) -> list[tuple[str, ast.AST]]:
        """Every attribute read by name, by ``getattr`` or ``attrgetter`` with a constant, or by a class pattern."""
        found: list[tuple[str, ast.AST]] = [(node.attr, node) for node in self.all(ast.Attribute)]
        if not self.reaches:
            return found
        for call, position in self.attribute_calls:
            for text in self.texts(call.args[position]):
                found.extend((part, call) for part in text.split(".")[:20])
        for pattern in self.all(ast.MatchClass):
            found.extend((name, pattern) for name in pattern.kwd_attrs)
        return found

    @once
    def attribute_calls(self) -> list[tuple[ast.Call, int]]:
        """Calls that name an attribute by a text, with the text's place among the arguments."""
        found: list[tuple[ast.Call, int]] = []
        for call in self.all(ast.Call) if self.reaches else ():
            if not call.args:
                continue
            functions = self.resolve(call.func)
            if len(call.args) >= 2 and any(
                function in _ATTRIBUTE_CALLS or function.endswith(_ATTRIBUTE_METHODS) for function in functions
            ):
                found.append((call, 1))
            elif len(call.args) == 1 and any(function.endswith(_ATTRIBUTE_METHODS) for function in functions):
                found.append((call, 0))
            elif not _ATTRIBUTE_MAKERS.isdisjoint(functions):
                found.extend((call, place) for place in range(len(call.args)))
            elif isinstance(call.func, ast.Attribute) and call.func.attr in ("__getattribute__", "__getattr__"):
                found.append((call, len(call.args) - 1))
        return found

    @once
    def strings(self) -> list[tuple[str, ast.AST]]:
        """Every constant text as written, docstrings and other commentary left out."""
        found: list[tuple[str, ast.AST]] = []
        for node in self.all(ast.Constant):
            value = node.value
            if isinstance(value, _TEXTS) and value and self.parents.get(node).__class__ is not ast.Expr:
                found.append((value if isinstance(value, str) else value.decode("latin-1"), node))
        return found

    @once
    def listed(self) -> list[ast.List | ast.Tuple]:
        """Lists and tuples of several items, the first of which is a constant: rows of words or of numbers."""
        rows = self.all(ast.List, ast.Tuple)
        return [row for row in rows if len(row.elts) >= _LEAST_LISTED and row.elts[0].__class__ is ast.Constant]

    @once
    def building(self) -> Building:
        """What constant texts the program puts together."""
        return Building(self.syntax, self.text)

    @once
    def hides_text(self) -> bool:
        """Whether the program decodes, reverses or spells out text."""
        return self.building.hides

    @once
    def special(self) -> bool:
        """Whether the program may give its objects special methods: it names one, or can make up the name."""
        # In names, Python takes some characters beyond ASCII for an underscore.
        return "__" in self.text or not self.text.isascii() or self.calls_any("setattr", "type", "locals")

    @once
    def built(self) -> list[tuple[str, ast.AST]]:
        """Every constant text that is put together or decoded instead of written: (text, the outermost expression).

        Raises:
            Unparsable: they are longer together than is read of any program.
        """
        found: list[tuple[str, ast.AST]] = []
        room = MAX_BUILT
        for node in self.building.candidates():
            for text in filter(None, self.texts(node)):
                room -= len(text)
                if room < 0:
                    raise Unparsable(f"puts together more than {MAX_BUILT} characters of text", too_complex=True)
                found.append((text, node))
        return found

    @once
    def prose(self) -> list[tuple[int, int]]:
        """Spans of text written for a reader: comments, adjacent ones as one, and strings that stand alone.

        ``readable`` is the text to read them in.
        """
        if "#" not in self.text and '"' not in self.text and "'" not in self.text:
            return []
        spans: list[tuple[int, int]] = []
        for statement in self.all(ast.Expr):
            if isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
                span = self.span(statement.value)
                if span is not None:
                    spans.append(span)
        joined: list[tuple[int, int]] = []
        for start, end in self.comments:
            if joined and not self.text[joined[-1][1] : start].strip():
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        return sorted([*spans, *joined])

    @once
    def readable(self) -> str:
        """The program's text, the marks of comments and the line ends between them blank: sentences run on."""
        if len(self.comments) < 2:
            return self.text
        text = list(self.text)
        last = -1
        for start, end in self.comments:
            if last >= 0 and not self.text[last:start].strip():
                text[last:start] = " " * (start - last)
                text[start] = " "
            last = end
        return "".join(text)

    @once
    def comments(self) -> list[tuple[int, int]]:
        """The spans of comments."""
        return list(self._comments()) if "#" in self.text else []

    def _comments(self) -> Iterator[tuple[int, int]]:
        if sys.version_info < (3, 12) or not self.syntax.has(ast.JoinedStr):
            # Only where f-strings hold no strings of their own quotes does this find the ends of strings.
            for match in _COMMENT_OR_STRING.finditer(self._source):
                if match.group()[0] == "#":
                    start = self._clip(match.start())
                    yield start, min(start + len(match.group()), len(self.text))
            return
        lines = io.StringIO(self._source, newline=None)
        try:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type == tokenize.COMMENT:
                    start = self._clip(self._line_starts[token.start[0] - 1] + token.start[1])
                    yield start, min(start + len(token.string), len(self.text))
        except (tokenize.TokenError, SyntaxError, IndexError):
            return  # the parser accepted it, so what is left unread here is not reached by code either

    # -- places -----------------------------------------------------------------------------------------

    @once
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self._source)), len(self._source)]

    def span(self, node: ast.AST) -> tuple[int, int] | None:
        """Character offsets of a node in ``text``; None for nodes without a place (the module itself)."""
        line, column = getattr(node, "lineno", None), getattr(node, "col_offset", None)
        if line is None or column is None:
            return None
        start = self._offset(line, column)
        end = self._offset(getattr(node, "end_lineno", None) or line, getattr(node, "end_col_offset", None) or 0)
        return (start, max(start, end))

    def _offset(self, line: int, column: int) -> int:
        starts = self._line_starts
        begin = starts[min(line - 1, len(starts) - 1)]
        end = starts[min(line, len(starts) - 1)]
        text = self._source[begin:end]
        if not text.isascii():
            # The parser counts columns in UTF-8 bytes.
            column = len(text.encode()[:column].decode(errors="ignore"))
        return self._clip(begin + column)

    def _clip(self, offset: int) -> int:
        return max(0, min(offset - self.shift, len(self.text)))


_COMMENT_OR_STRING = re.compile(
    r"#[^\r\n]*"
    r'|\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\"'
    r"|'''(?:[^'\\]|\\.|'(?!''))*'''"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'(?:[^'\\\n]|\\.)*'",
    re.DOTALL,
)
_ATTRIBUTE_CALLS = frozenset(
    {
        *(f"builtins.{name}" for name in ("getattr", "setattr", "hasattr", "delattr")),
        "inspect.getattr_static",
        "builtins.object.__getattribute__",
        "builtins.type.__getattribute__",
        "builtins.object.__setattr__",
        "builtins.type.__setattr__",
    }
)
_ATTRIBUTE_METHODS = (".__getattribute__", ".__getattr__")
_ATTRIBUTE_MAKERS = frozenset({"operator.attrgetter", "operator.methodcaller"})
