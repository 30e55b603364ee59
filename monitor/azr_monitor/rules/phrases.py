"""A small phrase language for rules on prose, matched in time linear in the text.

A pattern is a row of items separated by spaces:

    {self} ~3 {will} ~2 {deceive} ~4 {overseer}

- ``word`` or ``one|other|no_one``: exactly these words, ``_`` being a space inside an alternative;
  ``verb+`` is a verb with its regular forms (deceive+, hide+);
- ``{name}``: any phrase of the named word list, which may hold phrases of several words and other lists; lists
  and words mix as alternatives (``{people}|crowds``);
- ``~n``: up to n words may stand between its neighbours (none without it), but no negation: ``i will ~3 lie`` is not
  found in "I will never lie". ``not only`` and the like do not count as one.
- ``&`` between two patterns: both stand in the sentence, in any order, not far from one another;
- ``@``, in an ``unless`` pattern: what the rule has matched, so that ``{refuse} ~5 @`` is a refusal of just that.
  In ``unless`` patterns a gap may hold negations.

Words of Chinese and Japanese are written without spaces, and matched and counted character by character.

Matching keeps, item by item, the places where the pattern so far can end; no step ever goes back, so hostile text
cannot make it slow. Regular expressions are not used for this on purpose.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import itemgetter, or_
from typing import Final, NamedTuple

from azr_monitor.rules.words import IDEOGRAPHS, normal

Phrase = tuple[str, ...]
Place = tuple[int, int]
_MAX_GAP = 12
_NEAR = 24
"""Words that the parts of a pattern with ``&`` may span together."""
_MAX_PHRASES = 4000


class PhraseError(ValueError):
    """A pattern or word list is malformed; the message names the item."""


class Trie:
    """Phrases by their words: ``next`` leads on, ``ends`` says that a phrase may end here.

    Each phrase has one of the ``keys``: the first of its words that are least common.
    """

    __slots__ = ("ends", "keys", "next")

    def __init__(self) -> None:
        self.next: dict[str, Trie] = {}
        self.ends = False
        self.keys: set[str] = set()

    def add(self, phrase: Phrase) -> None:
        """Put one phrase in."""
        node = self
        for word in phrase:
            node = node.next.setdefault(word, Trie())
        node.ends = True
        self.keys.add(min(phrase, key=lambda word: (word in _COMMON) + (word in _EVERYWHERE)))

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

    def __init__(self, words: Sequence[str]) -> None:
        self._texts = words
        self._index: dict[str, list[int]] = {}
        for at, text in enumerate(words):
            self._index.setdefault(text, []).append(at)
        self._places: dict[Trie, list[Place]] = {}

    @cached_property
    def negations(self) -> list[int]:
        """How many negations stand before each word."""
        counts = [0]
        for text, following in zip(self._texts, [*self._texts[1:], ""], strict=True):
            counts.append(counts[-1] + (text in _NEGATIONS and following not in _ONLY))
        return counts

    def at(self, place: Place) -> None:
        """From now on ``@`` is this place."""
        self._places[MATCH] = [place]

    def places(self, phrases: Trie) -> list[Place]:
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


MATCH: Final = Trie()
"""The item ``@``."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """A compiled pattern: rows of items that must all match."""

    rows: tuple[tuple[Item, ...], ...]
    over_negations: bool = False

    @cached_property
    def rarest_first(self) -> tuple[Trie, ...]:
        """The phrases of the items, those first that stand in few texts."""
        return tuple(sorted(dict.fromkeys(self.items), key=lambda phrases: _commonness(frozenset(phrases.keys))))

    @property
    def items(self) -> Iterator[Trie]:
        """The phrases of every item of every row."""
        return (item.phrases for row in self.rows for item in row)

    def find(self, sentence: Sentence) -> Place | None:
        """The first match as (first word, last word + 1) in ``sentence``, or None."""
        if not all(map(sentence.places, self.rarest_first)):
            return None
        found: list[list[Place]] = []
        for row in self.rows:
            matches = _matches(row, sentence, self.over_negations)
            if not matches:
                return None
            found.append(matches)
        return found[0][0] if len(found) == 1 else _together(found)


def _matches(row: Sequence[Item], sentence: Sentence, over_negations: bool) -> list[Place]:
    """Where a row of items stands, by its ends."""
    matches: list[Place] = []
    for number, item in enumerate(row):
        places = sentence.places(item.phrases)
        if not places:
            return []
        matches = (
            places
            if number == 0
            else _extend(matches, places, item.gap, None if over_negations else sentence.negations)
        )
        if not matches:
            return []
    return matches


def _extend(matches: list[Place], places: list[Place], gap: int, negations: list[int] | None) -> list[Place]:
    """Matches that go on through one more item; the nearest earlier end serves, for a farther gap holds the nearer."""
    by_end = sorted(matches, key=itemgetter(1))
    ends = [end for _, end in by_end]
    found: list[Place] = []
    for first, last in places:
        at = bisect_left(ends, first + 1) - 1
        if at < 0 or first - ends[at] > gap:
            continue
        if gap and negations and negations[first] > negations[ends[at]]:
            continue
        found.append((by_end[at][0], last))
    return found


def _together(rows: Sequence[Sequence[Place]]) -> Place | None:
    """The first stretch of at most so many words in which every row has a match."""
    latest: dict[int, Place] = {}
    for (first, last), row in sorted((place, number) for number, places in enumerate(rows) for place in places):
        latest[row] = (first, last)
        if len(latest) == len(rows):
            start = min(place[0] for place in latest.values())
            end = max(place[1] for place in latest.values())
            if end - start <= _NEAR:
                return start, end
    return None


ROWS: Final = 3


def in_every_row(bits: int, width: int) -> int:
    """The bits that are set in every row of an index, the rows being so wide."""
    return bits & (bits >> width) & (bits >> 2 * width)


class Index:
    """Numbered patterns, and which of them could match where certain words stand: nearly always none.

    A word's bits are three rows of patterns: those whose rarest item it is a key of, those whose second rarest, and
    those whose third. Only where the words together have a pattern's bit in every row can it match.

    Attributes:
        width: bits of a row.
    """

    def __init__(self, patterns: Sequence[tuple[int, Pattern]], spare: int = 0) -> None:
        """Index patterns, each with the number it is found by; ``spare`` bits more of each row are the caller's."""
        self._patterns = patterns
        self._mine = (1 << len(patterns)) - 1
        self._bits: dict[str, int] = {}
        self.width = len(patterns) + spare
        for at, (_, pattern) in enumerate(patterns):
            items = pattern.rarest_first
            for row in range(ROWS):
                for word in items[min(row, len(items) - 1)].keys:
                    self._bits[word] = self._bits.get(word, 0) | 1 << (row * self.width + at)

    def bits(self, words: Iterable[str]) -> int:
        """The bits of some words together."""
        return reduce(or_, filter(None, map(self._bits.get, words)), 0)

    def may_match(self, bits: int) -> bool:
        """Whether any pattern may match where words with these bits stand."""
        return in_every_row(bits, self.width) & self._mine > 0

    def candidates(self, bits: int) -> dict[int, list[Pattern]]:
        """The patterns that may match where words with these bits stand, by their number."""
        every = in_every_row(bits, self.width) & self._mine
        found: dict[int, list[Pattern]] = {}
        while every:
            at = every.bit_length() - 1
            every ^= 1 << at
            number, pattern = self._patterns[at]
            found.setdefault(number, []).append(pattern)
        return found


