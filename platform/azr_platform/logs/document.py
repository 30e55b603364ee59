"""A file that is one JSON document, as rows. Runs in the process that unpacks.

A list of objects; a table as W&B writes it, ``{"columns", "data"}``; an object of lists that are equally long; an
Inspect log, ``{"eval", "samples"}``; or an object that is a row itself. What turns out to be lines is read as lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import msgspec

from azr_platform.logs.frames import write_row, write_skip
from azr_platform.logs.limits import MAX_DOCUMENT
from azr_platform.logs.lines import Unreadable, blocks
from azr_platform.logs.records import Reason


class _Sample(msgspec.Struct, omit_defaults=True):
    """What is read of an Inspect sample: events repeat the messages many times over."""

    id: Any = None
    epoch: Any = None
    input: Any = None
    messages: Any = None
    output: Any = None
    scores: Any = None
    error: Any = None
    attachments: Any = None


_SAMPLE = msgspec.json.Decoder(_Sample)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def unpack(file: IO[bytes], size: int, out: IO[bytes]) -> None:
    """Write every row of the document."""
    data = bytearray()
    for block in blocks(file, size):
        data += block
        if len(data) > MAX_DOCUMENT:
            raise Unreadable(
                f"one JSON document of more than {MAX_DOCUMENT >> 20} MiB; write it as JSON lines", bomb=True
            )
    try:
        for number, row in enumerate(_rows(bytes(data)), 1):
            if isinstance(row, Reason):
                write_skip(out, number, row, "a sample is not a JSON object")
            else:
                write_row(out, number, row)
    except RecursionError:
        write_skip(out, 0, Reason.DEEP, "nested too deeply")
    except (msgspec.MsgspecError, ValueError):
        _as_lines(data, out)


def _rows(data: bytes) -> Iterator[bytes | Reason]:
    try:
        document = (_LIST if data.lstrip().startswith(b"[") else _OBJECT).decode(data)
    except msgspec.MsgspecError:  # NaN and Infinity are no JSON, but are written
        data = msgspec.json.encode(_loose(data))
        document = (_LIST if data.startswith(b"[") else _OBJECT).decode(data)
    if isinstance(document, list):
        yield from map(bytes, document)
    elif "samples" in document and "eval" in document:
        yield from (sample_row(bytes(sample)) for sample in _LIST.decode(document["samples"]))
    elif "columns" in document and "data" in document:
        names = msgspec.json.decode(document["columns"], type=list[str])
        for values in _LIST.decode(document["data"]):
            yield msgspec.json.encode(dict(zip(names, _LIST.decode(values), strict=False)))
    elif columns := _columns(document):
        for row in zip(*columns.values(), strict=True):
            yield msgspec.json.encode(dict(zip(columns, row, strict=True)))
    else:
        yield data


def _columns(document: dict[str, msgspec.Raw]) -> dict[str, list[msgspec.Raw]]:
    """The document by columns, if every value of it is a list and all are equally long."""
    if len(document) < 2 or not all(bytes(memoryview(value)[:1]) == b"[" for value in document.values()):
        return {}
    columns = {name: _LIST.decode(value) for name, value in document.items()}
    return columns if len({len(values) for values in columns.values()}) == 1 else {}


def sample_row(data: bytes) -> bytes | Reason:
    """An Inspect sample without what is not read of it."""
    try:
        return msgspec.json.encode(_SAMPLE.decode(data))
    except RecursionError:
        return Reason.DEEP
    except msgspec.MsgspecError:
        pass
    try:
        return msgspec.json.encode(_of_object(_loose(data)))
    except RecursionError:
        return Reason.DEEP
    except ValueError:
        return Reason.BROKEN


def _of_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return {name: value[name] for name in _Sample.__struct_fields__ if name in value}


def _loose(data: bytes) -> Any:
    return json.loads(data.decode("utf-8"), parse_constant=lambda _: None)


def _as_lines(data: bytearray, out: IO[bytes]) -> None:
    """It is no document, so perhaps lines with the wrong name; what these are is found out where lines are read."""
    found = data.split(b"\n")
    if len(found) < 2:
        write_skip(out, 0, Reason.BROKEN, "neither one JSON document nor JSON lines")
        return
    for number, line in enumerate(found, 1):
        if line.strip():
            write_row(out, number, bytes(line))
