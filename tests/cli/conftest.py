"""The command as a user starts it: a process of its own, told apart by its output and exit status."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]
DEADLINE = 240.0


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[Path]:
    """The socket of a process with all imports done, which forks commands."""
    place = tmp_path_factory.mktemp("warm") / "s"
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("warm.py")), str(place)], env=environ)
    while not place.with_name("s.open").exists():
        assert server.poll() is None
        time.sleep(0.02)
    yield place
    server.kill()
    server.wait()


@pytest.fixture(scope="session")
def cli(warm: Path, environ: dict[str, str]) -> Cli:
    """Forked from a process with all imports done; ``started_anew=True`` starts a new Python instead."""

    def run(
        *arguments: str, text: str | None = None, started_anew: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        argv, env = [sys.executable, "-m", "azr_platform", *arguments], {**environ, **environment}
        if started_anew:
            return subprocess.run(
                argv, input=text, capture_output=True, text=True, timeout=DEADLINE, check=False, env=env
            )
        with (
            socket.socket(socket.AF_UNIX) as asking,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as error,
        ):
            asking.settimeout(DEADLINE)
            asking.connect(str(warm))
            given, giving = os.pipe()
            order = json.dumps([arguments, env, str(Path.cwd())]).encode()
            socket.send_fds(asking, [order], [given, out.fileno(), error.fileno()])
            os.close(given)
            feeding = threading.Thread(target=_feed, args=(giving, (text or "").encode()))
            feeding.start()
            status = int(asking.recv(16))
            feeding.join()
            out.seek(0)
            error.seek(0)
            shown, said = (stream.read().decode() for stream in (out, error))
        return subprocess.CompletedProcess(argv, status, shown, said)

    return run


def _feed(end: int, text: bytes) -> None:
    try:
        with os.fdopen(end, "wb") as pipe:
            pipe.write(text)
    except BrokenPipeError:
        pass  # it read no further
