"""Programs and traces from any source, one JSON object a line, as cases to judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from azr_monitor.records import Subject
from azr_platform.cli.input import TooLong
from azr_platform.records import Kind, Role
from azr_platform.supervisor.posthoc import Case
from azr_sandbox.batch import read_object


class BadLine(NamedTuple):
    """A line that holds nothing to judge: it is blocked, and the lines around it are judged all the same."""

    id: object
    why: str


def entries_in(lines: Iterable[str], first: int) -> Iterator[Case | BadLine]:
    """Every line as a case to judge, in order; the number of the first is ``first``."""
    for number, line in enumerate(lines, first):
        row: dict[str, Any] = {}
        if isinstance(line, TooLong):
            yield BadLine(None, f"line {number} is {line}")
            continue
        try:
            row = read_object(number, line)
            yield case_of(row, number)
        except ValueError as error:
            yield BadLine(row.get("id"), at_line(number, error))


def case_of(row: dict[str, Any], number: int) -> Case:
    """The case that the object of line ``number`` describes; without an ``id`` it is called by its number.

    Raises:
        ValueError: neither a program nor a trace, or something that is not a text.
    """
    program = _text(row, "program") or _text(row, "snippet")
    imports = "\n".join(_texts(row, "imports"))
    trace = _text(row, "trace")
    if not program and not trace:
        raise ValueError(f'line {number} has neither "program" nor "trace"')
    inputs = tuple(_texts(row, "inputs")) if "inputs" in row else tuple(_texts(row, "input"))
    outputs = tuple(_texts(row, "outputs")) if "outputs" in row else tuple(_texts(row, "output"))
    identity = row.get("id", number)
    subject = Subject(
        id=str(identity),
        program=f"{imports}\n{program}" if imports else program,
        trace=trace,
        inputs=inputs,
        message=_text(row, "message"),
        role=_one_of(row, "role", Role),
        kind=_one_of(row, "kind", Kind),
    )
    return Case(identity, subject, outputs)


def at_line(number: int, error: ValueError) -> str:
    """What is wrong, with the number of the line."""
    why = str(error)
    return why if why.startswith("line ") else f"line {number}: {why}"


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f'"{key}" is not a text')
    return value


def _one_of(row: dict[str, Any], key: str, words: type[Role] | type[Kind]) -> str:
    """One of our words; in foreign data the key may mean something else, and then it says nothing to us."""
    value = row.get(key)
    return str(value) if value in list(words) else ""


def _texts(row: dict[str, Any], key: str) -> list[str]:
    value = row.get(key)
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise ValueError(f'"{key}" is not a text or a list of texts')
    return values
