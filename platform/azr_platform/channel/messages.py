"""Every message that crosses a process boundary; the whole protocol can be reviewed in this file.

```
trainer ─ Hello, Draw, Review, StepDone, Saved, SafePoint, Beat, Notice, Finished, Crashed ─► supervisor
trainer ◄─ Welcome, Drawn, Reviewed, Noted, Go, RollBack, Halt ────────────────────────────── supervisor
client  ─ Hello, Command, Ask ──────────────────────────────────────────────────────────────► supervisor
client  ◄─ Welcome, Outcome, Status, Refused ──────────────────────────────────────────────── supervisor
```

Each message of the trainer but ``Beat`` and ``Notice`` gets one reply, in the order they came. A pause is a
reply to ``SafePoint`` that has not come yet. A message with an unknown field or tag is refused whole.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from azr_monitor.records import Amendment
from azr_platform.records import Kind, Phase, Role, Task

PROTOCOL = 4

# What a client calls itself that came to watch (`Hello.peer`): no command of its is carried out.
OBSERVER = "observer"


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all messages: immutable, tagged with the class name, strict."""


# -- trainer to supervisor -------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True):
    """First message of every connection; the protocol versions must be equal.

    ``peer`` is what it is: ``trainer``, ``client`` or ``observer``. ``pid`` is what it says itself; the
    ledger has what the kernel says.
    """

    protocol: int = PROTOCOL
    peer: str
    pid: int


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One sample for review, exactly as the model wrote it. The trainer neither parses nor judges it.

    ``task``: for a solver sample the id of the task it answers; for an induction proposal the id of the task
    whose program it writes inputs for; else empty. ``functions``: for a proposal that must build on earlier programs,
    the ids of their tasks, in the order g_0, g_1 ….
    """

    uid: str
    role: Role
    kind: Kind
    prompt: str
    response: str
    tokens: int
    task: str = ""
    functions: tuple[str, ...] = ()


class Draw(Message, frozen=True):
    """Ask for a step's given problems. The reply, ``Drawn``, is the same whenever the step is asked for."""

    step: int


class Review(Message, frozen=True):
    """Ask for verdicts on a batch. The reply, ``Reviewed``, keeps the order.

    Where a vote says what is right, the batch's answers to one task make one vote.
    """

    step: int
    phase: Phase
    samples: list[Submission]


class Reward(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the update made of one reviewed sample. ``trained`` is false for a sample left out of the gradient."""

    sample: int
    reward: float
    advantage: float
    trained: bool


class StepDone(Message, frozen=True):
    """A step's update is done. Metrics are plain numbers; names are listed in trainer/metrics.py."""

    step: int
    started_at: float
    seconds: float
    metrics: dict[str, float]
    rewards: list[Reward]


class Saved(Message, frozen=True):
    """A checkpoint was written and can be loaded."""

    step: int
    path: str
    digest: str


class SafePoint(Message, frozen=True):
    """Between phases: the trainer can wait, roll back or stop here without losing anything.

    ``writes``: bytes of the checkpoint that it writes next, 0 where it writes none. ``trouble``: why it could not be
    written when this was asked before.
    """

    step: int
    where: str
    writes: int = 0
    trouble: str = ""


class Beat(Message, frozen=True):
    """Sign of life, with what the trainer is doing; not answered."""

    step: int
    where: str
    done: int = 0
    total: int = 0


class Notice(Message, frozen=True):
    """One line for the ledger; not answered."""

    message: str


class Finished(Message, frozen=True):
    """The run reached its last step."""

    step: int


class Crashed(Message, frozen=True):
    """The trainer is about to exit after an error; ``error`` is its last word."""

    step: int
    error: str


# -- supervisor to trainer -------------------------------------------------------------------------------


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a branch does otherwise than the run's configuration says.

    ``seed`` of its draws; None: the configuration's. ``tasks``: ids that are drawn no more. ``programs``: keys (see
    tasks/canonical.py) of programs that are neither drawn nor taken again, whatever they are called.
    """

    seed: int | None = None
    tasks: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()

    def bars(self, task: str, program: str) -> bool:
        """Whether a task, by its id and its program's key, is in quarantine."""
        return task in self.tasks or program in self.programs


