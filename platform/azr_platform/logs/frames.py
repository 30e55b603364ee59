"""What the process that unpacks tells the one that reads: rows and skips, framed on a pipe.

Neither trusts the other's lengths: a frame that claims more than it may ends the reading.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from azr_platform.logs.limits import MAX_ROW
from azr_platform.logs.lines import Unreadable
from azr_platform.logs.records import Reason

_HEAD = struct.Struct("<cQI")
_ROW, _SKIP, _END = b"r", b"s", b"e"


class Unpacked(NamedTuple):
    """A row's JSON, or why there is none; ``reason`` is None for a row."""

    number: int
    data: bytes
    reason: Reason | None = None


def write_row(to: IO[bytes], number: int, data: bytes) -> None:
    """Hand on a row, or say that it is too long."""
    if len(data) > MAX_ROW:
        write_skip(to, number, Reason.LONG, f"{len(data):,} bytes")
        return
    to.write(_HEAD.pack(_ROW, number, len(data)))
    to.write(data)


def write_skip(to: IO[bytes], number: int, reason: Reason, why: str) -> None:
    """Say what was left out."""
    data = f"{reason.name} {why}".encode("utf-8", "replace")[:2000]
    to.write(_HEAD.pack(_SKIP, number, len(data)) + data)


def write_end(to: IO[bytes]) -> None:
    """Say that this was all."""
    to.write(_HEAD.pack(_END, 0, 0))
    to.flush()


def read(of: IO[bytes]) -> Iterator[Unpacked]:
    """Everything up to the end.

    Raises:
        Unreadable: the other end went away before it had said that this was all, or sends what is no frame.
    """
    while True:
        kind, number, length = _HEAD.unpack(_exactly(of, _HEAD.size))
        if kind == _END:
            return
        if length > MAX_ROW or kind not in (_ROW, _SKIP):
            raise Unreadable("what unpacks it sent what is no frame")
        data = _exactly(of, length)
        if kind == _ROW:
            yield Unpacked(number, data)
            continue
        name, _, why = data.decode("utf-8", "replace").partition(" ")
        yield Unpacked(number, why.encode(), Reason.__members__.get(name, Reason.DAMAGED))


def _exactly(of: IO[bytes], length: int) -> bytes:
    data = of.read(length)
    if len(data) < length:
        raise Unreadable("the process that unpacks it ended early: too much memory or time, or a fault in a library")
    return data
