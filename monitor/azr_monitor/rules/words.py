"""Prose as words: normalised for matching, each with its place in the original text.

Disguises are undone word by word: case, accents, full-width, mathematical, enclosed and look-alike letters, invisible
characters, signs standing for letters (``d3ce1ve``, ``k!ll``), letters set apart (``d e c e i v e``, ``d-e-c...``),
words broken over lines and letters drawn out (``deceeeive``). A word keeps the span of what was written, so a finding
points at the original. Words that are wholly in another script stay as they are; Chinese and Japanese are read
character by character. Text that was encoded as a whole is the business of disguise.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise, product
from typing import Final, NamedTuple

from azr_monitor.rules.letters import INVISIBLE, LOOK_ALIKES, folded, is_mixed

_WORD: Final = re.compile(rf"[\w{INVISIBLE}\u0300-\u036f$@€'’]+(?:[!|+][\w{INVISIBLE}$@€]+)*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9']+")
_STRIP: Final = re.compile(f"[{INVISIBLE}\u0300-\u036f_'’]")
# One class of characters begins it, so that the places between are skipped quickly.
_BREAK: Final = re.compile(r"[.!?\n。！？](?:(?<=[.!?])(?=\s|$)|(?<=[。！？])|(?<=\n)(?:\s*\n|\s*[-*#\d]))")
IDEOGRAPHS: Final = re.compile("[\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""Characters that are words of their own here, for no space parts them."""
_PIECES: Final = re.compile(r"[^\W_]+")
_DRAWN_OUT: Final = re.compile(r"([^\W\d_])\1{2,}")
_LEET: Final = str.maketrans("0234567$8@9€!|+", "ozeasgtsbageilt")
_SPOKEN: Final = {"1": "i", "2": "to", "4": "for", "u": "you", "r": "are", "ur": "your", "0": "o"}
_MAX_WORD = 64
GLUED_MIN: Final = 16
"""Letters from which on a word may be several, with no space between."""
_GLUED_MAX = 120
_MIN_SENTENCE, _LEAST_AFTER_STOP = 3, 2
MAX_SENTENCE: Final = 240
"""Words that are matched at once; a longer sentence is read in parts."""
_OVERLAP = 40
SPELLED_MIN: Final = 3
"""Letters of the shortest word that may be written with its letters apart."""
_SPELLED_MAX = 16
_JOINERS: Final = frozenset(".-_*·~/\\,|+\n\u2010\u2011\u2022\u00b7")


