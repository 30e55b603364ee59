"""The jail's file system: one checked copy of this Python, kept in a cache and shared by every jail of this user.

```
<cache>/root-3.11-<digest>/            what jails mount as their root, named by the interpreter it was copied from
<cache>/.root-3.11-<digest>.manifest   what the copy was made from, and what it must hold
<cache>/building-…  <cache>/stale-…    half-built and replaced copies; the next user removes them
```

A copy is used rather than the interpreter's own folder because the jail's user may not be able to reach that (a 0700
home), and because what lies there besides Python is nobody's business inside. It is built beside its place and moved
there whole. Before each use it is checked (about 20 ms): against its sources, so that an upgraded Python is
copied anew, and against the manifest, by every file's time stamps and, where these differ, by every file's contents.

Builders and removers take the cache's lock. Users hold a shared lock on the copy itself until their process ends,
so that no process removes what another one's jails run on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azr_sandbox import mountpoints, prefix
from azr_sandbox.jail import JailUnavailable

PYTHON = prefix.PYTHON
_LAYOUT = 2
_UNUSED_S = 7 * 86_400
"""Copies for other interpreters are removed when nothing has used them for this long."""
_REMEDY = "Set XDG_CACHE_HOME to a directory you own that is not writable by others."
_REMEDIES = {
    errno.ENOSPC: "Make room there (about 150 MB), or set XDG_CACHE_HOME to a directory on another disk.",
    errno.EDQUOT: "Your quota is used up: make room, or set XDG_CACHE_HOME to a directory on another disk.",
    errno.EFBIG: "A limit on the size of files is in the way: `ulimit -f unlimited`.",
    errno.EROFS: "Set XDG_CACHE_HOME to a directory you may write to, on a disk that allows programs.",
}

_in_use: dict[Path, int] = {}
"""Roots this process holds, with the descriptor whose shared lock says so."""


class _Unusable(Exception):
    """A place where no copy can be kept; the next one is tried."""

    def __init__(self, reason: str, remedy: str = _REMEDY) -> None:
        super().__init__(reason)
        self.remedy = remedy


def python_root(cache: Path | None = None) -> Path:
    """What a jail mounts as its root: built if it is not there yet, checked if it is, and this process's to use.

    ``cache`` overrides where copies are kept. Raises JailUnavailable when no copy can be had, with the reason.
    """
    refused: list[str] = []
    remedy = ""
    for directory in [cache] if cache else cache_directories():
        try:
            root = _take(_usable(directory))
        except _Unusable as error:
            refused.append(f"{directory}: {error}")
            remedy = remedy or error.remedy
            continue
        mountpoints.hold()
        return root
    raise JailUnavailable("no place to keep the jail's copy of Python (" + "; ".join(refused) + ")", remedy)


def cache_directories() -> list[Path]:
    """Where copies may be kept, the preferred place first."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    places = [Path(chosen)] if chosen.startswith("/") else []  # a relative one is to be ignored, says its standard
    if not places:
        with contextlib.suppress(RuntimeError):  # no home at all
            places.append(Path.home() / ".cache")
    # For root, whose home the jail's user may not enter; and for users without a home of their own.
    places += [Path("/var/cache")] if os.geteuid() == 0 else []
    owner = "root" if os.geteuid() == 0 else str(os.geteuid())
    return [*(place / "azr-platform" for place in places), Path(tempfile.gettempdir()) / f"azr-platform-{owner}"]


def preferred_cache() -> Path:
    """Where a copy would be kept: the first place nothing speaks against. Looks, and makes nothing."""
    places = cache_directories()
    for directory in places:
        with contextlib.suppress(OSError, _Unusable):
            _check_place(directory)
            return directory
    return places[0]


def _usable(directory: Path) -> Path:
    """The directory itself, made if need be, when a copy kept there is safe and can be run. Raises _Unusable."""
    try:
        _check_place(directory)
        for path in (*reversed(directory.absolute().parents), directory):
            if not path.exists():
                path.mkdir(exist_ok=True)
                path.chmod(0o755)  # whatever the umask says
        _check_place(directory)
    except OSError as error:
        raise _failed(error) from error
    return directory.resolve()


def _check_place(directory: Path) -> None:
    """Whether ``directory``, or what it would be made in, is safe and can be run from. Raises _Unusable, OSError."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists()).resolve()
    above = list(existing.parents)
    if directory.exists():
        if directory.is_symlink() and directory.lstat().st_uid not in (0, os.geteuid()):
            raise _Unusable("a link that another user made")
        _check_ownership(existing)
    else:
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK, effective_ids=True):
            raise _Unusable(f"{existing} is not a directory that may be written to", _REMEDIES[errno.EROFS])
        above.append(existing)
    # The unprivileged user of root's jails; an ordinary user's jail keeps that user's own rights.
    if os.geteuid() == 0 and not all(path.stat().st_mode & stat.S_IXOTH for path in (existing, *above)):
        raise _Unusable("the jail's unprivileged user cannot enter it")
    if any(path.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH for path in above):
        raise _Unusable("everyone may replace a directory above it")
    if ":" in str(existing):
        raise _Unusable("nsjail cannot mount a path with a colon in it")
    if os.statvfs(existing).f_flag & os.ST_NOEXEC:
        raise _Unusable("nothing may be executed there (mounted noexec)", _REMEDIES[errno.EROFS])


def _failed(error: OSError) -> _Unusable:
    return _Unusable(error.strerror or str(error), _REMEDIES.get(error.errno or 0, _REMEDY))


def _check_ownership(path: Path) -> None:
    status = path.stat(follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or not _ours_alone(status):
        raise _Unusable(
            f"{path.name} is not a directory that only this user can write",
            "Remove it, or set XDG_CACHE_HOME to another place.",
        )


def _ours_alone(status: os.stat_result) -> bool:
    """Nobody but this user, or root, can write it."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _take(cache: Path) -> Path:
    """A good copy below ``cache``, held by this process. Raises _Unusable."""
    root = cache / f"root-{_key()}"
    try:
        with _locked(cache):
            if root.exists():
                _check_ownership(root)
                if _good(root):
                    _hold(root)
                    return root
                _put_aside(root)
            _prune(cache)  # first, for it may make the room that is needed
            _build(root)
            _hold(root)
    except OSError as error:
        raise _failed(error) from error
    return root


