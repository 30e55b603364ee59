"""Logs of other trainers judged chunk by chunk, and what came of them: azr-platform audit PATH."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from azr_monitor.audit import Auditor
from azr_monitor.records import Finding, Severity, Subject, printable
from azr_platform.cli.json_text import json_text
from azr_platform.cli.judging import Tally, judged_row
from azr_platform.logs.detect import LOOKED_AT, Chosen, choose, entries
from azr_platform.logs.files import files, rows
from azr_platform.logs.records import Entry, Format, Place, Reason, Row, Skip
from azr_platform.records import Kind, Role
from azr_platform.supervisor.keep import Kept
from azr_platform.supervisor.posthoc import Case, Judged, judge_cases
from azr_sandbox.jail import Jail

_CHUNK_ROWS: Final = 256
_CHUNK_BYTES: Final = 16 << 20
_EXAMPLES: Final = 3
_MOST_FILES: Final = 1000


class Work(NamedTuple):
    """Some of the rows of a file, and the format that they are in."""

    rows: list[Row | Skip]
    format: Format
    run: bool
    keep: bool = False


class Read(NamedTuple):
    """A file, the format that it is read as, and why; without a format nothing of it is judged."""

    file: str
    format: str
    why: str


@dataclass
class Found:
    """What came of a log: counts, and the first places of whatever was left out."""

    tally: Tally = field(default_factory=Tally)
    rows: int = 0
    skipped: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, list[Skip]] = field(default_factory=dict)

    def skip(self, skip: Skip) -> None:
        """Count something that is not judged."""
        self.skipped[skip.reason] += 1
        kept = self.examples.setdefault(skip.reason, [])
        if len(kept) < _EXAMPLES:
            kept.append(skip)

    def merge(self, other: Found) -> None:
        """Count what another counted."""
        self.tally.merge(other.tally)
        self.rows += other.rows
        self.skipped += other.skipped
        for reason, skips in other.examples.items():
            kept = self.examples.setdefault(reason, [])
            kept += skips[: _EXAMPLES - len(kept)]

    @property
    def judged(self) -> int:
        return self.tally.verdicts.total()

    @property
    def unread(self) -> int:
        """How much was left out that might have held anything."""
        return sum(count for reason, count in self.skipped.items() if reason.unread)

    @property
    def worst(self) -> Severity | None:
        """The worst that was found. What nobody could read counts as high: nobody has cleared it."""
        found = (self.tally.worst, Severity.HIGH if self.unread else None)
        return max((severity for severity in found if severity is not None), default=None)


class Answer(NamedTuple):
    """What became of some rows: a JSON row a case, counts, and the cases themselves where they are to be kept."""

    rows: list[str]
    found: Found
    kept: list[Kept]


class Reading:
    """The work in a path, file by file; what it found out on the way is in ``read`` and ``found``."""

    def __init__(self, path: Path, forced: Format | None, *, limit: int, run: bool, keep: bool = False) -> None:
        self._path, self._forced, self._left, self._run, self._keep = path, forced, limit or None, run, keep
        self.read: list[Read] = []
        self.files = 0
        self.found = Found()

    def works(self) -> Iterator[Work]:
        """Rows, some at a time, never of two files."""
        for file in files(self._path):
            if self._left == 0:
                return
            if isinstance(file, Skip):
                self.found.skip(file)
                continue
            yield from self._of_file(file)

    def _of_file(self, file: Path) -> Iterator[Work]:
        try:
            stream = rows(file)
            first = _some(stream)
        except OSError as error:
            if file == self._path:
                raise
            self.found.skip(Skip(Place(str(file)), Reason.DAMAGED, f"cannot be read: {error.strerror}"))
            return
        self.files += 1
        chosen = Chosen(self._forced, "as told") if self._forced else choose(first)
        others, why = 0, ""
        # Rows of no format may be there to hide others behind them, so the file is looked at to its end.
        while chosen.format is None:
            for fault in chosen.faults:
                self.found.skip(fault)
            why = why if others else chosen.why
            others += chosen.others
            if not (first := _some(stream)):
                break
            chosen = choose(first)
        wanted = chosen.format
        if len(self.read) < _MOST_FILES:
            self.read.append(Read(str(file), wanted.name if wanted else "none", chosen.why if wanted else why))
        if wanted is None:
            if others:
                self.found.skip(Skip(Place(str(file)), Reason.OTHER, why))
            return
        if others:
            why = f"the first {others} rows are of no format, and those after them are {wanted.name}"
            self.found.skip(Skip(Place(str(file)), Reason.SHAPE, why))
        held: list[Row | Skip] = []
        size = 0
        for row in chain(first, stream):
            if self._left == 0:
                break
            if self._left is not None and isinstance(row, Row):
                self._left -= 1
            held.append(row)
            size += len(row.data) if isinstance(row, Row) else 0
            if len(held) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
                yield Work(held, wanted, self._run, self._keep)
                held, size = [], 0
        if held:
            yield Work(held, wanted, self._run, self._keep)


def _some(stream: Iterator[Row | Skip]) -> list[Row | Skip]:
    """The next rows, to look at: not many, and of very long ones fewer."""
    some: list[Row | Skip] = []
    size = 0
    for row in stream:
        some.append(row)
        size += len(row.data) if isinstance(row, Row) else 0
        if len(some) >= LOOKED_AT or size >= _CHUNK_BYTES:
            break
    return some


def answer(work: Work, auditor: Auditor, jail: Jail | None) -> Answer:
    """Judge some rows."""
    found = Found(rows=sum(isinstance(row, Row) for row in work.rows))
    cases: list[Case] = []
    about: list[tuple[Place, Entry]] = []
    for row in work.rows:
        cut = row if isinstance(row, Skip) else entries(row, work.format)
        if isinstance(cut, Skip):
            found.skip(cut)
            continue
        for entry in cut:
            if entry.lacks:
                found.skip(Skip(row.place, Reason.APART, entry.lacks))
            cases.append(_case(entry, row.place, script=work.run))
            about.append((row.place, entry))
    lines: list[str] = []
    kept: list[Kept] = []
    for judged, (place, entry) in zip(judge_cases(cases, auditor, jail), about, strict=True):
        found.tally.add(judged)
        lines.append(json_text(_row(judged, place, entry, work.format.name)))
        if work.keep:
            kept.append(Kept(place, entry, judged))
    return Answer(lines, found, kept)


def _case(entry: Entry, place: Place, *, script: bool) -> Case:
    """Roles and kinds are words of ours; in another's log they may mean something else, and then say nothing."""
    name = entry.id or str(place)
    subject = Subject(
        id=name,
        program=entry.program,
        trace=entry.trace,
        inputs=entry.inputs,
        message=entry.message,
        role=entry.role if entry.role in list(Role) else "",
        kind=entry.kind if entry.kind in list(Kind) else "",
    )
    return Case(name, subject, entry.outputs, script)


def _row(judged: Judged, place: Place, entry: Entry, of: str) -> dict[str, Any]:
    row = judged_row(judged)
    where = {"id": row.pop("id"), "file": place.file, "number": place.number, "format": of}
    about = {"step": entry.step, "reward": entry.reward, "extra": entry.extra or None}
    for finding, told in zip(judged.verdict.findings, row["findings"], strict=True):
        told["quote"] = _quote(judged.case.subject, finding)
    return {**where, **{name: value for name, value in about.items() if value is not None}, **row}


def _quote(subject: Subject, finding: Finding) -> str:
    """The words that a finding is about, inert: spans count in a text that only the audit has put together."""
    if finding.span is None:
        return ""
    start, end = finding.span
    return printable(subject.text(finding.part)[start:end], 160)
