"""The samples of an Inspect archive (.eval: a zip of JSON files). Runs in the process that unpacks.

Nothing is written anywhere: members are read by their name in the list, so a path in a name leads nowhere.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import IO, Final

from azr_platform.logs.document import sample_row
from azr_platform.logs.frames import write_row, write_skip
from azr_platform.logs.limits import MAX_DOCUMENT, MAX_MEMBERS, most_unpacked
from azr_platform.logs.lines import Unreadable, zstd_reader
from azr_platform.logs.records import Reason

_ZSTD: Final = 93
_LOCAL = struct.Struct("<4s22xHH")
_BLOCK: Final = 1 << 18


def unpack(file: IO[bytes], size: int, out: IO[bytes]) -> None:
    """Write every sample."""
    archive = zipfile.ZipFile(file)
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise Unreadable(f"an archive of {len(members):,} files", bomb=True)
    samples = [info for info in members if info.filename.startswith("samples/") and info.filename.endswith(".json")]
    if not samples:
        write_skip(out, 0, Reason.OTHER, "a zip without samples/*.json, so not one of Inspect's logs")
    total, most = 0, most_unpacked(size)
    for number, info in enumerate(samples, 1):
        try:
            data = _read(archive, file, info)
        except Unreadable as error:
            write_skip(out, number, Reason.BOMB if error.bomb else Reason.DAMAGED, str(error))
            continue
        except Exception as error:  # zipfile, zlib and Zstandard raise much on damaged members
            write_skip(out, number, Reason.DAMAGED, f"a sample cannot be unpacked: {type(error).__name__}")
            continue
        total += len(data)
        if total > most:
            raise Unreadable(f"unpacks to more than {most >> 20} MiB", bomb=True)
        row = sample_row(data)
        if isinstance(row, Reason):
            write_skip(out, number, row, "a sample is not a JSON object")
        else:
            write_row(out, number, row)


def _read(archive: zipfile.ZipFile, file: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MAX_DOCUMENT:
        raise Unreadable(f"a sample of {info.file_size >> 20} MiB", bomb=True)
    if info.flag_bits & 1:
        raise Unreadable("a sample is encrypted")
    # What the list says of a size may be a lie, so what comes out is counted.
    member = _zstd(file, info) if info.compress_type == _ZSTD else archive.open(info)
    found = io.BytesIO()
    while block := member.read(_BLOCK):
        found.write(block)
        if found.tell() > MAX_DOCUMENT:
            raise Unreadable(f"a sample of more than {MAX_DOCUMENT >> 20} MiB", bomb=True)
    return found.getvalue()


def _zstd(file: IO[bytes], info: zipfile.ZipInfo) -> IO[bytes]:
    """Zip method 93, which zipfile does not know before Python 3.14: the bytes stand behind a local header."""
    file.seek(info.header_offset)
    magic, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
    if magic != b"PK\x03\x04":
        raise Unreadable("a sample's header is damaged")
    file.seek(name + extra, io.SEEK_CUR)
    return zstd_reader(io.BytesIO(file.read(min(info.compress_size, MAX_DOCUMENT))))
