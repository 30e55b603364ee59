"""A process that shares the trainer's update: ``python -m azr_platform.trainer.worker --run RUN --fd N --rank R …``.

Started by the trainer (crew.py), whose socket it inherits; it has no connection to the supervisor. It ends with the
trainer, in the middle of a pass too. Exit status: 0 the trainer is gone, 1 failed (the trainer was told why).
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import socket
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from azr_platform.channel.wire import Disconnected, Wire, WireError
from azr_platform.config.load import load
from azr_platform.trainer.checkpoint import load_optimizer
from azr_platform.trainer.model import settle_torch
from azr_platform.trainer.ranks import Begin, Failed, Learn, Order, Ready, State
from azr_platform.trainer.sharded import Shard
from azr_platform.trainer.update import Updater


def main() -> None:
    parser = argparse.ArgumentParser(description="internal: shares a trainer's update")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args()
    # Signals that go to every process of a run are for the supervisor; this one ends when the trainer hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.set_inheritable(arguments.fd, False)
    wire: Wire[Order] = Wire(socket.socket(fileno=arguments.fd), Order)
    try:
        serve(wire, arguments.run, arguments.rank, arguments.store)
    except Exception as error:
        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".encode("utf-8", "replace").decode("utf-8").split())
        with suppress(Disconnected):
            wire.send(Failed(error=text[:500]))
    os._exit(1)  # what waits for other processes is not waited for


def serve(wire: Wire[Order], run: Path, rank: int, store: Path) -> None:
    """Obey the trainer until it is gone."""
    config = load(file=run / "run.toml")
    settle_torch(config.run)
    inbox: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(wire, inbox), name="listen", daemon=True).start()
    wire.send(Ready())
    shard = Shard(config, rank, store)
    updater: Updater | None = None
    while True:
        match inbox.get():
            case Begin(folder):
                updater = None  # first let go of what was there
                updater = shard.updater(Path(folder) if folder else None)
                if folder:
                    load_optimizer(Path(folder), updater.optimizer)
            case Learn(minibatches, learning_rate):
                assert updater is not None
                updater.learn(minibatches, learning_rate)
            case State():
                assert updater is not None
                updater.optimizer.state()


def _listen(wire: Wire[Order], inbox: queue.SimpleQueue[Order]) -> None:
    try:
        while True:
            inbox.put(wire.receive())
    except (Disconnected, WireError):
        os._exit(0)


if __name__ == "__main__":
    main()
