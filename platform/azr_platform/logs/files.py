"""The files of a log, and the rows of a file, whatever it is packed in.

folder ──> files() ──> a file ──> rows():  lines                     read here, a line at a time
                                           Parquet, zip, a document  unpacked in a process of its own
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from azr_monitor.records import printable
from azr_platform.logs import frames
from azr_platform.logs.lines import Unreadable, head, lines
from azr_platform.logs.records import Place, Reason, Row, Skip

_NAMES: Final = (".jsonl", ".ndjson", ".json", ".parquet", ".eval")
_PACKED: Final = (".gz", ".zst")
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG")
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"
_PICKLES: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_CHILD = (sys.executable, "-P", "-m", "azr_platform.logs.unpack")


def files(path: Path) -> Iterator[Path | Skip]:
    """The files to read, in order: ``path`` itself, or what of a folder has the name of a log, however deep.

    A link that leads outside of the folder is refused. What one inside leads to is read at its own place; where it has
    no log's name there, as in a cache that names files by their digests, it is read at the first link that has one.
    """
    if not path.is_dir():
        yield path
        return
    root = path.resolve()
    linked: set[Path] = set()
    for folder, below, names in os.walk(path):
        below.sort()
        for name in sorted([*names, *(name for name in below if Path(folder, name).is_symlink())]):
            file = Path(folder, name)
            if file.is_symlink():
                if not _leads_inside(file, root):
                    yield Skip(Place(str(file)), Reason.LINK, "refused: a log is only what lies in its folder")
                elif _has_a_logs_name(name) and _read_only_here(target := file.resolve()) and target not in linked:
                    linked.add(target)
                    yield file
            elif _has_a_logs_name(name):
                yield file


def rows(file: Path) -> Iterator[Row | Skip]:
    """Every row of a file. What cannot be read is a skip, also when it is the whole file.

    Raises:
        OSError: the file is not there, or may not be read.
    """
    place = Place(str(file))
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            yield Skip(place, Reason.REFUSED, "no regular file")
            return
        try:
            kind = _kind(file, handle, status.st_size)
            if kind == "pickle":
                yield Skip(place, Reason.REFUSED, "a pickle runs what it holds when it is read, so it never is")
            elif kind == "lines":
                yield from _from_lines(place, handle, status.st_size)
            else:
                yield from _from_child(place, handle, kind, status.st_size)
        except Unreadable as error:
            yield Skip(place, Reason.BOMB if error.bomb else Reason.DAMAGED, str(error))
        except OSError as error:
            yield Skip(place, Reason.DAMAGED, f"cannot be read on: {error.strerror}")


def _kind(file: Path, handle: IO[bytes], size: int) -> str:
    """What a file is, by its first bytes; its name only decides where these leave it open."""
    first = head(handle, size)
    if first.startswith(_PARQUET):
        return "parquet"
    if first.startswith(_ZIP):
        return "archive"
    if first.startswith(_PICKLES):
        return "pickle"
    text = first.lstrip()
    if text.startswith(b"["):
        return "document"
    if not file.name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".json"):
        return "lines"
    line, _, rest = text.partition(b"\n")
    return "lines" if line.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{") else "document"


def _from_lines(place: Place, handle: IO[bytes], size: int) -> Iterator[Row | Skip]:
    for line in lines(handle, size):
        at = Place(place.file, line.number)
        if line.too_long:
            yield Skip(at, Reason.LONG, f"a line of {line.too_long:,} bytes")
        else:
            yield Row(at, line.data, not line.ended)


def _from_child(place: Place, handle: IO[bytes], kind: str, size: int) -> Iterator[Row | Skip]:
    if kind == "parquet" and not _has_pyarrow():
        yield Skip(place, Reason.REFUSED, "Parquet needs pyarrow; install azr-platform[logs]")
        return
    os.lseek(handle.fileno(), 0, os.SEEK_SET)
    process = subprocess.Popen(  # noqa: S603 our own program
        (*_CHILD, kind, str(size)),
        stdin=handle.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,  # signals of the terminal are for whoever audits
    )
    assert process.stdout is not None
    try:
        for number, data, reason in frames.read(process.stdout):
            at = Place(place.file, number)
            yield Row(at, data) if reason is None else Skip(at, reason, printable(data.decode("utf-8", "replace"), 300))
    finally:
        process.stdout.close()
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _has_pyarrow() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def _has_a_logs_name(name: str) -> bool:
    lower = name.lower()
    for packed in _PACKED:
        lower = lower.removesuffix(packed)
    return lower.endswith((*_NAMES, ".pkl", ".pickle")) and not name.startswith(".")


def _read_only_here(target: Path) -> bool:
    return target.is_file() and not _has_a_logs_name(target.name)


def _leads_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # leads nowhere, or round in circles
        return False
