"""What the supervisor puts on record, in a thread of its own: short work that never waits behind judging."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from azr_monitor.records import Severity
from azr_platform.channel.messages import Outcome
from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.observer import Guarded
from azr_platform.supervisor.rows import RaisedAlert
from azr_platform.supervisor.runfolder import record_control

T = TypeVar("T")

RETRY_SECONDS = 2.0


class Recorder:
    """Appends to a run's ledger; what is on record is shown to the observer as well."""

    def __init__(self, writer: LedgerWriter, observer: Guarded, give_up: Callable[[], bool]) -> None:
        """``give_up`` says whether a ledger that fails is not to be waited for: the run was told to stop."""
        self._writer = writer
        self._observer = observer
        self._give_up = give_up
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    def close(self) -> None:
        """Wait for what is being written; nothing may be recorded afterwards."""
        self._thread.shutdown()

    async def once(self, action: Callable[[], T]) -> T:
        """Run a ledger action in the thread, whatever it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)

    async def write(self, action: Callable[[], T]) -> T:
        """Run a ledger action in the thread. While the ledger fails, everything waits and says so;
        a stop ends the wait.

        Raises:
            LedgerBroken: the ledger still fails and the run was told to stop.
        """
        while True:
            try:
                return await self.once(action)
            except LedgerBroken as error:
                if self._give_up():
                    raise
                self._observer.alert(Severity.HIGH, "supervisor.ledger", f"ledger failed, waiting: {error}")
                await asyncio.sleep(RETRY_SECONDS)

    async def state(self, state: str, where: str, reason: str) -> None:
        """The run is in another state."""
        row = {"time": time.time(), "state": state, "where_at": where, "reason": reason}
        await self.write(lambda: self._writer.append("states", row))
        self._observer.state(state, where, reason)

    async def notice(self, source: str, message: str) -> None:
        """Something that its reader should know, and that nobody has to act on."""
        row = {"time": time.time(), "source": source, "message": message}
        await self.write(lambda: self._writer.append("notices", row))
        self._observer.notice(message)

    async def alert(self, branch: int, alert: RaisedAlert) -> None:
        """Something that somebody should look at."""
        row = {"time": time.time(), "branch": branch, "step": alert.step, "severity": alert.severity}
        await self.write(lambda: self._writer.append("alerts", {**row, "rule": alert.rule, "message": alert.message}))
        self._observer.alert(alert.severity, alert.rule, alert.message)

    async def control(self, who: str, action: str, given: Mapping[str, object], why: str, outcome: Outcome) -> None:
        """A command, who gave it, and what came of it."""
        await self.write(lambda: record_control(self._writer, who, action, given, why, outcome))
