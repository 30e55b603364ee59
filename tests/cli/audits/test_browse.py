"""azr-platform audit browse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create

pytest.importorskip("datasette", reason="needs the extra [browse]")
Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_the_address_that_is_printed_opens_the_ledger_until_it_is_interrupted(tmp_path: Path) -> None:
    create(tmp_path / "run", load("nano")).close()
    command = [sys.executable, "-m", "azr_platform", "audit", "browse", str(tmp_path / "run"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urlopen(f"{address}ledger/run.json?_shape=array") as answer:
            assert b'"name": "run"' in answer.read()
        with pytest.raises(HTTPError, match="403"):
            urlopen(address.rsplit("/", 2)[0] + "/")
        os.kill(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        told = process.stderr.read()
    assert "Traceback" not in told, told


def test_what_cannot_be_served_is_one_line(cli: Cli, tmp_path: Path) -> None:
    result = cli("audit", "browse", str(tmp_path))
    assert (result.returncode, "no run here" in result.stderr) == (2, True)
