"""A change tried on past samples: ``azr-platform policy try`` in a process of its own, read line by line.

The dashboard itself judges nothing. The process writes nothing; it is ended with the screen that shows it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.message import Message

from azr_monitor.records import Amendment

_ENOUGH = 2000
"""Differences that are listed; further ones are counted."""


@dataclass
class Told(Message):
    """Something new is known of a trial."""


@dataclass
class Found:
    """What a trial has found so far; ``trouble`` says why it ended early."""

    judged: int = 0
    of: int = 0
    blocked: int = 0
    released: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)
    unlisted: int = 0
    done: bool = False
    trouble: str = ""

    def take(self, line: dict[str, Any]) -> None:
        if "sample" in line:
            before, after = str(line.get("before")), str(line.get("after"))
            blocked = {"hold", "block"}
            self.blocked += after in blocked and before not in blocked
            self.released += before in blocked and after not in blocked
            if len(self.differences) < _ENOUGH:
                self.differences.append(line)
            else:
                self.unlisted += 1
        elif "judged" in line:
            self.judged, self.of = int(line["judged"]), int(line["of"])


def words_of(amendment: Amendment) -> list[str]:
    """A change as ``policy try`` and ``policy set`` take it."""
    if amendment.enabled is not None:
        return [amendment.rule, "--on" if amendment.enabled else "--off"]
    if amendment.action:
        return [amendment.rule, "--action", amendment.action]
    return [
        amendment.rule,
        *(word for step in amendment.thresholds.items() for word in ("--threshold", f"{step[0]}={step[1]:g}")),
    ]


def is_policy(path: Path) -> bool:
    """Whether a file looks like a whole policy rather than one of rules."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return any(line.startswith(("name:", "extends:", "actions:")) for line in file)
    except OSError:
        return False


class Trial:
    """One trial under way; ``post`` is told of news, from the trial's own thread."""

    def __init__(self, run: Path, given: list[str], newest: int | None, post: Callable[[Message], object]) -> None:
        self.found = Found()
        self._post = post
        self._cancelled = False
        command = [sys.executable, "-P", "-m", "azr_platform", "policy", "try", str(run), *given, "--json"]
        command += ["--newest", str(newest)] if newest is not None else []
        self._process = subprocess.Popen(  # noqa: S603 our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, name="trial", daemon=True).start()

    @property
    def running(self) -> bool:
        return not (self.found.done or self.found.trouble)

    def cancel(self) -> None:
        """End it; what was found so far stays."""
        if self.running:
            self._cancelled = True
            self._process.terminate()

    def _read(self) -> None:
        with self._process as process:
            assert process.stdout is not None and process.stderr is not None
            for line in process.stdout:
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                if isinstance(told, dict):
                    self.found.take(told)
                    self._post(Told())
            errors = process.stderr.read().strip()
        if self._cancelled:
            self.found.trouble = "cancelled"
        elif status := process.returncode:
            self.found.trouble = errors.splitlines()[-1] if errors else f"it ended with status {status}"
        else:
            self.found.done = True
        self._post(Told())
