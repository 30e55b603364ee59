"""The process that a network sink runs in: ``python -m azr_platform.sinks.child NAME``, started by sinks/apart.py."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

from azr_platform.channel.wire import Disconnected, Wire
from azr_platform.config.schema import SinksConfig
from azr_platform.sinks.apart import Begin, Failed
from azr_platform.sinks.base import Event, Sink, Stream
from azr_platform.sinks.feed import one_line
from azr_platform.sinks.trackio import Trackio
from azr_platform.sinks.wandb import WandB

SINKS: dict[str, Callable[[Stream, SinksConfig], Sink]] = {"trackio": Trackio, "wandb": WandB}


def main(name: str) -> int:
    """Feed one sink until the supervisor hangs up; returns the exit status, after saying what went wrong."""
    with _take_standard_input() as sock:
        try:
            begin = Wire[Begin](sock, Begin).receive()
            sink = SINKS[name](begin.stream, SinksConfig.model_validate(begin.settings))
            _feed(sink, Wire(sock, Event))
            sink.close()
        except Exception as error:
            Wire[Begin](sock, Begin).send(Failed(one_line(error)))
            return 1
    return 0


def _feed(sink: Sink, wire: Wire[Event]) -> None:
    while True:
        try:
            event = wire.receive()
        except Disconnected:
            return
        sink.write(event)


def _take_standard_input() -> socket.socket:
    """The socket to the supervisor, which no process that a library starts must inherit and hold open."""
    sock = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 a device
        os.dup2(nothing.fileno(), 0)
    return sock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
