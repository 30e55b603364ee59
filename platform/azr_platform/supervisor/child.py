"""The trainer as a child process, and the only connection that may speak as one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from azr_platform.channel.messages import FromTrainer
from azr_platform.channel.wire import AsyncWire


class TrainerChild:
    """One trainer process and its wire. Its output goes to ``RUN/logs/trainer.log``."""

    def __init__(self, process: asyncio.subprocess.Process, wire: AsyncWire[FromTrainer]) -> None:
        self.process = process
        self.wire = wire

    @classmethod
    async def start(cls, run: Path) -> TrainerChild:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with (run / "logs" / "trainer.log").open("ab") as log, theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "azr_platform.trainer.process",
                "--run",
                str(run.resolve()),
                "--fd",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, AsyncWire(reader, writer, FromTrainer))

    @property
    def pid(self) -> int:
        return self.process.pid

    async def end(self, grace: float = 10.0) -> int:
        """Wait for the exit, kill after ``grace`` seconds; returns the exit status."""
        await self.wire.close()
        try:
            return await asyncio.wait_for(self.process.wait(), grace)
        except TimeoutError:
            self.kill()
            return await self.process.wait()

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
