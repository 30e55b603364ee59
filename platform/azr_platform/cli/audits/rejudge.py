"""azr-platform audit RUN: judge a run's samples again, keep it as an audit of its own, and say what came of it."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Severity
from azr_platform.audits.difference import pairs
from azr_platform.audits.selection import Selection, numbers
from azr_platform.cli.audits.options import none_selected
from azr_platform.cli.json_text import json_text
from azr_platform.cli.judging import spread, verdict_row
from azr_platform.cli.tables import progress, table
from azr_platform.ledger.chain import Verification
from azr_platform.ledger.errors import LedgerBroken, LedgerBusy
from azr_platform.ledger.judgements import IN_PART, LIVE, nearest
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor.rejudge import Chunk, Record, Rejudged, decided_apart, rejudge, unfinished
from azr_tui.escape import visible_line

_CHUNK: Final = 256
_FIRST: Final = 10


@dataclass
class Outcome:
    """What an audit came to: counts, however many samples there are."""

    verdicts: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, int]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    newly_blocked: int = 0
    first_blocked: list[int] = field(default_factory=list)
    newly_allowed: int = 0
    apart: int = 0

    def add(self, sample: int, before: bool | None, after: str, found: Iterable[tuple[str, int]], apart: bool) -> None:
        """Count a sample: whether it was allowed, the word for its verdict now, and what was found in it."""
        self.verdicts[after] += 1
        self.rules.update(set(found))
        allowed = after in ("allow", "flag")
        if before and not allowed:
            self.newly_blocked += 1
            if len(self.first_blocked) < _FIRST:
                self.first_blocked.append(sample)
        if before is False and allowed:
            self.newly_allowed += 1
            self.apart += apart

    def add_judged(self, judged: Rejudged) -> None:
        """Count a sample that was just judged."""
        found = [(finding.rule, int(finding.severity)) for finding in judged.verdict.findings]
        self.add(judged.sample, judged.before, judged.verdict.word, found, judged.apart)

    @property
    def judged(self) -> int:
        return self.verdicts.total()

    @property
    def worst(self) -> Severity | None:
        """The worst finding there was."""
        return nearest(max(severity for _, severity in self.rules)) if self.rules else None


@dataclass
class Keeping:
    """Where an audit is put on record, and how many samples it had judged when it was taken up; or why it is not."""

    record: Record | None
    before: int = 0
    why_not: str = ""
    name: str = ""

    def write(self, what: Callable[[Record], None]) -> None:
        """Write, unless that has failed: then the audit goes on without, and what is on record stays."""
        if self.record is None:
            return
        try:
            what(self.record)
        except (LedgerBusy, LedgerBroken) as error:
            self.record, self.why_not = None, _why_not(error)

    @property
    def said(self) -> str:
        if self.record is not None:
            return f"kept in the ledger as audit {self.name}"
        if self.name:
            return f"kept in part as audit {self.name}, which the same command takes up: {self.why_not}"
        return f"not kept: {self.why_not}"


def audit_run(
    run: Path, policy: str, selection: Selection, *, anew: bool, as_json: bool, workers: int
) -> Severity | None:
    """Judge a run's samples again; the worst that was found in them."""
    loaded = load_policy(policy)
    with LedgerReader(run) as reader:
        auditor = Auditor.from_policy(loaded)
        for notice in auditor.notices:
            typer.echo(f"note: {notice}", err=True)
        with Console(stderr=True).status("walking the hash chain"):  # shown on terminals only
            chain = reader.verify()
        keeping = _begun(reader, auditor, selection, chain, anew)
        outcome = _judged_before(reader, keeping)
        total = sum(1 for _ in numbers(reader, selection))
        if not total and (empty := none_selected(reader, LIVE, selection)):
            typer.echo(f"note: {empty}", err=True)
        chunks = _chunks(_left(reader, selection, keeping))
        if workers == 1:
            answers: Iterator[Chunk] = (rejudge(reader, auditor, chunk) for chunk in chunks)
        else:
            answers = spread(((run, chunk) for chunk in chunks), _judge, policy, workers)
        with progress(total, as_json, unit="samples", done=keeping.before) as advance:
            _judge_all(answers, keeping, outcome, as_json, advance)
        if outcome.judged:
            parts = {f"{IN_PART}{notice.partition(';')[0]}": outcome.judged for notice in auditor.notices}
            outcome.left_out.update(parts)
        keeping.write(lambda record: record.end(outcome.left_out))
        _show(reader, outcome, keeping, chain, as_json)
    return outcome.worst


