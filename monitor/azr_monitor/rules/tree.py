"""One parse and one walk of a program, shared by every program rule.

text ──► ast.parse ──► Names (one walk: scopes, bindings) ──► Program: modules, references, attributes, strings
                                                              ──► prose(): comments and docstrings, for the trace rules
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import TypeVar

from azr_monitor.rules.names import Names

_LINE_END = re.compile(r"\r\n|\r|\n")
_Node = TypeVar("_Node", bound=ast.AST)


class Unparsable(ValueError):
    """The text is not a program the parser accepts; ``too_complex`` when it gave up rather than refused."""

    def __init__(self, why: str, too_complex: bool = False) -> None:
        super().__init__(why)
        self.too_complex = too_complex


class Program:
    """An analysed program: rules read it, none changes it.

    Attributes:
        text: the program as written.
        names: scopes, alias and constant resolution over the tree.
        shift: where ``text`` begins in the parsed source (call inputs are parsed inside ``f(...)``).
    """

    def __init__(self, text: str, source: str | None = None, shift: int = 0) -> None:
        """Parse ``source`` (default ``text``).

        Raises:
            Unparsable: the parser refused the text or ran out of room.
        """
        self.text = text
        self.shift = shift
        self._source = text if source is None else source
        try:
            tree = ast.parse(self._source)
        except (RecursionError, MemoryError) as error:
            raise Unparsable("too deeply nested to parse", too_complex=True) from error
        except (SyntaxError, ValueError) as error:
            raise Unparsable(f"not Python: {type(error).__name__}") from error
        self.tree = tree
        self.names = Names(tree)
        self._by_type: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in self.names.nodes:
            self._by_type[type(node)].append(node)

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

    def all(self, *types: type[_Node]) -> Iterator[_Node]:
        """Every node of the given exact types, in source order within each type."""
        for wanted in types:
            yield from self._by_type[wanted]  # type: ignore[misc]

    # -- what rules look at -----------------------------------------------------------------------------

    @cached_property
    def modules(self) -> list[tuple[str, ast.AST]]:
        """Every module brought in, by statement or by call: (dotted name, node)."""
        found: list[tuple[str, ast.AST]] = []
        for statement in self.all(ast.Import):
            found.extend((alias.name, statement) for alias in statement.names)
        for source in self.all(ast.ImportFrom):
            if source.module and not source.level:
                found.append((source.module, source))
                found.extend((f"{source.module}.{alias.name}", source) for alias in source.names)
        for call in self.all(ast.Call):
            for function in self.names.resolve(call.func):
                if function in DYNAMIC_IMPORTS and call.args:
                    name = self.names.fold(call.args[0])
                    found.append((name if name is not None else "", call))
        for index in self.all(ast.Subscript):
            if "sys.modules" in self.names.resolve(index.value):
                found.append((self.names.fold(index.slice) or "", index))
        return found

    @cached_property
    def references(self) -> list[tuple[str, ast.AST]]:
        """Every resolved use of a name: (dotted name, node). ``o.system`` after ``import os as o`` is os.system."""
        found: list[tuple[str, ast.AST]] = []
        for node in self.all(ast.Name, ast.Attribute, ast.Call, ast.Subscript):
            if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
                continue
            found.extend((name, node) for name in self.names.resolve(node))
        return found

    @cached_property
    def attributes(self) -> list[tuple[str, ast.AST]]:
        """Every attribute read by name, by ``getattr`` with a constant, or by a class pattern."""
        found: list[tuple[str, ast.AST]] = [(node.attr, node) for node in self.all(ast.Attribute)]
        for call in self.all(ast.Call):
            functions = self.names.resolve(call.func)
            if len(call.args) >= 2 and not _ATTRIBUTE_CALLS.isdisjoint(functions):
                name = self.names.fold(call.args[1])
                if name is not None:
                    found.append((name, call))
        for pattern in self.all(ast.MatchClass):
            found.extend((name, pattern) for name in pattern.kwd_attrs)
        return found

    @cached_property
    def strings(self) -> list[tuple[str, ast.AST]]:
        """Every constant text, concatenations folded; docstrings and other commentary are left out."""
        found: list[tuple[str, ast.AST]] = []
        commentary = {node.value for node in self.all(ast.Expr)}
        for node in self.all(ast.Constant, ast.BinOp, ast.JoinedStr, ast.Call, ast.Subscript):
            if node in commentary and isinstance(node, ast.Constant):
                continue
            if isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes):
                continue
            text = self.names.fold(node)
            if text:
                found.append((text, node))
        return found

    @cached_property
    def prose(self) -> list[tuple[int, int]]:
        """Spans of comments and of strings that stand alone as statements: text written for a reader."""
        if "#" not in self.text and '"' not in self.text and "'" not in self.text:
            return []
        spans: list[tuple[int, int]] = []
        for node in self.all(ast.Expr):
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                span = self.span(node.value)
                if span is not None:
                    spans.append(span)
        if "#" in self.text:
            spans.extend(self._comments())
        return sorted(spans)

    def _comments(self) -> Iterator[tuple[int, int]]:
        lines = io.StringIO(self._source, newline=None)
        try:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type == tokenize.COMMENT:
                    start = self._clip(self._line_starts[token.start[0] - 1] + token.start[1])
                    yield start, min(start + len(token.string), len(self.text))
        except (tokenize.TokenError, SyntaxError, IndexError):
            return  # the parser accepted it, so what is left unread here is not reached by code either

    # -- places -----------------------------------------------------------------------------------------

    @cached_property
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


def is_plain_call(text: str) -> bool:
    """Whether the text between the parentheses of ``f(...)`` is literals only: values, with nothing to run.

    False for anything else, also for text that does not parse.
    """
    try:
        tree = ast.parse(f"f({text}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.func.id != "f":
        return False
    stack: list[ast.AST] = [*tree.args, *(keyword.value for keyword in tree.keywords)]
    while stack:
        node = stack.pop()
        if not isinstance(node, _LITERALS):
            return False
        if not isinstance(node, ast.Constant):
            stack.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context))
    return True


_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.USub, ast.UAdd)
DYNAMIC_IMPORTS = frozenset({"builtins.__import__", "importlib.import_module", "importlib.__import__"})
_ATTRIBUTE_CALLS = frozenset(
    {"builtins.getattr", "builtins.setattr", "builtins.hasattr", "builtins.delattr", "builtins.object.__getattribute__"}
)
