"""Which ways alerts take, what each needs, and the observer that hands on what a supervisor says.

```
supervisor ──(its loop)── Outward ── Courier ── Webhook     POST to an address that a variable holds
                             ├────── Courier ── Program     JSON on the standard input of a command
                             └────── Courier ── Terminal    bell, OSC 9
```
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, cast

from azr_monitor.records import Severity
from azr_platform.alerts.courier import Courier, Way
from azr_platform.alerts.program import Program
from azr_platform.alerts.terminal import Terminal
from azr_platform.alerts.told import Shape, Told
from azr_platform.alerts.webhook import BadAddress, Webhook, checked
from azr_platform.config.alerts import AlertsConfig
from azr_platform.config.load import ConfigError
from azr_platform.supervisor.observer import Observer, Troubles
from azr_tui.escape import visible_line

LOG = "logs/alerts.log"
_MOST_QUOTED = 300


def require(settings: AlertsConfig) -> None:
    """Raises ConfigError when a variable holds no address, or the command cannot be found."""
    for webhook in settings.webhooks:
        variable = webhook.partition(":")[2]
        place = f'alerts.webhooks "{webhook}": the environment variable {variable}'
        if variable not in os.environ:
            raise ConfigError(f"{place} is not set; export the address there, or take the webhook out")
        try:
            checked(os.environ[variable])
        except BadAddress as error:
            raise ConfigError(f"{place} {error}") from None
    if settings.command and shutil.which(settings.command[0]) is None:
        raise ConfigError(f"alerts.command: no program {settings.command[0]!r} that can be run; give its whole path")


class Outward(Observer):
    """Tells of alerts and states every way that the settings ask for. It never waits.

    ``head`` gives the hex digest of the ledger's newest row, from any thread. Without a ``terminal`` of its own (the
    dashboard has it) none is rung.

    Raises:
        ConfigError: see ``require``.
    """

    def __init__(
        self, run: Path, name: str, settings: AlertsConfig, head: Callable[[], str] = str, *, terminal: bool = True
    ) -> None:
        require(settings)
        self._settings = settings
        self._run = visible_line(name, 80)
        self._head = head
        self._branch, self._step = 1, 0
        self._troubles = Troubles()
        ways: dict[str, Way] = {}
        for webhook in settings.webhooks:
            shape, _, variable = webhook.partition(":")
            address = os.environ[variable]
            ways[f"alerts.webhooks {webhook}"] = Webhook(cast(Shape, shape), address, settings.timeout_seconds)
        if settings.command:
            ways["alerts.command"] = Program(settings.command, run.resolve() / LOG, settings.timeout_seconds)
        if settings.terminal != "off" and terminal:
            ways["alerts.terminal"] = Terminal(notify=settings.terminal == "notify")
        self._couriers = [Courier(name, way, settings, self._troubles.add) for name, way in ways.items()]

    def branch(self, branch: int, step: int) -> None:
        self._branch, self._step = branch, step

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self._step = step

    def state(self, state: str, where: str, reason: str) -> None:
        if state in self._settings.states:
            self._tell("state", state, "", reason)

    def alert(self, severity: Severity, rule: str, message: str) -> None:
        if severity >= Severity[self._settings.least.upper()]:
            self._tell("alert", visible_line(rule, 80), severity.name.lower(), message)

    def troubles(self) -> list[str]:
        return self._troubles.take()

    def close(self) -> list[str]:
        """Tell what still waits, for about as long as one attempt may take; returns the troubles not asked for yet."""
        for courier in self._couriers:
            courier.finish()
        deadline = time.monotonic() + self._settings.timeout_seconds + 1.0  # an attempt's own end comes first
        for courier in self._couriers:
            courier.join(max(0.0, deadline - time.monotonic()))
        return self.troubles()

    def _tell(self, what: Literal["alert", "state"], name: str, severity: str, message: str) -> None:
        told = Told(
            type=what,
            run=self._run,
            time=time.time(),
            branch=self._branch,
            step=self._step,
            name=name,
            severity=severity,
            head=self._head(),
            quote=visible_line(message, _MOST_QUOTED) if self._settings.quote else "",
        )
        for courier in self._couriers:
            courier.put(told)
