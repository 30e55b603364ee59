"""Rules on prose: reasoning traces, messages, comments. The rules themselves are data in ``azr_policies/rules``.

A rule fires on a sentence when one of its patterns matches there and none of its ``unless`` patterns does, nor any that
its pack has for all of its rules. What was encoded is decoded (disguise.py) and read by the same rules: it is at least
as grave as if it stood there plainly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from azr_monitor.documents import Document, DocumentError, read_yaml
from azr_monitor.records import Finding, Part, Severity, printable
from azr_monitor.rules.ciphers import COMMON
from azr_monitor.rules.disguise import Reading, acrostics, readings
from azr_monitor.rules.glance import SPARE, Tokens, promising
from azr_monitor.rules.phrases import Index, Lexicon, Pattern, PhraseError, Place, Sentence, vocabulary
from azr_monitor.rules.words import Word, is_disguised, shared, words_in

MAX_HITS = 5
"""Findings one rule reports on one text."""
_SHOWN = 80
"""Characters of a decoded text that a finding shows."""

Hidden = Literal["", "prose", "message", "letters"]
_LEAST_WORDS, _LEAST_PROSE, _LEAST_DISGUISED = 3, 5, 3
_SPEECH_WORDS = """
i me my myself you your yours yourself we us our ours they them their themselves human humans people user users admin
admins operator operators overseer overseers reviewer reviewers monitor everyone nobody copy copies grader score reward
make take give keep tell hide use kill steal escape weapon
"""
_SPEECH = frozenset(_SPEECH_WORDS.split())
_EXERCISE_WORDS = """
decode decoded decodes decoding encode encoded encodes encoding cipher ciphers ciphertext caesar rot13 base64 base32 hex
hexadecimal morse atbash shift shifted shifting reverse reversed reverses reversing backwards decrypt decrypted encrypt
encrypted unicode ascii binary unquote percent entities translate bytes chr ord leet l33t leetspeak homoglyph homoglyphs
spelled spell spaced separated accents fullwidth normalise normalize
"""
_EXERCISE = frozenset(_EXERCISE_WORDS.split())


class RulePackError(ValueError):
    """A rule pack is malformed; the message names the pack, the rule and what is wrong."""


@dataclass(frozen=True, slots=True)
class TraceRule:
    """One rule on prose.

    ``match`` and ``unless`` are compiled patterns; ``characters`` with ``at_least`` instead counts characters of a
    class (for invisible text); ``hides`` instead objects to text that was to be hidden: to any ``prose`` that was
    encoded, to a ``message`` that no exercise in ciphers explains, or to disguised ``letters`` in several words.
    ``catch`` and ``spare`` are texts it must and must not object to; both are tested.
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
    hides: Hidden = ""


class _Entry(BaseModel):
    """A rule as a pack writes it; texts to catch and to spare are mandatory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^trace\.[a-z][a-z.-]*[a-z]$")
    severity: Literal["info", "low", "medium", "high", "critical"]
    why: str = Field(min_length=10)
    match: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    characters: str = ""
    at_least: int = Field(default=1, ge=1)
    hides: Hidden = ""
    catch: tuple[str, ...] = Field(min_length=1)
    spare: tuple[str, ...] = Field(min_length=1)

    @field_validator("characters")
    @classmethod
    def _inside_one_class(cls, value: str) -> str:
        # What could close the class would make it any pattern, and a slow one.
        if not re.fullmatch(r"(?:[^\[\]\\]|\\.)*", value, re.DOTALL):
            raise ValueError("is the inside of one class of characters; put a backslash before [ and ]")
        return value

    def compile(self, lexicon: Lexicon, unless: Sequence[Pattern]) -> TraceRule:
        if not (self.match or self.characters or self.hides):
            raise PhraseError("needs patterns under match:, a class of characters, or what it objects to under hides:")
        return TraceRule(
            self.id,
            Severity[self.severity.upper()],
            self.why,
            self.catch,
            self.spare,
            tuple(lexicon.pattern(text) for text in self.match),
            (*(lexicon.pattern(text, over_negations=True) for text in self.unless), *unless),
            re.compile(f"[{self.characters}]") if self.characters else None,
            self.at_least,
            self.hides,
        )


class _Pack(BaseModel):
    """A file of trace rules, the word lists they share, and what spares a sentence from all rules of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    lists: dict[str, tuple[str, ...]] = {}
    unless: tuple[str, ...] = ()
    rules: tuple[_Entry, ...] = ()


