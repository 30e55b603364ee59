"""The Absolute Zero Reasoner: its seed files, and the generations it saves when it evaluates.

A seed is ``{"snippet", "input", "output"}``, or ``inputs``, ``outputs`` and ``message`` for functions to be induced;
``imports`` stand before the snippet. Generations are one JSON object of three lists, ``inputs``, ``outputs`` and
``scores``. Its ``datasets.pkl`` is a pickle and is never opened.
"""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.plain import response_entry
from azr_platform.logs.records import Entry

_KNOWN: Final = frozenset(
    {"snippet", "original_snippet", "input", "inputs", "output", "outputs", "message", "imports", "scores", "id"}
)


class Azr:
    """A program a row, or a response."""

    name = "azr"

    def looks(self, row: dict[str, Any]) -> str:
        if isinstance(row.get("snippet"), str):
            return 'rows with "snippet"'
        texts = isinstance(row.get("inputs"), str) and isinstance(row.get("outputs"), str)
        return 'lists "inputs", "outputs" and "scores"' if texts and "scores" in row else ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        if "snippet" not in row and isinstance(row.get("outputs"), str):
            return [response_entry({"reward": row.get("scores")}, row["outputs"], fields.text(row.get("inputs")))]
        if not isinstance(row.get("snippet"), str):
            raise ValueError('"snippet" is not a text')
        return [
            Entry(
                id=fields.identity(row.get("id")),
                program="\n".join((*fields.texts(row.get("imports")), row["snippet"])),
                inputs=fields.texts(row.get("inputs", row.get("input"))),
                outputs=fields.texts(row.get("outputs", row.get("output"))),
                message=fields.text(row.get("message")),
                extra=fields.rest(row, _KNOWN),
            )
        ]
