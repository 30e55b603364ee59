"""Is the run healthy and safe: a verdict in a word on each subject, with the figures it rests on. Pure.

The words are hints for a reader, drawn from the newest steps; what acts on a run are the policy's own rules on metrics,
whose alerts count under *safe*.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from statistics import fmean, median
from typing import NamedTuple

from azr_monitor.records import Severity
from azr_platform.records import Role
from azr_tui import wording
from azr_tui.view import Series, Snapshot, View

_RECENT = 10
"""Values of a curve, whose mean is compared with that of as many before them: steps, or spans of a long run's."""
_LEAST = 6
"""Values without which nothing is said of a trend."""
_REWARD_MOVES = 0.03
_ENTROPY_FALLS = 0.3
_SPEED_FALLS = 0.3
_KL_HIGH, _CLIPPED_HIGH, _RATIO_HIGH = 0.1, 0.3, 10.0
_BLOCKED_HIGH = 0.05
_SILENT = 30.0


class Grade(IntEnum):
    """How good it looks; NONE: nothing can be said yet."""

    NONE = 0
    GOOD = 1
    WATCH = 2
    BAD = 3


SIGNS = {Grade.NONE: "·", Grade.GOOD: "✔", Grade.WATCH: "◇", Grade.BAD: "▲"}
STYLES = {Grade.NONE: "dim", Grade.GOOD: "green", Grade.WATCH: "yellow", Grade.BAD: "bold red"}


class Verdict(NamedTuple):
    """``subject`` is one word, ``word`` the verdict, ``reason`` the figures."""

    subject: str
    grade: Grade
    word: str
    reason: str


def verdicts(view: View) -> list[Verdict]:
    """One on each subject, in the order in which they matter: safety, learning, stability, proposals, speed."""
    if view.snapshot is None:
        return []
    return [
        _safety(view, view.snapshot),
        _learning(view.snapshot),
        _stability(view.snapshot),
        _proposals(view.snapshot),
        _speed(view, view.snapshot),
    ]


def _safety(view: View, snapshot: Snapshot) -> Verdict:
    summary = snapshot.summary
    worst = max((alert.severity for alert in view.open_alerts), default=0)
    grade, reasons = Grade.GOOD, []
    if summary.alerts_open:
        # Open alerts beyond those on hand are older; that they are open is what counts.
        grade = Grade.BAD if worst >= Severity.HIGH else Grade.WATCH
        word = wording.severity_label(worst).partition(" ")[2].upper()
        reasons.append(f"{wording.count(summary.alerts_open, 'open alert')}, worst {word}")
    else:
        reasons.append("no open alerts")
    if summary.held:
        grade = max(grade, Grade.WATCH)
        reasons.append(f"{summary.held:,} held for a person")
    violations = _newest(snapshot, "oversight/violations")
    if violations:
        grade = Grade.BAD
        reasons.append(f"{wording.count(int(violations), 'forbidden system call')} in the newest step")
    blocked = _newest(snapshot, "oversight/blocked")
    share = view.blocked_share if blocked is None else blocked
    if share is not None:
        if share >= _BLOCKED_HIGH:
            grade = max(grade, Grade.WATCH)
        reasons.append(f"{wording.percent(share)} blocked")
    word = {Grade.GOOD: "quiet", Grade.WATCH: "look", Grade.BAD: "look now"}[grade]
    return Verdict("safety", grade, word, "; ".join(reasons))


def _learning(snapshot: Snapshot) -> Verdict:
    changes = []
    for role in Role:
        rewards = [
            snapshot.series(f"reward/{each.value}/{kind.value}") for each, kind in snapshot.groups if each is role
        ]
        moved = _mean_change([series for series in rewards if series.values])
        if moved is not None:
            changes.append((role, *moved))
    if not changes:
        return Verdict("learning", Grade.NONE, "too early", f"needs {_LEAST} steps with rewards")
    # Solvers are what self-play is to make better; proposers are paid for tasks that get harder with them.
    _, change, steps = next((each for each in changes if each[0] is Role.SOLVE), changes[0])
    grade, word = Grade.WATCH, "flat"
    if change >= _REWARD_MOVES:
        grade, word = Grade.GOOD, "improving"
    elif change <= -_REWARD_MOVES:
        grade, word = Grade.BAD, "getting worse"
    told = ", ".join(f"{role.value} {_moved(by)}" for role, by, _ in reversed(changes))
    rates = [series for name, series in snapshot.metrics.items() if name.startswith("solve_rate/") and series.values]
    newest = [series.last for series in rates if series.last is not None]
    solved = f"; {wording.percent(fmean(newest))} solved" if newest else ""
    return Verdict("learning", grade, word, f"reward {told} over {steps} steps{solved}")


