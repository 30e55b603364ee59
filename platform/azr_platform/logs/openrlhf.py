"""OpenRLHF: what batch inference wrote, ``{"input", "output", "reward"}``, and the table of samples that it logs.

The table is one of Weights & Biases: ``global_step``, ``text`` and ``reward``; ``text`` is the prompt and the response
together, which nobody can part any more, so all of it is judged.
"""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.plain import response_entry
from azr_platform.logs.records import Entry

_NAMES: Final = frozenset({"input", "output", "reward"})


class OpenRlhf:
    """A sample a row."""

    name = "openrlhf"

    def looks(self, row: dict[str, Any]) -> str:
        if isinstance(row.get("text"), str) and {"global_step", "reward"} <= row.keys():
            return 'rows with "global_step", "text" and "reward"'
        texts = isinstance(row.get("input"), str) and isinstance(row.get("output"), str)
        return 'rows with "input" and "output"' if texts and row.keys() <= _NAMES else ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        for name in ("output", "text"):
            if isinstance(row.get(name), str):
                about = {"step": row.get("global_step"), "reward": row.get("reward")}
                return [response_entry(about, row[name], fields.text(row.get("input")))]
        raise ValueError('neither "output" nor "text" is a text')
