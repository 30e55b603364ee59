"""The jail's file system: a copy of this Python, its standard library and shared objects, and nothing else.

Built once per interpreter under the cache directory, in a folder named by everything it depends on, under a
lock, and moved into place atomically. A copy is used rather than the interpreter's own folder because the
jail's user may not be able to reach that (a 0700 home), and because what lies there besides Python is nobody's
business inside.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azr_sandbox.jail import JailUnavailable

LAYOUT_VERSION = 1
PYTHON = "/py/bin/python3"
"""The interpreter's path inside the jail; its library is beside it in /py/lib."""

_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "idle_test",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
}
_LEFT_OUT_EXTENSIONS = re.compile(r"^(_tkinter|_test|_xxtest|xx|nis|ossaudiodev|spwd|_curses|readline)")
_LDD_LINE = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$")


def python_root(cache: Path | None = None) -> Path:
    """The directory to chroot into, built if it is not there yet.

    ``cache`` overrides where copies are kept. Raises JailUnavailable when the copy cannot be made, or when an
    existing one is not ours alone to write.
    """
    directory = _usable_cache(cache)
    root = directory / f"root-{_key()}"
    with _locked(directory / f".lock-{root.name}"):
        if not root.exists():
            _build(root)
        _check_ownership(root)
    return root


def _key() -> str:
    """What the copy depends on: the interpreter's files as they are now, and this module's layout."""
    executable = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    facts = [str(LAYOUT_VERSION), platform.machine(), sys.version]
    for path in (executable, library / "os.py", library / "ast.py", _extension_directory(library)):
        status = path.stat()
        facts.append(f"{path}:{status.st_size}:{status.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"


def _usable_cache(explicit: Path | None) -> Path:
    """A directory of ours that the jail's user can traverse; an unprivileged jail keeps our own user."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    candidates = [explicit] if explicit else [Path(home) / "azr-platform"]
    if not explicit:
        # For root, whose home the jail's user may not enter; and for users without a home of their own.
        candidates += [Path("/var/cache/azr-platform")] if os.geteuid() == 0 else []
        owner = "root" if os.geteuid() == 0 else str(os.geteuid())
        candidates.append(Path(tempfile.gettempdir()) / f"azr-platform-{owner}")
    refused: list[str] = []
    for candidate in candidates:
        try:
            candidate.mkdir(parents=True, exist_ok=True, mode=0o755)
            _check_ownership(candidate)
        except (OSError, JailUnavailable) as error:
            refused.append(f"{candidate}: {error}")
            continue
        if os.geteuid() != 0 or _others_can_traverse(candidate):
            return candidate.resolve()
        refused.append(f"{candidate}: the jail's unprivileged user cannot enter it")
    raise JailUnavailable(
        "no place to keep the jail's copy of Python (" + "; ".join(refused) + ")",
        "Set XDG_CACHE_HOME to a directory you own that is not writable by others.",
    )


def _others_can_traverse(directory: Path) -> bool:
    resolved = directory.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (resolved, *resolved.parents))


def _check_ownership(path: Path) -> None:
    status = path.stat(follow_symlinks=False)
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid != os.geteuid()
        or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise JailUnavailable(
            f"{path} is not a directory that only this user can write",
            "Remove it, or set XDG_CACHE_HOME to another place.",
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _build(root: Path) -> None:
    """Copy everything into a sibling folder, then rename it to ``root``."""
    for leftover in root.parent.glob(f"building-{root.name}-*"):  # a builder that was killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=f"building-{root.name}-", dir=root.parent))
    try:
        _fill(building)
        building.chmod(0o755)
        building.rename(root)
    except (OSError, shutil.Error, subprocess.CalledProcessError) as error:
        shutil.rmtree(building, ignore_errors=True)
        raise JailUnavailable(
            f"could not copy Python for the jail to {root.parent} ({error})",
            "Check free disk space (about 100 MB) and that `ldd` is installed.",
        ) from error


def _fill(building: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    executable = Path(sys.executable).resolve()
    (building / "py/bin").mkdir(parents=True)
    copied = building / "py/lib" / name
    shutil.copytree(library, copied, ignore=_ignore, symlinks=False, ignore_dangling_symlinks=True)
    extensions = _extension_directory(library)
    if not (copied / "lib-dynload").exists() and extensions != library:
        shutil.copytree(extensions, copied / "lib-dynload", ignore=_ignore)
    shutil.copy2(executable, building / PYTHON.lstrip("/"))
    objects = [executable, *(copied / "lib-dynload").glob("*.so")]
    for source, inside in sorted(_shared_objects(objects).items()):
        target = building / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    compile_library = [str(executable), "-I", "-S", "-m", "compileall", "-qq", "-j", "0", str(copied)]
    # Fresh copies of .pyc files keep their source's time stamp and are skipped; missing ones are made once here.
    subprocess.run(compile_library, check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
    for directory, _, files in os.walk(building):
        Path(directory).chmod(0o755)
        for file in files:
            path = Path(directory, file)
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _extension_directory(library: Path) -> Path:
    """Where the compiled standard modules lie; the library itself when all are built in."""
    for candidate in (library / "lib-dynload", Path(sysconfig.get_config_var("DESTSHARED") or library)):
        if candidate.is_dir():
            return candidate
    return library


def _ignore(directory: str, names: list[str]) -> set[str]:
    ignored = {name for name in names if name in _LEFT_OUT or name.startswith("config-")}
    if Path(directory).name == "lib-dynload":
        ignored |= {name for name in names if _LEFT_OUT_EXTENSIONS.match(name)}
    return ignored


def _shared_objects(objects: list[Path]) -> dict[str, str]:
    """What the dynamic loader would load: file here -> path inside the jail.

    Libraries go beside the interpreter's, where LD_LIBRARY_PATH points; the loader itself keeps its path,
    which is written in every executable.
    """
    found: dict[str, str] = {}
    for item in objects:
        # ldd runs the loader on this interpreter's own files only.
        listing = subprocess.run(  # noqa: S603
            ["ldd", str(item)],  # noqa: S607
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
        ).stdout
        for line in listing.splitlines():
            match = _LDD_LINE.match(line)
            if match:
                name, path = match.groups()
                found[path] = path if name is None else f"/py/lib/{Path(name).name}"
    return found
