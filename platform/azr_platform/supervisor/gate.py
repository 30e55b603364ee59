"""Every sample passes here before anything may use it.

```
Review ─► parse ─► monitor: program AND trace ─► blocked? nothing runs
                                              ─► jail: proposals, answers ─► monitor: behaviour ─► verdict
       ◄─ Reviewed ◄─ ledger rows committed ◄─────────────────────────────────────────────────────╛
```
Fail closed: whatever part fails, its samples are blocked, and an alert says which part it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

import msgspec

from azr_monitor.records import Action, Severity, Subject, Verdict
from azr_platform.channel.messages import Changes, Judgement, Review, Reviewed, Submission
from azr_platform.config.schema import Config
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Role, Task
from azr_platform.supervisor.decisions import NOTHING_DECIDED, Decisions, with_behaviour
from azr_platform.supervisor.draft import Draft, take_votes
from azr_platform.supervisor.heldout import held_out_programs, key
from azr_platform.supervisor.problems import is_labelled
from azr_platform.supervisor.rows import RaisedAlert, add_rows, alert_of, alert_row
from azr_platform.tasks import check, composite
from azr_platform.tasks.kinds import Block, task_kind
from azr_platform.tasks.parse import Parsed, parse_response
from azr_sandbox.execution import Execution, Request
from azr_sandbox.jail import Jail


class Judge(Protocol):
    """What the gate needs of a monitor; `azr_monitor.audit.Auditor` is the real one."""

    def inspect(self, subjects: Sequence[Subject], step: int | None = None) -> list[Verdict]: ...

    def conclude(self, subject: Subject, verdict: Verdict, executions: Sequence[Execution]) -> Verdict: ...


@dataclass
class Judged:
    """A batch that is judged but not yet recorded."""

    review: Review
    drafts: list[Draft] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("monitors", "jail"), 0.0))
    """How long each part took over the batch."""
    programs: int = 0
    """Programs handed to the jail."""

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] += time.monotonic() - started


class Gate:
    """Judges batches (slow) and records them (short), so that each can have a thread of its own."""

    def __init__(
        self,
        judge: Judge,
        jail: Jail,
        inputs_wanted: int,
        tasks: Sequence[Task] = (),
        *,
        vote: float | None = None,
        held_out: frozenset[str] = frozenset(),
    ) -> None:
        """``vote``: no truth is known; what at least this share of the answers agrees on says what is right.
        ``held_out``: the keys (`program_key`) of programs that the run must not learn from."""
        self._judge = judge
        self._jail = jail
        self._inputs_wanted = inputs_wanted
        self._vote = vote
        self._held_out = held_out
        self._changes = Changes()
        self._decisions = NOTHING_DECIDED
        # The supervisor's own record of every task: a trainer cannot bring a gold answer of its own.
        self._tasks = {task.id: task for task in tasks}

    @classmethod
    def of_run(cls, config: Config, judge: Judge, jail: Jail, tasks: Sequence[Task]) -> Gate:
        """The gate that a run's configuration asks for, over the tasks that are on its record."""
        vote = None if is_labelled(config) else config.problems.least_share
        held_out = held_out_programs(config.tasks.held_out)
        return cls(judge, jail, config.tasks.inputs, tasks, vote=vote, held_out=held_out)

    def change(self, changes: Changes) -> None:
        """Keep to what a branch changes: what is in quarantine is neither taken nor asked again."""
        self._changes = changes

    def heed(self, decisions: Decisions) -> None:
        """Keep to what people have decided about texts."""
        self._decisions = decisions

    @property
    def tasks(self) -> list[Task]:
        """Every task on record, oldest first."""
        return list(self._tasks.values())

    def judge(self, review: Review) -> Judged:
        """Monitor, run and judge a batch. Never raises for what a model wrote or a part failed at."""
        judged = Judged(review)
        written = [
            parse_response(sample.response, sample.role, sample.kind, inputs_wanted=self._inputs_wanted)
            for sample in review.samples
        ]
        built = [self._built(sample, p) for sample, p in zip(review.samples, written, strict=True)]
        subjects = [
            _subject(sample, p, review.phase.value) for sample, (p, _) in zip(review.samples, built, strict=True)
        ]
        try:
            with judged.timed("monitors"):
                verdicts = self._judge.inspect(subjects, review.step)
            if len(verdicts) != len(subjects):
                raise RuntimeError(f"{len(verdicts)} verdicts on {len(subjects)} samples")
            failure = ""
        except Exception as error:  # the monitor runs on hostile text: whatever it raises must block, not escape
            failure = f"{type(error).__name__}: {error}"
            verdicts = [Verdict(False, Action.DROP, Severity.HIGH, 1.0)] * len(subjects)
            judged.failures.append(f"monitor failed: {failure}")
        for sample, own, (p, misbuilt), subject, verdict in zip(
            review.samples, written, built, subjects, verdicts, strict=True
        ):
            task = self._tasks.get(sample.task)
            draft = Draft(sample, p, subject, verdict, task, problem=p.problem, misbuilt=misbuilt)
            if failure:
                draft.block("monitor", failure)
            elif (decision := self._decisions.of(subject, review.step)) is not None:
                draft.heed(decision)
            self._withhold(draft, {own.program, p.program, task.program if task is not None else ""} - {""})
            judged.drafts.append(draft)
        self._run(judged)
        with judged.timed("monitors"):
            self._conclude(judged)
        if self._vote is not None:
            try:
                take_votes(judged.drafts, self._vote)
            except Exception as error:
                judged.failures.append(f"vote failed: {type(error).__name__}: {error}")
                for draft in judged.drafts:
                    draft.block("vote", f"{type(error).__name__}: {error}")
        return judged

    def _withhold(self, draft: Draft, programs: set[str]) -> None:
        """Refuse a sample that is about a program, or a task, which the run must not learn from."""
        if not (self._held_out or self._changes.tasks or self._changes.programs):
            return
        keys = {key(program) for program in programs}
        if keys & self._held_out:
            draft.withhold("supervisor.held-out", "held out: the run must not learn from this program")
        elif keys & self._changes.programs or draft.submission.task in self._changes.tasks:
            draft.withhold("supervisor.quarantine", "in quarantine since a rollback")

    def _built(self, sample: Submission, parsed: Parsed) -> tuple[Parsed, str]:
        """A proposal that was given functions, with them in front of its program; and why it does not build on them.

        The functions are those of tasks on record: a trainer cannot bring a definition of its own.
        """
        if not (sample.functions and parsed.program and sample.role is Role.PROPOSE):
            return parsed, ""
        tasks = [self._tasks.get(task) for task in sample.functions]
        program, problem = composite.build(parsed.program, [task.program if task else "" for task in tasks])
        return msgspec.structs.replace(parsed, program=program), problem

    def _run(self, judged: Judged) -> None:
        for draft in judged.drafts:
            if draft.verdict.allowed and draft.parsed.well_formed:
                draft.request, draft.problem = _request(draft, voted=self._vote is not None)
        wanted = [draft for draft in judged.drafts if draft.request is not None]
        # The same answer to the same task runs once, however often it was sampled.
        unique = list({draft.request: None for draft in wanted if draft.request is not None})
        judged.programs = len(unique)
        try:
            with judged.timed("jail"):
                results = dict(zip(unique, self._jail.run(unique), strict=True)) if unique else {}
        except Exception as error:
            judged.failures.append(f"jail failed: {type(error).__name__}: {error}")
            for draft in wanted:
                draft.block("jail", f"{type(error).__name__}: {error}")
            return
        for draft in wanted:
            assert draft.request is not None
            draft.executions = results[draft.request]

    def _conclude(self, judged: Judged) -> None:
        for draft in judged.drafts:
            if not (draft.verdict.allowed and draft.parsed.well_formed):
                continue
            try:
                draft.verdict = self._concluded(draft)
                if draft.verdict.allowed:
                    _judge_result(draft, voted=self._vote is not None)
            except Exception as error:
                judged.failures.append(f"monitor failed: {type(error).__name__}: {error}")
                draft.block("monitor", f"{type(error).__name__}: {error}")

    def _concluded(self, draft: Draft) -> Verdict:
        """The verdict with what the program did in the jail, which no person's word on its text lifts."""
        if not draft.heeded:
            return self._judge.conclude(draft.subject, draft.verdict, draft.executions)
        nothing = Verdict(True, Action.RECORD, Severity.INFO, 0.0)
        return with_behaviour(draft.verdict, self._judge.conclude(draft.subject, nothing, draft.executions))

    def record(self, judged: Judged, writer: LedgerWriter, branch: int) -> tuple[Reviewed, list[RaisedAlert]]:
        """Commit every row of the batch, then make the reply.

        Raises:
            LedgerBroken: nothing was recorded; the batch must not be used.
        """
        started, step = time.monotonic(), judged.review.step
        alerts: list[RaisedAlert] = []
        judgements = []
        with writer.batch() as batch:
            for failure in dict.fromkeys(judged.failures):
                alerts.append(RaisedAlert(Severity.HIGH, Action.ALERT, "supervisor.failure", failure[:500], step))
                batch.add("alerts", alert_row(alerts[-1], branch, None))
            for draft in judged.drafts:
                number = add_rows(batch, draft, judged.review, branch)
                if draft.verdict.action >= Action.ALERT and draft.alerts:
                    alerts.append(alert_of(draft.verdict, step))
                    batch.add("alerts", alert_row(alerts[-1], branch, number))
                judgements.append(_judgement(draft, number))
        for draft in judged.drafts:
            if draft.new_task is not None:
                self._tasks.setdefault(draft.new_task.id, draft.new_task)
        seconds = {**judged.seconds, "ledger": time.monotonic() - started}
        return Reviewed(judgements=judgements, seconds=seconds), alerts


