"""Copy this Python for the jail: the interpreter, its standard library and the shared objects they load.

Works from any installation (a system's, pyenv's, uv's, conda's) and from any virtual environment on top of one: what
is copied is the base interpreter, never a site-packages folder. Nothing here knows about caches; see `rootfs`.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from azr_sandbox.jail import JailUnavailable

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
_LDD_LINE = re.compile(rb"^\s*(?:(\S+) => )?(/.+) \(0x[0-9a-f]+\)$")


def executable() -> Path:
    """The base interpreter's own file, behind every virtual environment. Raises JailUnavailable when unknown."""
    # sys.executable may be a copy in a virtual environment, without its libraries beside it.
    known = getattr(sys, "_base_executable", None) or sys.executable
    if not known:
        raise JailUnavailable("this Python does not know its own file", "Start it by its full path.")
    return Path(known).resolve()


def library() -> Path:
    """The base interpreter's standard library."""
    return Path(sysconfig.get_path("stdlib")).resolve()


def extensions() -> Path:
    """Where the compiled standard modules lie; the library itself when all are built in."""
    for candidate in (library() / "lib-dynload", Path(sysconfig.get_config_var("DESTSHARED") or library())):
        if candidate.is_dir():
            return candidate
    return library()


def copy(target: Path) -> list[Path]:
    """Fill the empty folder ``target`` and return the files it was made from.

    Raises OSError as the file system reports it, and JailUnavailable when this Python cannot be copied.
    """
    if importlib.util.find_spec("_ctypes") is None:
        raise JailUnavailable(
            f"this Python ({executable()}) was built without ctypes, which the jail needs to lock programs in",
            "Install libffi's headers (libffi-dev or libffi-devel) and build it again, or use another Python.",
        )
    sources: list[Path] = []
    copied = target / "py/lib" / library().name
    for source, relative in _library_files(library()):
        sources.append(_copy_file(source, copied / relative))
    dynload = copied / "lib-dynload"
    if not dynload.exists() and extensions() != library():
        for source, relative in _library_files(extensions()):
            sources.append(_copy_file(source, dynload / relative))
    sources.append(_copy_file(executable(), target / PYTHON.lstrip("/")))
    for source, inside in sorted(_shared_objects([executable(), *sorted(dynload.glob("*.so"))]).items()):
        sources.append(_copy_file(source, target / inside.lstrip("/")))
    _compile(copied)
    for directory, _, files in os.walk(target):  # whatever the umask was
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    return [source for source in sources if source.suffix != ".pyc"]  # those come and go by themselves


def _library_files(top: Path) -> Iterator[tuple[Path, Path]]:
    """Every file wanted of a library, with its path relative to ``top``; links are followed, loops of them not."""
    seen: set[tuple[int, int]] = set()
    for directory, names, files in os.walk(top, followlinks=True):
        status = Path(directory).stat()
        if (status.st_dev, status.st_ino) in seen:
            names.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        names[:] = [name for name in names if name not in _LEFT_OUT and not name.startswith("config-")]
        for name in files:
            source = Path(directory, name)
            compiled = source.parent.name == "lib-dynload" or source.parent == extensions()
            if source.is_file() and not (compiled and _LEFT_OUT_EXTENSIONS.match(name)):
                yield source, source.relative_to(top)


def _copy_file(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)  # with its time stamp, or every .pyc would be out of date
    return source


def _compile(library_copy: Path) -> None:
    """Make the .pyc files that are missing; without them a jail starts slowly, but starts."""
    argv = [str(executable()), "-I", "-S", "-m", "compileall", "-qq", str(library_copy)]
    for workers in (["-j", "0"], []):  # several need semaphores, which not every machine has
        ran = subprocess.run([*argv, *workers], check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
        if ran.returncode == 0:
            return
    if shutil.disk_usage(library_copy).free < 1 << 20:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _shared_objects(objects: list[Path]) -> dict[Path, str]:
    """What the dynamic loader would load: file here -> path inside the jail.

    Libraries go beside the interpreter's, where LD_LIBRARY_PATH points; the loader itself keeps its path,
    which is written in every executable.
    """
    found: dict[Path, str] = {}
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
    if "LD_LIBRARY_PATH" in os.environ:  # some builds find their own libpython only by it
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    for item in objects:
        argv = ["ldd", str(item)]  # runs the loader on this interpreter's own files only
        try:
            listing = subprocess.run(argv, check=False, capture_output=True, env=environment, stdin=subprocess.DEVNULL)  # noqa: S603
        except FileNotFoundError:
            raise JailUnavailable("`ldd` was not found", "Install it: it comes with the C library's tools.") from None
        if item == objects[0] and b"not found" in listing.stdout:
            missing = listing.stdout.split(b" =>")[0].strip().decode("utf-8", "replace")
            raise JailUnavailable(
                f"a library that {item} needs was not found ({missing})",
                "Set LD_LIBRARY_PATH to the folder it lies in.",
            )
        for line in listing.stdout.splitlines():
            match = _LDD_LINE.match(line)
            if match:
                path = Path(os.fsdecode(match[2]))
                found[path] = str(path) if match[1] is None else f"/py/lib/{path.name}"
    return found
