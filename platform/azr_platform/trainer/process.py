"""The trainer's entry point, started by the supervisor: ``python -m azr_platform.trainer.process --run RUN --fd N``.

It inherits one end of a socket pair; nobody else can speak as the trainer. Exit status: 0 halted or finished,
1 failed (the supervisor was told why), 3 the supervisor is gone.
"""

from __future__ import annotations

import argparse
import fcntl
import re
import signal
import socket
import sys
import traceback
from pathlib import Path

_NO_MEMORY = r"out of memory|allocate memory|map segment"
"""In the words of torch on the CPU and on GPUs, and of the loader of shared objects."""


def main() -> None:
    parser = argparse.ArgumentParser(description="internal: the trainer of one run")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    arguments = parser.parse_args()
    # A service manager tells every process of a run to end; the supervisor decides what that means, and a trainer
    # without one ends by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(train(arguments.run, socket.socket(fileno=arguments.fd)))


def train(run: Path, sock: socket.socket) -> int:
    """Serve one trainer's life; returns the exit status. Errors go to stderr (logs/trainer.log) and the supervisor."""
    from azr_platform.channel.messages import ToTrainer
    from azr_platform.channel.wire import Disconnected, Wire
    from azr_platform.trainer.link import Link

    link = Link(Wire(sock, ToTrainer))
    try:
        welcome = link.hello()  # before the heavy imports: the pulse must not wait for them
        from azr_platform.trainer.session import Session

        with (run / "trainer.lock").open("w") as lock:
            # A trainer whose supervisor was killed ends within a second, and may be writing a checkpoint until then.
            fcntl.flock(lock, fcntl.LOCK_EX)
            Session(run, link).run(welcome)
    except Disconnected:
        return 3
    except Exception as error:
        traceback.print_exc()
        try:
            link.crashed(last_word(error)[:2000])
        except Disconnected:
            return 3
        return 1
    finally:
        link.close()
    return 0


def last_word(error: Exception) -> str:
    """What the supervisor is told of an error; of one that a user can mend by giving more memory, how."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or re.search(_NO_MEMORY, text, re.IGNORECASE):
        return f"out of memory; a smaller update.tokens_per_microbatch or model.max_response_tokens takes less ({text})"
    return text


if __name__ == "__main__":
    main()
