"""``RUN/metrics.jsonl``: one JSON object a line, for whatever reads JSON. The format is in docs/sinks.md."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from azr_platform.sinks.base import Event, Sink, Stream

FILE = "metrics.jsonl"
_CHUNK = 1 << 16


class JsonLines(Sink):
    """Appends; a line that a killed run left unfinished is removed first.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, stream: Stream) -> None:
        path = Path(stream.run) / FILE
        _drop_cut_line(path)
        self._file = path.open("ab")

    def write(self, event: Event) -> None:
        # NaN and the infinities become null: JSON has none of them.
        self._file.write(msgspec.json.encode(event) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _drop_cut_line(path: Path) -> None:
    """Cut the file behind its last line break."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = end
        while whole:
            start = max(0, whole - _CHUNK)
            file.seek(start)
            at = file.read(whole - start).rfind(b"\n")
            if at >= 0:
                whole = start + at + 1
                break
            whole = start
        if whole < end:
            file.truncate(whole)
