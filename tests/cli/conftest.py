"""The command as a user starts it: a process of its own, told apart by its output and exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cli() -> Cli:
    def run(*arguments: str, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "azr_platform", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        )

    return run
