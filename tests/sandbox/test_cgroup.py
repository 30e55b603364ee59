"""Cgroups: found where they are delegated and left alone where not; where this machine gives any, tried for real."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from azr_sandbox import cgroup
from azr_sandbox.cgroup import Absence, Delegation, find
from azr_sandbox.execution import Request
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

OWNER = 4321 if os.getuid() == 0 else os.getuid()


class Machine:
    """A /proc and a mounted hierarchy of regular files; groups belong to an ordinary user who runs the tests."""

    def __init__(self, top: Path) -> None:
        self.proc, self.mount = top / "proc", top / "sys fs" / "cgroup"
        (self.proc / "self").mkdir(parents=True)

    def hierarchies(self, own: str, mounts: str) -> Machine:
        where = str(self.mount).replace(" ", "\\040")
        (self.proc / "self/cgroup").write_text(own)
        (self.proc / "self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts.replace("@", where))
        return self

    def group(self, path: str, owner: int = OWNER, **files: str) -> Path:
        folder = self.mount / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("_", ".", 1)).write_text(text)
        if os.getuid() == 0:
            os.chown(folder, owner, -1)
        return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(cgroup.os, "geteuid", lambda: OWNER)
    return Machine(tmp_path)


V2 = "30 22 0:26 / @ rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
SCOPE = "user.slice/user-4321.slice/user@4321.service/app.slice/run-1.scope"
ME = f"{os.getpid()}\n"


def test_a_delegated_scope_with_this_process_alone_is_used(machine: Machine) -> None:
    machine.hierarchies(f"0::/{SCOPE}\n", V2)
    own = machine.group(SCOPE, cgroup_procs=ME, cgroup_controllers="cpu memory pids\n", cgroup_subtree_control="\n")
    assert find(machine.proc) == Delegation(2, own, own)


def test_a_scope_shared_with_others_is_left_alone(machine: Machine) -> None:
    machine.hierarchies(f"0::/{SCOPE}\n", V2)
    machine.group(
        SCOPE,
        cgroup_procs=ME + "1\n",
        cgroup_controllers="memory pids\n",
        cgroup_subtree_control="\n",
    )
    found = find(machine.proc)
    assert isinstance(found, Absence)
    assert "other processes live in the delegated cgroup" in found.reason
    assert "systemd-run --user --scope -p Delegate=yes" in found.remedy


def test_the_parent_of_a_subgroup_is_used(machine: Machine) -> None:
    """As with DelegateSubgroup=, and for whatever a process that has moved aside starts."""
    machine.hierarchies(f"0::/{SCOPE}/main\n", V2)
    parent = machine.group(
        SCOPE,
        cgroup_procs="",
        cgroup_controllers="memory pids\n",
        cgroup_subtree_control="memory pids\n",
    )
    machine.group(f"{SCOPE}/main", cgroup_procs=ME, cgroup_controllers="memory pids\n")
    assert find(machine.proc) in (
        Delegation(2, parent, parent),
        Delegation(2, parent / "main", parent / "main"),
    )


@pytest.mark.parametrize(
    ("controllers", "delegated"), [("cpuset cpu io\n", True), ("memory\n", True), ("memory pids\n", False)]
)
def test_a_scope_without_the_controllers_or_of_someone_else_is_not_used(
    machine: Machine, controllers: str, delegated: bool
) -> None:
    machine.hierarchies(f"0::/{SCOPE}\n", V2)
    if not delegated and os.getuid() != 0:
        pytest.skip("only root can make a folder of someone else's")
    machine.group(
        SCOPE,
        OWNER if delegated else 0,
        cgroup_procs=ME,
        cgroup_controllers=controllers,
        cgroup_subtree_control="\n",
    )
    found = find(machine.proc)
    assert isinstance(found, Absence)
    assert "no cgroup with memory and pids is delegated" in found.reason


def test_rights_alone_do_not_make_a_delegation(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, and yet what systemd has not delegated is systemd's."""
    monkeypatch.setattr(cgroup.os, "geteuid", lambda: 0)
    machine.hierarchies("0::/system.slice/ssh.service\n", V2)
    for path in ("system.slice", "system.slice/ssh.service"):
        machine.group(path, os.getuid(), cgroup_procs=ME, cgroup_controllers="memory pids\n", cgroup_type="domain\n")
    (machine.mount / "cgroup.procs").write_text("")
    assert isinstance(find(machine.proc), Absence)


