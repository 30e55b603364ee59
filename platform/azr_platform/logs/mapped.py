"""Any other log: the user says where things stand in its rows (``--map trace=path.to.field``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from azr_platform.logs import fields
from azr_platform.logs.plain import response_entry
from azr_platform.logs.records import Entry
from azr_platform.logs.text import conversation, is_messages, text_of

PARTS: Final = ("id", "prompt", "response", "trace", "program", "input", "output", "message", "reward", "step")
_JUDGED: Final = ("response", "trace", "program", "message")


class Mapped:
    """A row read as ``NAME=PATH`` pairs say. ``response`` is cut into words and programs, and ``trace`` where it is
    messages; a text is not."""

    name = "mapped"

    def __init__(self, pairs: Sequence[str]) -> None:
        """
        Raises:
            ValueError: a pair that is none, a name that is none of ``PARTS``, or nothing to judge among them.
        """
        self._paths: dict[str, fields.Path] = {}
        for pair in pairs:
            name, equals, path = pair.partition("=")
            if not equals or name not in PARTS:
                raise ValueError(f"--map {pair!r}: write NAME=PATH, NAME one of {', '.join(PARTS)}")
            self._paths[name] = fields.parse_path(path)
        if not self._paths.keys() & set(_JUDGED):
            raise ValueError(f"--map names nothing to judge; map one of {', '.join(_JUDGED)}")

    def looks(self, row: dict[str, Any]) -> str:
        found = [name for name in _JUDGED if self._at(row, name) is not None]
        return f"as mapped: {', '.join(found)}" if found else ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        if not self.looks(row):
            raise ValueError("nothing stands where --map points")
        response = self._at(row, "response")
        if response is not None and not isinstance(response, str) and not is_messages(response):
            raise ValueError("what --map calls response is neither a text nor messages")
        about = {name: self._at(row, name) for name in ("id", "reward", "step")}
        entry = response_entry(about, response if response is not None else "", self._at(row, "prompt"))
        given: dict[str, Any] = {
            name: _words(value)
            for name in ("trace", "program", "message")
            if (value := self._at(row, name)) is not None
        }
        trace = self._at(row, "trace")
        if is_messages(trace):  # programs stand between their words, and are to be judged as programs
            written = conversation(trace).written
            given = {"program": written.program, "inputs": written.inputs, "outputs": written.outputs} | given
        if given:
            given["response"] = ""  # it is not all that the model wrote
        for name in ("input", "output"):
            if name in self._paths:
                given[f"{name}s"] = fields.texts(self._at(row, name))
        return [msgspec.structs.replace(entry, **given)]

    def _at(self, row: dict[str, Any], name: str) -> Any:
        return fields.find(row, self._paths[name]) if name in self._paths else None


def _words(value: Any) -> str:
    if is_messages(value):
        return conversation(value).written.trace
    if isinstance(value, list):
        return "\n\n".join(fields.texts(value))
    return text_of(value)
