"""The trainer as a child process, and the only connection that may speak as one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from azr_platform.channel.messages import FromTrainer
from azr_platform.channel.wire import AsyncWire

TRAINER = (sys.executable, "-P", "-m", "azr_platform.trainer.process")


class TrainerChild:
    """One trainer process and its wire. Its output goes to ``RUN/logs/trainer.log``."""

    def __init__(self, process: asyncio.subprocess.Process, wire: AsyncWire[FromTrainer]) -> None:
        self.process = process
        self.wire = wire

    @classmethod
    async def start(cls, run: Path, command: Sequence[str] = TRAINER) -> TrainerChild:
        (run / "logs").mkdir(exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with (run / "logs" / "trainer.log").open("ab") as log, theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    "--run",
                    str(run.resolve()),
                    "--fd",
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
                    # Signals of the terminal are for the supervisor, which decides what they mean.
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, AsyncWire(reader, writer, FromTrainer))

    @property
    def pid(self) -> int:
        return self.process.pid

    async def end(self, grace: float = 10.0) -> int:
        """Hang up and wait for the exit, kill after ``grace`` seconds; returns the exit status."""
        try:
            return await asyncio.wait_for(self._hang_up(), grace)
        except TimeoutError:
            self.kill()
            return await self.process.wait()

    async def _hang_up(self) -> int:
        await self.wire.close()
        return await self.process.wait()

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
