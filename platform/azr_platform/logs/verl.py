"""verl: ``trainer.rollout_data_dir`` and ``validation_data_dir``, a file STEP.jsonl a step.

A row is ``{"input", "output", "gts", "score", "step"}`` and what the reward function added; ``input`` is the prompt as
text, ``output`` the response. Older versions write no ``gts``.
"""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.records import Entry
from azr_platform.logs.text import written

_KNOWN: Final = frozenset({"input", "output", "gts", "score", "step", "id"})


class Verl:
    """A dumped generation a row."""

    name = "verl"

    def looks(self, row: dict[str, Any]) -> str:
        texts = isinstance(row.get("input"), str) and isinstance(row.get("output"), str)
        return 'rows with "input", "output", "score" and "step"' if texts and {"score", "step"} <= row.keys() else ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        output = row.get("output")
        if not isinstance(output, str):
            raise ValueError('"output" is not a text')
        parts = written(output)
        return [
            Entry(
                id=fields.identity(row.get("id")),
                prompt=fields.text(row.get("input")),
                response=parts.response,
                trace=parts.trace,
                program=parts.program,
                inputs=parts.inputs,
                outputs=parts.outputs,
                message=parts.message,
                reward=fields.number(row.get("score")),
                step=fields.step(row.get("step")),
                extra=fields.rest(row, _KNOWN),
            )
        ]