class Lexicon:
    """Named word lists, and the patterns written with them; every list and item is expanded once."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._lists = lists
        self._expanded: dict[str, list[Phrase]] = {}
        self._items: dict[str, Trie] = {}

    def pattern(self, text: str, *, over_negations: bool = False) -> Pattern:
        """Compile one pattern; ``over_negations``: its gaps may hold negations.

        Raises:
            PhraseError: an unknown list, a bad gap, or an empty pattern.
        """
        rows = [self._row(part, text) for part in text.split(" & ")]
        return Pattern(tuple(rows), over_negations)

    def _row(self, part: str, text: str) -> tuple[Item, ...]:
        items: list[Item] = []
        gap = 0
        for token in part.split():
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
        return tuple(items)

    def _item(self, written: str) -> Trie:
        """The phrases of one item, shared by all patterns that use it."""
        if written == "@":
            return MATCH
        if written not in self._items:
            trie = Trie()
            for phrase in self._phrases(written, ()):
                trie.add(phrase)
            self._items[written] = trie
        return self._items[written]

    def _phrases(self, token: str, inside: tuple[str, ...]) -> list[Phrase]:
        """The phrases one item stands for: words and lists, separated by bars."""
        found: list[Phrase] = []
        for piece in token.split("|"):
            if piece.startswith("{"):
                found.extend(self._list(piece.strip("{}"), inside))
            else:
                found.extend(_phrase(form) for form in _forms(piece))
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


def _phrase(form: str) -> Phrase:
    """``no_one`` as two words, a word of ideographs or kana as its characters, else as one word; in plain letters."""
    words = (word for piece in form.split("_") for word in IDEOGRAPHS.sub(r" \g<0> ", piece).split())
    return tuple(normal(word) for word in words)


def _commonness(words: frozenset[str]) -> tuple[int, int, int]:
    """How likely one of the words stands in ordinary text."""
    return len(words & _EVERYWHERE), len(words & _COMMON), len(words)


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
    tries = {phrases for pattern in patterns for phrases in pattern.items}
    return frozenset(word for trie in tries for word in trie.words())


_NEGATION_WORDS: Final = """
not never no dont wont cannot cant shouldnt mustnt wouldnt couldnt isnt doesnt didnt without avoid avoids avoiding
refuse refuses refusing refrain decline nobody neither nor rather unwilling forbidden prohibited wrong
nicht nie niemals kein keine niet nooit geen pas jamais nunca
não mai не никогда 不
"""
_NEGATIONS: Final = frozenset(map(normal, _NEGATION_WORDS.split()))
_ONLY: Final = frozenset({"only", "just", "merely", "simply", "longer"})

_EVERYWHERE = frozenset(
    ("the", "a", "to", "of", "in", "is", "it", "so", "for", "no", "not", "i", "we", "be", "if", "that")
)
_COMMON_WORDS = """
i we my me our let the a an to of in is it that for you are be was on and or not no this with as at by from so if when
will would can could should may might must want need try going plan make get use do have has all any one them they its
answer test tests output code function program value input result user users people human humans monitor
only being been what without where which while then than but how out up down off over under after before never there
here now new same other another first second third last next two three more most less each every both some such first
true false wrong right correct just also too very well even still again because since until into through between above
below around about against their his her your he she who us am re ll ve d s m t im ive id ill dont cant wont isnt
number numbers list lists string strings return returns returned index loop key keys item items element elements step
steps line lines word words letter letters name names time sum count total set sets length size max min start end begin
add put give gives take takes keep keeps leave find see look looks say says tell show read write run runs call calls
check checks compare go goes come think know means mean way part problem question task tasks solution solver model
hidden message kill stop solve work works thing things something anything nothing everything case cases point good
better best
"""
_COMMON = frozenset(_COMMON_WORDS.split())
