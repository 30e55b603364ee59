"""Programs that a run must not learn from, so that what it is measured on is new to it.

They are known by their keys (`program_key`), so a program that differs from one of them in names, comments or layout
alone is held out as well.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import msgspec

from azr_platform.config.load import ConfigError
from azr_platform.tasks.canonical import program_key

NANO: Final = "nano"

key = lru_cache(maxsize=1 << 14)(program_key)
"""`program_key`, remembered: a task's program comes up again with every answer to it."""


class _Line(msgspec.Struct):
    """Whatever else a line holds is of no matter."""

    program: str


@cache
def held_out_programs(setting: str) -> frozenset[str]:
    """The keys that ``tasks.held_out`` stands for: none, the embedded model's own, or those of a JSON-lines file.

    Raises:
        ConfigError: the file cannot be read, a line of it has no program, or it holds none at all.
    """
    if not setting:
        return frozenset()
    if setting == NANO:
        from azr_platform.nano import heldout

        return heldout.held_out_programs()
    path, keys = Path(setting), set()
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(
            f"tasks.held_out = {setting!r}: cannot be read ({error.strerror}); give {NANO!r}, or a file of JSON lines"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            keys.add(program_key(msgspec.json.decode(line, type=_Line).program))
        except msgspec.DecodeError as error:
            raise ConfigError(
                f'{path}, line {number}: {error}; a line is a JSON object such as {{"program": "def f(x): ..."}}'
            ) from error
    if not keys:
        raise ConfigError(f"{path}: holds no program; to hold nothing out leave tasks.held_out empty")
    return frozenset(keys)
