"""JSON lines: a row a line, UTF-8."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from azr_platform.audits.export.about import About
from azr_platform.audits.export.place import new_file
from azr_platform.audits.export.rows import Row


def write(rows: Iterable[Row], _: About, out: Path) -> None:
    """Write a new file.

    Raises:
        OSError: the file is there already, or cannot be written.
    """
    encoder = msgspec.json.Encoder()
    with new_file(out) as part, part.open("wb") as file:
        for row in rows:
            file.write(encoder.encode(row) + b"\n")