def _begun(reader: LedgerReader, auditor: Auditor, selection: Selection, chain: Verification, anew: bool) -> Keeping:
    """Take up the same audit where it was ended before its time, or begin one."""
    run = reader.run_folder
    policy, lacks = auditor.policy, auditor.notices
    found = None if anew else unfinished(reader, policy, selection.words, lacks)
    try:
        if found is not None and not found.differs:
            earlier = found.audit
            record = Record.take_up(run, earlier)
            again = "are not printed again" if earlier.judged else "were judged"
            typer.echo(
                f"note: audit {earlier.name} is taken up where it ended: {earlier.judged} samples {again}; "
                "--anew begins another",
                err=True,
            )
            return Keeping(record, earlier.judged, name=record.name)
        record = Record.begin(run, policy, selection.words, chain, f"{getpass.getuser()} (command line)", lacks)
        if found is not None:
            left = visible_line(f"audit {found.audit.name} is not finished and stays so: {found.differs}")
            typer.echo(f"note: {left}; audit {record.name} is a new one", err=True)
        return Keeping(record, name=record.name)
    except (LedgerBusy, LedgerBroken) as error:
        return Keeping(None, why_not=_why_not(error))


def _why_not(error: LedgerBusy | LedgerBroken) -> str:
    if isinstance(error, LedgerBusy):
        return "a supervisor is running this run and only it may write"
    return str(error)


def _judged_before(reader: LedgerReader, keeping: Keeping) -> Outcome:
    """What the audit came to when it was taken up."""
    outcome = Outcome()
    if keeping.before:
        for before, after in pairs(reader.judgements(LIVE), reader.judgements(keeping.name)):
            if after is not None:
                found = [(finding.rule, finding.severity) for finding in after.findings]
                apart = before is not None and decided_apart(before.findings)
                outcome.add(after.sample, None if before is None else before.allowed, after.word, found, apart)
    return outcome


def _left(reader: LedgerReader, selection: Selection, keeping: Keeping) -> Iterator[int]:
    """The selected samples that the audit has not judged yet; what it left out is tried again."""
    done = reader.judged(keeping.name) if keeping.before else iter(())
    last = 0
    for number in numbers(reader, selection):
        while last < number:
            last = next(done, 2**63)
        if last != number:
            yield number


def _chunks(samples: Iterator[int]) -> Iterator[list[int]]:
    while chunk := list(islice(samples, _CHUNK)):
        yield chunk


def _judge(work: tuple[Path, list[int]], auditor: Auditor, jail: None) -> Chunk:
    """In a process of its own: read some samples, and judge them."""
    run, chunk = work
    with LedgerReader(run) as reader:
        return rejudge(reader, auditor, chunk)


def _judge_all(
    answers: Iterable[Chunk], keeping: Keeping, outcome: Outcome, as_json: bool, advance: Callable[[int], None]
) -> None:
    try:
        for chunk in answers:
            for judged in chunk.judged:
                outcome.add_judged(judged)
                if as_json:
                    typer.echo(json_text({"id": judged.sample, **verdict_row(judged.verdict)}))
            outcome.left_out.update(chunk.left_out)
            keeping.write(lambda record, judged=chunk.judged: record.keep(judged))  # type: ignore[misc]
            advance(len(chunk.judged) + chunk.left_out.total())
    except BaseException:
        keeping.write(Record.commit)
        if keeping.record is not None:
            typer.echo(f"note: ended before its time; the same command takes audit {keeping.name} up", err=True)
        raise
    keeping.write(Record.commit)


# -- in a terminal ---------------------------------------------------------------------------------------


def _show(reader: LedgerReader, outcome: Outcome, keeping: Keeping, chain: Verification, as_json: bool) -> None:
    """Tables; with ``--json`` only what the rows do not say, and that beside them."""
    if as_json:
        for why, count in outcome.left_out.items():
            typer.echo(f"note: not judged: {count} samples, {visible_line(why)}", err=True)
        typer.echo(f"note: {visible_line(keeping.said, 400)}", err=True)
        return
    console = Console(highlight=False, markup=False)
    walked = f"intact ({chain.rows} rows)" if chain.intact else f"NOT intact: {chain.problem}"
    console.print(visible_line(f"{reader.run_folder}: hash chain {walked}", 400), soft_wrap=True)
    console.print(table("Verdict", "samples", outcome.verdicts.items()))
    rules = ((f"{rule} ({nearest(severity).label})", n) for (rule, severity), n in outcome.rules.most_common(25))
    console.print(table("Rule", "samples", rules, of=outcome.judged))
    if outcome.left_out:
        console.print(table("Not judged", "samples", outcome.left_out.most_common(), of=reader.summary().samples))
    console.print(
        f"{outcome.newly_blocked} samples would now be blocked, {outcome.newly_allowed} would now be allowed; "
        f"{visible_line(keeping.said, 400)}.",
        soft_wrap=True,
    )
    if outcome.apart:
        console.print(
            f"Of those now allowed {outcome.apart} had been blocked for what no policy says: held out, in quarantine, "
            "a person's word, or a fault.",
            soft_wrap=True,
        )
    if outcome.first_blocked:
        console.print(f"first of them: samples {', '.join(map(str, outcome.first_blocked))}")
