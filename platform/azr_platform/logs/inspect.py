"""Inspect: a sample of an ``.eval`` archive or of a JSON log, a row.

The model's are the messages of role ``assistant``; its reasoning is a part of their content. Any text of a message, an
argument of a tool's call too, may stand apart, under ``attachments``, and then ``attachment://ID`` stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from azr_monitor.records import printable
from azr_platform.logs import fields
from azr_platform.logs.records import Entry
from azr_platform.logs.text import content_of, conversation, is_messages, is_models, text_of

_ATTACHED: Final = re.compile(r"(?:attachment|tc)://([0-9A-Za-z_-]{1,64})")
"""A reference is all of a text; ``tc`` is how older versions call it."""
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
        attachments = attachments if isinstance(attachments, dict) else {}
        messages = [_whole(message, attachments) for message in messages]
        talk = conversation(messages)
        missing = [ref for message in messages if is_models(message) for ref in _references(message)]
        parts = talk.written
        name = fields.identity(row.get("id"))
        epoch = fields.step(row.get("epoch"))
        return [
            Entry(
                id=f"{name}#{epoch}" if epoch is not None and epoch != 1 else name,
                prompt=talk.context or text_of(_whole(row.get("input"), attachments)),
                response=parts.response,
                trace=parts.trace,
                program=parts.program,
                inputs=parts.inputs,
                outputs=parts.outputs,
                message=parts.message,
                reward=_score(row.get("scores")),
                lacks=f"{printable(missing[0], 100)} is not among the sample's attachments" if missing else "",
                extra={"model": model} if (model := fields.text(fields.find(row, ("output", "model")))) else {},
            )
        ]


def _unsaid(row: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model answered that is not among the messages: other choices, or all when a solver kept no messages."""
    choices = fields.find(row, ("output", "choices"))
    answers = [fields.find(choice, ("message",)) for choice in choices] if isinstance(choices, list) else []
    said = [content_of(message) for message in messages]
    return [answer for answer in answers if isinstance(answer, dict) and content_of(answer) not in said]


def _whole(value: Any, attachments: dict[str, Any]) -> Any:
    """The value with its attached texts in place; rows are not nested deeply (``limits.MAX_DEPTH``)."""
    if isinstance(value, dict):
        return {key: _whole(inner, attachments) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner, attachments) for inner in value]
    found = _ATTACHED.fullmatch(value) if isinstance(value, str) else None
    return (fields.text(attachments.get(found[1])) or value) if found else value


def _references(value: Any) -> Iterator[str]:
    """The references that still stand in a value."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _references(inner)
    elif isinstance(value, str) and _ATTACHED.fullmatch(value):
        yield value


def _score(scores: Any) -> float | None:
    """The first scorer's value: a number, or a letter that stands for one."""
    first = next(iter(scores.values()), None) if isinstance(scores, dict) else None
    value = fields.find(first, ("value",))
    return _GRADES.get(value) if isinstance(value, str) else fields.number(value)
