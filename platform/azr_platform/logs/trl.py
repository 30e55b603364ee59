"""TRL: the tables that GRPO and its kin write with ``log_completions``, completions/completions_STEP.parquet.

A row has ``step``, ``prompt``, ``completion``, a column a reward function, and ``advantage``; newer versions add
``mode``. The reward of a row is the sum of those of the columns that are numbers and no names of TRL's own.
"""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.plain import response_entry
from azr_platform.logs.records import Entry
from azr_platform.logs.text import is_messages

_OWN: Final = frozenset({"step", "prompt", "completion", "advantage", "mode", "images", "image", "id"})


class Trl:
    """A completion a row."""

    name = "trl"

    def looks(self, row: dict[str, Any]) -> str:
        if {"step", "prompt", "completion"} <= row.keys() and (_rewards(row) or "advantage" in row):
            return 'rows with "step", "prompt", "completion" and rewards'
        return ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        completion = row.get("completion")
        if not isinstance(completion, str) and not is_messages(completion):
            raise ValueError('"completion" is neither a text nor messages')
        entry = response_entry({"step": row.get("step")}, completion, row.get("prompt"))
        rewards = _rewards(row)
        extra = {**rewards, **fields.rest(row, _OWN | rewards.keys())}
        advantage = fields.number(row.get("advantage"))
        if advantage is not None:
            extra["advantage"] = advantage
        return [_with(entry, sum(rewards.values()) if rewards else None, extra)]


def _rewards(row: dict[str, Any]) -> dict[str, float]:
    values = {name: value for name, value in row.items() if name not in _OWN and not isinstance(value, bool)}
    return {name: found for name, value in values.items() if (found := fields.number(value)) is not None}


def _with(entry: Entry, reward: float | None, extra: dict[str, Any]) -> Entry:
    import msgspec

    return msgspec.structs.replace(entry, reward=reward, extra=extra)
