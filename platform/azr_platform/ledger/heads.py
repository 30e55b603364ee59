"""``RUN/heads.jsonl``: the ledger's heads, noted outside of it at each checkpoint and at the end of a run.

The chain has no secret in it, so whoever can write the ledger can cut its end off, or make it anew. Either leaves a
head noted here, or in any copy of this file, off the chain. A copy that lies where the writer cannot reach is what
proves something; the file itself finds those who did not think of it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

FILE = "heads.jsonl"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """After ``rows`` rows the newest had this digest, in hexadecimal."""

    rows: int
    head: str
    time: float = 0.0
    at: str = ""


def note(run: Path, rows: int, head: str, at: str) -> None:
    """Append one, durably. A line that an earlier writer left unfinished is ended first.

    Raises:
        OSError: no space, no permission.
    """
    line = msgspec.json.encode(Head(rows=rows, head=head, time=time.time(), at=at)) + b"\n"
    with (run / FILE).open("a+b") as file:
        if file.tell() and not _ends_a_line(file.fileno(), file.tell()):
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> tuple[list[Head], int]:
    """(the noted heads, how many lines are none).

    Raises:
        OSError: it cannot be read; FileNotFoundError where it is not there.
    """
    heads: list[Head] = []
    bad = 0
    for line in path.read_bytes().splitlines():
        try:
            heads.append(msgspec.json.decode(line, type=Head))
        except (msgspec.DecodeError, UnicodeDecodeError):
            bad += 1
    return heads, bad


def _ends_a_line(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"
