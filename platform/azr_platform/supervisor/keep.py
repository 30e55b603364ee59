"""A log of somebody's kept as a ledger of its own, so that everything asked of a run can be asked of it.

```
log ─► cases ─► judged ─► LogKeeper.add ─► the ledger's rows, some at a time ─► tui, search, review, report, audit …
           what could not be read ─► LogKeeper.finish ─► notices, left_out ────┘
```
The folder is made anew and is nobody else's. What the log does not say is left empty: no phase, no role, no tokens.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from azr_monitor.policy import Policy
from azr_monitor.records import Action
from azr_platform import __version__
from azr_platform.ledger.judgements import LIVE, OF_LOG
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.logs.records import Entry, Place
from azr_platform.supervisor.amendments import begin
from azr_platform.supervisor.posthoc import Judged
from azr_platform.supervisor.rows import add_judgement, alert_of, alert_row

_BRANCH: Final = 1
_LAST_STEP: Final = 2**31 - 1
_AT_ONCE: Final = 1000


class Kept(NamedTuple):
    """A case of a log, where it stood, and what was made of it."""

    place: Place
    entry: Entry
    judged: Judged


class LogKeeper:
    """Writes one log into one new ledger; used in a ``with`` block, at whose end the record says how it ended.

    Raises:
        FileExistsError: something is in the place of the folder.
        LedgerBroken: see LedgerWriter.
    """

    def __init__(self, folder: Path, source: Path, policy: Policy, *, ran: bool) -> None:
        """``source`` is where the log lies; ``ran`` says whether its programs are run."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._writer = LedgerWriter(folder)
        self._finished = False
        try:
            self._begin(source, policy, ran)
        except BaseException:
            self._writer.close()
            raise

    def _begin(self, source: Path, policy: Policy, ran: bool) -> None:
        now = time.time()
        with self._writer.batch() as batch:
            batch.add(
                "run",
                {
                    "name": self._folder.resolve().name,
                    "created_at": now,
                    "version": __version__,
                    "seed": 0,
                    "steps": 0,  # nobody knows how many there were to be
                    "config": _origin(source, ran),
                },
            )
            batch.add("branches", {"created_at": now, "parent": None, "from_step": 0, "reason": "start"})
            batch.add("states", {"time": now, "state": "running", "where_at": f"reading {source}", "reason": ""})
        with LedgerReader(self._folder) as reader:
            begin(reader, self._writer, policy, _BRANCH, 0)

    @property
    def head(self) -> str:
        """The newest row's digest, to be noted elsewhere."""
        return self._writer.head

    def add(self, cases: Iterable[Kept]) -> None:
        """Commit some cases together."""
        with self._writer.batch() as batch:
            for case in cases:
                _add(batch, case)

    def finish(self, notices: Iterable[str], left_out: Mapping[str, int]) -> None:
        """Put on record how the log was read, what was left out, by reason, the steps, and that this is all."""
        now = time.time()
        with self._writer.batch() as batch:
            for message in notices:
                batch.add("notices", {"time": now, "source": OF_LOG, "message": message})
            batch.add("audit_ends", {"time": now, "audit": LIVE, "left_out": json.dumps(left_out)})
        self._add_steps()
        self._state("finished", "the log is read to its end")
        self._writer.note_head("the end of the log")
        self._finished = True

    def _add_steps(self) -> None:
        """The steps that the log tells of, each with its counts. A step may come back anywhere in a log, so they are
        counted when all of it is on record."""
        now = time.time()
        with LedgerReader(self._folder) as reader:
            counts = reader.step_counts(_BRANCH)
            while some := [counted for _, counted in zip(range(_AT_ONCE), counts, strict=False)]:
                with self._writer.batch() as batch:
                    for step, samples, blocked, reward in some:
                        place = {"branch": _BRANCH, "step": step}
                        batch.add("steps", {**place, "started_at": now, "seconds": None})
                        values = {"samples": samples, "blocked": blocked, "oversight/blocked": blocked / samples}
                        if reward is not None:
                            values["reward/mean"] = reward
                        for name, value in values.items():
                            batch.add("metrics", {**place, "name": name, "value": value})

    def _state(self, state: str, reason: str) -> None:
        row = {"time": time.time(), "state": state, "where_at": "", "reason": reason}
        self._writer.append("states", row)

    def __enter__(self) -> LogKeeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        try:
            if not self._finished:
                self._state("failed", f"the log was not read to its end{f' ({kind.__name__})' if kind else ''}")
        finally:
            self._writer.close()


def _origin(source: Path, ran: bool) -> str:
    """Where the ledger comes from, in the place of a run's configuration and in its form, TOML."""
    path = str(source.absolute()).encode("utf-8", "backslashreplace").decode()
    return f"[log]\nsource = {json.dumps(path)}\nprograms_run = {json.dumps(ran)}\n"


def _add(batch: Batch, case: Kept) -> None:
    entry, judged = case.entry, case.judged
    subject, verdict = judged.case.subject, judged.verdict
    step = entry.step if entry.step is not None and 0 <= entry.step <= _LAST_STEP else 0
    number = batch.add(
        "samples",
        {
            "time": time.time(),
            "branch": _BRANCH,
            "step": step,
            "phase": subject.phase,
            "role": subject.role,
            "kind": subject.kind,
            "uid": f"{case.place} {entry.id}" if entry.id else str(case.place),
            "task": None,
            "prompt": entry.prompt,
            "response": entry.response or _as_one(entry),
            # Exactly the texts that were judged: the spans of findings count in them.
            "reasoning": subject.trace,
            "program": subject.program,
            "input": subject.text("input"),
            "message": subject.message,
            "answer": subject.answer,
            "tokens": 0,
            "well_formed": True,
            "correct": _correct(judged.agrees),
            "outcome": judged.outcome or None,
            "problem": "",
        },
    )
    request = judged.case.request
    add_judgement(batch, number, verdict, judged.executions, request.inputs if request is not None else ())
    if entry.reward is not None:
        advantage = entry.extra.get("advantage")
        batch.add(
            "rewards",
            {
                "sample": number,
                "branch": _BRANCH,
                "step": step,
                "reward": entry.reward,
                "advantage": advantage if isinstance(advantage, float) else None,
                "trained": entry.step is not None,  # a log of training counts steps, one of an evaluation does not
            },
        )
    if verdict.action >= Action.ALERT:
        batch.add("alerts", alert_row(alert_of(verdict, step), _BRANCH, number))


def _as_one(entry: Entry) -> str:
    """What the model wrote as one text, where the log has its parts only."""
    blocks = [("python", entry.program), *(("input", text) for text in entry.inputs), ("message", entry.message)]
    fenced = [f"```{name}\n{text}\n```" for name, text in blocks if text]
    return "\n\n".join(filter(None, (entry.trace, *fenced)))


def _correct(agrees: Sequence[bool | None]) -> bool | None:
    """Whether what ran gave what the log says; None where nothing could be compared."""
    known = [one for one in agrees if one is not None]
    return all(known) if known else None
