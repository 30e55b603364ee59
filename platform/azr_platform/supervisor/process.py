"""The supervisor of one run: starts the trainer, answers it, obeys the operator, and records everything.

```
states: starting → running ⇄ pausing / paused → rolling back → running;  stopping → stopped;  finished;  failed
```
One asyncio loop. Judging (slow) and recording (short) each have a thread of their own, so that a command is
recorded and answered while a batch is still in the jail. A pause is an answer to ``SafePoint`` that waits.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from azr_monitor.records import FAILURE, Severity
from azr_monitor.records import Action as Act
from azr_platform.channel.messages import (
    Action,
    Beat,
    Command,
    Crashed,
    Draw,
    Drawn,
    Finished,
    FromTrainer,
    Go,
    Halt,
    Hello,
    Noted,
    Notice,
    Outcome,
    Review,
    RollBack,
    SafePoint,
    Saved,
    Status,
    StepDone,
    ToTrainer,
    Welcome,
)
from azr_platform.channel.peer import Peer
from azr_platform.channel.server import ControlServer
from azr_platform.channel.wire import Disconnected, WireError
from azr_platform.config.schema import Config
from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.amendments import Standing
from azr_platform.supervisor.child import TRAINER, TrainerChild
from azr_platform.supervisor.gate import Gate, blocked_reply
from azr_platform.supervisor.load import LoadMeter
from azr_platform.supervisor.observer import Guarded, Observer
from azr_platform.supervisor.problems import Desk
from azr_platform.supervisor.quarantine import Order, fresh_seed
from azr_platform.supervisor.recorder import Recorder
from azr_platform.supervisor.retention import no_room, sweep, tidy
from azr_platform.supervisor.rows import RaisedAlert
from azr_platform.supervisor.rulings import Rulings
from azr_platform.supervisor.runfolder import (
    Continuation,
    arguments_of,
    continuation,
    make_private,
    open_branch,
    order_of,
    standing_pause,
    warnings_of,
)
from azr_platform.supervisor.warden import WHO, Stance, Warden, arguments
from azr_platform.supervisor.watch import Recorded

# A trainer that does not say Hello within this many seconds (imports on a cold disk) never will.
HELLO_SECONDS = 180.0
# A part that failed in so many reviews in a row is broken, not unlucky: the run pauses, whatever the policy.
PERSISTENT_FAILURES = 3


class Supervisor:
    """Runs one run to its end, a stop, or a failure. The caller owns writer, judge and jail, and closes them."""

    def __init__(
        self,
        run: Path,
        config: Config,
        writer: LedgerWriter,
        gate: Gate,
        *,
        stance: Stance | None = None,
        standing: Standing | None = None,
        notices: Sequence[str] = (),
        observer: Observer | None = None,
        trainer: Sequence[str] = TRAINER,
    ) -> None:
        """``trainer`` is the command that starts a trainer; ``--run`` and ``--fd`` are appended to it.
        ``standing`` is the gate's judge where the policy may be changed while the run goes on."""
        self._run = run
        self._config = config
        self._writer = writer
        self._gate = gate
        self._desk = Desk(config, gate.tasks)
        self._standing = standing
        self._warden = Warden(run, stance or Stance())
        self._notices = [*notices, *warnings_of(config)]
        self._observer = Guarded(observer or Observer())
        self._trainer = trainer
        self._judging = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._records = Recorder(writer, self._observer, lambda: bool(self._stop))
        self._rulings = Rulings(run, writer, gate, standing, self._records)
        self._state, self._where, self._reason = "starting", "", ""
        self._beat, self._beat_at = Beat(step=0, where="starting"), time.monotonic()
        self._at = Continuation(1, 0, "")
        self._pause = ""  # why a pause is wanted; empty when none is
        self._stop = ""
        self._rollback: Order | None = None
        self._final = ""  # the state the run ends in, as soon as nothing can change it
        self._changed = asyncio.Event()
        self._lost: Exception | None = None  # why the trainer is not heard any more
        self._background: set[asyncio.Task[None]] = set()
        self._child: TrainerChild | None = None
        self._error = ""
        self._restarts = 0
        self._load = LoadMeter()
        self._failing = 0  # reviews in a row in which a part of the supervisor failed

    # -- life --------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Returns the exit status: 0 finished or stopped as asked, 1 failed.

        Raises:
            SocketOccupied: another supervisor listens for this run.
        """
        server = ControlServer(self._run, self.command, self.status)
        await server.start()
        try:
            for notice in [*make_private(self._run), *self._notices]:
                await self._records.notice("supervisor", notice)
            for trouble in await self._records.write(lambda: sweep(self._run)):
                await self._records.notice("supervisor", trouble)
            self._pause = await self._records.write(lambda: standing_pause(self._run))
            if self._pause:
                await self._records.notice(
                    "supervisor", f"still paused; `azr-platform resume {self._run}` lets it go on"
                )
            await self._go_on(await self._records.write(lambda: continuation(self._run, self._writer, "resumed")))
            await self._begin_policy()
            while True:
                ended = await self._supervise_one()
                if ended:
                    return 0 if ended != "failed" else 1
        finally:
            await server.close()
            await asyncio.gather(*self._background, return_exceptions=True)
            self._judging.shutdown()
            self._records.close()

    async def _go_on(self, at: Continuation) -> None:
        """The run goes on from there, with what the branch changes."""
        self._gate.change(at.changes)
        self._desk.change(at.changes)
        self._at = at
        await self._rulings.branch(at.branch, at.step)
        await self._records.write(self._warden.begin)
        self._observer.branch(at.branch, at.step)

    async def _begin_policy(self) -> None:
        standing, at = self._standing, self._at
        if standing is not None:
            for line in await self._records.write(lambda: standing.begin(self._writer, at.branch, at.step)):
                await self._records.notice("supervisor", line)

    async def _supervise_one(self) -> str:
        """One trainer's life; returns the final state, or nothing when another trainer should be started."""
        self._lost, self._error = None, ""
        await self._set_state("starting", "", self._reason)
        self._beat, self._beat_at = Beat(step=self._at.step, where="starting"), time.monotonic()
        self._child = child = await TrainerChild.start(self._run, self._trainer)
        final = ""
        try:
            final = await self._converse(child)
        except (Disconnected, TimeoutError):
            pass  # how it ended says more, or `_read` has said it
        except WireError as error:
            self._error = self._error or str(error)
            child.kill()
        except LedgerBroken as error:
            self._observer.notice(str(error))
            child.kill()
            await child.end()
            return "failed"
        except BaseException:
            # A bug, or this task is cancelled: no trainer goes on without its supervisor.
            child.kill()
            await child.end()
            raise
        status = await child.end()
        self._child = None
        self._load.left()
        if final:
            await self._set_state(final, "", self._stop)
            return final
        return await self._after_crash(status)

    async def _after_crash(self, status: int) -> str:
        word = (
            f"the trainer ended with status {status}" if status >= 0 else f"the trainer was killed (signal {-status})"
        )
        if status == -signal.SIGKILL and not self._error:
            word += ", as the system does when memory runs out; see dmesg"
        why = f"{word}: {self._error}" if self._error else word
        await self._records.alert(
            self._at.branch, RaisedAlert(Severity.HIGH, Act.ALERT, "supervisor.trainer", why, self._beat.step)
        )
        if self._stop:
            await self._set_state("stopped", "", f"{self._stop}; {why}")
            return "stopped"
        if self._restarts >= self._config.supervisor.max_restarts:
            await self._set_state("failed", "", f"{why}; {self._restarts} restarts did not help")
            return "failed"
        self._restarts += 1
        await self._go_on(await self._records.write(lambda: continuation(self._run, self._writer, f"recovery: {why}")))
        await self._records.notice(
            "supervisor",
            f"{why}; restart {self._restarts} of {self._config.supervisor.max_restarts} from step {self._at.step}",
        )
        return ""

    async def _converse(self, child: TrainerChild) -> str:
        """Answer the trainer until it is done; beats are read even while an answer waits."""
        inbox: asyncio.Queue[FromTrainer | Exception] = asyncio.Queue()
        reading = asyncio.create_task(self._read(child, inbox))
        try:
            while True:
                message = await inbox.get()
                if isinstance(message, Exception):
                    raise message
                reply = await self._answer(message)
                for trouble in self._observer.troubles():
                    await self._records.notice(trouble.partition(".")[0], trouble)
                if reply is not None:
                    await child.wire.send(reply)
                if isinstance(reply, Halt):
                    # The trainer may still save a checkpoint; then it hangs up.
                    return await self._drain(child, inbox)
                if isinstance(message, Finished):
                    return self._final
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _drain(self, child: TrainerChild, inbox: asyncio.Queue[FromTrainer | Exception]) -> str:
        """What a halted trainer still has to say; nothing is returned when it failed at its last act."""
        while True:
            message = await inbox.get()
            if isinstance(message, Disconnected):
                return "" if self._error else "stopped"
            if isinstance(message, Exception):
                raise message
            reply = await self._answer(message)
            if reply is not None:
                await child.wire.send(reply)

    async def _read(self, child: TrainerChild, inbox: asyncio.Queue[FromTrainer | Exception]) -> None:
        timeout = HELLO_SECONDS
        try:
            while True:
                message = await asyncio.wait_for(child.wire.receive(), timeout)
                timeout = self._config.supervisor.beat_timeout_seconds
                self._beat_at = time.monotonic()
                if isinstance(message, Beat):
                    self._beat = message
                    self._observer.beat(message.step, message.where, message.done, message.total)
                else:
                    if isinstance(message, Review):
                        self._load.arrived(len(message.samples))
                    await inbox.put(message)
        except Exception as error:  # whatever it is must reach `_converse`, or nobody would ever answer again
            if not isinstance(error, Disconnected):
                silent = isinstance(error, TimeoutError)
                self._error = f"no sign of life for {timeout:.0f} s" if silent else str(error)
                # At once: an answer may be stuck on its way to a trainer that reads no more.
                child.kill()
            self._lost = error
            self._changed.set()
            await inbox.put(error)

    # -- the trainer's questions -------------------------------------------------------------------------

    async def _answer(self, message: FromTrainer) -> ToTrainer | None:
        match message:
            case Hello():
                state = "stopping" if self._stop else "pausing" if self._pause else "running"
                await self._set_state(state, "", self._stop or self._pause)
                return Welcome(branch=self._at.branch, checkpoint=self._at.checkpoint, changes=self._at.changes)
            case Draw():
                return Drawn(problems=self._desk.draw(message.step))
            case Review():
                return await self._review(message)
            case SafePoint():
                return await self._safe_point(message)
            case StepDone():
                # Once, as asking begins the counts anew: a ledger that fails has the step recorded again.
                load = self._load.metrics(self._child.pid if self._child is not None else None)
                done = msgspec.structs.replace(message, metrics={**message.metrics, **load})
                recorded = await self._records.write(lambda: self._record_step(done))
                self._observer.step(message.step, self._config.run.steps, message.seconds, recorded.metrics)
                for alert in recorded.alerts:
                    self._observer.alert(alert.severity, alert.rule, alert.message)
                await self._react(recorded.alerts, message.step)
            case Saved():
                row = {"time": time.time(), "branch": self._at.branch, "step": message.step, "path": message.path}
                await self._records.write(lambda: self._writer.append("checkpoints", {**row, "digest": message.digest}))
                await self._records.write(lambda: self._writer.note_head(message.path))
                await self._tidy()
            case Crashed():
                self._error = message.error
            case Notice():
                await self._records.notice("trainer", message.message)
                return None
            case Finished():
                self._final = "finished"
            case Beat():
                pass
        return Noted()

    async def _review(self, review: Review) -> ToTrainer:
        loop = asyncio.get_running_loop()
        await self._rulings.judging(review.step)
        judged = await loop.run_in_executor(self._judging, self._gate.judge, review)
        self._load.judged(judged)
        try:
            reply, alerts = await self._records.once(lambda: self._gate.record(judged, self._writer, self._at.branch))
        except LedgerBroken as error:
            # Nothing is on record, so nothing may be used; the next write waits until the ledger works again.
            self._observer.alert(Severity.HIGH, "supervisor.ledger", f"ledger failed: {error}")
            await self._request_pause(f"ledger failed: {error}")
            return blocked_reply(review, "blocked: ledger failed")
        for alert in alerts:
            self._observer.alert(alert.severity, alert.rule, alert.message)
        await self._react(alerts, review.step)
        await self._count_failures([*judged.failures, *(a.message for a in alerts if a.rule == FAILURE)])
        return reply

    async def _count_failures(self, failures: Sequence[str]) -> None:
        """Pause when a part keeps failing; its samples were blocked already."""
        self._failing = self._failing + 1 if failures else 0
        if self._failing < PERSISTENT_FAILURES or self._pause:
            return
        why = f"in {self._failing} reviews in a row: {failures[0]}"[:500]
        self._failing = 0
        await self._request_pause(why)
        outcome = Outcome(ok=True, detail="pausing at the next safe point")
        await self._records.control("supervisor", Action.PAUSE, {}, why, outcome)

    async def _tidy(self) -> None:
        """Remove the checkpoints that nobody keeps, but for those that the run or a rollback is on its way to."""
        needed = [self._at.checkpoint, self._rollback.checkpoint if self._rollback is not None else ""]
        for trouble in await self._records.write(lambda: tidy(self._run, self._writer, self._config, needed)):
            await self._records.notice("supervisor", trouble)

    async def _pause_for_room(self, step: int, why: str) -> None:
        """No trainer should crash on a full disk, again and again: somebody has to look."""
        await self._records.alert(self._at.branch, RaisedAlert(Severity.HIGH, Act.PAUSE, "supervisor.disk", why, step))
        await self._request_pause(why)
        outcome = Outcome(ok=True, detail="pausing before the checkpoint")
        await self._records.control("supervisor", Action.PAUSE, {}, why, outcome)

    async def _safe_point(self, message: SafePoint) -> ToTrainer:
        trouble = message.trouble
        while True:
            self._changed.clear()  # before the checks: a change from here on ends the wait below
            if self._lost is not None:
                raise Disconnected("the trainer went away while it waited")
            if self._stop:
                await self._set_state("stopping", message.where, self._stop)
                return Halt()
            if self._rollback is not None:
                order, self._rollback = self._rollback, None
                if (reply := await self._roll_back(order)) is not None:
                    return reply
                continue
            if not self._pause and (why := no_room(self._run, self._config, message.writes, trouble)):
                trouble = ""
                await self._pause_for_room(message.step, why)
                continue  # a stop or a rollback may have come meanwhile
            trouble = ""
            if not self._pause:
                if self._state != "running":
                    await self._set_state("running", message.where, "")
                return Go()
            if (self._state, self._reason) != ("paused", self._pause):
                await self._set_state("paused", f"step {message.step}: {message.where}", self._pause)
            await self._changed.wait()

    async def _roll_back(self, order: Order) -> RollBack | None:
        """Open the branch that the trainer goes on with; nothing when another rollback left the checkpoint behind."""
        await self._set_state("rolling back", f"to step {order.step}", self._reason)
        at = await self._records.write(lambda: open_branch(self._run, self._writer, order))
        if at is None:
            await self._records.notice(
                "supervisor", f"no rollback to step {order.step}: it is no longer on the run's line"
            )
            return None
        await self._go_on(at)
        return RollBack(checkpoint=at.checkpoint, step=at.step, branch=at.branch, changes=at.changes)

    def _record_step(self, done: StepDone) -> Recorded:
        if self._standing is not None:
            self._warden.stand(Stance.of(self._standing.at(done.step)))
        return self._warden.record(done, self._writer, self._at.branch)

    # -- the operator ------------------------------------------------------------------------------------

    async def command(self, command: Command, peer: Peer) -> Outcome:
        """Carry out a command and record it with its outcome and who gave it, also when it is refused."""
        try:
            outcome = await self._carry_out(command)
            arguments = arguments_of(command) | peer.on_record()
            await self._records.control(command.who, command.action, arguments, command.why, outcome)
        except LedgerBroken as error:
            outcome = Outcome(ok=False, detail=f"it cannot be put on record: {error}")
        self._changed.set()
        return outcome

    async def _carry_out(self, command: Command) -> Outcome:
        why = command.why or f"asked by {command.who}"
        match command.action:
            case Action.ACKNOWLEDGE | Action.RESOLVE | Action.FALSE_ALARM | Action.DECIDE | Action.AMEND:
                return await self._rulings.carry_out(command)
        if self._final:
            return Outcome(ok=False, detail=f"the run has {self._final}")
        if self._stop:
            return Outcome(ok=False, detail=f"already stopping: {self._stop}")
        match command.action:
            case Action.PAUSE if self._pause:
                return Outcome(ok=False, detail=f"already {self._state}")
            case Action.PAUSE:
                await self._request_pause(why)
                return Outcome(ok=True, detail="pausing at the next safe point, within this phase")
            case Action.RESUME if not self._pause:
                return Outcome(ok=False, detail=f"not paused: {self._state}")
            case Action.RESUME:
                self._pause = ""
                return Outcome(ok=True, detail="resumed")
            case Action.STOP:
                return await self._request_stop(why)
            case Action.ROLLBACK:
                outcome = await self._request_rollback(command, why)
                if outcome.ok:
                    self._pause = ""  # a paused run is rolled back and runs on, unless it is paused again
                return outcome

    async def _request_pause(self, why: str) -> None:
        self._pause = why
        if self._state == "running":
            await self._set_state("pausing", self._beat.where, why)

    async def _request_stop(self, why: str) -> Outcome:
        self._stop = why
        self._changed.set()
        await self._set_state("stopping", self._beat.where, why)
        return Outcome(ok=True, detail="stopping at the next safe point, with a checkpoint")

    def interrupt(self, who: str, why: str) -> None:
        """A stop from a signal handler of the loop: at once, and on record soon after. A second one does nothing."""
        if self._stop or self._final:
            return
        self._stop = why  # also when the ledger keeps the record waiting
        self._observer.notice("stopping at the next safe point; interrupt again to end the trainer at once")
        order = Command(action=Action.STOP, who=who, why=why)
        task = asyncio.get_running_loop().create_task(self._record_interrupt(order))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _record_interrupt(self, order: Command) -> None:
        try:
            outcome = await self._request_stop(order.why)
            await self._records.control(order.who, order.action, {}, order.why, outcome)
        except LedgerBroken as error:
            self._observer.notice(str(error))

    def kill_trainer(self) -> None:
        """End the trainer at once; the newest checkpoint stands."""
        if self._child is not None:
            self._child.kill()

    async def _request_rollback(self, command: Command, why: str) -> Outcome:
        def find() -> tuple[Order | None, str]:
            with LedgerReader(self._run) as reader:
                return order_of(self._run, reader, command)

        order, problem = await self._records.write(find)
        if order is None:
            return Outcome(ok=False, detail=problem)
        self._rollback = order
        self._reason = why
        return Outcome(ok=True, detail=f"rolling back to step {order.step} at the next safe point")

    def status(self) -> Status:
        return Status(
            state=self._state,
            reason=self._reason,
            step=self._beat.step,
            steps=self._config.run.steps,
            branch=self._at.branch,
            where=self._beat.where,
            done=self._beat.done,
            total=self._beat.total,
            beat_age=time.monotonic() - self._beat_at,
            trainer_pid=self._child.pid if self._child is not None else 0,
            restarts=self._restarts,
        )

    # -- reactions ---------------------------------------------------------------------------------------

    async def _react(self, alerts: Sequence[RaisedAlert], step: int) -> None:
        decided = await self._records.write(lambda: self._warden.decide(alerts, step))
        if decided is None:
            return
        reaction, settled = decided
        if settled.action is Act.STOP:
            outcome = await self._request_stop(reaction.why)
        elif settled.action is Act.ROLLBACK:
            seed = fresh_seed(self._config.run.seed, self._at.branch + 1) if self._warden.new_seed else None
            order = Command(action=Action.ROLLBACK, who=WHO, step=settled.to, seed=seed)
            outcome = await self._request_rollback(order, reaction.why)
        else:
            await self._request_pause(reaction.why)
            refused = f"{settled.refused}: " if settled.refused else ""
            outcome = Outcome(ok=not refused, detail=f"{refused}pausing at the next safe point")
        kept = arguments(reaction, settled, step)
        await self._records.control(WHO, reaction.action.name.lower(), kept, reaction.why, outcome)

    async def _set_state(self, state: str, where: str, reason: str) -> None:
        self._state, self._where, self._reason = state, where, reason
        await self._records.state(state, where, reason)