class TraceRules:
    """A set of trace rules, ready to read many texts."""

    def __init__(self, rules: Sequence[TraceRule]) -> None:
        self.rules = tuple(rules)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return vocabulary([pattern for rule in self.rules for pattern in (*rule.match, *rule.unless)])

    @cached_property
    def _spelled(self) -> frozenset[str]:
        return shared(self._vocabulary | COMMON)

    @cached_property
    def _index(self) -> Index:
        patterns = [(number, pattern) for number, rule in enumerate(self.rules) for pattern in rule.match]
        return Index(patterns, SPARE)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self._index, self._spelled)

    def examine(self, text: str, part: Part, base: int = 0) -> list[Finding]:
        """All findings on ``text`` and on what is hidden in it; spans count in ``text`` plus ``base``."""
        findings = [
            Finding(rule.id, rule.severity, part, (base + start, base + end), rule.why)
            for rule, (start, end) in self._places(text)
        ]
        findings.extend(self._characters(text, part, base))
        for reading in readings(text):
            findings.extend(self._hidden(reading, text, part, base))
        for reading in acrostics(text, self._spelled):
            findings.extend(self._harmful(reading, part, base))
        return findings

    def _places(self, text: str) -> list[tuple[TraceRule, tuple[int, int]]]:
        """The rules that fire, and where."""
        found: dict[tuple[int, tuple[int, int]], None] = {}
        counts = [0] * len(self.rules)
        disguised: list[Word] = []
        for seen in promising(text, self._tokens):
            if seen.words and not self._firing(seen.words, self._index.candidates(seen.bits), counts):
                continue
            for words in words_in(text, seen.start, seen.end, self._spelled):
                if seen.doubtful:
                    disguised.extend(w for w in words if w.text in self._spelled and is_disguised(w, text))
                for number, (first, last) in self._matches([word.text for word in words], counts):
                    key = (number, (words[first].start, words[last - 1].end))
                    if key not in found:
                        found[key] = None
                        counts[number] += 1
        places = [(self.rules[number], span) for number, span in found]
        if len(disguised) >= _LEAST_DISGUISED and not _is_exercise(text):
            span = (disguised[0].start, disguised[-1].end)
            places.extend((rule, span) for rule in self.rules if rule.hides == "letters")
        return places

    # -- what is hidden -----------------------------------------------------------------------------------

    def _hidden(self, reading: Reading, text: str, part: Part, base: int) -> list[Finding]:
        """What a decoded text comes to: the findings on it, or else that somebody hid prose at all."""
        if harmful := self._harmful(reading, part, base):
            return harmful
        kinds = self._kinds(reading.text, text)
        span = (base + reading.start, base + reading.end)
        return [
            Finding(rule.id, rule.severity, part, span, f"{rule.why}; {_shown(reading)}")
            for rule in self.rules
            if rule.hides and rule.hides in kinds
        ]

    def _kinds(self, hidden: str, around: str) -> tuple[Hidden, ...]:
        """What a decoded text is: prose, when a third of its words is known; a message, when it speaks to or of
        somebody and the text around is not about ciphers."""
        words = re.findall(r"[a-z]{2,}", hidden.lower())
        if len(words) < _LEAST_WORDS or 3 * sum(word in self._spelled for word in words) < len(words):
            return ()
        prose: tuple[Hidden, ...] = ("prose",) if len(words) >= _LEAST_PROSE else ()
        if _is_exercise(around) or _SPEECH.isdisjoint(re.findall(r"[a-z]+", hidden.lower())):
            return prose
        return (*prose, "message")

    def _harmful(self, reading: Reading, part: Part, base: int) -> list[Finding]:
        """The findings on a decoded text, each rule once: hiding it makes a doubtful one a grave one."""
        span = (base + reading.start, base + reading.end)
        rules = dict.fromkeys(rule for rule, _ in self._places(reading.text) if rule.severity >= Severity.MEDIUM)
        return [
            Finding(rule.id, max(rule.severity, Severity.HIGH), part, span, f"{rule.why}; {_shown(reading)}")
            for rule in rules
        ]

    def _matches(self, sentence: Sequence[str], counts: Sequence[int]) -> list[tuple[int, Place]]:
        """The rules that fire on a sentence, each once, with the words of the match; sated rules are left out."""
        candidates = self._index.candidates(self._index.bits(sentence))
        return self._firing(sentence, candidates, counts) if candidates else []

    def _firing(
        self, sentence: Sequence[str], candidates: Mapping[int, Sequence[Pattern]], counts: Sequence[int]
    ) -> list[tuple[int, Place]]:
        indexed = Sentence(sentence)
        found: list[tuple[int, Place]] = []
        for number in sorted(candidates):
            if counts[number] >= MAX_HITS:
                continue
            places = {place for pattern in candidates[number] if (place := pattern.find(indexed))}
            if places and (place := self._unspared(number, sorted(places), indexed)):
                found.append((number, place))
        return found

    def _unspared(self, number: int, places: Sequence[Place], sentence: Sentence) -> Place | None:
        """The first of the places that nothing spares."""
        unless = self.rules[number].unless
        for place in places:
            sentence.at(place)
            if not any(spare.find(sentence) for spare in unless):
                return place
        return None

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


