"""What people rule while a run goes on: alerts seen to, samples allowed or blocked, the policy amended.

A ruling on samples or on the policy holds from the step after those that have begun to be judged: no batch begins to be
judged between the choice of that step and the ruling's effect.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from azr_platform.channel.messages import Action, Command, Outcome
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.amendments import Standing
from azr_platform.supervisor.decisions import Decisions, decide
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.outcomes import acknowledge, decision_on, dismiss, resolve
from azr_platform.supervisor.recorder import Recorder

_OF_ALERTS: Final = {Action.ACKNOWLEDGE: acknowledge, Action.RESOLVE: resolve, Action.FALSE_ALARM: dismiss}


class Rulings:
    """Carries rulings out, one at a time."""

    def __init__(
        self, run: Path, writer: LedgerWriter, gate: Gate, standing: Standing | None, records: Recorder
    ) -> None:
        """``standing`` is the gate's judge where the policy may be changed while the run goes on."""
        self._run = run
        self._writer = writer
        self._gate = gate
        self._standing = standing
        self._records = records
        self._branch = 1
        self._judged = 0  # the last step that has begun to be judged
        self._ruling = asyncio.Lock()

    async def branch(self, branch: int, step: int) -> None:
        """The run goes on from ``step`` on ``branch``: what was ruled on its line holds, nothing else does."""
        async with self._ruling:
            self._branch, self._judged = branch, step
            self._gate.heed(await self._records.write(self._decisions))
            if self._standing is not None:
                await self._records.write(self._standing.take_up)

    async def judging(self, step: int) -> None:
        """A batch of ``step`` begins to be judged, once no ruling is under way."""
        async with self._ruling:
            self._judged = max(self._judged, step)

    async def carry_out(self, command: Command) -> Outcome:
        """Do what a command says that leaves the run's course alone; such may be given after its end, too."""
        if command.action is Action.DECIDE:
            return await self._decide(command)
        if command.action is Action.AMEND:
            return await self._amend(command)
        return await self._see_to_alert(command)

    async def _see_to_alert(self, command: Command) -> Outcome:
        def look() -> Command | None:
            with LedgerReader(self._run) as reader:
                return decision_on(reader, command)

        def record() -> Outcome:
            with LedgerReader(self._run) as reader:
                return _OF_ALERTS[command.action](reader, self._writer, command)

        decision = await self._records.write(look) if command.action is Action.FALSE_ALARM else None
        return await (self._records.write(record) if decision is None else self._decide(decision))

    async def _decide(self, command: Command) -> Outcome:
        def record() -> Outcome:
            with LedgerReader(self._run) as reader:
                return decide(reader, self._writer, command, self._branch, self._judged)

        async with self._ruling:
            outcome = await self._records.write(record)
            self._gate.heed(await self._records.write(self._decisions))
        return outcome

    async def _amend(self, command: Command) -> Outcome:
        standing = self._standing
        if standing is None:
            return Outcome(ok=False, detail="this run's policy cannot be changed while it goes on")
        async with self._ruling:
            outcome = await self._records.write(
                lambda: standing.amend(self._writer, command, self._branch, self._judged)
            )
        if outcome.ok:
            await self._records.notice("supervisor", f"{command.who} changed the policy: {outcome.detail}")
        return outcome

    def _decisions(self) -> Decisions:
        with LedgerReader(self._run) as reader:
            return Decisions.of_run(reader)
