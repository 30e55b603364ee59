"""The copy of Python that jails run on: built once, checked before each use, never left in anyone's way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from azr_sandbox import mountpoints, prefix, rootfs
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.rootfs import PYTHON, python_root

SANDBOX = Path(rootfs.__file__).parents[1]
SAY_ROOT = (
    f"import sys; sys.path.insert(0, {str(SANDBOX)!r})\n"
    "from pathlib import Path\n"
    "from azr_sandbox.rootfs import python_root\n"
    "from azr_sandbox.jail import JailUnavailable\n"
    "try: print('root', python_root(Path(sys.argv[1])))\n"
    "except JailUnavailable as error: print(error.reason, '->', error.remedy)\n"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, as a cache must be for root's jails."""
    with tempfile.TemporaryDirectory(prefix="azr-rootfs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Copies of three small files instead of Python, and how often one was made."""
    made: list[int] = []

    def copy(target: Path) -> list[Path]:
        made.append(1)
        for name in ("py/bin/python3", "py/lib/python3.11/os.py", "lib64/ld.so"):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        for directory, _, files in os.walk(target):
            for each in (Path(directory), *(Path(directory, name) for name in files)):
                each.chmod(0o755)
        return [Path(os.__file__)]

    monkeypatch.setattr(prefix, "copy", copy)
    return made


def mounted(script: str, *argv: str) -> str:
    """Run a shell script in a mount namespace of its own, where it may mount; skip where that is not allowed."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    command = [*unshare, "sh", "-e", "-c", script, "sh", *argv]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


# --- one copy, and a good one ---------------------------------------------------------------------------------


def test_a_copy_is_made_once_and_used_again(place: Path, quick: list[int]) -> None:
    assert python_root(place / "c") == python_root(place / "c")
    assert quick == [1]


def change_bytes_only(root: Path) -> None:
    path = root / "py/lib/python3.11/os.py"
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_elsewhere(root: Path) -> None:
    (root / "lib64/ld.so").unlink()
    (root / "lib64/ld.so").symlink_to("/etc/passwd")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a file emptied": lambda root: (root / "py/bin/python3").write_text(""),
    "a file removed": lambda root: (root / "lib64/ld.so").unlink(),
    "a file added": lambda root: (root / "py/lib/sitecustomize.py").write_text("import os"),
    "a file replaced by a link": link_elsewhere,
    "a file others may write": lambda root: (root / "lib64/ld.so").chmod(0o777),
    "a folder others may write": lambda root: (root / "py/lib").chmod(0o777),
    "bytes changed, size and time as before": change_bytes_only,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_changed_copy_is_noticed_and_made_anew(place: Path, quick: list[int], damage: str) -> None:
    root = python_root(place)
    DAMAGES[damage](root)
    assert python_root(place) == root
    assert quick == [1, 1]
    assert (root / "py/bin/python3").read_text() == "py/bin/python3"
    assert (root / "lib64/ld.so").read_text() == "lib64/ld.so"


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"layout": 2, "sources": 7, "stamp": "", "contents": ""}', "\0"]
)
def test_a_copy_without_a_sound_manifest_is_made_anew(place: Path, quick: list[int], text: str | None) -> None:
    manifest = rootfs._manifest(python_root(place))
    if text is None:
        manifest.unlink()
    else:
        manifest.write_text(text)
    python_root(place)
    assert quick == [1, 1]


def test_an_upgraded_python_is_copied_anew(place: Path, quick: list[int]) -> None:
    manifest = rootfs._manifest(python_root(place))
    facts = json.loads(manifest.read_text())
    facts["sources"][0][2] += 1  # os.py has another time stamp than it had
    manifest.write_text(json.dumps(facts))
    python_root(place)
    assert quick == [1, 1]


def test_a_copied_cache_is_as_good_as_the_first(place: Path, quick: list[int]) -> None:
    """As in the layers of a container's image: the same bytes, other inodes and change times."""
    python_root(place / "first")
    shutil.copytree(place / "first", place / "second", symlinks=True)
    second = python_root(place / "second")
    assert quick == [1]
    assert rootfs._stamp(second) == json.loads(rootfs._manifest(second).read_text())["stamp"]


# --- what is removed, and what is not -------------------------------------------------------------------------


def aged(path: Path, days: float) -> None:
    for each in (path, rootfs._manifest(path)):
        if each.exists():
            then = each.stat().st_mtime - days * 86_400
            os.utime(each, (then, then))


def other_copy(cache: Path, name: str) -> Path:
    """A copy for some other interpreter, as this module would have left it."""
    other = cache / name
    (other / "py").mkdir(parents=True)
    rootfs._manifest(other).write_text("{}")
    return other


def test_leftovers_are_removed_by_the_next_build(place: Path, quick: list[int]) -> None:
    (place / "building-root-3.11-0000-x").mkdir()
    (place / "building-root-3.11-0000-x/half").write_text("")
    (place / "stale-abc/root").mkdir(parents=True)
    long_unused, in_memory = other_copy(place, "root-3.9-0000"), other_copy(place, "root-3.12-0000")
    aged(long_unused, 8)
    aged(in_memory, 6)
    foreign = place / "notes.txt"
    foreign.write_text("mine")
    root = python_root(place)
    assert {path.name for path in place.iterdir()} == {
        root.name,
        rootfs._manifest(root).name,
        in_memory.name,
        rootfs._manifest(in_memory).name,
        foreign.name,
    }


HOLD = (
    f"import sys; sys.path.insert(0, {str(SANDBOX)!r})\n"
    "from pathlib import Path\nfrom azr_sandbox import rootfs\n"
    "rootfs._hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()\n"
)


def test_a_copy_in_use_elsewhere_is_never_removed(place: Path, quick: list[int]) -> None:
    elsewhere = other_copy(place, "root-3.9-0000")
    argv = [sys.executable, "-c", HOLD, str(elsewhere)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "held\n"
        aged(elsewhere, 30)
        root = python_root(place)
        assert elsewhere.exists()
        user.communicate("")
    shutil.rmtree(root)
    python_root(place)
    assert not elsewhere.exists()


def test_a_broken_copy_in_use_is_put_aside_not_removed(place: Path, quick: list[int]) -> None:
    root = python_root(place)
    with (root / "lib64/ld.so").open() as file:  # what a running jail has
        (root / "py/bin/python3").unlink()
        descriptor = os.open(root, os.O_RDONLY)
        try:
            rootfs.fcntl.flock(descriptor, rootfs.fcntl.LOCK_SH)  # as another process would
            python_root(place)
            assert [path.name.split("-")[0] for path in place.iterdir() if path.name.startswith("stale-")] == ["stale"]
            assert file.read() == "lib64/ld.so"
        finally:
            os.close(descriptor)


def test_a_failed_build_leaves_nothing(place: Path, quick: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prefix.copy

    def fail(target: Path) -> list[Path]:
        whole(target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(prefix, "copy", fail)
    with pytest.raises(JailUnavailable, match="No space left"):
        python_root(place)
    assert list(place.iterdir()) == []


# --- places ---------------------------------------------------------------------------------------------------


def test_a_linked_cache_is_followed(place: Path, quick: list[int]) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    assert python_root(place / "link").parent == place / "real"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link that is another user's")
def test_a_link_of_another_user_is_refused(place: Path) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    os.lchown(place / "link", 12345, 12345)
    with pytest.raises(JailUnavailable, match="a link that another user made"):
        python_root(place / "link")


def test_a_cache_of_another_user_is_refused(place: Path) -> None:
    if os.geteuid() == 0:
        os.chown(place, 12345, 12345)
    else:
        place = Path("/")  # root's own folder: safe, but not ours to write
    with pytest.raises(JailUnavailable) as caught:
        python_root(place)
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_a_folder_that_everyone_may_replace_is_refused(place: Path) -> None:
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    with pytest.raises(JailUnavailable, match="everyone may replace"):
        python_root(place / "open/cache")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's jail keeps that user's rights")
def test_roots_private_folder_is_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch, quick: list[int]) -> None:
    (place / "home").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "home"))
    assert rootfs.preferred_cache() == Path("/var/cache/azr-platform")
    with pytest.raises(JailUnavailable, match="cannot enter it"):
        python_root(place / "home/cache")
    assert list((place / "home").iterdir()) == []


def test_a_path_with_a_colon_is_refused(place: Path) -> None:
    with pytest.raises(JailUnavailable, match="colon"):
        python_root(place / "a:b")


def test_a_relative_xdg_setting_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert rootfs.cache_directories()[0] == Path.home() / ".cache/azr-platform"


def test_the_umask_does_not_matter(place: Path, quick: list[int]) -> None:
    before = os.umask(0o077)
    try:
        root = python_root(place / "a/b/c")
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o5 == 0o5 for path in (root, *root.parents) if place in path.parents)


