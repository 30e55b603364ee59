"""The jail of an ordinary user: the same attacks, run as one, and where the copy of Python is kept without a home."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from azr_sandbox.probe import ATTACKS

HERE = Path(__file__).parent
NAMES = [
    *(attack.name for group in runpy.run_path(str(HERE / "attacks.py"))["GROUPS"].values() for attack in group),
    *(f"start-up: {attack.name}" for attack in ATTACKS),
]


@pytest.fixture(scope="module")
def report(user: Any) -> dict[str, Any]:
    ran = user.run("as_user.py")
    if "JailUnavailable" in ran.stderr and "namespaces" in ran.stderr:
        pytest.skip(f"ordinary users may not make namespaces here: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.slow
def test_the_attacks_ran_as_an_ordinary_user(report: dict[str, Any], user: Any) -> None:
    assert report["uid"] == user.uid != 0
    assert set(report["results"]) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_users_jail_contains(report: dict[str, Any], name: str) -> None:
    contained, ending = report["results"][name]
    assert contained, ending


RUN = (
    "from azr_sandbox.pool import JailPool\nfrom azr_sandbox.execution import Request\n"
    "from azr_sandbox.rootfs import python_root\n"
    "with JailPool(workers=1) as pool:\n"
    "    print(python_root())\n"
    "    print(pool.run([Request('import os\\ndef f(x): return os.getuid(), x', ('5',))])[0][0].value)\n"
)


@pytest.mark.slow
def test_a_user_who_may_not_write_to_any_home_still_has_a_jail(user: Any) -> None:
    closed, temporary = user.home / "closed", user.home / "temporary"
    for folder, mode in ((closed, 0o555), (temporary, 0o1777)):
        folder.mkdir()
        folder.chmod(mode)
    if os.geteuid() == 0:
        os.chown(closed, 0, 0)
    ran = user.run("-c", RUN, HOME=str(closed), TMPDIR=str(temporary))
    root, value = ran.stdout.splitlines()
    assert Path(root).parent == temporary / f"azr-platform-{user.uid}"
    assert value == "(65534, 5)"
    shutil.rmtree(temporary)
    nowhere = f"import tempfile; tempfile.tempdir = {str(closed)!r}\n{RUN}"
    ran = user.run("-c", nowhere, HOME=str(closed))
    assert "JailUnavailable: no place to keep" in ran.stderr
    assert "Set XDG_CACHE_HOME" in ran.stderr


@pytest.mark.slow
def test_nothing_is_left_in_shared_folders(user: Any) -> None:
    # Homes of the users of tests that run beside this one are no leavings.
    homes = user.home.name.rpartition(" ")[0]

    def ours() -> set[str]:
        places = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
        found = [path for place in places if place.is_dir() for path in place.iterdir()]
        return {path.name for path in found if path.lstat().st_uid == user.uid and not path.name.startswith(homes)}

    assert user.run("-c", RUN).returncode == 0
    assert not ours()
