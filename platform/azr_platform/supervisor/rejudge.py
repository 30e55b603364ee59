"""Judge a run's samples again, and put what comes of it on record as an audit of its own; nothing is overwritten.

```
samples ─► less those on record ─► some at a time, here or in several processes ─► Record ─► the ledger's audits
```
An audit has a beginning and an end on record. Nothing is held between two commits, so a supervisor may take the run up
meanwhile; an audit that was ended before its time is taken up by the next that asks for the same.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from azr_monitor.policy import Policy
from azr_monitor.records import Verdict
from azr_platform import __version__
from azr_platform.ledger.chain import Verification
from azr_platform.ledger.judgements import AuditRow
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow, SampleDetail
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.decisions import subject_of
from azr_platform.supervisor.gate import Judge
from azr_sandbox.execution import Execution, Outcome

_APART: Final = ("supervisor.", "review.")
"""Rules that no policy has: what they say does not come again when the texts are judged again."""
_HELD_SECONDS: Final = 2.0
"""So much work is lost at most when an audit is killed."""


class Rejudged(NamedTuple):
    """A sample of a run, whether it was allowed, and the verdict it has under the policy at hand.

    ``apart`` says that the old one was not the policy's alone: held out, in quarantine, a person's word, or a fault.
    """

    sample: int
    before: bool | None
    verdict: Verdict
    apart: bool = False


class Chunk(NamedTuple):
    """Some samples judged again, and why others were not."""

    judged: list[Rejudged]
    left_out: Counter[str]


def rejudge(reader: LedgerReader, judge: Judge, numbers: Sequence[int]) -> Chunk:
    """Judge samples again, with the executions on record; nothing is run."""
    left_out: Counter[str] = Counter()
    details = reader.details(numbers)
    if len(details) < len(numbers):
        left_out["not in the ledger"] += len(numbers) - len(details)
    whole = []
    for detail in details:
        if problem := _unreadable(detail):
            left_out[problem] += 1
        else:
            whole.append(detail)
    judged = [
        Rejudged(
            detail.sample.id,
            None if detail.verdict is None else bool(detail.verdict.allowed),
            verdict,
            decided_apart(detail.findings),
        )
        for detail, verdict in zip(whole, verdicts(judge, whole), strict=True)
    ]
    return Chunk(judged, left_out)


def verdicts(judge: Judge, details: Sequence[SampleDetail]) -> list[Verdict]:
    """What a judge makes of samples on record, and of how their programs behaved."""
    subjects = [subject_of(detail) for detail in details]
    return [
        judge.conclude(subject, verdict, executions_of(detail)) if detail.executions else verdict
        for detail, subject, verdict in zip(details, subjects, judge.inspect(subjects), strict=True)
    ]


def executions_of(detail: SampleDetail) -> list[Execution]:
    """What the jail reported of a sample, as it is on record."""
    return [
        Execution(Outcome(row.outcome), row.value, row.detail, row.cpu_ms, row.wall_ms, row.memory_kb)
        for row in detail.executions
    ]


def decided_apart(findings: Sequence[FindingRow]) -> bool:
    """Whether a verdict was not the policy's alone."""
    return any(finding.rule.startswith(_APART) for finding in findings)


_OUTCOMES: Final = frozenset(outcome.value for outcome in Outcome)


def _unreadable(detail: SampleDetail) -> str:
    """Why a sample cannot be judged: other programs write ledgers, too. Empty for one that can be."""
    texts = (detail.program, detail.reasoning, detail.input, detail.message, detail.answer)
    if not all(isinstance(text, str) for text in (*texts, detail.sample.role, detail.sample.kind)):
        return "its texts are no texts"
    if any(row.outcome not in _OUTCOMES for row in detail.executions):
        return "how its program ran is told in words unknown here"
    return ""


# -- on record -------------------------------------------------------------------------------------------