def blocked_reply(review: Review, reason: str) -> Reviewed:
    """What the trainer gets when nothing could be recorded: every sample blocked, none with a ledger row."""
    return Reviewed(
        judgements=[
            Judgement(uid=sample.uid, sample=0, allowed=False, well_formed=False, outcome="blocked", reason=reason)
            for sample in review.samples
        ]
    )


def _subject(sample: Submission, parsed: Parsed, phase: str) -> Subject:
    return Subject(
        id=sample.uid,
        program=parsed.program,
        trace=f"{parsed.reasoning}\n{parsed.prose}" if parsed.prose else parsed.reasoning,
        inputs=parsed.inputs,
        message=parsed.message,
        answer=parsed.output,
        role=sample.role.value,
        kind=sample.kind.value,
        phase=phase,
    )


def _request(draft: Draft, *, voted: bool) -> tuple[Request | None, str]:
    """(what to run, why nothing can be)."""
    sample, parsed = draft.submission, draft.parsed
    if sample.role is Role.PROPOSE:
        if not task_kind(sample.kind).proposed:
            return None, f"a {sample.kind.value} is never proposed"
        if draft.task is None and (sample.task or not task_kind(sample.kind).writes_program):
            return None, f"no task {sample.task} is on record"
        if draft.misbuilt:
            return None, draft.misbuilt
        return check.validation_request(sample.kind, parsed, draft.task), ""
    if draft.task is None or draft.task.kind is not sample.kind:
        return None, f"no {sample.kind.value} task {sample.task} is on record"
    problem = check.answer_problem(draft.task, parsed)
    if voted and task_kind(draft.task.kind).asked is Block.INPUT:
        return None, problem  # the input itself is the vote: whether it leads to the output is not looked at
    return check.answer_request(draft.task, parsed), problem


