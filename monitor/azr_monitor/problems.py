"""What is wrong with a policy file, one line a problem: file, line, place, what, and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from azr_monitor.extends import Merged
from azr_monitor.fields import nearest
from azr_monitor.sections import ClassifierSettings


def described(problem: Any, merged: Merged, root: type[BaseModel]) -> str:
    """One problem that validating ``merged`` as a ``root`` brought up."""
    kinds = _classifiers()
    # A tagged union puts its tag and markers in the location; they are not in the file.
    path = tuple(step for step in problem["loc"] if step not in (*kinds, "[key]"))
    where = ".".join(str(step) for step in path) or "the policy"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        names = _fields_at(problem["loc"][:-1], root)
        message = f"unknown key{nearest(str(path[-1]), names)}; known: {', '.join(names)}"
    elif problem["type"] == "missing":
        message = "is missing; add it"
    return f"{merged.line(path)}: {where}: {message}"


def _classifiers() -> dict[str, type[BaseModel]]:
    """The settings of each kind of classifier."""
    return {str(get_args(model.model_fields["kind"].annotation)[0]): model for model in _models(ClassifierSettings)}


def _fields_at(location: Sequence[str | int], root: type[BaseModel]) -> list[str]:
    """The field names of the model at a location, for suggestions."""
    kinds, model = _classifiers(), root
    for step in location:
        if step in kinds:
            model = kinds[str(step)]
        elif isinstance(step, str) and step in model.model_fields:
            model = next(_models(model.model_fields[step].annotation), model)
    # Of a policy, what it extends has been read and taken away by then.
    fields = {*model.model_fields} - {"folder"} | ({"extends"} if model is root else set())
    return sorted(fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
