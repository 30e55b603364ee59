"""Parquet: typed columns, findings as lists of structs, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from azr_platform.audits.export.about import About
from azr_platform.audits.export.place import new_file
from azr_platform.audits.export.rows import FoundRow, RanRow, Row

_GROUP_ROWS: Final = 4096
_GROUP_BYTES: Final = 32 << 20
_TYPES: Final[dict[Any, pa.DataType]] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    str: pa.string(),
    int | None: pa.int64(),
    float | None: pa.float64(),
    bool | None: pa.bool_(),
    str | None: pa.string(),
}


def write(rows: Iterable[Row], about: About, out: Path) -> None:
    """Write a new file.

    Raises:
        OSError: the file is there already, or cannot be written.
    """
    with new_file(out) as part, writer(part, about) as file:
        for group in groups(rows):
            file.write_table(group)


def writer(path: Path, about: About) -> pq.ParquetWriter:
    """A file of Parquet that says where its rows come from."""
    schema = SCHEMA.with_metadata({b"azr_platform": msgspec.json.encode(about)})
    return pq.ParquetWriter(path, schema, compression="zstd")


def groups(rows: Iterable[Row]) -> Iterator[pa.Table]:
    """Rows as tables of a bounded size."""
    held: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        held.append(msgspec.to_builtins(row))
        size += sum(len(value) for value in held[-1].values() if isinstance(value, str))
        if len(held) >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.Table.from_pylist(held, SCHEMA)
            held, size = [], 0
    if held:
        yield pa.Table.from_pylist(held, SCHEMA)


def _schema(kind: type[msgspec.Struct]) -> pa.Schema:
    lists: dict[Any, type[msgspec.Struct]] = {list[FoundRow]: FoundRow, list[RanRow]: RanRow}
    fields = []
    for name, annotation in get_type_hints(kind).items():
        inner = lists.get(annotation)
        fields.append((name, pa.list_(pa.struct(list(_schema(inner)))) if inner else _TYPES[annotation]))
    return pa.schema(fields)


SCHEMA: Final = _schema(Row)
