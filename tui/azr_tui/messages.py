"""Every message inside the dashboard: what the threads report, and what widgets ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.message import Message

from azr_platform.channel.messages import Command, Decision, Outcome, Status
from azr_platform.ledger.records import SampleDetail, SampleRow
from azr_platform.records import Kind, Role
from azr_tui.view import Snapshot


@dataclass(frozen=True)
class SampleFilter:
    """Which samples a list shows."""

    role: Role | None = None
    kind: Kind | None = None
    blocked_only: bool = False
    flagged_only: bool = False
    waiting_only: bool = False

    def with_verdict(self, blocked: bool, flagged: bool, waiting: bool) -> SampleFilter:
        return replace(self, blocked_only=blocked, flagged_only=flagged, waiting_only=waiting)

    def with_role(self, role: Role | None) -> SampleFilter:
        return replace(self, role=role)

    def with_kind(self, kind: Kind | None) -> SampleFilter:
        return replace(self, kind=kind)


@dataclass(frozen=True)
class PageRequest:
    """A page of samples with ids below ``before`` (None: the newest), newest first."""

    filter: SampleFilter
    before: int | None
    size: int


@dataclass(frozen=True)
class SampleRequest:
    """One sample by its id in the ledger."""

    number: int


@dataclass
class SnapshotTaken(Message):
    """The ledger was read."""

    snapshot: Snapshot


@dataclass
class LedgerTrouble(Message):
    """The ledger cannot be read just now; ``text`` says why. An empty text: it can again."""

    text: str


@dataclass
class Pulse(Message):
    """The supervisor's answer, or None when nobody answers."""

    status: Status | None


@dataclass
class PageRead(Message):
    """The rows of a requested page; ``more`` when older ones exist."""

    request: PageRequest
    rows: list[SampleRow]
    more: bool


@dataclass
class SampleRead(Message):
    """A requested sample, None when it does not exist."""

    request: SampleRequest
    detail: SampleDetail | None


@dataclass
class CommandDone(Message):
    """What became of a command."""

    command: Command
    outcome: Outcome


@dataclass
class PageWanted(Message):
    """A widget asks the app for a page."""

    request: PageRequest


@dataclass
class SampleWanted(Message):
    """A widget asks the app to show a sample."""

    number: int


@dataclass
class AcknowledgeWanted(Message):
    """A widget asks the app to acknowledge an alert; 0 means all."""

    alert: int


@dataclass
class DecisionWanted(Message):
    """A widget asks the app to have a person decide about a sample."""

    sample: int
    decision: Decision