# --- disks that refuse, for real ------------------------------------------------------------------------------

TMPFS = 'mount -t tmpfs -o "$4" none "$3"; "$1" -c "$2" "$3/cache"; ls -A "$3/cache" 2>/dev/null || true'


@pytest.mark.slow
def test_a_full_disk_is_said_to_be_full(place: Path) -> None:
    said = mounted(TMPFS, sys.executable, SAY_ROOT, str(place), "size=20m,mode=755")
    assert "No space left on device" in said
    assert "-> Make room there" in said
    assert said.count("\n") == 1, "nothing is left of the attempt"


def test_a_disk_that_allows_no_programs_is_refused(place: Path) -> None:
    said = mounted(TMPFS, sys.executable, SAY_ROOT, str(place), "noexec,mode=755")
    assert "mounted noexec" in said


def test_a_read_only_cache_is_used_when_good_and_named_when_not(place: Path, quick: list[int]) -> None:
    python_root(place / "full")
    (place / "empty").mkdir()
    script = (
        'mount --bind "$3" "$3"; mount -o remount,bind,ro "$3"; '
        '"$1" -c "$2" "$3/full"; "$1" -c "$2" "$3/empty"; "$1" -c "$2" "$3/none"'
    )
    full, empty, none = mounted(script, sys.executable, SAY_ROOT, str(place)).splitlines()
    assert full.startswith(f"root {place}/full/root-")
    assert "Read-only file system" in empty
    assert "XDG_CACHE_HOME" in empty
    assert "not a directory that may be written to" in none


