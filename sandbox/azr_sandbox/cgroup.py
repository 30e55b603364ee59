"""A cgroup for each jail where this process may make one: a further limit on memory and processes, never a needed one.

Looked for from this process's own groups: cgroup v2 where systemd or a container runtime has delegated it, cgroup
v1 where its memory and pids hierarchies are writable (root). nsjail makes and removes the groups, ``NSJAIL.<pid>``.
No limit on CPU is set: a jail runs one program at a time, without threads.

In v2 a group with processes of its own cannot give its children controllers. So where this process is alone in a
delegated group it moves into a child of it; it is left alone where anything else lives there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")
ZYGOTE_MB = 64
"""What a jail needs besides its program: the warm interpreter, pages of its library, kernel memory."""
PROCESSES = 16
"""Processes a jail may have; a program may make none, so the zygote and one child are the most there should be."""
_OURS = re.compile(r"^(?:NSJAIL|NSJAIL_SELF|azr-platform)\.(\d+)$")
_NEEDED = {"memory", "pids"}


@dataclass(frozen=True, slots=True)
class Delegation:
    """Where jails' groups can be made: one folder in v2, one for each controller in v1."""

    version: int
    memory: Path
    pids: Path

    def flags(self, memory_mb: int) -> list[str]:
        """nsjail's options for a jail whose programs may take ``memory_mb`` MiB."""
        limits = ["--cgroup_mem_max", str((memory_mb + ZYGOTE_MB) << 20), "--cgroup_pids_max", str(PROCESSES)]
        if self.version == 2:
            return ["--use_cgroupv2", "--cgroupv2_mount", str(self.memory), *limits]
        places = ["--cgroup_mem_mount", str(self.memory), "--cgroup_mem_parent", "."]
        return [*places, "--cgroup_pids_mount", str(self.pids), "--cgroup_pids_parent", ".", *limits]


@dataclass(frozen=True, slots=True)
class Absence:
    """Why there is no cgroup to be had, and how one could be."""

    reason: str
    remedy: str = ""


def flags(memory_mb: int) -> list[str]:
    """nsjail's options for one jail; none where no cgroup is delegated."""
    found = _settled()
    return found.flags(memory_mb) if isinstance(found, Delegation) else []


@cache
def _settled() -> Delegation | Absence:
    found = find(settle=True)
    if isinstance(found, Delegation):
        for group in {found.memory, found.pids}:
            atexit.register(_sweep, group)  # of jails that were killed; others have removed their own
    return found


def find(proc: Path = PROC, *, settle: bool = False) -> Delegation | Absence:
    """Where groups can be made, or why nowhere.

    With ``settle`` the groups are put in order for it: controllers switched on, this process moved to a child of its
    group if that is what it takes, groups of ended jails removed. Without, nothing is changed.
    """
    try:
        own = _own_groups(proc)
    except OSError as error:
        return Absence(f"this process's cgroups cannot be read ({error.strerror})")
    if own.keys() >= _NEEDED:
        return _v1(own["memory"], own["pids"], settle)
    if "" not in own:
        return Absence("no memory and pids controllers here")
    return _v2(own[""], settle)