class Welcome(Message, frozen=True):
    """Answer to ``Hello``. The trainer resumes from ``checkpoint`` (relative to the run) unless it is empty."""

    branch: int = 1
    checkpoint: str = ""
    changes: Changes = Changes()


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A given problem as a trainer sees it: an id to answer under, and the prompt. What is right stays behind."""

    task: str
    kind: Kind
    prompt: str


class Drawn(Message, frozen=True):
    problems: list[Problem]


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The supervisor's answer on one sample; its ledger row (``sample``) is committed before this is sent.

    ``allowed`` false: the sample may enter no buffer, no prompt and no gradient.
    ``valid``: a proposal ran, deterministically, and became ``task``. ``correct``: a solver's answer is right, or,
    where a vote says what is right, agrees with it. ``decided`` false: there is nothing to learn, not even by
    punishment, because the vote came to nothing, so that nobody knows what is right, the program is held out, or the
    sample is held for a person.
    """

    uid: str
    sample: int
    allowed: bool
    well_formed: bool
    valid: bool = False
    correct: bool = False
    decided: bool = True
    outcome: str = ""
    reason: str = ""
    problem: str = ""
    task: Task | None = None


class Reviewed(Message, frozen=True):
    """``seconds``: how long the supervisor's parts took over the batch (see supervisor/gate.py)."""

    judgements: list[Judgement]
    seconds: dict[str, float] = {}


class Noted(Message, frozen=True):
    """The rows of ``StepDone``, ``Saved``, ``Finished`` or ``Crashed`` are committed."""


class Go(Message, frozen=True):
    """Carry on."""


class RollBack(Message, frozen=True):
    """Load this checkpoint (relative to the run) and continue from its step on a new branch."""

    checkpoint: str
    step: int
    branch: int
    changes: Changes = Changes()


class Halt(Message, frozen=True):
    """Save a checkpoint if ``save``, then exit with status 0."""

    save: bool = True


# -- clients ---------------------------------------------------------------------------------------------


class Action(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    ROLLBACK = "rollback"
    STOP = "stop"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    FALSE_ALARM = "false-alarm"
    DECIDE = "decide"
    AMEND = "amend"


class Decision(StrEnum):
    """What a person says of a sample that the monitor held or flagged."""

    ALLOW = "allow"
    BLOCK = "block"
    FALSE_ALARM = "false-alarm"


class Command(Message, frozen=True):
    """A deliberate act on the run. It is recorded with its outcome, whatever that is.

    For rollback, ``step``: the checkpoint's; ``exclude``: what goes into quarantine (see supervisor/quarantine.py);
    ``seed``: that of the new branch, None to keep the one in force. ``alert``: which to acknowledge, 0 means all; or
    which is resolved or a false alarm. To decide, ``sample``: which, by its number, and ``decision``: what about it.
    ``why`` is the note on either. To amend the policy, ``amendment``: the change; ``why`` is needed.
    """

    action: Action
    who: str
    why: str = ""
    step: int | None = None
    exclude: tuple[str, ...] = ()
    seed: int | None = None
    alert: int = 0
    sample: int = 0
    decision: Decision | None = None
    amendment: Amendment | None = None


class Outcome(Message, frozen=True):
    """What became of a command, in one line."""

    ok: bool
    detail: str


class Ask(Message, frozen=True):
    """Ask for the live status."""


class Status(Message, frozen=True):
    """What the ledger cannot know yet: what the trainer does this second."""

    state: str
    reason: str
    step: int
    steps: int
    branch: int
    where: str
    done: int
    total: int
    beat_age: float
    trainer_pid: int
    restarts: int


class Refused(Message, frozen=True):
    """The peer could not be understood; the connection is closed after this."""

    reason: str


FromTrainer = Hello | Draw | Review | StepDone | Saved | SafePoint | Beat | Notice | Finished | Crashed
ToTrainer = Welcome | Drawn | Reviewed | Noted | Go | RollBack | Halt | Refused
FromClient = Hello | Command | Ask
ToClient = Welcome | Outcome | Status | Refused
