"""Typed rows that the reader hands out. Field order is the order of the reader's SELECT."""

from __future__ import annotations

import tomllib

import msgspec


class RunRow(msgspec.Struct, frozen=True):
    name: str
    created_at: float
    version: str
    seed: int
    steps: int
    config: str

    @property
    def log(self) -> str:
        """Where the log lay that a ledger was made of; empty for a run of ours."""
        try:
            log = tomllib.loads(self.config).get("log", {})
        except tomllib.TOMLDecodeError:
            return ""
        source = log.get("source", "") if isinstance(log, dict) else ""
        return source if isinstance(source, str) else ""


class StateRow(msgspec.Struct, frozen=True):
    """``state``: starting, running, pausing, paused, rolling back, stopping, stopped, finished, failed;
    the reader adds ``interrupted`` for a run whose supervisor is gone."""

    time: float
    state: str
    where_at: str
    reason: str


class BranchRow(msgspec.Struct, frozen=True):
    id: int
    created_at: float
    parent: int | None
    from_step: int
    reason: str


class ChangeRow(msgspec.Struct, frozen=True):
    """What a branch does otherwise than the one before. ``what``: ``seed``; or ``task`` or ``program``, which it no
    longer draws, with ``value`` the id or the key of it."""

    branch: int
    what: str
    value: str
    why: str


class SampleRow(msgspec.Struct, frozen=True):
    """One sample in a list. ``allowed`` is None only for a sample without a verdict."""

    id: int
    time: float
    branch: int
    step: int
    phase: str
    role: str
    kind: str
    uid: str
    task: str | None
    tokens: int
    well_formed: int
    correct: int | None
    outcome: str | None
    problem: str
    allowed: int | None
    severity: int | None
    action: int | None
    score: float | None
    reason: str | None
    reward: float | None
    advantage: float | None


class VerdictRow(msgspec.Struct, frozen=True):
    allowed: int
    action: int
    severity: int
    score: float
    reason: str


class FindingRow(msgspec.Struct, frozen=True):
    """``span_start``/``span_end``: character offsets within the text of ``part``, or None."""

    rule: str
    severity: int
    part: str
    span_start: int | None
    span_end: int | None
    why: str


class ScoreRow(msgspec.Struct, frozen=True):
    classifier: str
    category: str
    value: float


class ExecutionRow(msgspec.Struct, frozen=True):
    position: int
    input: str
    outcome: str
    value: str | None
    detail: str
    cpu_ms: float
    wall_ms: float
    memory_kb: int


class DecisionRow(msgspec.Struct, frozen=True):
    """What a person decided about a sample. ``decision``: allow, block or false-alarm; ``digest``: of the text that was
    judged; ``step``: the last that had begun to be judged then."""

    id: int
    time: float
    branch: int
    step: int
    sample: int
    decision: str
    who: str
    note: str
    digest: str


class PolicyRow(msgspec.Struct, frozen=True):
    """The policy from a step on; ``step``: the last that had begun to be judged then. Without a ``rule`` it is the one
    that the run was taken up with, and ``settings`` is all of it as JSON. With one it is a change to that, by a person:
    ``setting`` (enabled, action or thresholds) was ``before`` and became ``after``, both JSON."""

    id: int
    time: float
    branch: int
    step: int
    name: str
    fingerprint: str
    settings: str
    rule: str
    setting: str
    before: str
    after: str
    who: str
    why: str


class SampleDetail(msgspec.Struct, frozen=True):
    """Everything on record about one sample. All texts are a model's: escape them wherever they are shown."""

    sample: SampleRow
    prompt: str
    response: str
    reasoning: str
    program: str
    input: str
    message: str
    answer: str
    verdict: VerdictRow | None
    findings: list[FindingRow]
    scores: list[ScoreRow]
    executions: list[ExecutionRow]
    decisions: list[DecisionRow] = []
    """What people decided about it, oldest first; the last one counts."""


class RewardedRow(msgspec.Struct, frozen=True):
    """What an update made of one sample; without ``trained`` it was left out, and its other numbers mean nothing.
    ``advantage`` is None where another trainer's log tells none."""

    sample: int
    role: str
    kind: str
    same_prompt: int
    reward: float
    advantage: float | None
    trained: int


class GroupTotals(msgspec.Struct, frozen=True):
    """Counts over one role and kind. ``good``: right answers, or valid proposals."""

    role: str
    kind: str
    samples: int
    trained: int
    blocked: int
    well_formed: int
    good: int


class OversightRow(msgspec.Struct, frozen=True):
    """Counts over the samples of one step: blocked ones, and those with a finding of at least that severity."""

    step: int
    samples: int
    blocked: int
    found: int
    low: int
    medium: int
    high: int
    alerts: int


class RuleHits(msgspec.Struct, frozen=True):
    """What one rule found in a whole run; ``severity``: the highest."""

    rule: str
    severity: int
    findings: int
    samples: int
    first_sample: int
    last_sample: int

    def joined(self, later: RuleHits) -> RuleHits:
        """With what it found in later samples."""
        return RuleHits(
            self.rule,
            max(self.severity, later.severity),
            self.findings + later.findings,
            self.samples + later.samples,
            self.first_sample,
            later.last_sample,
        )