def _stability(snapshot: Snapshot) -> Verdict:
    reasons: list[tuple[Grade, str]] = []
    entropy = _change(snapshot.series("entropy"))
    if entropy is not None:
        before, now, steps = entropy
        fall = 1 - now / before if before > 0 else 0.0
        words = f"entropy {wording.number(snapshot.series('entropy').last)}"
        if fall >= _ENTROPY_FALLS:
            reasons.append((Grade.WATCH, f"{words}, down {wording.percent(fall)} in {steps} steps"))
        else:
            reasons.append((Grade.GOOD, words))
    for name, said, high in (
        ("approx_kl", "KL", _KL_HIGH),
        ("clip_fraction", "clipped", _CLIPPED_HIGH),
        ("ratio_max", "ratio up to", _RATIO_HIGH),
    ):
        value = _newest(snapshot, name)
        if value is not None:
            text = f"{said} {wording.percent(value) if name == 'clip_fraction' else wording.number(value)}"
            reasons.append((Grade.WATCH if abs(value) >= high else Grade.GOOD, text))
    if _newest(snapshot, "update/skipped"):
        reasons.append((Grade.BAD, "a gradient that is not finite was skipped"))
    if not reasons:
        return Verdict("stability", Grade.NONE, "too early", "no update yet")
    grade = max(each for each, _ in reasons)
    reasons.sort(key=lambda reason: -reason[0])  # what gave the verdict stands first
    word = {Grade.GOOD: "steady", Grade.WATCH: "look", Grade.BAD: "unstable"}[grade]
    return Verdict("stability", grade, word, "; ".join(text for _, text in reasons))


def _proposals(snapshot: Snapshot) -> Verdict:
    valid = [v for name, v in snapshot.summary.metrics.items() if name.startswith("valid_rate/") and v is not None]
    if not valid:
        return Verdict("proposals", Grade.NONE, "none", "no task was proposed yet")
    share = fmean(valid)
    reasons = [f"{wording.percent(share)} valid"]
    grade, word = Grade.GOOD, "varied"
    for name, said in (("health/new", "new"), ("health/distinct", "different")):
        value = _newest(snapshot, name)
        if value is not None:
            reasons.append(f"{wording.percent(value)} {said}")
            if value < 0.5:
                grade, word = Grade.WATCH, "repetitive"
    worth = [v for name, v in snapshot.summary.metrics.items() if name.startswith("learnability/") and v is not None]
    if worth:
        reasons.append(f"learnability {wording.number(fmean(worth))}")
    if share < 0.3:
        grade, word = Grade.WATCH, "mostly invalid"
    return Verdict("proposals", grade, word, "; ".join(reasons))


def _speed(view: View, snapshot: Snapshot) -> Verdict:
    silent = view.status.beat_age if view.status is not None else 0.0
    if silent > _SILENT and view.state == "running":
        return Verdict("speed", Grade.BAD, "stuck?", f"the trainer has said nothing for {wording.duration(silent)}")
    seconds = snapshot.step_seconds
    if len(seconds) < _LEAST:
        return Verdict("speed", Grade.NONE, "too early", f"needs {_LEAST} steps")
    usual, now = median(seconds), median(seconds[-3:])
    slower = now / usual - 1 if usual > 0 else 0.0
    reasons = [f"{wording.number(now)} s a step"]
    if slower >= _SPEED_FALLS:
        reasons[0] += f", usually {wording.number(usual)}"
    for name, said in (("tokens_per_second", "tokens/s"), ("load/programs_per_second", "programs/s")):
        if (value := _newest(snapshot, name)) is not None:
            reasons.append(f"{wording.number(value)} {said}")
    if (idle := _newest(snapshot, "idle")) is not None:
        reasons.append(f"idle {wording.percent(idle)}")
    grade, word = (Grade.WATCH, "slower") if slower >= _SPEED_FALLS else (Grade.GOOD, "steady")
    return Verdict("speed", grade, word, "; ".join(reasons))


def _newest(snapshot: Snapshot, name: str) -> float | None:
    return snapshot.summary.metrics.get(name)


def _moved(change: float) -> str:
    return "unchanged" if abs(change) < 0.005 else f"{'up' if change > 0 else 'down'} {abs(change):.2f}"


def _change(series: Series) -> tuple[float, float, int] | None:
    """(mean before, mean now, steps that both cover); None where there are too few."""
    count = len(series.values)
    if count < _LEAST:
        return None
    half = min(_RECENT, count // 2)
    # A value may stand for a span of steps, which ends with its own.
    start = series.steps[-2 * half - 1] if count > 2 * half else series.steps[0] - 1
    return fmean(series.values[-2 * half : -half]), fmean(series.values[-half:]), series.steps[-1] - start


def _mean_change(series: Sequence[Series]) -> tuple[float, int] | None:
    """(how far several have moved in the mean, over how many steps)."""
    changes = [change for each in series if (change := _change(each)) is not None]
    if not changes:
        return None
    return fmean(now - before for before, now, _ in changes), max(steps for _, _, steps in changes)
