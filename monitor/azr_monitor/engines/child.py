"""The process that reads texts with rule engines: python -m azr_monitor.engines.child."""

from __future__ import annotations

import resource
import signal
import socket

from azr_monitor.engines.load import compiled
from azr_monitor.engines.process import Begin, Failed, Hits, Read, receive, send


def main() -> None:
    """Compile the rules, then answer one text after the other until the other end is gone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # what the timer does: it ends us
    with socket.socket(fileno=0) as wire:
        begin = receive(wire, Begin)
        try:
            engines = compiled(begin.yara, begin.ast_grep)
        except Exception as error:
            send(wire, Failed(f"the rules no longer compile: {error}"))
            return
        _close_in()
        send(wire, Hits())
        while True:
            try:
                message = receive(wire, Read)
            except (EOFError, ConnectionError):
                return
            signal.setitimer(signal.ITIMER_PROF, begin.seconds)
            try:
                found = [engine.read(message.kind, message.text) for engine in engines]
                answer: Hits | Failed = Hits(tuple((at, hit) for at, hits in enumerate(found) for hit in hits))
            except Exception as error:  # whatever an engine raises, the auditor must hear of it
                answer = Failed(f"{type(error).__name__}: {error}")
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(wire, answer)


def _close_in() -> None:
    """From here on there are only texts to read: no file and no socket is opened, and nothing is written."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # the three that are there: the wire, and two of /dev/null
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    main()
