"""The processes that share an update: what becomes of the trainer when one never starts, or dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from azr_platform.channel.wire import frame
from azr_platform.trainer.crew import Crew, WorkerDied
from azr_platform.trainer.ranks import Failed, Ready, State

QUIET = "import socket, sys, time; s = socket.socket(fileno=int(sys.argv[sys.argv.index('--fd') + 1])); time.sleep(600)"


@pytest.mark.parametrize(
    ("program", "silence", "message"),
    [
        ("import sys; sys.exit(7)", 300, "rank 1 did not start: ended with status 7"),
        (QUIET, 0.5, "rank 1 did not start: said nothing for too long"),
    ],
    ids=["ends", "is silent"],
)
def test_a_process_that_does_not_start_is_named(program: str, silence: float, message: str, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match=message):
        Crew(tmp_path, 3, silence=silence, last_words=print, command=(sys.executable, "-c", program))


UNNOTICED = """
import sys, time
from pathlib import Path
from azr_platform.channel.wire import frame
from azr_platform.trainer.crew import Crew
from azr_platform.trainer.ranks import Ready
speak = "import socket, sys; s = socket.socket(fileno=int(sys.argv[sys.argv.index('--fd') + 1])); s.sendall(%r)"
command = (sys.executable, "-c", speak % frame(Ready()))
say = lambda text: print("said:", text, flush=True)
crew = Crew(Path(sys.argv[1]), 2, silence=300, last_words=say, command=command, grace=0.1)
time.sleep(600)
"""


def test_a_trainer_that_does_not_notice_a_death_is_ended(tmp_path: Path) -> None:
    """As on GPUs, where a collective without one of its processes may never return."""
    ran = subprocess.run(
        [sys.executable, "-c", UNNOTICED, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 1
    assert ran.stdout == "said: the trainer's process of rank 1 ended with status 0\n"


def test_what_a_worker_fails_with_is_what_the_trainer_fails_with(tmp_path: Path) -> None:
    """Rather than what torch says of a peer that is gone. An error of the trainer's own stays its own."""
    said = frame(Ready()) + frame(Failed(error="OutOfMemoryError: 3 GiB"))
    speak = (
        f"import socket, sys; s = socket.socket(fileno=int(sys.argv[-5])); s.sendall({said!r}); s.makefile('rb').read()"
    )
    crew = Crew(tmp_path, 2, silence=300, last_words=print, command=(sys.executable, "-c", speak))
    try:
        with pytest.raises(WorkerDied, match=r"rank 1 failed: OutOfMemoryError: 3 GiB$"), crew.together([State()]):
            raise RuntimeError("Connection closed by peer")
        with pytest.raises(ValueError, match="of its own"), crew.together([State()]):
            raise ValueError("of its own")
    finally:
        crew.close()
