"""Messages inside the dashboard: what the threads report, and what widgets want done. Questions: see questions.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message

from azr_monitor.records import Amendment
from azr_platform.channel.messages import Action, Command, Decision, Outcome, Status
from azr_platform.ledger.records import AlertRow
from azr_tui.view import Snapshot

if TYPE_CHECKING:
    from azr_monitor.catalogue import Entry
    from azr_monitor.policy import Policy
    from azr_tui.screens.live import Kept


@dataclass
class SnapshotTaken(Message):
    """The ledger was read."""

    snapshot: Snapshot


@dataclass
class LedgerTrouble(Message):
    """The ledger cannot be read just now; ``text`` says why. An empty text: it can again."""

    text: str


@dataclass
class SearchTrouble(Message):
    """What was searched for cannot be answered; ``text`` says why."""

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
    """A widget asks the app to show a sample, at the place that ``rule`` marks, with ``words`` marked too. ``listed``:
    it stands in a list, whose next and previous ones can be gone to."""

    number: int
    rule: str = ""
    words: tuple[str, ...] = ()
    listed: bool = False


@dataclass
class ScreenWanted(Message):
    """A widget asks the app to show a screen of a kind over the panes; ``about`` is what it is made of."""

    kind: type[Kept]
    about: tuple[Any, ...]


@dataclass
class PlotWanted(Message):
    """A widget asks the app to show a metric on the whole screen."""

    metric: str


@dataclass
class AlertWanted(Message):
    """A widget asks the app to have an alert acknowledged, resolved or called a false alarm. Without an alert, all of
    them are to be acknowledged."""

    action: Action
    alert: AlertRow | None


@dataclass
class DecisionWanted(Message):
    """A widget asks the app to have a person decide about a sample; ``at_once``: without a question first."""

    sample: int
    decision: Decision
    at_once: bool = False


@dataclass
class NeighbourWanted(Message):
    """The sample in sight asks for the next one (1) or the one before (-1): of the list that it was opened from, if it
    was ``listed``, else by its number."""

    direction: int
    number: int
    listed: bool


@dataclass
class FamilyWanted(Message):
    """A widget asks the app to show the family of a task."""

    task: str


@dataclass
class ChangeWanted(Message):
    """A widget asks the app to have a person say how a rule is to be changed, or what change is to be tried first."""

    entry: Entry
    policy: Policy
    to_try: bool


@dataclass
class TrialWanted(Message):
    """A widget asks the app to try a file of rules or another policy on past samples."""


@dataclass
class AmendWanted(Message):
    """A widget asks the app to change the policy of the live run."""

    amendment: Amendment