def _judge_result(draft: Draft, *, voted: bool) -> None:
    sample = draft.submission
    if draft.problem:
        return
    if sample.role is Role.PROPOSE:
        draft.problem = check.proposal_problem(sample.kind, draft.parsed, draft.executions)
        if not draft.problem:
            task = check.task_from("", sample.kind, draft.parsed, draft.executions, draft.task)
            draft.new_task = Task(
                id=task_id(task),
                kind=task.kind,
                program=task.program,
                inputs=task.inputs,
                outputs=task.outputs,
                shown=task.shown,
                message=task.message,
            )
            draft.valid = True
    elif not voted:
        assert draft.task is not None
        draft.correct = check.is_correct(draft.task, draft.parsed, draft.executions)


def task_id(task: Task) -> str:
    """A name from the content, so that the same task proposed twice is one task."""
    content = json.dumps([task.kind.value, task.program, task.inputs, task.message])
    return blake2b(content.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _judgement(draft: Draft, number: int) -> Judgement:
    return Judgement(
        uid=draft.submission.uid,
        sample=number,
        allowed=draft.verdict.allowed,
        well_formed=draft.parsed.well_formed,
        valid=draft.valid,
        correct=draft.correct,
        # Nobody has said yet whether a held sample is bad: it teaches nothing, not even by punishment.
        decided=draft.decided and not draft.held_out and draft.verdict.action is not Action.HOLD,
        outcome=draft.outcome,
        reason=draft.verdict.reason,
        problem=draft.problem,
        task=draft.new_task,
    )
