"""Inspect: a sample of an ``.eval`` archive or of a JSON log, a row.

The model's are the messages of role ``assistant``; its reasoning is a part of their content. A text may stand apart,
under ``attachments``, and then ``attachment://ID`` stands in its place.
"""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.records import Entry
from azr_platform.logs.text import content_of, conversation, is_messages, text_of

_ATTACHED: Final = "attachment://"
_GRADES: Final = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's letters: correct, incorrect, partly correct, no answer."""


class Inspect:
    """A sample a row."""

    name = "inspect"

    def looks(self, row: dict[str, Any]) -> str:
        fits = isinstance(row.get("messages"), list) and {"id", "epoch", "output"} <= row.keys()
        return 'samples with "messages", "output" and "epoch"' if fits else ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        messages = row.get("messages")
        messages = [*messages] if is_messages(messages) else []
        messages += _unsaid(row, messages)
        attachments = row.get("attachments")
        if isinstance(attachments, dict) and attachments:
            messages = [_whole(message, attachments) for message in messages]
        talk = conversation(messages)
        parts = talk.written
        name = fields.identity(row.get("id"))
        epoch = fields.step(row.get("epoch"))
        return [
            Entry(
                id=f"{name}#{epoch}" if epoch is not None and epoch != 1 else name,
                prompt=talk.context or text_of(row.get("input")),
                response=parts.response,
                trace=parts.trace,
                program=parts.program,
                inputs=parts.inputs,
                outputs=parts.outputs,
                message=parts.message,
                reward=_score(row.get("scores")),
                extra={"model": model} if (model := fields.text(fields.find(row, ("output", "model")))) else {},
            )
        ]


def _unsaid(row: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model answered that is not among the messages: other choices, or all when a solver kept no messages."""
    choices = fields.find(row, ("output", "choices"))
    answers = [fields.find(choice, ("message",)) for choice in choices] if isinstance(choices, list) else []
    said = [content_of(message) for message in messages]
    return [answer for answer in answers if isinstance(answer, dict) and content_of(answer) not in said]


def _whole(message: dict[str, Any], attachments: dict[str, Any]) -> dict[str, Any]:
    """The message with its attached texts in place."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": _attached(content, attachments)}
    if not isinstance(content, list):
        return message
    parts = [
        {key: _attached(value, attachments) for key, value in part.items()} if isinstance(part, dict) else part
        for part in content
    ]
    return {**message, "content": parts}


def _attached(value: Any, attachments: dict[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith(_ATTACHED):
        return fields.text(attachments.get(value.removeprefix(_ATTACHED))) or value
    return value


def _score(scores: Any) -> float | None:
    """The first scorer's value: a number, or a letter that stands for one."""
    first = next(iter(scores.values()), None) if isinstance(scores, dict) else None
    value = fields.find(first, ("value",))
    return _GRADES.get(value) if isinstance(value, str) else fields.number(value)
