"""The rows of a Parquet file as JSON, some at a time. Runs in the process that unpacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from azr_platform.logs.frames import write_row, write_skip
from azr_platform.logs.limits import BATCH_ROWS, most_unpacked
from azr_platform.logs.records import Reason

_THRIFT: Final = 64 << 20
"""Bytes of the file's own description, and how many things may be in a list of it."""


def unpack(file: IO[bytes], size: int, out: IO[bytes]) -> None:
    """Write every row; row groups that are too large or damaged are skipped, each by itself."""
    table = pq.ParquetFile(
        file,
        memory_map=False,
        buffer_size=1 << 20,
        thrift_string_size_limit=_THRIFT,
        thrift_container_size_limit=1 << 20,
    )
    columns = [field.name for field in table.schema_arrow if _is_worth_reading(field.type)]
    number = 1
    for group in range(table.num_row_groups):
        about = table.metadata.row_group(group)
        if about.total_byte_size > most_unpacked(size):
            why = f"a row group of {about.num_rows:,} rows unpacks to {about.total_byte_size >> 20} MiB"
            write_skip(out, number, Reason.BOMB, why)
        else:
            try:
                for row, position in _rows(table, group, columns):
                    write_row(out, number + position, row)
            except MemoryError:
                write_skip(out, number, Reason.BOMB, "a row group takes more memory than it may")
            except (pa.ArrowException, OSError, ValueError) as error:
                write_skip(out, number, Reason.DAMAGED, f"a row group cannot be read: {type(error).__name__}")
        number += max(about.num_rows, 0)
    out.flush()


def _rows(table: pq.ParquetFile, group: int, columns: list[str]) -> Iterator[tuple[bytes, int]]:
    position = 0
    batches = table.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)
    for batch in batches:
        for row in batch.to_pylist():
            yield msgspec.json.encode(row, enc_hook=_as_text), position
            position += 1


def _as_text(value: Any) -> str:
    return str(value)[:1000]


def _is_worth_reading(of: pa.DataType) -> bool:
    """Pictures and tensors hold no text, and times none that matters; zones of time would be read from files."""
    types = pa.types
    binary = types.is_binary(of) or types.is_large_binary(of) or types.is_fixed_size_binary(of)
    return not binary and not types.is_temporal(of)
