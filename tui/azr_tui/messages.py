"""Messages inside the dashboard: what the threads report, and what widgets want done. Questions: see questions.py."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from azr_platform.channel.messages import Command, Decision, Outcome, Status
from azr_tui.view import Snapshot


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
class CommandDone(Message):
    """What became of a command."""

    command: Command
    outcome: Outcome


@dataclass
class SampleWanted(Message):
    """A widget asks the app to show a sample."""

    number: int


@dataclass
class PlotWanted(Message):
    """A widget asks the app to show a metric on the whole screen."""

    metric: str


@dataclass
class AcknowledgeWanted(Message):
    """A widget asks the app to acknowledge an alert; 0 means all."""

    alert: int


@dataclass
class DecisionWanted(Message):
    """A widget asks the app to have a person decide about a sample."""

    sample: int
    decision: Decision
