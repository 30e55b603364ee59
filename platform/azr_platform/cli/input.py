"""Read what a user hands to a command, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


class BadInput(Exception):
    """A file or line that cannot be used; the text names it and the place."""


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


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines):
        text = line.decode("utf-8", "surrogateescape")
        if number == 0:
            text = text.removeprefix("\ufeff")
        if text.strip():
            yield text
