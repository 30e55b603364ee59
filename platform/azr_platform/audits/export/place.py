"""Where an export goes: a new file or folder, there whole or not at all, and never in the place of anything."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
"""What file systems without hard links say: FAT, some of those of networks and of clouds."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write; it gets its name when the block ends well.

    Raises:
        FileExistsError: the name is taken, at the beginning or by then.
    """
    _vacant(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        _settle(Path(name))
        _name(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The same with a folder."""
    _vacant(path)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.", dir=path.parent))
    try:
        yield folder
        for file in folder.rglob("*"):
            if file.is_file():
                _settle(file)
        _vacant(path)
        folder.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _vacant(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(17, "something is there already", str(path))


def _name(file: Path, path: Path) -> None:
    """Give a file its name, which must be free."""
    try:
        os.link(file, path)  # unlike a rename, takes no other's place
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    # The name is taken with an empty file, which nobody else can then take; only that one is replaced.
    taken = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        ours, there = os.fstat(taken), path.lstat()
        if (ours.st_dev, ours.st_ino, there.st_size) != (there.st_dev, there.st_ino, 0):
            raise FileExistsError(errno.EEXIST, "something took the name meanwhile", str(path))
        file.rename(path)
    finally:
        os.close(taken)


def _settle(file: Path) -> None:
    """Have a file's bytes on the disk before it gets its name."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
