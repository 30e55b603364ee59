"""How much of a log is held at once. Whatever is over a limit is left out, counted and named; none of it is fatal."""

from __future__ import annotations

from typing import Final

MAX_ROW: Final = 16 << 20
"""Bytes of a line, or of a row as JSON. A longer line is read past without being kept."""
MAX_DOCUMENT: Final = 256 << 20
"""Bytes of a file that is one JSON document, or of one member of an archive: these cannot be read in pieces."""
MAX_MEMBERS: Final = 200_000
BATCH_ROWS: Final = 32
"""Rows of a Parquet file that are in memory together."""
CHILD_MEMORY: Final = 2 << 30
"""Address space of the process that unpacks Parquet, archives and documents."""
CHILD_SECONDS: Final = 3600
"""CPU time of that process."""
MAX_DEPTH: Final = 100
"""Arrays and objects within one another."""
_FREE: Final = 1 << 30
_RATIO: Final = 200


def most_unpacked(size: int) -> int:
    """Bytes that a compressed file of so many bytes may unpack to: the best real logs come to a tenth of this ratio."""
    return max(_FREE, _RATIO * size)
