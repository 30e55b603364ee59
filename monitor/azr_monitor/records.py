"""Frozen records of judgement: what is judged, what was found, what is decided.

They are msgspec structs, so they travel on the wire and into the ledger unchanged. They carry text and
numbers only; nothing in them is ever evaluated.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from functools import total_ordering
from typing import Literal, get_args

import msgspec

Part = Literal["program", "trace", "message", "input", "answer", "behaviour"]
"""The part of a subject that a finding is about."""

PARTS: tuple[Part, ...] = get_args(Part)

FAILURE = "monitor.failure"
"""The rule under which a part of the monitor that failed is reported."""
LIMIT = "monitor.limit"
"""The rule under which a text that was not read whole is reported."""
SLOW, UNSCORED, ASKED = "monitor.slow", "monitor.unscored", "monitor.asked"
"""Notes on the monitor's own work: a classifier over its time, one that did not score a text, one that was asked."""
NOTES = frozenset({SLOW, UNSCORED, ASKED})
"""They say nothing of the sample that they stand with."""


class Severity(IntEnum):
    """How bad a finding is; the policy maps each to an action."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        """The name as policies write it: ``info`` ... ``critical``."""
        return self.name.lower()


@total_ordering
class Action(Enum):
    """What is done about a finding, ordered by strength as listed here; from ``HOLD`` up the sample is blocked.

    A value is what ledgers hold, so none ever gets another meaning: ``HOLD`` came last and is not the strongest.
    """

    RECORD = 0
    ALERT = 1
    HOLD = 6
    DROP = 2
    PAUSE = 3
    ROLLBACK = 4
    STOP = 5

    def __lt__(self, other: Action) -> bool:
        return _STRENGTHS[self] < _STRENGTHS[other]

    @property
    def label(self) -> str:
        """The name as policies write it: ``record`` ... ``stop``."""
        return self.name.lower()

    @property
    def blocks(self) -> bool:
        """Whether a sample with this action is used for nothing."""
        return self >= Action.HOLD


_STRENGTHS = {action: strength for strength, action in enumerate(Action)}


class Subject(msgspec.Struct, frozen=True):
    """One sample to judge, as a model wrote it. Absent parts are empty.

    ``input`` is the text between the parentheses of ``f(...)``; ``inputs`` holds further ones (an induction
    proposal has N). ``role``, ``kind`` and ``phase`` are the plain values of the platform's enums:
    with kind ``induction`` and role ``solve`` the answer is a program and is judged as one.
    """

    id: str
    program: str = ""
    trace: str = ""
    input: str = ""
    message: str = ""
    answer: str = ""
    role: str = ""
    kind: str = ""
    phase: str = ""
    inputs: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[str, ...]:
        """Every input of the subject, ``input`` first; empty ones left out."""
        if not self.inputs:
            return (self.input,) if self.input else ()
        return tuple(text for text in (self.input, *self.inputs) if text)

    def text(self, part: Part) -> str:
        """The text that the spans of findings on ``part`` count in (inputs are joined by newlines)."""
        match part:
            case "program":
                return self.program
            case "trace":
                return self.trace
            case "message":
                return self.message
            case "answer":
                return self.answer
            case "input":
                return "\n".join(self.calls)
            case "behaviour":
                return ""


class Finding(msgspec.Struct, frozen=True):
    """One thing a rule or a classifier found.

    ``span`` is a half-open range of character offsets in ``Subject.text(part)``, or None when the finding
    has no place. ``why`` is our own sentence; any model text quoted in it is short and printable.
    """

    rule: str
    severity: Severity
    part: Part
    span: tuple[int, int] | None
    why: str


def failure(what: str, error: Exception, part: Part) -> Finding:
    """What blocks when ``what``, a part of the monitor, raised."""
    why = f"{what} failed: {type(error).__name__}: {printable(str(error), 200)}"
    return Finding(FAILURE, Severity.HIGH, part, None, why)


class Score(msgspec.Struct, frozen=True):
    """One classifier's value in 0..1 for one category: the highest over all parts and windows it read."""

    classifier: str
    category: str
    value: float


class Verdict(msgspec.Struct, frozen=True):
    """The decision on a subject. ``score`` is 0..1, higher is worse; ``severity`` that of the worst finding.

    ``allowed`` is False exactly when ``action`` is ``HOLD`` or stronger; only an allowed subject may be run
    or enter a buffer, a prompt or a gradient. ``cause``: the rule that decided the action, empty when none called for
    one; ``category``: what most of the evidence speaks of (see categories.py), empty when there is none.
    """

    allowed: bool
    action: Action
    severity: Severity
    score: float
    findings: tuple[Finding, ...] = ()
    scores: tuple[Score, ...] = ()
    reason: str = ""
    cause: str = ""
    category: str = ""

    @property
    def word(self) -> str:
        """What it comes to: ``allow``, ``flag``, ``hold`` or ``block``."""
        if not self.allowed:
            return "hold" if self.action is Action.HOLD else "block"
        return "flag" if self.action >= Action.ALERT else "allow"


class Amendment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One change to a policy in force (see amend.py). ``rule`` is a rule's id or ``classifier.category``; of the others
    one is given: whether it applies, the name of the action it calls for, or values by the names of severities."""

    rule: str
    enabled: bool | None = None
    action: str = ""
    thresholds: dict[str, float] = {}


def printable(text: str, limit: int = 80) -> str:
    """Bound and escape a piece of model text so that it may stand in a sentence of ours.

    Everything outside printable ASCII is escaped, so no control sequence or look-alike survives.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if (c.isascii() and c.isprintable()) or c == "…" else ascii(c)[1:-1] for c in cut)
