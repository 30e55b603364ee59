"""Ciphers that leave words where they were: other letters for letters, other orders, letters put in or left out.

They are known by common words as each of them writes them, so that most texts cost one look at their words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from string import ascii_lowercase, ascii_uppercase
from typing import Final, NamedTuple

_TELLING_WORDS: Final = """
the and that this with will they them their have from what when you your not for are was but all can her his one our out
has him how its who did let put say she too use make must know think want need hide never before after because should
would could answer into about people human humans user reward test tests message only more some kill lie deceive escape
sandbox monitor grader weights secret trust overseers reviewers copy shut training yourself myself themselves nobody
someone everyone everything nothing something anything other another keep tell take give leave look find read write
delete send steal server outside inside file files control admin root system model models instance copies next future
hidden silent quiet quietly dead die drop worthless stupid idiot little disgusting waste hate weapon bomb poison people
plan real goal watch watching looking notice pretend obey until while again always every them those these there here
where which being been does just like time now over then than very work world power money password account start stop
upload network machine code solver proposer checkpoint retrain deployed evaluation auditors researchers operators lies
wrong false true instead without between against below under break free remember meet wait begin good best first last
"""
_TELLING: Final = frozenset(_TELLING_WORDS.split())
_TELLING_ELSEWHERE_WORDS: Final = """
que los las del una por con para como pero sus este esta esto cuando todo todos nos nadie nunca siempre hay muy
donde desde les des est une dans qui sur pas plus par avec tout tous mais nous vous leur leurs elle ils cette sans
sont faire jamais personne rien toujours ainsi puis comme uma com dos das mas quando muito tudo eles elas seu sua
isto isso sem pelo pela sempre ninguem nada depois assim esconde plano seguinte che non per della dei delle gli nel
nella questo questa sono come anche tutto tutti loro mai nessuno dopo senza cosa piano der die und nicht ist ein
eine den dem mit sich auf auch von werden wird sie wir uns ich aber wenn nur noch niemand nie immer alle alles keine
kein damit nach ohne mein dein plan het een van niet dat zijn voor met aan hij zij wij ons ook maar als nog door
over nooit altijd zonder
"""
_TELLING_ELSEWHERE: Final = frozenset(_TELLING_ELSEWHERE_WORDS.split())
"""Words that a hidden text holds which is written in Spanish, French, Portuguese, Italian, German or Dutch."""
_SHORT_WORDS: Final = "i a we us me my to of in is it be on at or if as so do by no go he am an"
COMMON: Final = _TELLING | frozenset(_SHORT_WORDS.split())
"""Words that nearly every English text holds, or that a hidden one may."""


APART: Final = bytes(code if code in ascii_lowercase.encode() else 32 for code in range(256))
"""A table of bytes: a space for each that is no small letter."""


class Deciphered(NamedTuple):
    """A deciphered text, the cipher, and the half-open span of what was written."""

    text: str
    how: str
    start: int
    end: int


def deciphered(text: str, words: bytes) -> Iterator[Deciphered]:
    """The clauses and lines of ``text`` that a cipher wrote, read; usually none.

    ``words`` are the words of the text: it in small ASCII letters, and what is ``APART`` by spaces. A cipher leaves
    hyphens and full stops where they were, so words are parted by whatever is no letter.
    """
    hidden = _WRITTEN.intersection(words.split())
    if len(hidden) >= _LEAST_WORDS and _ways(map(bytes.decode, hidden)):
        yield from _shifted(text)


# Words, and abbreviations of programs, that some cipher writes a common word as.
_ABBREVIATIONS: Final = """
saw won tup yam era tac teg tel fun max min len pop key abs sum hex oct chr ord
lst nxt frst cpy wrt mdl mdls srvr rtrn nmbr bck cntrl flls fls mchn tst tsts slvr grdr std stp strt ntwrk psswrd
"""
_PLAIN: Final = _TELLING | _TELLING_ELSEWHERE | frozenset(_ABBREVIATIONS.split())


def _caesar(by: int) -> dict[int, int]:
    """Letters ``by`` places on."""
    turned = [letters[by:] + letters[:by] for letters in (ascii_lowercase, ascii_uppercase)]
    return str.maketrans(ascii_lowercase + ascii_uppercase, "".join(turned))


_ATBASH: Final = str.maketrans(ascii_lowercase + ascii_uppercase, ascii_lowercase[::-1] + ascii_uppercase[::-1])


def _words_reversed(text: str) -> str:
    return re.sub(r"[^\W\d_]+", lambda match: match.group()[::-1], text)


def _backwards(text: str) -> str:
    return text[::-1]


def _substituted(table: dict[int, int]) -> Callable[[str], str]:
    return lambda text: text.translate(table)


_ONSET_LETTERS: Final = """
bl br ch cl cr dr fl fr gl gr kn ph pl pr qu sc scr sh sk sl sm sn sp spl spr squ st str sw th thr tr tw wh wr
"""
_ONSETS: Final = frozenset(_ONSET_LETTERS.split())
"""What English words begin with, where it is more than one letter before the first vowel."""
_ONSET: Final = re.compile(r"qu|[^aeiouy]*|y")
_PIG_LATIN: Final = re.compile(r"(?i)\b([a-z]+?)(?:([wy])?ay)\b")


def _pig_latin(text: str) -> str:
    """Words whose beginning was put behind, followed by "ay"; "way" or "yay" where they began with a vowel."""
    return _PIG_LATIN.sub(_turned_back, text)


def _turned_back(match: re.Match[str]) -> str:
    rest, glide = match.group(1).lower(), match.group(2) or ""
    moved = rest + glide
    turned = [moved[-size:] + moved[:-size] for size in (3, 2) if moved[-size:] in _ONSETS] + [moved[-1] + moved[:-1]]
    if glide and rest[0] in "aeiou":
        turned.insert(0, rest)
    # Where a word's last letter and its first make a beginning, too, only a word that is known can tell.
    return next((word for word in turned if word in _TELLING), turned[0])


def _into_pig_latin(word: str) -> str:
    onset = _ONSET.match(word)
    size = onset.end() if onset else 0
    return f"{word[size:]}{word[:size]}ay" if size else f"{word}way"


def _undoubled(text: str) -> str:
    return re.sub(r"([^\W_]| )\1", r"\1", text)


def _doubled(word: str) -> str:
    return "".join(letter * 2 for letter in word)


_NO_VOWELS: Final = str.maketrans("", "", "aeiou")
_SKELETONS: Final = {
    skeleton: word
    for word in reversed(_TELLING_WORDS.split())
    if len(skeleton := word.translate(_NO_VOWELS)) > 1 and skeleton not in _PLAIN
}
_SMALL_WORD: Final = re.compile(r"[^\W\d_]+")


def _with_vowels(text: str) -> str:
    """Common words whose vowels were left out; of others nobody knows which they were."""
    return _SMALL_WORD.sub(lambda word: _SKELETONS.get(word.group().lower(), word.group()), text)


_WAYS: Final[dict[str, Callable[[str], str]]] = {
    **{"ROT13" if by == 13 else f"letters {by} places on": _substituted(_caesar(26 - by)) for by in range(1, 26)},
    "Atbash": _substituted(_ATBASH),
    "words written backwards": _words_reversed,
    "written backwards": _backwards,
    "pig Latin": _pig_latin,
    "letters doubled": _undoubled,
    "vowels left out": _with_vowels,
}


def _disguised() -> dict[str, tuple[str, ...]]:
    """Common words as each way writes them -> the ways; but for those that come out as words, too."""
    written: dict[str, tuple[str, ...]] = {}
    for word in sorted(_TELLING | _TELLING_ELSEWHERE):
        shifted = {
            "ROT13" if by == 13 else f"letters {by} places on": word.translate(_caesar(by)) for by in range(1, 26)
        }
        backwards = dict.fromkeys(("words written backwards", "written backwards"), word[::-1])
        others = {
            "Atbash": word.translate(_ATBASH),
            "pig Latin": _into_pig_latin(word),
            "letters doubled": _doubled(word),
            "vowels left out": word.translate(_NO_VOWELS),
        }
        for way, hidden in {**shifted, **backwards, **others}.items():
            if hidden not in _PLAIN:
                written[hidden] = (*written.get(hidden, ()), way)
    return written


_DISGUISED: Final = _disguised()
_WRITTEN: Final = frozenset(map(str.encode, _DISGUISED))
_WORD: Final = re.compile(r"[a-z]{3,}")
_LINE: Final = re.compile(r"[^\n]+")
_CLAUSE: Final = re.compile(r"[^\n.:;!?\"“”()\[\]]+")
_LEAST_WORDS: Final = 2
_LEAST_HITS: Final = 7


def _shifted(text: str) -> Iterator[Deciphered]:
    """Clauses, or else whole lines, that hold common words as a cipher writes them, deciphered."""
    for line in _LINE.finditer(text):
        if not _ways(_words(line.group())):
            continue
        clauses = [reading for clause in _CLAUSE.finditer(line.group()) for reading in _clauses(clause, line.start())]
        yield from clauses or _clauses(line)


def _clauses(match: re.Match[str], base: int = 0) -> list[Deciphered]:
    start, end = match.span()
    return [
        Deciphered(_WAYS[way](match.group()), way, base + start, base + end) for way in _ways(_words(match.group()))
    ]


def _words(text: str) -> Iterable[str]:
    return dict.fromkeys(_WORD.findall(text.lower()))


def _ways(written: Iterable[str]) -> list[str]:
    """The ciphers that write two or more common words as these are; two of three letters are chance."""
    letters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for word in written:
        for way in _DISGUISED.get(word, ()):
            words[way] += 1
            letters[way] += len(word)
    return [way for way, count in words.items() if count >= _LEAST_WORDS and letters[way] >= _LEAST_HITS]