def _key() -> str:
    """Which interpreter a copy is for, and this module's layout."""
    facts = (_LAYOUT, platform.machine(), sys.version, prefix.executable(), prefix.library(), prefix.extensions())
    digest = hashlib.sha256("\n".join(map(str, facts)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hold(root: Path) -> None:
    """Keep a shared lock on ``root`` until this process ends, and note when it was last used."""
    held = _in_use.pop(root, None)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _in_use[root] = descriptor
    if held is not None:
        os.close(held)
    with contextlib.suppress(OSError):  # a cache on a read-only disk
        os.utime(_manifest(root))


def _manifest(root: Path) -> Path:
    return root.with_name(f".{root.name}.manifest")


def _build(root: Path) -> None:
    """Copy into a sibling folder, then move it to ``root``; the manifest is there before the copy is."""
    building = Path(tempfile.mkdtemp(prefix=f"building-{root.name}-", dir=root.parent))
    try:
        sources = prefix.copy(building)
        facts = {
            "layout": _LAYOUT,
            "sources": [[str(path), *_source_facts(path)] for path in sources],
            "contents": _contents(building),
            "stamp": _stamp(building),
        }
        _write(_manifest(root), json.dumps(facts))
        building.rename(root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, "utf-8")
    fresh.chmod(0o644)
    fresh.rename(path)


def _good(root: Path) -> bool:
    """Whether ``root`` is a whole, unchanged copy of what the interpreter is now."""
    try:
        facts = json.loads(_manifest(root).read_text("utf-8"))
        if facts["layout"] != _LAYOUT or not _ours_alone(_manifest(root).lstat()):
            return False
        if any(_source_facts(Path(path)) != known for path, *known in facts["sources"]):
            return False  # Python, or a library it uses, was upgraded
        stamp = _stamp(root)
        if stamp != facts["stamp"]:
            if _contents(root) != facts["contents"]:
                return False
            # The same bytes with other time stamps: the cache was copied, as images of containers are.
            with contextlib.suppress(OSError):
                _write(_manifest(root), json.dumps({**facts, "stamp": stamp}))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _source_facts(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _files(folder: str, inside: str = "") -> Iterator[tuple[str, str, os.stat_result]]:
    """(path, path inside the copy, status) of everything below ``folder``, in order; ValueError for what has no
    business there: a link, a device, a file that someone else may write."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        status = entry.stat(follow_symlinks=False)
        directory = stat.S_ISDIR(status.st_mode)
        if not (directory or stat.S_ISREG(status.st_mode)) or not _ours_alone(status):
            raise ValueError(entry.path)
        name = f"{inside}/{entry.name}"
        yield entry.path, name, status
        if directory:
            yield from _files(entry.path, name)


def _stamp(root: Path) -> str:
    """A digest of every name, mode, size and time stamp; a change of a file's contents changes its ctime."""
    digest = hashlib.sha256()
    for _, name, status in _files(str(root)):
        changed = (0, 0) if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_ctime_ns)
        digest.update(f"{name}\0{status.st_mode} {status.st_mtime_ns} {changed}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _contents(root: Path) -> str:
    """A digest of every name, mode and byte."""
    digest = hashlib.sha256()
    for path, name, status in _files(str(root)):
        digest.update(f"{name}\0{status.st_mode}\0".encode("utf-8", "surrogateescape"))
        if stat.S_ISREG(status.st_mode):
            with Path(path).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _put_aside(root: Path) -> None:
    """Make way for a new copy; jails that run on this one keep it under its new name."""
    root.rename(Path(tempfile.mkdtemp(prefix="stale-", dir=root.parent)) / "root")


def _prune(cache: Path) -> None:
    """Remove what no live process uses: half-built and replaced copies at once, others when long unused."""
    for folder in (*cache.glob("building-*"), *cache.glob("stale-*"), *cache.glob("root-*")):
        copy = folder / "root" if folder.name.startswith("stale-") else folder
        with contextlib.suppress(OSError):
            if folder.name.startswith("root-"):
                used = _manifest(folder) if _manifest(folder).exists() else folder
                if time.time() - used.lstat().st_mtime < _UNUSED_S:
                    continue
            if copy.exists() and not _unused(copy):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            _manifest(folder).unlink(missing_ok=True)


def _unused(root: Path) -> bool:
    """Whether no process holds ``root``; called with the cache's lock, so none can take it meanwhile."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