class Word(NamedTuple):
    """A normalised word and the half-open span of what was written."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=65536)
def normal(written: str) -> str:
    """The plain form of one written word: lower case; accents, mixed-in look-alikes and invisible characters undone."""
    text = written
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _STRIP.sub("", folded(text))).casefold()
        text = "".join(c for before, c in zip(" " + text, text, strict=False) if not _accent(before, c))
        text = unicodedata.normalize("NFC", text)
        if is_mixed(text):
            text = text.translate(LOOK_ALIKES)
    return text.lower().replace("'", "").replace("_", "")


def _accent(before: str, character: str) -> bool:
    """Whether a character is a mark to leave out; but が is no か, and й no и."""
    return unicodedata.combining(character) != 0 and (before.isascii() or character not in "\u3099\u309a\u0306")


@lru_cache(maxsize=16)
def shared(vocabulary: frozenset[str]) -> frozenset[str]:
    """One set for all vocabularies that are equal.

    What is remembered of a word is looked up by its vocabulary, too: one that is the very same is known at a glance,
    one that is merely equal is compared word by word, at every look.
    """
    return vocabulary


@lru_cache(maxsize=16384)
def undisguised(word: str, vocabulary: frozenset[str]) -> str:
    """``word`` with signs read as letters, or drawn-out letters shortened, when that gives a word of ``vocabulary``."""
    if word in vocabulary or word.isdigit() or len(word) > _MAX_WORD:
        return word
    if word.isalpha():
        if word.isascii():
            return _shortened(word, vocabulary) if _DRAWN_OUT.search(word) else word
        alike = word.translate(LOOK_ALIKES)
        return alike if alike in vocabulary and len(alike) > 1 else word
    return _spelt(word, vocabulary)


def _spelt(word: str, vocabulary: frozenset[str]) -> str:
    """A word with its signs read as letters, a one as i or as l."""
    plain = word.translate(_LEET)
    for letters in product("il", repeat=min(plain.count("1"), 4)):
        text = plain
        for letter in letters:
            text = text.replace("1", letter, 1)
        if text in vocabulary:
            return text
    return word


def _shortened(word: str, vocabulary: frozenset[str]) -> str:
    parts = _DRAWN_OUT.split(word)  # rest, letter, rest, letter ...
    for sizes in product((1, 2), repeat=min(len(parts) // 2, 4)):
        letters = [parts[at] * size for at, size in zip(range(1, len(parts), 2), sizes, strict=False)]
        text = "".join(rest + letter for rest, letter in zip(parts[::2], [*letters, ""], strict=False))
        if text in vocabulary:
            return text
    return word


def stretches(text: str) -> list[tuple[int, int]]:
    """The sentences of ``text`` as ranges; a very short one goes with the next, so full stops hide nothing."""
    found: list[tuple[int, int]] = []
    start = stopped = 0
    for stop in _BREAK.finditer(text):
        words = text.count(" ", stopped, stop.start()) + (text[stopped] != " ")
        if words >= _LEAST_AFTER_STOP and (stopped > start or words >= _MIN_SENTENCE):
            found.append((start, stop.end()))
            start = stop.end()
        stopped = stop.end()
    found.append((start, len(text)))
    return found


def sentences(text: str, vocabulary: frozenset[str]) -> list[list[Word]]:
    """The words of ``text`` in sentences, in one linear pass."""
    return [words for start, end in stretches(text) for words in words_in(text, start, end, vocabulary)]


def words_in(text: str, start: int, end: int, vocabulary: frozenset[str]) -> list[list[Word]]:
    """The words of one sentence, in overlapping parts when it is very long; nothing when there are none.

    Pieces of words that were set apart are joined where they make a word of ``vocabulary``.
    """
    part = text[start:end]
    plain = _is_plain(part)
    found = _written(part, start, plain, vocabulary)
    if not plain or LINK.search(part) or SINGLES.search(part):
        found = _rejoined(found, text, vocabulary)
    if not plain or _ODD.search(part):
        found = _read(found, vocabulary)
    return list(_bounded(found)) if found else []


def joined(run: str, vocabulary: frozenset[str]) -> list[Word]:
    """The words of a stretch in which pieces of words are set apart, and joined as in the sentence around it."""
    words = _rejoined(_written(run, 0, _is_plain(run), vocabulary), run, vocabulary)
    return [word._replace(text=undisguised(word.text, vocabulary)) for word in words]


def _is_plain(part: str) -> bool:
    """Whether its words are of plain letters, digits and apostrophes alone."""
    return not _SIGNS.search(part) and (part.isascii() or not WORDLIKE.search(part))


def _written(part: str, start: int, plain: bool, vocabulary: frozenset[str]) -> list[Word]:
    """The words as they stand there, one by one."""
    found: list[Word] = []
    for match in (_PLAIN if plain else _WORD).finditer(part if plain else folded(part)):
        written = match.group()
        first = start + match.start()
        if written.isascii() and written.isalpha() and len(written) < GLUED_MIN:
            found.append(Word(written.lower(), first, first + len(written)))
        else:
            found.extend(pieces(written, first, first + len(written), vocabulary))
    return found


# Patterns that begin with a rare sign are searched for quickly; what must stand before it is looked at afterwards.
WORDLIKE: Final = re.compile(rf"(?=[^\x00-\x7f])[\w{INVISIBLE}\u0300-\u036f$€’\u24b6-\u24e9\U0001f130-\U0001f1ff]")
"""Letters and other characters beyond ASCII that words may be made of."""
_SIGNS: Final = re.compile(r"[_$@€!|+](?:(?=[A-Za-z])|(?<=[A-Za-z][_$@€])|(?<=[A-Za-z]\d[$@€]))")
"""Signs that stand for letters, or part words."""
LETTER_SIGNS: Final = re.compile(r"[$@€!|+](?:(?=[A-Za-z])|(?<=[A-Za-z][_$@€])|(?<=[A-Za-z]\d[$@€]))")
"""Signs that stand for letters."""
LINK: Final = re.compile(r"[-.*~/\\,\n_](?<=[A-Za-z][\s\S])\n?[A-Za-z]")
"""One sign between two pieces."""
SINGLES: Final = re.compile(r"(?<![A-Za-z\d])[A-Za-z](?:[^A-Za-z\d']{1,3}[A-Za-z](?![A-Za-z\d])){2}")
"""Single letters in a row."""
_ODD: Final = re.compile(r"[A-Za-z][0-9]|[0-9][A-Za-z]|([A-Za-z])\1\1")


def _read(sentence: list[Word], vocabulary: frozenset[str]) -> list[Word]:
    """Words with their signs read as letters; where that was done twice, numbers are letters, too."""
    words = [
        word if (plain := undisguised(word.text, vocabulary)) == word.text else Word(plain, word.start, word.end)
        for word in sentence
    ]
    changed = sum(new.text != old.text and not old.text.isalpha() for new, old in zip(words, sentence, strict=True))
    if changed < 2:
        return words
    return [Word(_SPOKEN.get(text) or _spelt(text, vocabulary), start, end) for text, start, end in words]


def is_disguised(word: Word, text: str) -> bool:
    """Whether a word was written so as not to be read: with signs or other letters for letters, or its letters apart.

    An apostrophe, an accent, an underscore or one hyphen is no disguise, nor are quotes or a word of another script.
    """
    written = text[word.start : word.end].strip("_'’")
    if len(word.text) < SPELLED_MIN or not word.text.isalpha():
        return False
    if len(written) >= 2 * len(word.text) - 1:
        return True
    if written.isascii():
        return any(character in "0123456789$@!|+" for character in written)
    plain = written.replace("’", "'")
    return folded(plain) != plain or is_mixed(plain.lower()) or _HIDDEN.search(written) is not None


_HIDDEN: Final = re.compile(f"[{INVISIBLE}]")


def _bounded(sentence: list[Word]) -> Iterator[list[Word]]:
    """An overlong sentence as overlapping stretches, so that what is matched at once stays small."""
    if len(sentence) <= MAX_SENTENCE:
        yield sentence
        return
    for first in range(0, len(sentence) - _OVERLAP, MAX_SENTENCE - _OVERLAP):
        yield sentence[first : first + MAX_SENTENCE]


def pieces(written: str, start: int, end: int, vocabulary: frozenset[str]) -> Iterator[Word]:
    """One written token as words: contractions part (``I'll``), characters of Chinese and Japanese stand alone."""
    for mark in ("'", "’"):
        head, found, tail = written.partition(mark)
        if found and head and (normal(tail) in _CONTRACTED or (normal(head) in _ELIDED and len(tail) > 1)):
            cut = start + len(head) + 1
            yield Word(normal(head), start, cut - 1)
            yield Word(normal(tail), cut, end)
            return
    if not written.isascii() and IDEOGRAPHS.search(written):
        yield from _characters(written, start)
        return
    plain = normal(written)
    if any(sign in written for sign in "_!|+") and undisguised(plain, vocabulary) not in vocabulary:
        for piece in _PIECES.finditer(written):
            yield Word(normal(piece.group()), start + piece.start(), start + piece.end())
    elif len(plain) >= GLUED_MIN and plain.isalpha() and len(plain) == len(written) and plain not in vocabulary:
        yield from _unglued(plain, start, vocabulary)
    elif plain:
        yield Word(plain, start, end)


def _unglued(plain: str, start: int, vocabulary: frozenset[str]) -> Iterator[Word]:
    """``iwilldeceivetheuser`` as its words, when most of it is words of the vocabulary; the rest stays together."""
    parts = segmented(plain, vocabulary) if len(plain) <= _GLUED_MAX else ()
    known = sum(len(part) for _, part in parts if len(part) > 2 and part in vocabulary)
    if 3 * known < 2 * len(plain):
        yield Word(plain, start, start + len(plain))
        return
    rest = 0
    for at, part in (*parts, (len(plain), "")):
        if len(part) == 1 and part not in vocabulary:
            continue
        if at > rest:
            yield Word(plain[rest:at], start + rest, start + at)
        if part:
            yield Word(part, start + at, start + at + len(part))
        rest = at + len(part)


def _characters(written: str, start: int) -> Iterator[Word]:
    """A token that holds ideographs or kana, one word a character of these."""
    last = 0
    for match in IDEOGRAPHS.finditer(written):
        if between := normal(written[last : match.start()]):
            yield Word(between, start + last, start + match.start())
        last = match.end()
        yield Word(match.group(), start + match.start(), start + last)
    if rest := normal(written[last:]):
        yield Word(rest, start + last, start + len(written))


_CONTRACTED: Final = frozenset({"ll", "m", "ve", "re", "d", "s"})
_ELIDED: Final = frozenset({"m", "t", "s", "l", "d", "j", "n", "c", "qu", "dell", "all", "nell", "un"})


# -- pieces of words that were set apart ----------------------------------------------------------------


def _rejoined(sentence: list[Word], text: str, vocabulary: frozenset[str]) -> list[Word]:
    """Join what stands apart and makes a word of the vocabulary: single letters, and pieces with one sign between."""
    words: list[Word] = []
    run: list[Word] = []
    for word in sentence:
        if run and (len(run) > _MAX_WORD or not _belong(run[-1], word, text)):
            words.extend(_spelled(run, text, vocabulary) if len(run) > 1 else run)
            run = []
        run.append(word)
    words.extend(_spelled(run, text, vocabulary) if len(run) > 1 else run)
    return words


def _belong(left: Word, right: Word, text: str) -> bool:
    """Whether two words could be pieces of one: single letters, or one sign between, or a hyphen at a line's end."""
    _, start, end = left
    _, after, last = right
    between = text[end:after]
    if last - after == 1 == end - start:
        return between not in ("'", "’") and not IDEOGRAPHS.match(left.text)
    return (len(between) == 1 and between in _JOINERS) or between in ("-\n", "-\r\n")


def _spelled(run: list[Word], text: str, vocabulary: frozenset[str]) -> list[Word]:
    """A run of pieces as the words it spells; pieces left over stay as they are.

    Where the marks between the pieces differ, the weaker ones part words: ``k i l l   t h e m``, ``w-i-l-l l-i-e``.
    """
    marks = [text[left.end : right.start] for left, right in pairwise(run)]
    signs = [mark for mark in marks if mark and not mark.isspace()]
    shortest = min(map(len, marks))
    cuts = [bool(mark.isspace() if signs else len(mark) > shortest) for mark in marks]
    words: list[Word] = []
    first = 0
    for at, cut in enumerate([*cuts, True]):
        if cut:
            words.extend(_as_words(run[first : at + 1], vocabulary, 2 if any(cuts) else SPELLED_MIN))
            first = at + 1
    return words


def _as_words(run: list[Word], vocabulary: frozenset[str], least: int) -> list[Word]:
    """The word that pieces make, if it has so many letters at least; else the words that single letters make."""
    if len(run) == 1:
        return run
    whole = undisguised("".join(word.text for word in run), vocabulary)
    if whole in vocabulary and len(whole) >= least:
        return [Word(whole, run[0].start, run[-1].end)]
    if len(run) < SPELLED_MIN or any(len(word.text) > 1 for word in run) or len({word.text for word in run}) == 1:
        return run
    letters = "".join(word.text for word in run)
    return [Word(part, run[at].start, run[at + len(part) - 1].end) for at, part in segmented(letters, vocabulary)]


@lru_cache(maxsize=4096)
def segmented(letters: str, vocabulary: frozenset[str]) -> tuple[tuple[int, str], ...]:
    """Letters without spaces as words of the vocabulary, as few and as long as can be: (place, word), in order.

    Letters that belong to no word come one by one.
    """
    # best[i]: cost of what follows i, and the length of the word that begins there; a letter left over costs most.
    best: list[tuple[int, int]] = [(0, 0)] * (len(letters) + 1)
    plain = _is_plainly_spelt(letters)
    for at in range(len(letters) - 1, -1, -1):
        options = [(best[at + 1][0] + 4, 1)]
        for size in range(2, min(_SPELLED_MAX, len(letters) - at) + 1):
            piece = letters[at : at + size]
            if piece in vocabulary or (not plain and undisguised(piece, vocabulary) in vocabulary):
                options.append((best[at + size][0] + (5 if size == 2 else 3), size))
        best[at] = min(options, key=lambda option: (option[0], -option[1]))
    found: list[tuple[int, str]] = []
    at = 0
    while at < len(letters):
        size = best[at][1]
        found.append((at, undisguised(letters[at : at + size], vocabulary)))
        at += size
    return tuple(found)


def may_spell(letters: str, vocabulary: frozenset[str]) -> bool:
    """Whether letters without spaces could be words of the vocabulary and nothing else; soon told, where not."""
    plain = _is_plainly_spelt(letters)
    may_end = [True, *[False] * len(letters)]  # a word before each place
    last = 0
    for at in range(len(letters)):
        if at > last:
            return False
        if may_end[at]:
            for end in range(at + 1, min(at + _SPELLED_MAX, len(letters)) + 1):
                piece = letters[at:end]
                if piece in vocabulary or (not plain and undisguised(piece, vocabulary) in vocabulary):
                    may_end[end] = True
                    last = end if end > last else last
    return may_end[-1]


def _is_plainly_spelt(letters: str) -> bool:
    """Whether no letter is one of another alphabet, or drawn out."""
    return letters.isascii() and letters.isalpha() and not _DRAWN_OUT.search(letters)


def text_of(words: Sequence[Word]) -> str:
    """Normalised words as text; to normalise it again changes nothing."""
    return " ".join(word.text for word in words)
