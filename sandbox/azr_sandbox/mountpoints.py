"""nsjail's two folders in /tmp: made before nsjail would, and gone when the last process that uses them is.

nsjail mounts a jail's root on ``/tmp/nsjail.<uid>.root`` and ``.tmp``, in a mount namespace of the jail's own, and
leaves both folders behind. Each process of ours holds a shared lock on them; whoever can lock them alone at its end
removes them. (Where a user has a ``/run/user/<uid>``, nsjail uses that, and it goes with the user's session.)
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
from pathlib import Path

_TMP = Path("/tmp")  # noqa: S108  # nsjail asks no variable
_held: dict[Path, int] = {}


def hold() -> None:
    """Keep nsjail's folders in place until this process ends; failing to is no one's problem but tidiness's."""
    if os.getuid() != 0 and os.access(f"/run/user/{os.getuid()}", os.W_OK):
        return
    if not _held:
        atexit.register(_release, os.getpid())
    for purpose in ("root", "tmp"):
        path = _TMP / f"nsjail.{os.getuid()}.{purpose}"
        if path not in _held:
            with contextlib.suppress(OSError):
                _held[path] = _lock(path)


def _lock(path: Path) -> int:
    while True:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o755)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        os.close(descriptor)  # removed by another process between the opening and the lock


def _release(owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of the process that holds them
    for path, descriptor in _held.items():
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rmdir()
        os.close(descriptor)
    _held.clear()
