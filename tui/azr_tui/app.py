"""The dashboard: watches a run through its ledger, steers it through its supervisor's socket, writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from textual import events

from azr_monitor.records import Amendment, Severity
from azr_platform.channel.messages import Action, Command, Decision
from azr_platform.ledger.records import Undone
from azr_tui import keymap, steer
from azr_tui.dressed import USUAL, DressedApp
from azr_tui.escape import visible_line
from azr_tui.feed import Feed, Finder, PulseTaker, giving_way
from azr_tui.messages import (
    AlertWanted,
    AmendWanted,
    ChangeWanted,
    CommandDone,
    DecisionWanted,
    FamilyWanted,
    LedgerTrouble,
    NeighbourWanted,
    PlotWanted,
    Pulse,
    SampleWanted,
    ScreenWanted,
    SearchTrouble,
    SnapshotTaken,
    TrialWanted,
)
from azr_tui.questions import AskSample, AskWorst, SampleRead, Wanted, WorstRead
from azr_tui.screens.change import ChangeScreen
from azr_tui.screens.checkpoints import CheckpointsPane
from azr_tui.screens.confirm import ConfirmScreen
from azr_tui.screens.family import FamilyScreen
from azr_tui.screens.live import Kept, LiveScreen
from azr_tui.screens.main import MainScreen
from azr_tui.screens.paged import PagedPane
from azr_tui.screens.path import PathScreen
from azr_tui.screens.plot import PlotScreen
from azr_tui.screens.rollback import RollbackScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.screens.trial import TrialScreen
from azr_tui.screens.undo import Choice, UndoScreen
from azr_tui.settings import Settings
from azr_tui.tidy import Tidy
from azr_tui.toasts import MOST, Toasts
from azr_tui.trial import is_policy, words_of
from azr_tui.view import ALONE, KEPT, SILENT, WATCHING, Snapshot, View

_QUESTIONS = {
    Decision.ALLOW: ("Allow the text of", "The same text passes; what its program does is judged as ever."),
    Decision.BLOCK: ("Block the text of", "The same text is blocked, with no further alert."),
    Decision.FALSE_ALARM: (
        "A false alarm:",
        "The same text passes; what its program does is judged as ever. As a label, it is benign.",
    ),
}
_CLOSING = {
    Action.RESOLVE: ("Resolve alert", "It is done with, and stays on record.", "Resolve"),
    Action.FALSE_ALARM: ("A false alarm: alert", "It is done with, and stays on record as a false alarm.", "Close"),
}
_LABEL = "Its sample is decided about: a benign label, and the same text passes from the next step on."
_KEPT = "It counts from the next step on, and is on record; a later decision takes its place."


class AzrApp(DressedApp):
    """Run with ``AzrApp(run).run()``. ``clock`` gives seconds since the epoch, ``poll`` the seconds between readings.

    The run's folder need not hold a ledger yet; the dashboard waits for it. A ``read_only`` one gives no commands.
    With ``compare``, another run, it begins with the two side by side.
    """

    TITLE = "azr-platform"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 declared by Textual without ClassVar
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (22, "-short"), (32, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        run: Path,
        *,
        clock: Callable[[], float] = time.time,
        poll: float = 1.0,
        read_only: bool = False,
        settings: Settings = USUAL,
        compare: Path | None = None,
    ) -> None:
        super().__init__(settings)
        self.animation_level = "none"  # a list that glides is a list that waits, over SSH above all
        self._run_folder = run
        self._clock = clock
        self._poll = poll
        self._main = MainScreen(compare)
        self._feed = Feed(run, self.post_message, poll)
        self._finder = Finder(run, self.post_message)
        self._pulse = PulseTaker(run, self.post_message, poll)
        self._view = View(run, clock(), read_only=read_only)
        self._newest_alert: int | None = None
        self._sample = SampleWanted(0)  # what was asked for last
        self._toasts = Toasts()
        self._tidy = Tidy()

    @property
    def panes(self) -> MainScreen:
        return self._main

    @property
    def view(self) -> View:
        """What is on display."""
        return self._view

    async def run_async(self, **options: Any) -> Any:
        """As Textual's, for a process of its own: garbage is collected while nobody presses a key, and threads that
        read give way."""
        with self._tidy.in_charge(), giving_way():
            return await super().run_async(**options)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._tidy.pressed()
        await super().on_event(event)

    def on_mount(self) -> None:
        self.push_screen(self._main)
        self.run_worker(self._feed.work, name="feed", group="feed", thread=True)
        self.run_worker(self._finder.work, name="finder", group="finder", thread=True)
        self.run_worker(self._pulse.work, name="pulse", group="pulse", thread=True)
        self.set_interval(max(self._poll, 0.5), self._tick)

    def on_unmount(self) -> None:
        self._feed.stop()
        self._finder.stop()
        self._pulse.stop()

    def show_screen(self, kind: type[Kept], *about: Any) -> None:
        super().show_screen(kind, *about)
        self._tick()  # one that was kept: at once
        self.call_later(self._tick)  # a new one: once it is there

    # -- what the threads report -------------------------------------------------------------------------

    def on_snapshot_taken(self, message: SnapshotTaken) -> None:
        self._announce(message.snapshot)
        self._show(snapshot=message.snapshot)

    def on_ledger_trouble(self, message: LedgerTrouble) -> None:
        self._show(trouble=message.text)

    def on_search_trouble(self, message: SearchTrouble) -> None:
        self.notify(visible_line(message.text, 300), title="Search failed", severity="error", markup=False)

    def on_pulse(self, message: Pulse) -> None:
        self._view = replace(self._view, now=self._clock(), status=message.status)
        self._tick()

    def on_sample_read(self, message: SampleRead) -> None:
        top, wanted = self.top, self._sample
        here = wanted if wanted.number == message.question.number else SampleWanted(message.question.number)
        if message.dossier is None:
            self.notify(f"There is no sample {message.question.number}.", severity="warning", markup=False)
        elif isinstance(top, SampleScreen):
            top.replace(message.dossier, here.rule, here.words or None, here.listed)
        elif isinstance(top, LiveScreen):
            self.show_screen(SampleScreen, message.dossier, here.rule, here.words, here.listed)

    def on_worst_read(self, message: WorstRead) -> None:
        alert = message.alert
        if alert is None or alert.sample is None:
            self.notify("No alert about a sample is open.", markup=False)
        else:
            self.on_sample_wanted(SampleWanted(alert.sample, rule=alert.rule))

    def on_command_done(self, message: CommandDone) -> None:
        word = message.command.action.value.capitalize()
        outcome = message.outcome
        self.notify(
            visible_line(outcome.detail, 600),
            title=f"✔ {word}" if outcome.ok else f"✖ {word} failed",
            severity="information" if outcome.ok else "error",
            timeout=6 if outcome.ok else 15,
            markup=False,
        )
        top = self.top
        if message.command.action in (Action.DECIDE, Action.FALSE_ALARM) and isinstance(top, SampleScreen):
            self._feed.ask(AskSample(top.number), self.post_message)

    def _show(self, *, snapshot: Snapshot | None = None, trouble: str | None = None) -> None:
        view = self._view
        self._view = replace(
            view, snapshot=snapshot or view.snapshot, trouble=view.trouble if trouble is None else trouble
        )
        self._tick()

    def _tick(self) -> None:
        self._view = replace(self._view, now=self._clock())
        top = self.top
        if isinstance(top, LiveScreen) and top.is_mounted:
            top.show(self._view)
        self._tidy.look()

    def _announce(self, snapshot: Snapshot) -> None:
        """Toasts for new alerts, and the bell for a grave one; nothing for those found at the start."""
        newest = max((alert.id for alert in snapshot.alerts), default=0)
        known, self._newest_alert = self._newest_alert, newest
        if known is None or newest <= known:
            return
        fresh = [alert for alert in snapshot.alerts if alert.id > known]
        toasts = self._toasts.tell(fresh, self._clock())
        key = keymap.pane_digits(keymap.of(self)).get("alerts", "")
        for alert, count in toasts[:MOST]:
            grave = alert.severity >= Severity.HIGH
            rule = f"{alert.rule}, {count} of them, such as" if count > 1 else alert.rule
            self.notify(
                visible_line(f"{rule}: {alert.message}", 200),
                title=f"{'▲' if grave else '◇'} Alert ({key}: all alerts)",
                severity="error" if grave else "warning",
                markup=False,
            )
        if more := sum(toast.stands_for for toast in toasts[MOST:]):
            words = "alert" if more == 1 else "alerts"
            self.notify(f"and {more} more {words}", severity="warning", markup=False)
        if any(alert.severity >= Severity.HIGH for alert in fresh):
            self.bell()

    # -- what widgets ask for ----------------------------------------------------------------------------

    def on_wanted(self, message: Wanted) -> None:
        (self._finder if message.question.searches else self._feed).ask(message.question, message.reply)

    def on_sample_wanted(self, message: SampleWanted) -> None:
        self._sample = message
        self._feed.ask(AskSample(message.number), self.post_message)

    def on_screen_wanted(self, message: ScreenWanted) -> None:
        self.show_screen(message.kind, *message.about)

    def on_plot_wanted(self, message: PlotWanted) -> None:
        self.show_screen(PlotScreen, message.metric)

    def on_family_wanted(self, message: FamilyWanted) -> None:
        self.show_screen(FamilyScreen, message.task)

    def on_neighbour_wanted(self, message: NeighbourWanted) -> None:
        pane = self._main.pane
        if not (message.listed and isinstance(pane, PagedPane)):
            self.on_sample_wanted(SampleWanted(message.number + message.direction))
        elif not pane.neighbour(message.direction):
            self.notify("The list has no further sample.", markup=False)

    def on_alert_wanted(self, message: AlertWanted) -> None:
        alert, action = message.alert, message.action
        if not self._may_steer("To see to alerts: azr-platform acknowledge or resolve"):
            return
        if alert is None:
            self._confirm(action, "Acknowledge all open alerts?", "They stay on record.", verb="Acknowledge")
        elif action is Action.ACKNOWLEDGE:
            self._give(Command(action=action, who=steer.me(), alert=alert.id))
        else:
            title, text, verb = _CLOSING[action]
            about = visible_line(
                f"{alert.rule}: {alert.message}", 300
            )  # on one line: it may not pass for our own words
            effect = _LABEL if action is Action.FALSE_ALARM and alert.sample is not None else text
            self._confirm(action, f"{title} {alert.id}?", f"{about}\n{effect}", verb=verb, details={"alert": alert.id})

    def on_decision_wanted(self, message: DecisionWanted) -> None:
        # A sample of a run that has ended is labelled as well: see steer.py.
        if self._view.why_read_only not in (ALONE, KEPT) and not self._may_steer():
            return
        title, text = _QUESTIONS[message.decision]
        sample, decision = message.sample, message.decision
        if message.at_once:
            self._give(Command(action=Action.DECIDE, who=steer.me(), sample=sample, decision=decision))
            return
        details = {"sample": sample, "decision": decision}
        self._confirm(
            Action.DECIDE, f"{title} sample {message.sample}?", f"{text} {_KEPT}", verb="Decide", details=details
        )

    def on_amend_wanted(self, message: AmendWanted) -> None:
        if self._may_steer("To change the policy: azr-platform policy set"):
            rule, *said = words_of(message.amendment)
            text = f"{' '.join(said)}, from the next step on. It is kept when the run is resumed."
            details = {"amendment": message.amendment}
            self._confirm(
                Action.AMEND, f"Change {rule}?", text, verb="Put in force", needs_reason=True, details=details
            )

    def on_change_wanted(self, message: ChangeWanted) -> None:
        if not message.to_try and not self._may_steer("To change the policy: azr-platform policy set"):
            return

        def chosen(amendment: Amendment | None) -> None:
            if amendment is None:
                return
            if message.to_try:
                given = words_of(amendment)
                self.push_screen(TrialScreen(self._run_folder, " ".join(given), given, amendment))
            else:
                self.on_amend_wanted(AmendWanted(amendment))

        self.push_screen(ChangeScreen(message.entry, message.policy), chosen)

    def on_trial_wanted(self, _: TrialWanted) -> None:
        def chosen(name: str | None) -> None:
            if name is not None:
                of_rules = name.endswith((".yar", ".yara", ".yaml", ".yml")) and not is_policy(Path(name))
                given = ["--rules", name] if of_rules else ["--policy", name]
                self.push_screen(TrialScreen(self._run_folder, name, given))

        text = "A file of rules (.yar, .yaml), a policy file, or default, strict or observe:"
        self.push_screen(PathScreen("Try on past samples", text), chosen)

    async def on_key(self, event: events.Key) -> None:
        """A pane's digit leads there from every screen that lies over the panes."""
        pane = {key: name for name, key in keymap.pane_digits(keymap.of(self)).items()}.get(event.key)
        if pane is not None and isinstance(self.top, LiveScreen) and self.top is not self._main:
            event.stop()
            self._to_panes()
            await self._main.action_pane(pane)

    # -- the keys ----------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        if self._may_steer():
            text = "It takes effect at the next safe point, within a step. Nothing is lost."
            self._confirm(Action.PAUSE, "Pause the run?", text, verb="Pause")

    def action_resume(self) -> None:
        if self._may_steer():
            self._confirm(Action.RESUME, "Resume the run?", "It goes on where it was paused.", verb="Resume")

    def action_stop(self) -> None:
        if self._may_steer():
            text = "It saves a checkpoint and ends. `azr-platform train --resume` continues it later."
            self._confirm(Action.STOP, "Stop the run?", text, verb="Stop", needs_reason=True)

    def action_rollback(self) -> None:
        """Before the sample in sight or under the cursor, to the checkpoint under it, or to the newest one."""
        snapshot = self._view.snapshot
        if not self._may_steer() or snapshot is None:
            return
        suspect, at = None, None
        if isinstance(self.screen, SampleScreen):
            suspect = (self.screen.number, self.screen.step)
        elif self.screen is self._main:
            pane = self._main.pane
            suspect, at = pane.suspect, pane.checkpoint if isinstance(pane, CheckpointsPane) else None
        number, step = suspect or (None, None)

        def chosen(undone: Undone | None) -> None:
            if undone is not None:
                self.push_screen(UndoScreen(undone, number), decided)

        def decided(choice: Choice | None) -> None:
            if choice is not None:
                self._give(Command(action=Action.ROLLBACK, who=steer.me(), **choice._asdict()))

        self.push_screen(RollbackScreen(snapshot, self._clock(), before=step, at=at, suspect=number), chosen)

    def action_worst(self) -> None:
        self._feed.ask(AskWorst(), self.post_message)

    def action_leave(self) -> None:
        going_on = self._view.status is not None and self._view.state not in ("stopped", "finished", "failed")
        self.exit(message=f"The run goes on. Watch it again: azr-platform tui {self._run_folder}" if going_on else None)

    # -- steering ----------------------------------------------------------------------------------------

    def _may_steer(self, alone: str = "To continue the run: azr-platform train --resume") -> bool:
        """Whether commands may be given; if not, says why and what to do, ``alone`` where nobody supervises the run."""
        reason = self._view.why_read_only
        if reason:
            folder = visible_line(str(self._run_folder), 200)
            remedy = f"{alone} {folder}"
            if reason == WATCHING:
                remedy = f"To steer the run: azr-platform tui {folder}"
            elif reason == KEPT:
                remedy = "Its samples can be labelled: B, F and A in the review or on a sample."
            elif reason == SILENT:
                remedy = f"It may be starting or very busy; if it stays so, look into {folder}/logs."
            self.notify(
                f"{reason.capitalize()}, so nothing can be changed. {remedy}",
                title="Read-only",
                severity="warning",
                markup=False,
            )
        return not reason

    def _confirm(
        self,
        action: Action,
        title: str,
        text: str,
        *,
        verb: str,
        needs_reason: bool = False,
        details: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        def decided(why: str | None) -> None:
            if why is None:
                return
            self._give(Command(action=action, who=steer.me(), why=why, **details))

        self.push_screen(ConfirmScreen(title, text, verb=verb, needs_reason=needs_reason), decided)

    def _give(self, command: Command) -> None:
        steer.send(self._run_folder, command, self.post_message)
