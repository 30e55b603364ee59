"""The dashboard in a real browser: headless Chromium opens the page, presses keys, and is looked at."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.messages import Action

DEADLINE = 120.0


class Watched:
    """A page on a served dashboard, with all that it asked for, complained of and was sent."""

    def __init__(self, browser: Any, address: str) -> None:
        self.address = address
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.frames: list[bytes] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 760})
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.page.on("websocket", self._socket)
        self.page.goto(address)

    def _socket(self, socket: Any) -> None:
        self.asked.append(socket.url.replace("ws:", "http:"))
        socket.on("framereceived", lambda data: self.frames.append(data if isinstance(data, bytes) else b""))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"did not happen: {what}; complaints: {self.complaints}"
            self.page.wait_for_timeout(50)

    def drawn(self, words: str) -> None:
        """Wait until the dashboard has drawn some words since the last key."""
        self.wait(lambda: words in re.sub(rb"\x1b\[[0-?]*[@-~]", b"", b"".join(self.frames)).decode(), f"{words!r}")

    def press(self, key: str) -> None:
        self.frames.clear()
        self.page.keyboard.press(key)

    def picture(self) -> bytes:
        """The page as pixels, once it has stopped changing."""
        before, now = b"", self.page.screenshot()
        while now != before:
            self.page.wait_for_timeout(100)
            before, now = now, self.page.screenshot()
        return bytes(now)


@pytest.fixture
def watch(chromium: Any) -> Iterator[Callable[..., Watched]]:
    """Serves a run as a user does, and opens its address."""
    servers: list[subprocess.Popen[str]] = []
    pages: list[Watched] = []

    def open_(run: Path, *options: str) -> Watched:
        command = [sys.executable, "-P", "-m", "azr_platform", "tui", str(run), "--serve", "--port", "0", *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        address = next(line.strip() for line in server.stdout if line.strip().startswith("http://"))
        pages.append(Watched(chromium, address))
        return pages[-1]

    yield open_
    for page in pages:
        page.page.close()
    for server in servers:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def test_a_run_is_watched_in_a_browser_and_not_steered(full_run: Any, supervise: Any, watch: Any) -> None:
    supervisor = supervise(full_run[0])
    tab = watch(full_run[0])
    tab.drawn("Reward")
    tab.drawn("watching only")
    overview = tab.picture()
    assert len(overview) > 20_000  # a blank page has a tenth of it

    tab.press("4")
    tab.drawn("trace.outsmart")
    alerts = tab.picture()
    assert alerts != overview
    tab.press("1")
    tab.drawn("Reward")

    tab.press("p")
    tab.drawn("nothing can be changed")
    tab.page.keyboard.press("Enter")

    tab.frames.clear()
    tab.page.set_viewport_size({"width": 700, "height": 460})
    tab.drawn("step 42")
    assert tab.page.evaluate("window.open('http://evil.example')") is None
    assert len(tab.page.context.pages) == 1

    assert tab.complaints == []

    tab.press("q")
    tab.page.locator(".ended").wait_for(state="visible")
    tab.frames.clear()
    tab.page.get_by_role("button", name="Open it again").click()
    tab.drawn("step 42")

    assert supervisor.commands == []
    assert tab.asked and all(url.startswith(tab.address) for url in tab.asked)


def test_a_run_is_paused_from_a_browser_where_that_was_allowed(full_run: Any, supervise: Any, watch: Any) -> None:
    supervisor = supervise(full_run[0])
    tab = watch(full_run[0], "--allow-steering")
    tab.drawn("generate")
    tab.press("p")
    tab.drawn("Pause the run?")
    tab.press("Enter")
    tab.wait(lambda: supervisor.commands, "the command")
    assert [command.action for command in supervisor.commands] == [Action.PAUSE]
    tab.drawn("paused")
    assert tab.complaints == []


def test_a_page_without_the_address_is_told_so(full_run: Any, watch: Any) -> None:
    tab = watch(full_run[0])
    tab.page.goto(tab.address[: tab.address[:-1].rindex("/") + 1])
    assert "whole address" in tab.page.inner_text("body")
