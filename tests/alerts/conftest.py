"""A real server on the loopback interface that answers as a test says, and something to tell it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from azr_platform.alerts.told import Told

DEADLINE = 300.0


class Hook:
    """An address on this machine. ``answers`` are statuses, ``hang``, ``drip`` or ``cut``, in turn; then 200."""

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.headers: dict[str, str] = {}
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.arrived = threading.Semaphore(0)
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append(json.loads(data))
                hook.paths.append(self.path)
                answer = hook.answers.pop(0) if hook.answers else 200
                hook.arrived.release()
                if isinstance(answer, int):
                    self.send_response(answer)
                    for name, value in hook.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                elif answer == "hang":
                    self.connection.recv(1)  # until the client hangs up
                elif answer == "drip":
                    self._drip()

            def _drip(self) -> None:
                self.connection.settimeout(0.02)
                try:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while True:
                        self.wfile.write(b"x")
                        try:
                            if not self.connection.recv(1):
                                return
                        except TimeoutError:
                            continue
                except OSError:
                    return

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/services/T0/s3cr3t?token=s3cr3t"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def wait(self, messages: int) -> list[dict[str, Any]]:
        """The bodies of all posts, when so many more have arrived."""
        for _ in range(messages):
            assert self.arrived.acquire(timeout=DEADLINE), f"only {len(self.got)} messages arrived"
        return self.got

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """Its address stands in HOOK; no proxy of the machine's is in between."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    opened = Hook()
    monkeypatch.setenv("HOOK", opened.url)
    yield opened
    opened.close()


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def told() -> Callable[..., Told]:
    """An alert, or what it is changed to."""

    def make(name: str = "trace.escape", **fields: Any) -> Told:
        alert = {"type": "alert", "run": "demo", "time": 1.5, "branch": 1, "step": 7, "severity": "high"}
        return Told(name=name, **{**alert, **fields})

    return make
