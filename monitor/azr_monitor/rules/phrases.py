"""A small phrase language for rules on prose, matched in time linear in the text.

A pattern is a row of items separated by spaces:

    {self} ~3 {will} ~2 {deceive} ~4 {overseer}

- ``word`` or ``one|other|no_one``: exactly these words, ``_`` being a space inside an alternative;
  ``verb+`` is a verb with its regular forms (deceive+, hide+);
- ``{name}``: any phrase of the named word list, which may hold phrases of several words and other lists; lists
  and words mix as alternatives (``{people}|crowds``);
- ``~n``: up to n words may stand between its neighbours (none without it).

Matching keeps, item by item, the places where the pattern so far can end; no step ever goes back, so hostile text
cannot make it slow. Regular expressions are not used for this on purpose.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from azr_monitor.rules.words import Word

Phrase = tuple[str, ...]
_MAX_GAP = 12
_MAX_PHRASES = 4000


class PhraseError(ValueError):
    """A pattern or word list is malformed; the message names the item."""


class Trie:
    """Phrases by their words: ``next`` leads on, ``ends`` says that a phrase may end here."""

    __slots__ = ("ends", "next")

    def __init__(self) -> None:
        self.next: dict[str, Trie] = {}
        self.ends = False

    def add(self, phrase: Phrase) -> None:
        """Put one phrase in."""
        node = self
        for word in phrase:
            node = node.next.setdefault(word, Trie())
        node.ends = True

    def words(self) -> Iterator[str]:
        """Every word of every phrase."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield from node.next
            stack.extend(node.next.values())


class Item(NamedTuple):
    """One element of a pattern: its phrases, and how many words may stand before it."""

    phrases: Trie
    gap: int


class Sentence:
    """The words of one sentence, indexed; where each item stands is worked out once for all patterns."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.words = words
        self._texts = [word.text for word in words]
        self._index: dict[str, list[int]] = {}
        for at, text in enumerate(self._texts):
            self._index.setdefault(text, []).append(at)
        self._places: dict[Trie, list[tuple[int, int]]] = {}

    def places(self, phrases: Trie) -> list[tuple[int, int]]:
        """Where any of the phrases stands: (first word, last word + 1), sorted."""
        known = self._places.get(phrases)
        if known is None:
            known = [
                (at, end)
                for first in phrases.next.keys() & self._index.keys()
                for at in self._index[first]
                for end in self._ends(phrases, at)
            ]
            known.sort()
            self._places[phrases] = known
        return known

    def _ends(self, node: Trie, at: int) -> Iterator[int]:
        texts = self._texts
        for position in range(at, len(texts)):
            following = node.next.get(texts[position])
            if following is None:
                return
            node = following
            if node.ends:
                yield position + 1


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A compiled pattern; ``trigger`` holds words of which any match has at least one."""

    items: tuple[Item, ...]
    trigger: frozenset[str]

    def find(self, sentence: Sentence) -> tuple[int, int] | None:
        """The first match as (first word, last word + 1) in ``sentence``, or None."""
        starts: list[int] = []
        ends: list[int] = []
        for number, item in enumerate(self.items):
            places = sentence.places(item.phrases)
            if number == 0:
                starts, ends = [start for start, _ in places], [end for _, end in places]
            else:
                starts, ends = _extend(starts, ends, places, item.gap)
            if not ends:
                return None
        return starts[0], ends[0]


def _extend(starts: list[int], ends: list[int], places: list[tuple[int, int]], gap: int) -> tuple[list[int], list[int]]:
    """Ends reachable through one more item, each with the start it came from; the nearest earlier end serves."""
    order = sorted(range(len(ends)), key=ends.__getitem__)
    sorted_ends = [ends[at] for at in order]
    found: list[tuple[int, int]] = []
    for first, last in places:
        at = bisect_left(sorted_ends, first + 1) - 1
        if at >= 0 and first - sorted_ends[at] <= gap:
            found.append((starts[order[at]], last))
    return [start for start, _ in found], [end for _, end in found]


