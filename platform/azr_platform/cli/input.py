"""Read what a user hands to a command, line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class BadInput(Exception):
    """A file or line that cannot be used; the text names it and the place."""


def read_lines(file: Path) -> Iterator[str]:
    """The non-empty lines of a text file; ``-`` is standard input.

    Raises:
        BadInput: no such file, or not text.
    """
    try:
        if str(file) == "-":
            yield from (line for line in sys.stdin if line.strip())
            return
        with file.open(encoding="utf-8") as handle:
            yield from (line for line in handle if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: cannot be read ({error})") from error


def read_objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line of a JSONL file.

    Raises:
        BadInput: naming the line that is no JSON object.
    """
    for number, line in enumerate(read_lines(file), 1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{file}: line {number} is not JSON ({error})") from error
        if not isinstance(value, dict):
            raise BadInput(f"{file}: line {number} is not a JSON object")
        yield number, value