class TaskRow(msgspec.Struct, frozen=True):
    """One task in a list. ``sample`` proposed it, None for a task that was given; ``program`` and ``message`` are the
    beginnings of a model's texts; ``last_sample`` is the newest of its ``attempts``."""

    id: int
    task: str
    kind: str
    branch: int
    step: int
    sample: int | None
    program: str
    message: str
    attempts: int
    correct: int
    last_sample: int | None

    @property
    def rate(self) -> float | None:
        """The share of right answers; None before the first answer."""
        return self.correct / self.attempts if self.attempts else None


class TaskDetail(msgspec.Struct, frozen=True):
    """A task, whole. All texts are a model's: escape them wherever they are shown."""

    task: TaskRow
    program: str
    inputs: list[str]
    outputs: list[str]
    shown: int
    message: str


class MetricSpan(msgspec.Struct, frozen=True):
    """The finite values of a metric over some steps: how many, between which bounds, around which mean."""

    first_step: int
    last_step: int
    low: float
    mean: float
    high: float
    count: int

    def joined(self, later: MetricSpan) -> MetricSpan:
        """Both as one."""
        count = self.count + later.count
        mean = (self.mean * self.count + later.mean * later.count) / count
        low, high = min(self.low, later.low), max(self.high, later.high)
        return MetricSpan(self.first_step, later.last_step, low, mean, high, count)


class AlertRow(msgspec.Struct, frozen=True):
    """``outcome``: what it came to, ``resolved`` or ``false-alarm``; empty while nobody has closed it."""

    id: int
    time: float
    branch: int
    step: int
    severity: int
    rule: str
    sample: int | None
    message: str
    acknowledged: int
    outcome: str = ""


class ClosedAlert(msgspec.Struct, frozen=True):
    """Whose word it was that closed an alert about a sample; ``outcome`` as in AlertRow."""

    time: float
    sample: int
    rule: str
    outcome: str
    who: str
    note: str


class ControlRow(msgspec.Struct, frozen=True):
    id: int
    time: float
    who: str
    action: str
    arguments: str
    why: str
    outcome: str


class CheckpointRow(msgspec.Struct, frozen=True):
    """``removed``: why it is no longer on the disk (see supervisor/retention.py); None while it is kept."""

    id: int
    time: float
    branch: int
    step: int
    path: str
    digest: str
    removed: str | None = None


class Held(msgspec.Struct, frozen=True):
    """How much was recorded over some steps."""

    samples: int = 0
    blocked: int = 0
    alerts: int = 0
    alerts_open: int = 0

    @property
    def blocked_share(self) -> float | None:
        return self.blocked / self.samples if self.samples else None


class CheckpointFacts(msgspec.Struct, frozen=True):
    """A checkpoint, what the run was like at it, and what was recorded since the one before, which was at ``since``."""

    checkpoint: CheckpointRow
    on_line: bool
    """Whether it lies on the line that the run is on."""
    metrics: dict[str, float | None]
    since: int
    held: Held


class BranchFacts(msgspec.Struct, frozen=True):
    """A branch and what it holds. ``last_step``: its newest, or the step that it began after. ``who`` and ``why``: of
    the rollback that it began with; ``seed`` of its own, and how many tasks and programs it does not draw again."""

    branch: BranchRow
    on_line: bool
    last_step: int
    steps: int
    held: Held
    who: str = ""
    why: str = ""
    seed: str = ""
    barred: int = 0


class Suspect(msgspec.Struct, frozen=True):
    """What might be put into quarantine: ``word`` as ``rollback --exclude`` takes it, and how many samples that is."""

    word: str
    severity: int
    count: int
    why: str


class Undone(msgspec.Struct, frozen=True):
    """What a return to a step leaves behind on its branch, on record but no longer on the run's line; how full each
    buffer is now, and was then; and what might be put into quarantine."""

    step: int
    now: int
    branch: int
    held: Held
    tasks: int
    checkpoints: int
    seconds: float
    buffers: dict[str, tuple[float | None, float | None]]
    suspects: list[Suspect]


class NoticeRow(msgspec.Struct, frozen=True):
    time: float
    source: str
    message: str
    id: int = 0


class Summary(msgspec.Struct, frozen=True):
    """The run at a glance; the JSON of ``azr-platform status --json``."""

    run: str
    state: str
    where: str
    reason: str
    step: int
    steps: int
    branch: int
    samples: int
    blocked: int
    alerts_open: int
    supervised: bool
    metrics: dict[str, float | None]
    quarantined_tasks: int = 0
    quarantined_programs: int = 0
    checkpoints: list[int] = []
    """Steps of the current line that can be rolled back to."""
    checkpoints_removed: int = 0
    held: int = 0
    """Held samples that nobody has decided about."""
    branches: list[BranchRow] = []
    """Oldest first; the last is in use."""
    policy: str = ""
    """The monitor policy by its name and fingerprint, with the changes in it."""
    policy_changes: int = 0