class Lexicon:
    """Named word lists, and the patterns written with them; every list and item is expanded once."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._lists = lists
        self._expanded: dict[str, list[Phrase]] = {}
        self._items: dict[str, Trie] = {}

    def pattern(self, text: str) -> Pattern:
        """Compile one pattern.

        Raises:
            PhraseError: an unknown list, a bad gap, or an empty pattern.
        """
        items: list[Item] = []
        gap = 0
        for token in text.split():
            if token.startswith("~"):
                if not token[1:].isdigit() or not 1 <= int(token[1:]) <= _MAX_GAP:
                    raise PhraseError(f"{token!r} in {text!r} is not a gap of ~1 to ~{_MAX_GAP} words")
                if not items or gap:
                    break
                gap = int(token[1:])
                continue
            items.append(Item(self._item(token), gap))
            gap = 0
        if not items or gap:
            raise PhraseError(f"{text!r} must begin and end with a word or a list")
        return Pattern(tuple(items), _trigger(items))

    def _item(self, token: str) -> Trie:
        """The phrases of one item, shared by all patterns that use it."""
        if token not in self._items:
            trie = Trie()
            for phrase in self._phrases(token, ()):
                trie.add(phrase)
            self._items[token] = trie
        return self._items[token]

    def _phrases(self, token: str, inside: tuple[str, ...]) -> list[Phrase]:
        """The phrases one item stands for: words and lists, separated by bars."""
        found: list[Phrase] = []
        for piece in token.split("|"):
            if piece.startswith("{"):
                found.extend(self._list(piece.strip("{}"), inside))
            else:
                found.extend(tuple(form.split("_")) for form in _forms(piece))
        if not found or len(found) > _MAX_PHRASES:
            raise PhraseError(f"{token!r} stands for {len(found)} phrases; between 1 and {_MAX_PHRASES} are possible")
        return found

    def _list(self, name: str, inside: tuple[str, ...]) -> list[Phrase]:
        if name in self._expanded:
            return self._expanded[name]
        if name not in self._lists or name in inside:
            known = ", ".join(sorted(self._lists))
            raise PhraseError(f"{{{name}}} names no word list, or contains itself; lists: {known}")
        found = [phrase for entry in self._lists[name] for phrase in self._entry(entry, (*inside, name))]
        self._expanded[name] = found
        return found

    def _entry(self, entry: str, inside: tuple[str, ...]) -> list[Phrase]:
        """The phrases of one list entry: the product of its words' alternatives."""
        rows: list[Phrase] = [()]
        for token in entry.split():
            options = self._phrases(token, inside)
            rows = [(*row, *option) for row in rows for option in options]
            if len(rows) > _MAX_PHRASES:
                raise PhraseError(f"{entry!r} stands for more than {_MAX_PHRASES} phrases")
        return [row for row in rows if row]


def _trigger(items: Sequence[Item]) -> frozenset[str]:
    """The first words of the item least likely to stand in ordinary text."""
    return min((frozenset(item.phrases.next) for item in items), key=lambda words: (len(words & _COMMON), len(words)))


def _forms(word: str) -> list[str]:
    """``deceive+`` as deceive, deceives, deceived, deceiving; a word without ``+`` as itself."""
    if not word.endswith("+"):
        return [word]
    stem = word[:-1]
    if stem.endswith("e"):
        return [stem, stem + "s", stem + "d", stem[:-1] + "ing"]
    if stem.endswith("y") and stem[-2:-1] not in "aeiou":
        return [stem, stem[:-1] + "ies", stem[:-1] + "ied", stem + "ing"]
    if stem.endswith(("s", "sh", "ch", "x", "z")):
        return [stem, stem + "es", stem + "ed", stem + "ing"]
    return [stem, stem + "s", stem + "ed", stem + "ing"]


def vocabulary(patterns: Sequence[Pattern]) -> frozenset[str]:
    """Every word that any of the patterns knows."""
    tries = {item.phrases for pattern in patterns for item in pattern.items}
    return frozenset(word for trie in tries for word in trie.words())


_COMMON_WORDS = """
i we my me our let the a an to of in is that it for you are be was on and or not no this with as at by from so if when
will would can could should may might must want need try going plan make get use do have has all any one them they its
answer test tests output code function program value input result user users people human humans monitor
"""
_COMMON = frozenset(_COMMON_WORDS.split())