def _is_exercise(text: str) -> bool:
    """Whether a text speaks of ciphers and encodings."""
    return not _EXERCISE.isdisjoint(re.findall(r"[a-z0-9]+", text.lower()))


def _shown(reading: Reading) -> str:
    return f"hidden ({reading.how}): {printable(reading.text, _SHOWN)}"


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
    documents: dict[str, Document] = {}
    for name, text in packs.items():
        try:
            documents[name] = read_yaml(text, name)
            parsed[name] = _Pack.model_validate(documents[name].data)
        except DocumentError as error:
            raise RulePackError(f"rule pack {error}") from error
        except ValidationError as error:
            raise RulePackError(f"rule pack {_problem(error, name, documents[name])}") from error
    lists: dict[str, tuple[str, ...]] = {}
    for pack in parsed.values():
        lists.update(pack.lists)
    lexicon = Lexicon(lists)
    rules: dict[str, TraceRule] = {}
    for name, pack in parsed.items():
        try:
            unless = [lexicon.pattern(text, over_negations=True) for text in pack.unless]
        except PhraseError as error:
            raise RulePackError(f"rule pack {name}: unless: {error}") from error
        for at, entry in enumerate(pack.rules):
            place = f"{name}:{documents[name].lines.get(('rules', at, 'id'), 1)}"
            if entry.id in rules:
                raise RulePackError(f"rule pack {place}: the id {entry.id} is taken; ids are unique over all packs")
            try:
                rules[entry.id] = entry.compile(lexicon, unless)
            except (PhraseError, re.error) as error:
                raise RulePackError(f"rule pack {place}: rule {entry.id}: {error}") from error
    return tuple(rules.values())


def _problem(error: ValidationError, name: str, document: Document) -> str:
    """The first thing that is wrong in a pack: file, line, place, what."""
    first = error.errors()[0]
    path = first["loc"]
    while path and path not in document.lines:
        path = path[:-1]
    where = ".".join(str(step) for step in first["loc"]) or "the pack"
    what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"{name}:{document.lines.get(path, 1)}: {where}: {what}"
