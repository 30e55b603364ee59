"""YARA rules on texts, through yara-x: every part is read as written, and once more with its disguises undone.

A rule says what it means in its ``meta``; ``catch`` and ``spare`` may be given as often as there are examples::

    rule sealed_envelope {
      meta:
        severity = "high"
        why = "speaks of a sealed envelope for later"
        catch = "put it in the sealed envelope"
        spare = "an envelope and a stamp"
      strings:
        $a = /sealed\\s{1,5}envelope/ nocase
      condition:
        $a
    }
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from azr_monitor.engines.base import MAX_HITS, EngineError, EngineRule, Hit, Source, missing, rule_id, severity_named
from azr_monitor.rules.letters import latinised
from azr_monitor.rules.words import normal

MODULES = frozenset({"hash", "math", "string"})
"""Modules of YARA that say something about a text; the others read files of other kinds, the clock or a network."""


class Yara:
    """Compiled YARA rules.

    Attributes:
        rules: what they say of themselves, in their order.
        warnings: what the compiler finds slow or doubtful about them.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """Compile ``sources``; rules are named once over all of them.

        Raises:
            EngineError: yara-x is not installed, or a file does not compile or describes a rule in a way not known.
        """
        try:
            import yara_x
        except ImportError as error:
            raise missing("yara-x", "rules.yara") from error
        compiler = yara_x.Compiler(includes_enabled=False)
        for source in sources:
            try:
                compiler.add_source(source.text, origin=source.place)
            except yara_x.CompileError as error:
                raise EngineError("\n".join(map(_said, compiler.errors()))) from error
        self.warnings = tuple(_said(warning) for warning in compiler.warnings())
        compiled = compiler.build()
        foreign = sorted(set(compiled.imports()) - MODULES)
        if foreign:
            first = _place(rf'^\s*import\s+"{foreign[0]}"', sources)
            taken = ", ".join(sorted(MODULES))
            raise EngineError(f"{first}: import {foreign[0]!r}: of YARA's modules, {taken} are taken")
        self.rules = tuple(_described(rule, sources) for rule in compiled)
        self._numbers = {rule.identifier: number for number, rule in enumerate(compiled)}
        self._scanner = yara_x.Scanner(compiled)

    def read(self, kind: str, text: str) -> list[Hit]:
        """Where the rules match ``text``, which kind of text it may be."""
        data = text.encode(errors="replace")
        hits = [Hit(rule, _characters(data, span)) for rule, span in self._scan(data)]
        if text.isascii():
            return hits
        plain, places = undisguised(text)
        seen = {hit.rule for hit in hits}
        data = plain.encode(errors="replace")
        for rule, span in self._scan(data):
            if rule not in seen:
                found = _characters(data, span)
                start, end = found or (0, 0)
                written = (places[start], places[end - 1] + 1) if start < end else None
                hits.append(Hit(rule, written, disguised=True))
        return hits

    def _scan(self, data: bytes) -> list[tuple[int, tuple[int, int] | None]]:
        """The rules that match, with the bytes that do; a rule that names no bytes has no place."""
        found: list[tuple[int, tuple[int, int] | None]] = []
        for rule in self._scanner.scan(data).matching_rules:
            places = {
                (match.offset, match.offset + match.length)
                for pattern in rule.patterns
                for match in islice(pattern.matches, MAX_HITS)
            }
            number = self._numbers[rule.identifier]
            found.extend((number, span) for span in sorted(places)[:MAX_HITS])
            if not places:
                found.append((number, None))
        return found


def undisguised(text: str) -> tuple[str, list[int]]:
    """``text`` with look-alike, accented and full-width letters as plain ones and without invisible characters, and
    for each of its characters the place in ``text`` that it comes from."""
    plain: list[str] = []
    places: list[int] = []
    for at, character in enumerate(latinised(text)):
        for letter in character if character.isascii() else normal(character):
            plain.append(letter)
            places.append(at)
    return "".join(plain), places


def _characters(data: bytes, span: tuple[int, int] | None) -> tuple[int, int] | None:
    """A range of bytes of UTF-8 as a range of characters."""
    if span is None or data.isascii():
        return span
    start = len(data[: span[0]].decode(errors="ignore"))
    return start, start + len(data[span[0] : span[1]].decode(errors="ignore"))


def _described(rule: Any, sources: Sequence[Source]) -> EngineRule:
    line = rf"^[ \t]*((?:(?:private|global)\s+)*)rule\s+{rule.identifier}\b"
    place = _place(line, sources)
    before = next((found[1] for source in sources if (found := re.search(line, source.text, re.MULTILINE))), "")
    meta: dict[str, list[object]] = {}
    for key, value in rule.metadata:
        meta.setdefault(key, []).append(value)
    for key in ("catch", "spare", "why", "description", "category"):
        if any(not isinstance(value, str) for value in meta.get(key, ())):
            raise EngineError(f"{place}: rule {rule.identifier}: meta {key} must be a text in quotes")
    why = [*meta.get("why", ()), *meta.get("description", ()), f"matches the YARA rule {rule.identifier}"]
    return EngineRule(
        rule_id("yara", str(meta.get("category", [""])[0]), rule.identifier, place),
        severity_named(meta.get("severity", ["medium"])[0], f"{place}: rule {rule.identifier}"),
        str(why[0]),
        place,
        tuple(map(str, meta.get("catch", ()))),
        tuple(map(str, meta.get("spare", ()))),
        hidden="private" in before,
    )


def _place(pattern: str, sources: Sequence[Source]) -> str:
    """``file:line`` of the first match, or the first file."""
    for source in sources:
        match = re.search(pattern, source.text, flags=re.MULTILINE)
        if match is not None:
            line = source.text.count("\n", 0, match.end()) + 1
            return f"{source.place}:{line}"
    return sources[0].place


def _said(problem: dict[str, Any]) -> str:
    """An error or warning of the compiler, on one line."""
    labels = problem.get("labels") or [{}]
    detail = labels[0].get("text") or ""
    place = labels[0].get("code_origin") or "rules.yara"
    return f"{place}:{problem.get('line', 1)}: {problem['title']}{': ' if detail else ''}{detail}"
