"""The command that makes the pictures of the guides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def _taken(run: Path, out: Path, *given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "azr_tui.screenshot", str(run), str(out), *given]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_picture_of_a_pane_in_a_theme_is_written(full_run: Any, tmp_path: Path) -> None:
    out = tmp_path / "log.svg"
    ran = _taken(full_run[0], out, "--pane", "log", "--size", "80x24", "--theme", "light")
    assert ran.returncode == 0, ran.stderr
    picture = out.read_text("utf-8")
    assert picture.startswith("<svg") and "self-attack" in picture and "#fbfbfa" in picture


@pytest.mark.parametrize(("given", "words"), [(["--size", "big"], "big"), (["--pane", "cellar"], "cellar")])
def test_what_cannot_be_drawn_is_refused_in_a_line(full_run: Any, tmp_path: Path, given: list[str], words: str) -> None:
    ran = _taken(full_run[0], tmp_path / "out.svg", *given)
    assert ran.returncode != 0 and words in ran.stderr and "Traceback" not in ran.stderr
    assert not (tmp_path / "out.svg").exists()