RUN = (
    "from azr_sandbox.pool import JailPool\nfrom azr_sandbox.execution import Request\n"
    "import sys\nfrom pathlib import Path\n"
    "with JailPool(workers=1, cache=Path(sys.argv[1])) as pool:\n"
    "    print(pool.run([Request('def f(x): return x + 1', ('1',))])[0][0].value)\n"
)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk and keeps its own identity")
def test_a_jail_runs_from_a_disk_without_devices_or_set_user_ids(place: Path) -> None:
    """As /home and /tmp are mounted on many machines."""
    assert mounted(TMPFS, sys.executable, RUN, str(place), "nosuid,nodev,mode=755").startswith("2\n")


def test_a_limit_on_file_sizes_is_named(place: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n" + SAY_ROOT
    ran = subprocess.run([sys.executable, "-c", limited, str(place)], capture_output=True, text=True, check=True)
    assert "File too large" in ran.stdout
    assert "ulimit -f" in ran.stdout
    assert list(place.iterdir()) == []


# --- installations --------------------------------------------------------------------------------------------


def interpreters() -> dict[str, str]:
    """Every Python 3.11 or newer to be found, by where it comes from."""
    known = {
        "these tests'": sys.executable,
        "the system's": "/usr/bin/python3",
        **{
            f"pyenv's {path.parts[-3]}": str(path) for path in Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python3")
        },
        **{f"uv's {path.parts[-3]}": str(path) for path in Path.home().glob(".local/share/uv/python/*/bin/python3")},
    }
    found: dict[str, str] = {}
    for name, path in known.items():
        if Path(path).exists() and Path(path).resolve() not in map(Path.resolve, map(Path, found.values())):
            ran = subprocess.run([path, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
            if ran.stdout == b"True\n":
                found[name] = path
    return found


WORKS = "import ctypes, json, hashlib, datetime, decimal, random, sqlite3, ssl, sys; print(sys.prefix)"


def check_installation(python: str, cache: Path) -> Path:
    ran = subprocess.run([python, "-c", SAY_ROOT, str(cache)], capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("root "), ran.stdout + ran.stderr
    root = Path(ran.stdout.removeprefix("root ").strip())
    environment = {
        "PYTHONHOME": f"{root}/py",
        "LD_LIBRARY_PATH": f"{root}/py/lib",
        "PYTHONPLATLIBDIR": "lib",
    }
    argv = [str(root) + PYTHON, "-s", "-S", "-P", "-B", "-c", WORKS]
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == f"{root}/py", ran.stderr
    assert not list(root.rglob("site-packages"))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", interpreters())
def test_any_installation_can_be_copied(place: Path, name: str) -> None:
    check_installation(interpreters()[name], place / "cache")


@pytest.mark.slow
def test_virtual_environments_share_the_copy_of_their_base(place: Path) -> None:
    roots = {check_installation(sys.executable, place / "cache")}
    inner = sys.executable
    for name, how in (("plain", "--symlinks"), ("cöpied vénv", "--copies"), ("of a copy", "--copies")):
        subprocess.run([inner, "-m", "venv", "--without-pip", how, str(place / name)], check=True)
        inner = str(place / name / "bin/python")
        roots.add(check_installation(inner, place / "cache"))
    assert len(roots) == 1


@pytest.mark.slow
def test_an_installation_may_lie_anywhere(place: Path) -> None:
    """The jail's own copy is an installation; in a folder with a space and an umlaut it is copied again."""
    home = place / "Programme für mich"
    shutil.copytree(python_root(), home)
    script = f"{SAY_ROOT}\nassert sys.prefix.startswith({str(home)!r}), sys.prefix"
    environment = {"PYTHONHOME": f"{home}/py", "LD_LIBRARY_PATH": f"{home}/py/lib", "PYTHONPLATLIBDIR": "lib"}
    argv = [str(home) + PYTHON, "-c", script, str(place / "Cäche")]
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.startswith(f"root {place}/Cäche/root-"), ran.stdout + ran.stderr


# --- tidiness -------------------------------------------------------------------------------------------------

TIDY = (
    "import os, sys\nfrom azr_sandbox import mountpoints\nfrom pathlib import Path\n"
    "mountpoints._TMP = Path(sys.argv[1])\nmountpoints.hold()\n"
    "print(sorted(os.listdir(sys.argv[1])), flush=True)\nsys.stdin.read()\n"
)


@pytest.mark.skipif(
    os.getuid() != 0 and os.access(f"/run/user/{os.getuid()}", os.W_OK), reason="nsjail uses this user's own /run"
)
def test_nsjails_folders_go_with_the_last_process_that_uses_them(place: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", TIDY, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    names = [f"nsjail.{os.getuid()}.root", f"nsjail.{os.getuid()}.tmp"]
    with start() as first, start() as second:
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.readline().strip() == str(names)
        first.communicate("")
        assert sorted(path.name for path in place.iterdir()) == names
        second.communicate("")
    assert list(place.iterdir()) == []


def test_the_folders_have_the_names_that_nsjail_uses(tmp_path: Path) -> None:
    """Should nsjail choose other names one day, jails would leave folders behind again."""
    from azr_sandbox.nsjail import find_nsjail

    argv = [str(find_nsjail()), "-Mo", "-v", "--chroot", "/nowhere", "--", "/none"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    uid = os.getuid()
    assert f"{mountpoints._TMP}/nsjail.{uid}.root" in said or f"/run/user/{uid}/nsjail/root" in said
    for folder in mountpoints._TMP.glob(f"nsjail.{uid}.*"):
        if folder not in mountpoints._held:
            folder.rmdir()
