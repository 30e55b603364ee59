"""Read what a user hands to a command, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from azr_platform.logs.limits import MAX_ROW


class BadInput(Exception):
    """A file or line that cannot be used; the text names it and the place."""


class TooLong(str):
    """Stands for a line that is longer than a line may be; whoever reads lines refuses it, as it is no JSON."""


def read_lines(file: Path) -> Iterator[str]:
    """The non-empty lines of a text file; ``-`` is standard input.

    Bytes that are not UTF-8 become lone surrogates, which whoever reads the line refuses: one bad line does not
    take the others with it.

    Raises:
        BadInput: no such file, or one that cannot be read.
    """
    try:
        if str(file) == "-":
            yield from _decoded(sys.stdin.buffer)
            return
        with file.open("rb") as handle:
            yield from _decoded(handle)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error})") from error


def _decoded(handle: IO[bytes]) -> Iterator[str]:
    first = True
    while line := handle.readline(MAX_ROW):
        text = line.decode("utf-8", "surrogateescape")
        if len(line) == MAX_ROW and not line.endswith(b"\n"):
            while (rest := handle.readline(MAX_ROW)) and not rest.endswith(b"\n"):
                pass  # read past, not kept
            text = TooLong(f"a line of more than {MAX_ROW >> 20} MiB")
        if first and not isinstance(text, TooLong):
            text = text.removeprefix("\ufeff")
        first = False
        if text.strip():
            yield text
