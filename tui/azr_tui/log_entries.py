"""What people and the run itself said and did, as one list; and each of it in full. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from azr_platform.ledger.branches import tree
from azr_platform.ledger.records import ControlRow, NoticeRow
from azr_tui.document import Line, split
from azr_tui.escape import visible, visible_line
from azr_tui.view import Snapshot

Row = ControlRow | NoticeRow


class Which(StrEnum):
    """What a log shows."""

    ALL = "all"
    COMMANDS = "commands"
    NOTICES = "notices"

    def after(self) -> Which:
        known = list(Which)
        return known[(known.index(self) + 1) % len(known)]

    def takes(self, row: Row) -> bool:
        return self is Which.ALL or isinstance(row, ControlRow) == (self is Which.COMMANDS)


class Loaded(NamedTuple):
    """Rows of one table that were read so far, newest first; ``complete``: there are no older ones."""

    rows: tuple[Row, ...] = ()
    complete: bool = False

    @property
    def oldest(self) -> int | None:
        """Its id, beyond which the next page begins."""
        return self.rows[-1].id if self.rows else None

    def with_newer(self, page: Sequence[Row], size: int) -> Loaded:
        """With the newest page; what it holds already is left as it is, and a gap begins it anew."""
        newest = self.rows[0].id if self.rows else 0
        fresh = tuple(row for row in page if row.id > newest)
        if len(fresh) == size and self.rows:
            return Loaded(fresh, False)
        return Loaded((*fresh, *self.rows), self.complete or (not self.rows and len(page) < size))

    def with_older(self, page: Sequence[Row], size: int) -> Loaded:
        """With the page that follows."""
        oldest = self.oldest
        older = tuple(row for row in page if oldest is None or row.id < oldest)
        return Loaded((*self.rows, *older), len(page) < size)


def merged(commands: Loaded, notices: Loaded, which: Which, words: str) -> list[Row]:
    """Both newest first, as far as both are known; those that ``which`` takes and that hold all the words."""
    parts = [part for part in (commands, notices) if not part.complete and part.rows]
    if which is not Which.ALL:
        parts = [commands if which is Which.COMMANDS else notices]
        horizon = float("-inf")
    else:
        horizon = max((part.rows[-1].time for part in parts), default=float("-inf"))
    wanted = words.lower().split()
    rows = [
        row
        for row in (*commands.rows, *notices.rows)
        if which.takes(row) and row.time >= horizon and all(word in _searched(row) for word in wanted)
    ]
    return sorted(rows, key=lambda row: (-row.time, -row.id))


def what(row: Row) -> str:
    """An entry on one line, unescaped."""
    if isinstance(row, NoticeRow):
        return row.message
    why = f"  why: {row.why}" if row.why else ""
    outcome = f"  outcome: {row.outcome}" if row.outcome else ""
    return f"{row.action}{_arguments(row.arguments)}{why}{outcome}"


def who(row: Row) -> str:
    """Who gave a command, or which part of the run speaks."""
    return row.who if isinstance(row, ControlRow) else row.source


def entry_lines(row: Row) -> list[Line]:
    """An entry in full, as a document."""
    if isinstance(row, NoticeRow):
        return [*_field("when", _full(row.time)), *_field("from", row.source), *_field("said", row.message)]
    lines = [
        *_field("when", _full(row.time)),
        *_field("who", row.who),
        *_field("what", row.action),
        *_field("why", row.why or "not said"),
        *_field("outcome", row.outcome or "none on record"),
    ]
    for name, value in _parsed(row.arguments).items():
        lines += _field(str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return lines


def run_lines(snapshot: Snapshot) -> list[Line]:
    """The run as it was begun, its branches once there are several, and its settings."""
    run, state = snapshot.run, snapshot.state
    lines = [
        *_field("run", f"{run.name}, seed {run.seed}, version {run.version}"),
        *_field("begun", _full(run.created_at)),
        *_field("now", f"{state.state} since {_full(state.time)}{': ' if state.reason else ''}{state.reason}"),
    ]
    branches = snapshot.summary.branches
    if len(branches) > 1:
        lines += [Line(""), Line("Branches", style="heading"), *(Line(visible_line(line)) for line in tree(branches))]
    return [*lines, Line(""), Line("Settings", style="heading"), *split(visible(run.config))]


def clock(seconds: float, before: float | None = None) -> str:
    """``14:02:07``, with the day where the entry before it, newer, is of another."""
    day, time = moment(seconds)
    return time if before is not None and moment(before)[0] == day else f"{day[5:]} {time}"


def moment(seconds: float) -> tuple[str, str]:
    """(day, time) in UTC; dashes for a time that no calendar has."""
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return "----------", "--:--:--"
    return found.strftime("%Y-%m-%d"), found.strftime("%H:%M:%S")


def _full(seconds: float) -> str:
    day, time = moment(seconds)
    return f"{day} {time} UTC"


def _searched(row: Row) -> str:
    return f"{who(row)} {what(row)}".lower()


def _field(name: str, text: str) -> Iterable[Line]:
    first, *rest = split(visible(text), gutter=" " * 12)
    yield first._replace(gutter=f"{visible_line(name, 10):>10}  ")
    yield from rest


def _parsed(text: str) -> dict[str, object]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {"arguments": text}
    return found if isinstance(found, dict) else {"arguments": text}


def _arguments(text: str) -> str:
    shown = {name: value for name, value in _parsed(text).items() if value not in (None, "", [], {})}
    return "".join(f" {name}={value}" for name, value in shown.items())