def test_looking_changes_nothing_and_settling_moves_this_process_aside(machine: Machine) -> None:
    machine.hierarchies(f"0::/{SCOPE}\n", V2)
    own = machine.group(SCOPE, cgroup_procs=ME, cgroup_controllers="memory pids\n", cgroup_subtree_control="\n")
    before = sorted(own.iterdir())
    find(machine.proc)
    assert sorted(own.iterdir()) == before
    find(machine.proc, settle=True)
    assert (own / f"azr-platform.{os.getpid()}/cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_settling_removes_the_groups_of_the_dead_only(machine: Machine) -> None:
    machine.hierarchies(f"0::/{SCOPE}\n", V2)
    own = machine.group(SCOPE, cgroup_procs=ME, cgroup_controllers="memory pids\n", cgroup_subtree_control="\n")
    dead, living, foreign = (
        machine.group(f"{SCOPE}/{name}") for name in ("NSJAIL.4194305", f"NSJAIL.{os.getpid()}", "other.4194305")
    )
    find(machine.proc, settle=True)
    assert not dead.exists()
    assert living.exists()
    assert foreign.exists()
    assert own.exists()


def test_version_1_is_used_where_memory_and_pids_are_writable(machine: Machine) -> None:
    mounts = (
        "31 22 0:27 / @/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 22 0:28 /docker/abc @/memory rw - cgroup cgroup rw,memory\n"
        "33 22 0:29 / @/pids rw - cgroup cgroup rw,pids\n"
    )
    machine.hierarchies("3:memory:/docker/abc/x\n2:pids:/y\n1:cpu,cpuacct:/\n0::/\n", mounts)
    memory, pids = machine.group("memory/x"), machine.group("pids/y")
    found = find(machine.proc)
    assert found == Delegation(1, memory, pids)
    assert isinstance(found, Delegation)
    flags = found.flags(512)
    assert flags[:4] == ["--cgroup_mem_mount", str(memory), "--cgroup_mem_parent", "."]
    assert flags[-4:] == ["--cgroup_mem_max", str((512 + cgroup.ZYGOTE_MB) << 20), "--cgroup_pids_max", "16"]


@pytest.mark.parametrize(
    ("own", "mounts"),
    [
        ("0::/\n", ""),
        ("", V2),
        ("0::/../outside\n", V2),
        ("4:freezer:/\n", "31 22 0:27 / @ rw - cgroup cgroup rw,freezer\n"),
    ],
)
def test_machines_without_any_say_so(machine: Machine, own: str, mounts: str) -> None:
    found = find(machine.hierarchies(own, mounts).proc)
    assert isinstance(found, Absence)
    assert found.reason


def test_an_unreadable_proc_is_an_absence(tmp_path: Path) -> None:
    assert isinstance(find(tmp_path / "none"), Absence)


def test_version_2_needs_one_folder(tmp_path: Path) -> None:
    assert Delegation(2, tmp_path, tmp_path).flags(100)[:3] == ["--use_cgroupv2", "--cgroupv2_mount", str(tmp_path)]


# --- for real, where this machine delegates any ---------------------------------------------------------------


@pytest.fixture
def real() -> Iterator[Delegation]:
    found = find(settle=True)
    if isinstance(found, Absence):
        pytest.skip(f"no cgroups here: {found.reason}")
    yield found
    cgroup._sweep(found.memory)
    cgroup._sweep(found.pids)


def groups(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("NSJAIL.*")}


def groups_of(pool: JailPool, folder: Path) -> set[str]:
    """The groups of a pool's jails; others may come and go beside them."""
    return {name for name in groups(folder) if any(parent(pid) in pool.process_ids for pid in members(folder / name))}


def members(group: Path) -> list[str]:
    try:
        return (group / "cgroup.procs").read_text().split()
    except OSError:  # another's, gone meanwhile
        return []


def parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def test_each_jail_has_a_group_while_it_runs(real: Delegation) -> None:
    with JailPool(workers=1) as pool:
        made = groups_of(pool, real.memory)
        assert len(made) >= len(pool.process_ids)
        limit = "memory.max" if real.version == 2 else "memory.limit_in_bytes"
        expected = str((Limits().memory_mb + cgroup.ZYGOTE_MB) << 20)
        assert {(real.memory / name / limit).read_text().strip() for name in made} == {expected}
        assert {(real.pids / name / "pids.max").read_text().strip() for name in made} == {str(cgroup.PROCESSES)}
    assert not made & groups(real.memory)


HUNGRY = Request("def f(x):\n    return len([bytearray(b'x' * 10**6) for _ in range(x)])", ("150",), verify=False)


@pytest.mark.slow
def test_memory_beyond_the_group_is_not_to_be_had(real: Delegation, monkeypatch: pytest.MonkeyPatch) -> None:
    with JailPool(workers=1) as roomy:
        assert roomy.run([HUNGRY])[0][0].value == "150"
    monkeypatch.setattr(cgroup, "flags", lambda memory_mb: real.flags(100 - cgroup.ZYGOTE_MB))
    with JailPool(Limits(cpu_s=20, wall_s=60), workers=1) as tight:
        ((end,),) = tight.run([HUNGRY])
        assert not end.ok
        assert end.memory_kb < 110 << 10
        assert tight.run([Request("def f(x): return x", ("1",))])[0][0].value == "1", "the jail goes on"


def test_the_groups_of_killed_jails_are_swept(real: Delegation) -> None:
    with JailPool(workers=1) as pool:
        made = groups_of(pool, real.memory)
        for pid in pool.process_ids:
            os.kill(pid, signal.SIGKILL)
    for folder in (real.memory, real.pids):
        for name in made & groups(folder):
            while (folder / name / "cgroup.procs").read_text():
                pass  # its last process is on its way out
    find(settle=True)
    assert not made & groups(real.memory)
    assert not made & groups(real.pids)
