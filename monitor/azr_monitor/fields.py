"""What the parts of a policy are made of: strict models, and severities and actions by their names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from azr_monitor.records import Action, Severity


class Model(BaseModel):
    """A part of a policy: immutable, every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def nearest(word: str, names: Sequence[str]) -> str:
    """`` (did you mean …?)`` with the name that is close to ``word``; nothing when none is."""
    found = difflib.get_close_matches(word, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _enum(kind: type[Severity] | type[Action]) -> BeforeValidator:
    names = [member.name.lower() for member in kind]

    def parse(value: object) -> object:
        if isinstance(value, str) and value in names:
            return kind[value.upper()]
        if isinstance(value, kind):
            return value
        raise ValueError(f"{value!r} is not one of {', '.join(names)}{nearest(str(value), names)}")

    return BeforeValidator(parse)


_NAME = PlainSerializer(lambda member: member.name.lower(), return_type=str)
SeverityName = Annotated[Severity, _enum(Severity), _NAME]
ActionName = Annotated[Action, _enum(Action), _NAME]
