"""Pane 9: who did what to the run, and what the run itself had to say."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from textual.app import ComposeResult

from azr_platform.ledger.branches import tree
from azr_platform.ledger.records import ControlRow, NoticeRow
from azr_tui.document import Line, Span, split
from azr_tui.escape import visible, visible_line
from azr_tui.screens.live import Pane
from azr_tui.view import Snapshot, View
from azr_tui.widgets.marked_text import MarkedText

_MOST_NOTICES = 500


class LogPane(Pane):
    """Commands and notices together, newest first."""

    def __init__(self) -> None:
        super().__init__(id="log")
        self._text = MarkedText()
        self._seen: tuple[int, int, str, int] | None = None

    def compose(self) -> ComposeResult:
        yield self._text

    def enter(self) -> None:
        self._text.focus()

    def show(self, view: View) -> None:
        if view.snapshot is None:
            return
        snapshot = view.snapshot
        newest = snapshot.controls[0].id if snapshot.controls else 0
        seen = (newest, len(snapshot.notices), snapshot.state.state, snapshot.summary.branch)
        if seen != self._seen:
            self._seen = seen
            self._text.show(log_lines(snapshot))


def log_lines(snapshot: Snapshot) -> list[Line]:
    """The document of the pane."""
    run, state = snapshot.run, snapshot.state
    lines = [
        Line(
            f"{visible_line(run.name, 60)}  seed {run.seed}  version {visible_line(run.version, 30)}", style="heading"
        ),
        Line(f"begun {_day(run.created_at)} {_when(run.created_at)} UTC"),
        Line(f"{visible_line(state.state)} since {_when(state.time)} UTC  {visible_line(state.reason)}"),
        *_branches(snapshot),
        Line(""),
        Line("Commands and notices, newest first (times are UTC)", style="heading"),
    ]
    entries = [(control.time, _control(control)) for control in snapshot.controls]
    entries += [(notice.time, _notice(notice)) for notice in snapshot.notices[:_MOST_NOTICES]]
    if not entries:
        lines.append(Line("nothing yet", style="dim"))
    for _, entry in sorted(entries, key=lambda pair: pair[0], reverse=True):
        lines.extend(entry)
    return lines


def _branches(snapshot: Snapshot) -> list[Line]:
    """The tree of branches, once there is more than the first."""
    branches = snapshot.summary.branches
    if len(branches) < 2:
        return []
    return [Line(""), Line("Branches", style="heading"), *(Line(visible_line(line)) for line in tree(branches))]


def _control(row: ControlRow) -> list[Line]:
    what = f"{visible_line(row.action, 30)}{_arguments(row.arguments)} by {visible_line(row.who, 60)}"
    lines = [Line(what, f"{_when(row.time)}  ", colours=(Span(0, len(what), "name"),))]
    if row.why:
        lines += split(visible(f"why: {row.why}"), gutter=" " * 10)
    if row.outcome:
        lines += split(visible(f"outcome: {row.outcome}"), gutter=" " * 10)
    return lines


def _arguments(text: str) -> str:
    try:
        given = json.loads(text) if text else {}
    except ValueError:
        return f" {visible_line(text, 60)}"
    if not isinstance(given, dict):
        return f" {visible_line(text, 60)}"
    shown = {name: value for name, value in given.items() if value not in (None, "")}
    return "".join(f" {visible_line(str(name), 20)}={visible_line(str(value), 40)}" for name, value in shown.items())


def _notice(row: NoticeRow) -> list[Line]:
    first, *rest = split(visible(f"{row.source}: {row.message}"), gutter=" " * 10)
    return [first._replace(gutter=f"{_when(row.time)}  "), *rest]


def _when(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "--:--:--"


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "----------"