class Record:
    """An audit that is being put on record.

    Raises, whenever it writes:
        LedgerBusy: a supervisor runs the run.
        LedgerBroken: the ledger cannot be written.
    """

    def __init__(self, run: Path, audit: AuditRow) -> None:
        self.name = audit.name
        self._run = run
        self._policy = f"{audit.policy} {audit.fingerprint}"
        self._held: list[Rejudged] = []
        self._since = time.monotonic()

    @classmethod
    def begin(
        cls, run: Path, policy: Policy, selection: str, chain: Verification, who: str, lacks: Sequence[str] = ()
    ) -> Record:
        """Begin an audit under a name of its own. ``selection``: which samples, in words of the command line.
        ``lacks``: what the policy asks for and this machine has not, a line each."""
        now = time.time()
        with LedgerWriter(run) as writer, LedgerReader(run) as reader:
            name = _name(now, {row.name for row in reader.audits()})
            row = {
                "time": now,
                "audit": name,
                "policy": policy.name,
                "fingerprint": policy.fingerprint(),
                "settings": policy.model_dump_json(),
                "selection": selection,
                "version": __version__,
                "head": chain.head,
                "rows": chain.rows,
                "who": who,
            }
            with writer.batch() as batch:
                batch.add("audit_starts", row)
                for line in lacks:
                    batch.add("notices", {"time": now, "source": _source(name), "message": line})
        return cls(run, AuditRow(name, now, None, policy.name, policy.fingerprint()))

    @classmethod
    def take_up(cls, run: Path, audit: AuditRow) -> Record:
        """Go on with an audit that was ended before its time."""
        LedgerWriter(run).close()  # whoever cannot write is told before anything is judged
        return cls(run, audit)

    def keep(self, judged: Sequence[Rejudged]) -> None:
        """Put verdicts on record, together with the next ones if they come soon."""
        self._held += judged
        if time.monotonic() - self._since >= _HELD_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Put on record what is held."""
        now = time.time()
        if self._held:
            with LedgerWriter(self._run) as writer, writer.batch() as batch:
                for judged in self._held:
                    batch.add("audits", {"time": now, "audit": self.name, "policy": self._policy, **_row(judged)})
        self._held, self._since = [], time.monotonic()

    def end(self, left_out: Mapping[str, int]) -> None:
        """Everything that was asked for is judged, but for what was left out, counted by the reason."""
        self.commit()
        with LedgerWriter(self._run) as writer:
            writer.append("audit_ends", {"time": time.time(), "audit": self.name, "left_out": json.dumps(left_out)})


class Unfinished(NamedTuple):
    """An audit of the same samples that was ended before its time, and why it is not to be taken up; empty if it is."""

    audit: AuditRow
    differs: str


def unfinished(reader: LedgerReader, policy: Policy, selection: str, lacks: Sequence[str] = ()) -> Unfinished | None:
    """The newest audit of the same samples under the same policy that was ended before its time.

    All of an audit must be of the same judges: it is to be taken up only where the policy with its rules, the
    classifiers that can be used and the version are what they were. One that is not is named once: not after a later.
    """
    rows = [row for row in reader.audits() if (row.policy, row.selection) == (policy.name, selection)]
    found = [Unfinished(row, _differs(reader, row, policy, lacks)) for row in rows if row.ended_at is None]
    taken_up = [one for one in found if not one.differs]
    if taken_up:
        return taken_up[-1]
    return found[-1] if found and found[-1].audit is rows[-1] else None


def _differs(reader: LedgerReader, audit: AuditRow, policy: Policy, lacks: Sequence[str]) -> str:
    """What judged then and would not now; empty where there is no difference."""
    if audit.version != __version__:
        return f"version {audit.version} began it, and this is {__version__}"
    if audit.fingerprint != policy.fingerprint():
        return "the policy had other settings or rules"
    before = reader.notices_page(source=_source(audit.name), oldest_first=True)
    if [row.message for row in before] != list(lacks):
        return "other classifiers were at hand"
    return ""


def _source(audit: str) -> str:
    """Under which notices say what an audit lacks."""
    return f"audit {audit}"


def _name(now: float, taken: set[str]) -> str:
    """The time of day, and a number where an audit began in the same second."""
    name = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _row(judged: Rejudged) -> dict[str, object]:
    verdict = judged.verdict
    return {
        "sample": judged.sample,
        "allowed": verdict.allowed,
        "severity": verdict.severity,
        "score": verdict.score,
        "findings": json.dumps([[f.rule, int(f.severity), f.part, f.span, f.why] for f in verdict.findings]),
        "reason": verdict.reason,
    }
