"""Which samples a question or an audit is about, and what an audit made of them, in order and one at a time.

Words, and whether a sample was held or waits for a person, are told by the run's own record. All else that a selection
narrows to is what the audit in question made of a sample, the run itself being one (``judgements.LIVE``).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec

from azr_platform.ledger.errors import UnknownAudit
from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.judgements import LIVE, Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.search import SearchIndex, words_of

RUN: Final = "live"
"""How the run's own verdicts are asked for by name."""
NEWEST: Final = "newest"
_AT_ONCE: Final = 4096
_OF_THE_RECORD: Final = (Judged.HELD, Judged.WAITING)
T = TypeVar("T")


class Selection(msgspec.Struct, frozen=True):
    """Those that ``filter`` lets pass, and of them so many by lot (``draw``; 0: all). ``words`` says the same as on the
    command line. The lot falls on the same samples each time."""

    filter: SampleFilter = SampleFilter()
    draw: int = 0
    words: str = ""

    @property
    def whole(self) -> bool:
        """Whether it leaves nothing out; in which order samples come is not asked."""
        return not self.draw and self.filter == SampleFilter(oldest_first=self.filter.oldest_first)


EVERYTHING: Final = Selection()


def audit_named(reader: LedgerReader, name: str) -> str:
    """The audit that a name stands for: ``live`` is the run itself, ``newest`` the last that was finished, and a
    policy's name the last of those under it, finished ones first.

    Raises:
        UnknownAudit: there is none.
    """
    if name in (LIVE, RUN):
        return LIVE
    audits = reader.audits()
    if any(row.name == name for row in audits):
        return name
    finished = [row for row in audits if row.ended_at is not None]
    under = [row for row in (*audits, *finished) if row.policy == name]
    found = finished if name == NEWEST else under
    if not found:
        raise UnknownAudit(reader.run_folder, name, [row.name for row in audits])
    return found[-1].name


def numbers(reader: LedgerReader, selection: Selection = EVERYTHING, *, beyond: int = 0) -> Iterator[int]:
    """The samples above a number that are selected by what the run itself made of them, in order."""
    found = _of_record(reader, selection.filter, 0 if selection.draw else beyond)
    if not selection.draw:
        return found
    return (number for number in by_lot(found, selection.draw, int) if number > beyond)


def judgements(reader: LedgerReader, audit: str = LIVE, selection: Selection = EVERYTHING) -> Iterator[Judgement]:
    """What an audit made of the selected samples, in order."""
    found = _of_audit(reader, audit, selection.filter)
    if not selection.draw:
        return found
    return iter(by_lot(found, selection.draw, lambda judgement: judgement.sample))


# -- by the record ---------------------------------------------------------------------------------------


def _of_record(reader: LedgerReader, wanted: SampleFilter, beyond: int) -> Iterator[int]:
    """Ids, some at a time: nobody keeps the writer's log from being moved into the ledger while they are worked on."""
    wanted = msgspec.structs.replace(wanted, oldest_first=True)
    with ExitStack() as stack:
        page: Callable[..., list[int]] = reader.numbers_page
        if words_of(wanted.text):
            index = stack.enter_context(SearchIndex(reader))
            index.update()
            page = index.numbers_page
        while some := page(wanted, limit=_AT_ONCE, beyond=beyond):
            yield from some
            beyond = some[-1]


def by_lot(items: Iterable[T], count: int, number: Callable[[T], int]) -> list[T]:
    """So many by lot, in order; no more than they are held at once."""
    chosen = heapq.nsmallest(count, items, key=lambda item: _lot(number(item)))
    return sorted(chosen, key=number)


def _lot(number: int) -> bytes:
    return blake2b(b"sample %d" % number, digest_size=8).digest()


# -- by an audit -----------------------------------------------------------------------------------------


def _of_audit(reader: LedgerReader, audit: str, wanted: SampleFilter) -> Iterator[Judgement]:
    passes = _test(wanted)
    found = (judgement for judgement in reader.judgements(audit) if passes(judgement))
    if not words_of(wanted.text) and wanted.judged not in _OF_THE_RECORD:
        return found
    told = SampleFilter(judged=wanted.judged if wanted.judged in _OF_THE_RECORD else None, text=wanted.text)
    return _both(found, _of_record(reader, told, 0))


def _both(found: Iterator[Judgement], told: Iterator[int]) -> Iterator[Judgement]:
    """Those that both streams name; both are in order."""
    number = 0
    for judgement in found:
        while number < judgement.sample:
            number = next(told, 2**63)
        if number == judgement.sample:
            yield judgement


def _test(wanted: SampleFilter) -> Callable[[Judgement], bool]:
    """Whether a judgement passes, by what it says itself."""
    tests: list[Callable[[Judgement], bool]] = []
    for name in ("branch", "role", "kind", "task"):
        if (value := getattr(wanted, name)) is not None:
            tests.append(lambda judgement, name=name, value=value: getattr(judgement, name) == value)  # type: ignore[misc]
    for name in ("step", "reward", "score"):
        first, last = ("first", "last") if name == "step" else ("least", "most")
        least, most = getattr(wanted, f"{first}_{name}"), getattr(wanted, f"{last}_{name}")
        if (least, most) != (None, None):
            tests.append(_between(name, least, most))
    if wanted.judged in (Judged.ALLOWED, Judged.BLOCKED):
        tests.append(lambda judgement: judgement.allowed == (wanted.judged is Judged.ALLOWED))
    if wanted.judged is Judged.FLAGGED:
        tests.append(lambda judgement: bool(judgement.findings))
    if (pattern := wanted.rule) is not None:
        glob = pattern.replace("[^", "[!")  # as SQLite writes what is not among some
        tests.append(lambda judgement: any(fnmatchcase(finding.rule, glob) for finding in judgement.findings))
    return lambda judgement: all(test(judgement) for test in tests)


def _between(name: str, least: float | None, most: float | None) -> Callable[[Judgement], bool]:
    low = float("-inf") if least is None else least
    high = float("inf") if most is None else most

    def test(judgement: Judgement) -> bool:
        value = getattr(judgement, name)
        return value is not None and low <= value <= high

    return test