def _own_groups(proc: Path) -> dict[str, Path]:
    """This process's folder in every mounted hierarchy, by controller; v2's under the empty name."""
    own: dict[str, Path] = {}
    mounts = list(_mounts(proc))
    for line in (proc / "self/cgroup").read_text("utf-8", "surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            for kinds, root, folder in mounts:
                inside = os.path.relpath(path, root)
                if name in kinds and not inside.startswith("..") and (folder / inside).is_dir():
                    own[name] = folder / inside
    return own


def _mounts(proc: Path) -> Iterator[tuple[set[str], str, Path]]:
    """(controllers, the group that is its root, folder) of every cgroup mount; see proc_pid_mountinfo(5)."""
    for line in (proc / "self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, *_, options) = left.split(" "), right.split(" ")
        if kind in ("cgroup", "cgroup2"):
            root, folder = (re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text) for text in fields[3:5])
            yield {""} if kind == "cgroup2" else set(options.split(",")), root, Path(folder)


def _v1(memory: Path, pids: Path, settle: bool) -> Delegation | Absence:
    for group, limit in ((memory, "memory.limit_in_bytes"), (pids, "tasks")):
        if settle:
            _sweep(group)
        if refused := _refused(group, limit if settle else ""):
            return Absence(refused, "root has cgroups of its own")
    return Delegation(1, memory, pids)


def _v2(own: Path, settle: bool) -> Delegation | Absence:
    how = "start it in one: `systemd-run --user --scope -p Delegate=yes azr-platform ...`"
    if not (own / "cgroup.procs").exists():
        return Absence("cgroup v2 is mounted, but not this process's part of it")
    refused = ""
    for group in (own, own.parent):
        if not _delegated(group) or not _words(group / "cgroup.controllers") >= _NEEDED:
            continue
        if settle:
            _sweep(group)
        ready = _words(group / "cgroup.subtree_control") >= _NEEDED
        others = _words(group / "cgroup.procs") - {str(os.getpid())}
        if others and not ready:
            refused = f"other processes live in the delegated cgroup {group}"
        elif not settle or ready or _prepare(group, alone=group == own):
            refused = _refused(group, "memory.max" if settle else "")
            if not refused:
                return Delegation(2, group, group)
    return Absence(refused or "no cgroup with memory and pids is delegated to this process", how)


def _delegated(group: Path) -> bool:
    """Whether this process may manage what is below ``group``: by its owner or its mark, not by root's rights."""
    try:
        owner = group.stat().st_uid
    except OSError:
        return False
    if not os.access(group / "cgroup.procs", os.W_OK) or not os.access(group, os.W_OK):
        return False
    if owner == os.geteuid() != 0:
        return True
    for mark in ("trusted.delegate", "user.delegate"):  # set by systemd, see its CGROUP_DELEGATION.md
        with contextlib.suppress(OSError):
            if os.getxattr(group, mark) == b"1":
                return True
    # The top of a container's own hierarchy; on a host only the kernel's root looks like this, and has no type.
    return not (group.parent / "cgroup.procs").exists() and (group / "cgroup.type").exists()


def _prepare(group: Path, *, alone: bool) -> bool:
    """Switch the controllers on for children of ``group``; where this process is in the way, move it to one."""
    try:
        if alone:
            child = group / f"azr-platform.{os.getpid()}"
            child.mkdir(exist_ok=True)
            (child / "cgroup.procs").write_text(str(os.getpid()), "ascii")
        (group / "cgroup.subtree_control").write_text("+memory +pids", "ascii")
    except OSError:
        return False
    return True


def _refused(group: Path, limit: str) -> str:
    """Why no group can be made below ``group``; with ``limit`` by putting a process into one that has that file."""
    if not os.access(group, os.W_OK | os.X_OK):
        return f"the cgroup {group} is not this user's to divide"
    if not limit:
        return ""
    trial = group / f"azr-platform.{os.getpid()}.trial"
    try:
        trial.mkdir()
        try:
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:  # noqa: S607
                (trial / "cgroup.procs").write_text(str(process.pid), "ascii")
                return "" if (trial / limit).exists() else f"groups below {group} have no {limit}"
        finally:
            _remove(trial)
    except OSError as error:
        return f"no group can be made below {group} ({error.strerror})"


def _remove(group: Path) -> None:
    """Remove a group whose last process has been waited for; the kernel may still be putting that away."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.01)


def _sweep(group: Path) -> None:
    """Remove the empty groups of jails and processes that were killed."""
    with contextlib.suppress(OSError):
        for folder in group.iterdir():
            match = _OURS.match(folder.name)
            if match and not _alive(int(match[1])):
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _alive(pid: int) -> bool:
    """Whether a process runs under this number; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text("ascii").split())
    except OSError:
        return set()
