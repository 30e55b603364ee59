"""Rules on the syntax trees of programs, as ast-grep writes them, through ast-grep-py.

A file holds one rule or several, parted by ``---``. What ast-grep itself has no key for stands in ``metadata``::

    id: no-eval
    language: python
    severity: error
    message: evaluates a text
    rule: {pattern: eval($X)}
    metadata:
      category: escape
      catch: ["eval('1')"]
      spare: ["f(1)"]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azr_monitor.documents import DocumentError, read_documents
from azr_monitor.engines.base import MAX_HITS, EngineError, EngineRule, Hit, Source, missing, rule_id, severity_named

_SEVERITIES = {"hint": "info", "info": "low", "warning": "medium", "error": "high"}
_WRAPPED = ("f(", "\n)")
"""What the arguments of a call are put between, to be read as code."""


class _Metadata(BaseModel):
    """What we read of ``metadata``; whatever else stands there is left to others."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    severity: str | None = None
    why: str | None = None
    category: str = ""
    catch: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()


class _Rule(BaseModel):
    """A rule as ast-grep writes it. What only serves rewriting or linting is taken and not used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    language: Literal["python", "Python", "py"]
    severity: Literal["hint", "info", "warning", "error", "off"] = "warning"
    message: str = ""
    rule: dict[str, Any]
    constraints: dict[str, Any] = {}
    utils: dict[str, Any] = {}
    metadata: _Metadata = _Metadata()
    note: str = ""
    url: str = ""
    fix: Any = None
    transform: Any = None
    labels: Any = None


class AstGrep:
    """ast-grep rules, checked and ready to read programs.

    Attributes:
        rules: what they say of themselves, in their order; rules with severity ``off`` are left out.
        warnings: none; ast-grep gives none.
    """

    warnings: tuple[str, ...] = ()

    def __init__(self, sources: Sequence[Source]) -> None:
        """Read ``sources``; rules are named once over all of them.

        Raises:
            EngineError: ast-grep-py is not installed, or a file does not hold rules that it takes.
        """
        try:
            from ast_grep_py import SgRoot
        except ImportError as error:
            raise missing("ast-grep-py", "rules.ast_grep") from error
        self._parse: Any = SgRoot
        nothing: Any = self._parse("", "python").root()
        rules: list[EngineRule] = []
        self._configs: list[dict[str, Any]] = []
        for source in sources:
            for rule, place in _rules(source):
                if rule.severity == "off":
                    continue
                described = _described(rule, place)
                if described.id in {known.id for known in rules}:
                    raise EngineError(f"{place}: the id {rule.id} is taken; ids are unique over all files")
                config = {"rule": rule.rule, "constraints": rule.constraints, "utils": rule.utils}
                try:
                    nothing.find_all(config)
                except Exception as error:  # whatever the library raises on a rule it does not take
                    raise EngineError(f"{place}: rule {rule.id}: {_cause(error)}") from error
                rules.append(described)
                self._configs.append(config)
        self.rules = tuple(rules)

    def read(self, kind: str, text: str) -> list[Hit]:
        """Where the rules match a program, or the arguments of a call; prose is not code and is left alone."""
        if kind == "prose":
            return []
        before, after = _WRAPPED if kind == "call" else ("", "")
        source = before + text.encode(errors="replace").decode() + after
        root = self._parse(source, "python").root()
        hits: list[Hit] = []
        for number, config in enumerate(self._configs):
            places: set[tuple[int, int]] = set()
            for node in root.find_all(config):
                place = node.range()
                start, end = place.start.index - len(before), place.end.index - len(before)
                if start >= 0 or not before:  # else it is the call that we put around the arguments
                    places.add((start, min(end, len(text))))
            hits.extend(Hit(number, place) for place in sorted(places)[:MAX_HITS])
        return hits


def _rules(source: Source) -> list[tuple[_Rule, str]]:
    """Every rule of a file, with its place."""
    try:
        documents = read_documents(source.text, source.place)
    except DocumentError as error:
        raise EngineError(str(error)) from error
    found: list[tuple[_Rule, str]] = []
    for document in documents:
        if document.data is None:
            continue
        try:
            rule = _Rule.model_validate(document.data)
        except ValidationError as error:
            first = error.errors()[0]
            path = first["loc"]
            while path and path not in document.lines:
                path = path[:-1]
            where = ".".join(str(step) for step in first["loc"]) or "the rule"
            what = "is not a key that we take" if first["type"] == "extra_forbidden" else first["msg"]
            raise EngineError(f"{source.place}:{document.lines.get(path, 1)}: {where}: {what}") from error
        found.append((rule, f"{source.place}:{document.lines.get(('id',), 1)}"))
    return found


def _described(rule: _Rule, place: str) -> EngineRule:
    meta = rule.metadata
    severity = meta.severity if meta.severity is not None else _SEVERITIES[rule.severity]
    return EngineRule(
        rule_id("ast-grep", meta.category, rule.id, place),
        severity_named(severity, f"{place}: rule {rule.id}"),
        meta.why or rule.message or f"matches the ast-grep rule {rule.id}",
        place,
        meta.catch,
        meta.spare,
    )


def _cause(error: Exception) -> str:
    """The innermost of the causes that ast-grep lists, without the list and the stack behind it."""
    said = str(error).split("\n\nStack backtrace:")[0]
    causes = re.findall(r"^ +\d+: (.*)$", said, flags=re.MULTILINE)
    return (causes[-1] if causes else said.splitlines()[0])[:200]
