"""What the two commands of the README promise."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_demo_trains_offline() -> None:
    """It promises no download beyond packages; the default policy alone would fetch a classifier's weights."""
    recipe = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    (line,) = [line for line in recipe.splitlines() if "azr-platform train" in line]
    assert line.strip().startswith("HF_HUB_OFFLINE=1 ")
