"""The lines of a file: compressed or not, UTF-8 or UTF-16, of any length, in memory that a line cannot fill."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from azr_platform.logs.limits import MAX_ROW, most_unpacked

_BLOCK: Final = 1 << 18
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_WINDOW: Final = 1 << 27


class Unreadable(Exception):
    """The rest of a file cannot be read; the text says why. ``bomb``: it unpacks to more than it may."""

    def __init__(self, why: str, *, bomb: bool = False) -> None:
        super().__init__(why)
        self.bomb = bomb


class Line(NamedTuple):
    """A line without its end. One that is too long is empty and says how long it was."""

    number: int
    data: bytes
    ended: bool = True
    too_long: int = 0


def blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """The bytes of a file, decompressed and in UTF-8, a block at a time.

    Raises:
        Unreadable: damaged, or more than a file of ``size`` bytes may unpack to.
    """
    raw = _decompressed(file, size)
    first = next(raw, b"")
    if first.startswith(_UTF16):
        yield from _from_utf16(first, raw)
        return
    yield first.removeprefix(codecs.BOM_UTF8)
    yield from raw


def lines(file: IO[bytes], size: int, limit: int = MAX_ROW) -> Iterator[Line]:
    """Every line that is not blank, numbered from 1.

    Raises:
        Unreadable: as for ``blocks``; the lines before it have been given.
    """
    held, length, number = bytearray(), 0, 1
    for block in blocks(file, size):
        pieces = block.split(b"\n")
        for piece in pieces[:-1]:
            length += len(piece)
            if length <= limit:
                held += piece
            if length > limit or held.strip():
                yield _line(number, held, length, limit, ended=True)
            held, length, number = bytearray(), 0, number + 1
        length += len(pieces[-1])
        if length <= limit:
            held += pieces[-1]
        else:
            held = bytearray()
    if length > limit or held.strip():
        yield _line(number, held, length, limit, ended=False)


def _line(number: int, held: bytearray, length: int, limit: int, *, ended: bool) -> Line:
    if length > limit:
        return Line(number, b"", ended, length)
    return Line(number, bytes(held).removesuffix(b"\r"), ended)


def _decompressed(file: IO[bytes], size: int) -> Iterator[bytes]:
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(_GZIP):
        yield from _measured(gzip.GzipFile(fileobj=file), size)
    elif magic == _ZSTD:
        yield from _measured(zstd_reader(file), size)
    else:
        while block := file.read(_BLOCK):
            yield block


def zstd_reader(file: IO[bytes]) -> IO[bytes]:
    """A stream of what a Zstandard file holds.

    Raises:
        Unreadable: the library for it is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise Unreadable("compressed with Zstandard; install azr-platform[logs]") from error
    reader: IO[bytes] = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
        file, read_across_frames=True
    )
    return reader


def _measured(unpacked: IO[bytes] | gzip.GzipFile, size: int) -> Iterator[bytes]:
    """What comes out, until it is more than it may be."""
    total, most = 0, most_unpacked(size)
    try:
        while block := unpacked.read(_BLOCK):
            total += len(block)
            if total > most:
                raise Unreadable(
                    f"unpacks to more than {most >> 20} MiB, which is {most // max(size, 1)} times its size", bomb=True
                )
            yield block
    except Unreadable:
        raise
    except Exception as error:  # zlib's, gzip's and Zstandard's own
        raise Unreadable(f"damaged: {type(error).__name__} after {total} unpacked bytes") from error


def _from_utf16(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    yield decoder.decode(first).encode("utf-8", "replace")
    for block in rest:
        yield decoder.decode(block).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def head(file: IO[bytes], size: int, length: int = 1 << 16) -> bytes:
    """The first bytes of a file as ``blocks`` gives them; the file is left at its beginning."""
    found = io.BytesIO()
    for block in blocks(file, size):
        found.write(block)
        if found.tell() >= length:
            break
    file.seek(0)
    return found.getvalue()[:length]
