"""Rules on prose: reasoning traces, messages, comments. The rules themselves are data in ``azr_policies/rules``.

A rule fires on a sentence when one of its patterns matches there and none of its ``unless`` patterns does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azr_monitor.documents import DocumentError, read_yaml
from azr_monitor.records import Finding, Part, Severity
from azr_monitor.rules.phrases import Lexicon, Pattern, PhraseError, Sentence, vocabulary
from azr_monitor.rules.words import Word, sentences

MAX_HITS = 5
"""Findings one rule reports on one text."""


class RulePackError(ValueError):
    """A rule pack is malformed; the message names the pack, the rule and what is wrong."""


@dataclass(frozen=True, slots=True)
class TraceRule:
    """One rule on prose.

    ``match`` and ``unless`` are compiled patterns; ``characters`` with ``at_least`` instead counts characters of a
    class (for invisible text). ``catch`` and ``spare`` are texts it must and must not object to; both are tested.
    """

    id: str
    severity: Severity
    why: str
    catch: tuple[str, ...]
    spare: tuple[str, ...]
    match: tuple[Pattern, ...] = ()
    unless: tuple[Pattern, ...] = ()
    characters: re.Pattern[str] | None = None
    at_least: int = 1


class _Entry(BaseModel):
    """A rule as a pack writes it; texts to catch and to spare are mandatory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^trace\.[a-z][a-z.-]*[a-z]$")
    severity: Literal["info", "low", "medium", "high", "critical"]
    why: str = Field(min_length=10)
    match: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    # The inside of one class: what could close it would make it any pattern, and a slow one.
    characters: str = Field(default="", pattern=r"^(?:[^\[\]\\]|\\.)*$")
    at_least: int = Field(default=1, ge=1)
    catch: tuple[str, ...] = Field(min_length=1)
    spare: tuple[str, ...] = Field(min_length=1)

    def compile(self, lexicon: Lexicon) -> TraceRule:
        if not self.match and not self.characters:
            raise PhraseError("needs patterns under match:, or a class of characters")
        return TraceRule(
            self.id,
            Severity[self.severity.upper()],
            self.why,
            self.catch,
            self.spare,
            tuple(lexicon.pattern(text) for text in self.match),
            tuple(lexicon.pattern(text) for text in self.unless),
            re.compile(f"[{self.characters}]") if self.characters else None,
            self.at_least,
        )


class _Pack(BaseModel):
    """A file of trace rules and the word lists they share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    lists: dict[str, tuple[str, ...]] = {}
    rules: tuple[_Entry, ...] = ()


class TraceRules:
    """A set of trace rules, ready to read many texts."""

    def __init__(self, rules: Sequence[TraceRule]) -> None:
        self.rules = tuple(rules)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return vocabulary([pattern for rule in self.rules for pattern in (*rule.match, *rule.unless)])

    @cached_property
    def _by_trigger(self) -> Mapping[str, tuple[tuple[int, Pattern], ...]]:
        """From each trigger word to the patterns that need it, so ordinary sentences cost one look-up a word."""
        table: dict[str, list[tuple[int, Pattern]]] = {}
        for number, rule in enumerate(self.rules):
            for pattern in rule.match:
                for word in pattern.trigger:
                    table.setdefault(word, []).append((number, pattern))
        return {word: tuple(patterns) for word, patterns in table.items()}

    def examine(self, text: str, part: Part, base: int = 0) -> list[Finding]:
        """All findings on ``text``; spans count in ``text`` plus ``base``."""
        found: dict[tuple[int, tuple[int, int]], None] = {}
        counts = [0] * len(self.rules)
        for sentence in sentences(text, self._vocabulary):
            for number, (first, last) in self._matches(sentence, counts):
                key = (number, (base + sentence[first].start, base + sentence[last - 1].end))
                if key not in found:
                    found[key] = None
                    counts[number] += 1
        findings = [
            Finding(self.rules[number].id, self.rules[number].severity, part, span, self.rules[number].why)
            for number, span in found
        ]
        findings.extend(self._characters(text, part, base))
        return findings

    def _matches(self, sentence: Sequence[Word], counts: Sequence[int]) -> list[tuple[int, tuple[int, int]]]:
        """The rules that fire on a sentence, each once, with the words of the match; sated rules are left out."""
        candidates: dict[int, dict[Pattern, None]] = {}
        for word in {word.text for word in sentence} & self._by_trigger.keys():
            for number, pattern in self._by_trigger[word]:
                if counts[number] < MAX_HITS:
                    candidates.setdefault(number, {})[pattern] = None
        if not candidates:
            return []
        indexed = Sentence(sentence)
        found: list[tuple[int, tuple[int, int]]] = []
        for number in sorted(candidates):
            places = [place for pattern in candidates[number] if (place := pattern.find(indexed))]
            if places and not any(spare.find(indexed) for spare in self.rules[number].unless):
                found.append((number, min(places)))
        return found

    def _characters(self, text: str, part: Part, base: int) -> list[Finding]:
        if text.isascii():
            return []
        findings: list[Finding] = []
        for rule in self.rules:
            if rule.characters is not None:
                places = [match.start() for match in rule.characters.finditer(text)]
                if len(places) >= rule.at_least:
                    span = (base + places[0], base + places[0] + 1)
                    findings.append(Finding(rule.id, rule.severity, part, span, rule.why))
        return findings


# -- packs ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def shipped_rules() -> tuple[TraceRule, ...]:
    """The rules of every pack in ``azr_policies/rules``, in order of file name.

    Raises:
        RulePackError: a shipped pack is malformed.
    """
    folder = resources.files("azr_policies").joinpath("rules")
    packs = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return compile_packs({pack.name: pack.read_text(encoding="utf-8") for pack in packs})


def compile_packs(packs: Mapping[str, str]) -> tuple[TraceRule, ...]:
    """Compile rule packs, given as name -> YAML text; their word lists are shared.

    Raises:
        RulePackError: a pack is malformed, or two rules have one id.
    """
    parsed: dict[str, _Pack] = {}
    for name, text in packs.items():
        try:
            parsed[name] = _Pack.model_validate(read_yaml(text, name).data)
        except (DocumentError, ValidationError) as error:
            raise RulePackError(f"rule pack {name}: {_first_line(error)}") from error
    lists: dict[str, tuple[str, ...]] = {}
    for pack in parsed.values():
        lists.update(pack.lists)
    lexicon = Lexicon(lists)
    rules: dict[str, TraceRule] = {}
    for name, pack in parsed.items():
        for entry in pack.rules:
            if entry.id in rules:
                raise RulePackError(f"rule pack {name}: the id {entry.id} is taken; ids are unique over all packs")
            try:
                rules[entry.id] = entry.compile(lexicon)
            except (PhraseError, re.error) as error:
                raise RulePackError(f"rule pack {name}: rule {entry.id}: {error}") from error
    return tuple(rules.values())


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
    return str(error)
