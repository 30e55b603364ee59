"""The trainer's end of the sampling process: started, spoken with, and ended with everything it started itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from azr_platform.channel.wire import Disconnected, Wire, WireError
from azr_platform.rollout.vllm_messages import Answered, Done, Failed, Load, Rest, Sample, Sampled, Start

SAMPLER = (sys.executable, "-P", "-m", "azr_platform.rollout.vllm_process")
_LAST_BYTES = 20_000


class SamplerDied(Exception):
    """The sampling process ended, or fell silent; the text says what it said last."""


class SamplingProcess:
    """One process that samples with vLLM. Its output goes to ``log``; it reads weights from the descriptor ``weights``.

    Raises:
        SamplerDied: from every method, with the process already ended.
    """

    def __init__(
        self, command: Sequence[str], start: Start, *, weights: int, log: Path, devices: str, silence: float
    ) -> None:
        self._log = log
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(silence)
        self._silence = silence
        self._wire: Wire[Answered] = Wire(ours, Answered)
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 our own program
                [*command, "--fd", str(theirs.fileno()), "--weights", str(weights)],
                pass_fds=[theirs.fileno(), weights],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(start, devices),
                start_new_session=True,  # a group of its own, to be ended as one
            )
        self.ask(start)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, message: Start | Load | Rest | Sample, heard: Callable[[Sampled], None] | None = None) -> None:
        """Send a message and wait until it is done; what is sampled meanwhile goes to ``heard``."""
        try:
            self._say(message)
            while isinstance(answer := self._hear(), Sampled):
                if heard is not None:
                    heard(answer)
        except BaseException:
            # Also when it is ``heard`` that fails: what is still on the wire belongs to nobody.
            self.end()
            raise

    def _say(self, message: Start | Load | Rest | Sample) -> None:
        try:
            self._wire.send(message)
        except Disconnected as error:
            raise self._death(error) from error

    def _hear(self) -> Sampled | Done:
        try:
            answer = self._wire.receive()
        except (Disconnected, WireError) as error:
            raise self._death(error) from error
        if isinstance(answer, Failed):
            raise SamplerDied(f"vLLM failed: {answer.error} (its log: {self._log})")
        return answer

    def _death(self, error: Exception) -> SamplerDied:
        words, status = self._last_words(), self.end()
        if isinstance(error.__cause__, TimeoutError):
            why = f"said nothing for {self._silence:.0f} s"
        elif isinstance(error, WireError):
            why = f"said what cannot be understood ({error})"
        else:
            why = f"was killed (signal {-status})" if status < 0 else f"ended with status {status}"
        return SamplerDied(f"the process that samples with vLLM {why}{words} (its log: {self._log})")

    def end(self) -> int:
        """End it and whatever it started; returns its exit status, negative for a signal."""
        self._wire.close()
        if self._process.returncode is None:  # the group's number is still its own, even if it has just died
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _last_words(self) -> str:
        """The last line of its log, which for an uncaught exception is the exception."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - _LAST_BYTES))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last[:300]}" if last else ""


def _environment(start: Start, devices: str) -> Mapping[str, str]:
    """The process's environment: what the user set, and what our use of vLLM depends on."""
    settings = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the process is ours already
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_COLOR": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if start.enforce_eager:
        settings["TORCHDYNAMO_DISABLE"] = "1"
    if devices:
        settings["CUDA_VISIBLE_DEVICES"] = devices
    return {**os.environ, **settings}
