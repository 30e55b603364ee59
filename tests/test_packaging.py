"""The wheel carries all five packages with their data, and works where the repository is not."""

from __future__ import annotations

import fnmatch
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "platform/azr_platform",
    "monitor/azr_monitor",
    "sandbox/azr_sandbox",
    "tui/azr_tui",
    "policies/azr_policies",
)
DATA = (
    "azr_policies/default.yaml",
    "azr_policies/strict.yaml",
    "azr_policies/observe.yaml",
    "azr_policies/rules/*.yaml",
    "azr_monitor/classifiers/embedded/roles.json",
    "azr_monitor/classifiers/embedded/weights/model.json",
    "azr_monitor/classifiers/embedded/weights/weights.safetensors",
    "azr_monitor/classifiers/structure/weights/model.json",
    "azr_monitor/classifiers/structure/weights/weights.safetensors",
    "azr_platform/config/presets/nano.toml",
    "azr_platform/nano/weights/model.safetensors",
    "azr_platform/nano/weights/tokenizer.json",
    "azr_sandbox/kafel/*.policy",
    "azr_tui/app.tcss",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    if importlib.util.find_spec("hatchling"):  # else pip fetches it into a venv of its own
        argv.append("--no-build-isolation")
    subprocess.run(argv, check=True, timeout=240, stdin=subprocess.DEVNULL)
    (built,) = folder.glob("*.whl")
    return built


def _contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in _contents(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {Path(package).name for package in PACKAGES}


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    wanted = {
        str(path.relative_to((ROOT / package).parent))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not wanted - _contents(wheel)


@pytest.mark.parametrize("pattern", DATA)
def test_the_data_files_are_in_the_wheel(wheel: Path, pattern: str) -> None:
    assert fnmatch.filter(_contents(wheel), pattern)


def test_the_licence_is_in_the_wheel(wheel: Path) -> None:
    assert fnmatch.filter(_contents(wheel), "*.dist-info/licenses/LICENSE")


def test_the_packages_import_from_the_wheel_beside_the_standard_library(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import platform, azr_platform, azr_monitor, azr_sandbox, azr_tui, azr_policies\n"
        "platform.system()\n"
        "print(azr_platform.__file__)"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    argv = [sys.executable, "-c", code]
    ran = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path)
