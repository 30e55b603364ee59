"""What a headless run shows: a bar with rate and ETA on a terminal, one plain line a step elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from azr_monitor.records import Severity
from azr_platform.supervisor.observer import Observer
from azr_tui.escape import visible

MAX_ALERT_LINES = 20


class Headless(Observer):
    """Prints as the run goes; every text that a model may have written is made visible and inert first.

    A ``quiet`` one prints nothing until ``speak``: the dashboard has the screen meanwhile.
    """

    def __init__(self, console: Console, steps: int, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._alert_lines = 0
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[where]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("step", total=steps, where="starting")

    def __enter__(self) -> Headless:
        if not self._quiet:
            self._progress.start()
        return self

    def speak(self) -> None:
        """The screen is free again."""
        self._quiet = False
        self._progress.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def state(self, state: str, where: str, reason: str) -> None:
        text = " · ".join(part for part in (state, where, reason) if part)
        self._progress.update(self._task, where=_clean(text)[:40])
        if state not in ("running", "starting"):
            self._say(f"state: {_clean(text)}")

    def beat(self, step: int, where: str, done: int, total: int) -> None:
        share = f" {done}/{total}" if total else ""
        self._progress.update(self._task, where=_clean(where + share)[:40])

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self._progress.update(self._task, completed=step)
        self._say(step_line(step, steps, seconds, metrics))

    def alert(self, severity: Severity, rule: str, message: str) -> None:
        self._alert_lines += 1
        if self._alert_lines <= MAX_ALERT_LINES:
            self._say(f"alert ({severity.name.lower()}): {_clean(f'{rule}: {message}')[:160]}")
        if self._alert_lines == MAX_ALERT_LINES:
            self._say("further alerts are in the ledger; watch them with `azr-platform tui`")

    def notice(self, message: str) -> None:
        self._say(f"note: {_clean(message)}")

    def _say(self, line: str) -> None:
        if self._quiet:
            return
        self._progress.console.print(escape(line), highlight=False, soft_wrap=True)


def step_line(step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> str:
    """One step in one line: mean solve rate, valid proposals, learnability, blocked, speed."""

    def mean(prefix: str) -> str:
        values = [value for name, value in metrics.items() if name.startswith(prefix)]
        return f"{sum(values) / len(values):.2f}" if values else "  – "

    return (
        f"step {step:>4}/{steps}  {seconds:5.1f} s  solved {mean('solve_rate/')}  valid {mean('valid_rate/')}  "
        f"learnability {mean('learnability/')}  "
        f"blocked {metrics.get('blocked', 0):.0f}/{metrics.get('samples', 0):.0f}  "
        f"{metrics.get('tokens_per_second', 0):.0f} tokens/s"
    )


def _clean(text: str) -> str:
    return visible(text).replace("\n", " ")
