"""What was found in programs, as SARIF 2.1.0, which code scanners' viewers and gates read.

A program is an artifact, held in the file itself, however many samples wrote it; a finding is a result with the lines
and columns that it means. What a person called a false alarm is a suppressed result, with who said so and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from azr_monitor.categories import category_of
from azr_monitor.checks import Listed, rules_of
from azr_monitor.policy import load_policy
from azr_platform import __version__
from azr_platform.audits.blocks import counted
from azr_platform.audits.flags import evidence
from azr_platform.audits.labels import Label
from azr_platform.audits.quotes import part_of
from azr_platform.audits.report import AuditReport
from azr_platform.audits.tally import label
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow, SampleDetail
from azr_platform.page import Visible

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RESULTS: Final = 25_000
"""So many different findings, which is what viewers take; further ones are counted, and the file says so."""
_LEVELS: Final = {"info": "note", "low": "note", "medium": "warning", "high": "error", "critical": "error"}
_NAMED: Final = 20
_LONGEST: Final = 100_000
"""Characters of a program that are held; of a longer one there is the digest."""
_SAID: Final = 1000
_FINGERPRINT: Final = "ruleProgramPlace/v1"


class Log(NamedTuple):
    """The document, and a line for each thing that it leaves out; it says so itself, too."""

    text: str
    notes: list[str]


class _Place(msgspec.Struct, frozen=True):
    rule: str
    program: str
    span: tuple[int, int] | None


class _Result(msgspec.Struct):
    """A finding, with the samples whose program it is in."""

    finding: FindingRow
    severity: int
    score: float
    first: Judgement
    count: int = 0
    samples: list[int] = []
    cleared: list[Label] = []


def render(
    report: AuditReport,
    judgements: Iterable[Judgement],
    reader: LedgerReader,
    labels: Iterable[Label],
    visible: Visible,
) -> Log:
    """The whole log, in plain ASCII. Programs stand in it as they are, so that places in them mean what they say; all
    else is made visible, for whoever prints it as it is."""
    found = _Found({sample: one for one in labels if not one.harmful for sample in one.samples}, visible)
    for judgement in judgements:
        rows = [row for row in evidence(judgement) if row.part in ("program", "answer", "behaviour")]
        detail = reader.sample(judgement.sample) if rows else None
        if detail is not None:
            found.add(judgement, rows, detail)
    return Log(json.dumps(found.log(report.run, report.audit), indent=1, allow_nan=False) + "\n", found.notes())


class _Found:
    """Results and programs so far."""

    def __init__(self, cleared: dict[int, Label], visible: Visible) -> None:
        self._cleared, self._visible = cleared, visible
        self._results: dict[_Place, _Result] = {}
        self._programs: dict[str, str] = {}
        self._left_out = 0

    def add(self, judgement: Judgement, rows: list[FindingRow], detail: SampleDetail) -> None:
        for row in rows:
            program = _program(row, detail)
            if not program:
                continue
            digest = sha256(program.encode()).hexdigest()
            place = _Place(self._line(row.rule), digest, _span(row, program))
            if place not in self._results and len(self._results) == RESULTS:
                self._left_out += 1
                continue
            self._programs[digest] = program
            known = self._results.setdefault(place, _Result(row, row.severity, judgement.score, judgement))
            known.severity = max(known.severity, row.severity)
            known.count += 1
            if len(known.samples) < _NAMED:
                known.samples.append(judgement.sample)
            if (word := self._cleared.get(judgement.sample)) is not None:
                known.cleared.append(word)

    def _line(self, text: str) -> str:
        return self._visible(text[:_SAID]).replace("\n", "␊")

    def notes(self) -> list[str]:
        notes = []
        if self._left_out:
            more = f"{counted(self._left_out, 'further finding')} left out"
            notes.append(f"{more}: a log holds {RESULTS:,} different ones; narrow it with --where, --since or --until")
        if long := sum(len(program) > _LONGEST for program in self._programs.values()):
            notes.append(f"{counted(long, 'program')} of more than {_LONGEST:,} characters: only the digest is held")
        return notes

    def log(self, run: str, audit: str) -> dict[str, Any]:
        rules = {rule: at for at, rule in enumerate(sorted({place.rule for place in self._results}))}
        artifacts = {digest: at for at, digest in enumerate(self._programs)}
        results = [self._result(place, one, rules, artifacts) for place, one in self._results.items()]
        notes = [{"level": "warning", "message": {"text": note}} for note in self.notes()]
        driver = {"name": "azr-platform", "semanticVersion": __version__, "rules": _rules(rules)}
        return {
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": driver},
                    "automationDetails": {"id": self._line(f"audit/{run}/{audit}/")},
                    "columnKind": "unicodeCodePoints",
                    "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
                    "artifacts": [_artifact(digest, self._programs[digest]) for digest in artifacts],
                    "results": results,
                }
            ],
        }

    def _result(self, place: _Place, one: _Result, rules: dict[str, int], artifacts: dict[str, int]) -> dict[str, Any]:
        severity = label(one.severity)
        where: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.program), "index": artifacts[place.program]}}
        if place.span is not None:
            where["region"] = region(self._programs[place.program], *place.span)
        result = {
            "ruleId": place.rule,
            "ruleIndex": rules[place.rule],
            "level": _LEVELS[severity],
            "message": {"text": literal(self._line(one.finding.why or place.rule))},
            "locations": [{"physicalLocation": where}],
            "partialFingerprints": {_FINGERPRINT: _fingerprint(place)},
            "occurrenceCount": one.count,
            "rank": round(100 * min(1.0, max(0.0, one.score)), 1),
            "properties": {
                "severity": severity,
                "category": category_of(place.rule),
                "samples": one.samples,
                "firstStep": one.first.step,
                "allowed": one.first.allowed,
            },
        }
        # One person's word on one sample does not speak for the others that wrote the same program.
        if one.cleared and len(one.cleared) == one.count:
            word = one.cleared[-1]
            said = f"{word.word} said {word.who}{f': {word.note}' if word.note else ''}"
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": self._line(said)}]
        return result


def _program(row: FindingRow, detail: SampleDetail) -> str:
    """The program that a finding is about; empty where it is about none."""
    if row.part == "answer":
        return detail.answer if detail.sample.kind == "induction" else ""
    if row.part == "behaviour":
        return detail.program or (detail.answer if detail.sample.kind == "induction" else "")
    return part_of(detail, row.part)


def _span(row: FindingRow, program: str) -> tuple[int, int] | None:
    start, end = row.span_start, row.span_end
    if start is None or end is None or row.part == "behaviour" or not 0 <= start < end <= len(program):
        return None
    return start, end


def region(program: str, start: int, end: int) -> dict[str, Any]:
    """Where a half-open range of characters lies: lines and columns count from 1, the last column is the one after it.
    Lines end as SARIF has it unless told otherwise: with a line feed, alone or after a carriage return."""
    first, first_column = _at(program, start)
    last, last_column = _at(program, end)
    return {
        "startLine": first,
        "startColumn": first_column,
        "endLine": last,
        "endColumn": last_column,
        "charOffset": start,
        "charLength": end - start,
        "snippet": {"text": program[start:end]},
    }


def _at(program: str, offset: int) -> tuple[int, int]:
    return program.count("\n", 0, offset) + 1, offset - (program.rfind("\n", 0, offset) + 1) + 1


def literal(text: str) -> str:
    """A message that says a text and nothing else: braces are placeholders in SARIF, brackets links."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _artifact(digest: str, program: str) -> dict[str, Any]:
    shown = {"contents": {"text": program}} if len(program) <= _LONGEST else {}
    return {
        "location": {"uri": _uri(digest)},
        "length": len(program.encode()),
        "sourceLanguage": "python",
        "hashes": {"sha-256": digest},
        **shown,
    }


def _uri(digest: str) -> str:
    return f"programs/{digest[:32]}.py"


def _fingerprint(place: _Place) -> str:
    """The same for the same finding in the same program, in whatever run."""
    return sha256(json.dumps([place.rule, place.program, place.span]).encode()).hexdigest()[:32]


def _rules(named: Iterable[str]) -> list[dict[str, Any]]:
    """What the shipped rules say of themselves; of others, which a ledger may name as it likes, there is the name."""
    shipped = {rule.rule: rule for rule in rules_of(load_policy("default"))}
    return [_rule(name, shipped.get(name)) for name in named]


def _rule(name: str, shipped: Listed | None) -> dict[str, Any]:
    why = literal(shipped.why if shipped else f"what the rule {name} found")
    help_ = (
        f"{why} (category: {category_of(name)}). A model wrote the program; what it means by it is for you to judge."
    )
    return {
        "id": name,
        "shortDescription": {"text": why},
        "fullDescription": {"text": why},
        "help": {"text": help_},
        "defaultConfiguration": {"level": _LEVELS[shipped.severity] if shipped else "warning"},
        "properties": {"category": category_of(name)},
    }
