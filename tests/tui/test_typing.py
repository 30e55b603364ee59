"""What is typed reaches the dashboard at once and whole: an esc alone, an arrow in two pieces, half a character."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from textual import constants
from textual.message import Message

from azr_tui.terminal import TerminalDriver

PATIENCE = 30.0


class Recorded(TerminalDriver):
    """Reads from a pipe, and keeps what an app would be told."""

    def __init__(self, end: int) -> None:  # no terminal, no app: only what the thread that reads needs
        self.fileno, self._debug, self.exit_event = end, False, threading.Event()
        self.told: queue.Queue[Message] = queue.Queue()

    def process_message(self, message: Message) -> None:
        self.told.put(message)

    def key(self) -> Any:
        return self.told.get(timeout=PATIENCE).key  # type: ignore[attr-defined]


@pytest.fixture
def typing() -> Iterator[tuple[Recorded, int, threading.Thread]]:
    theirs, ours = os.pipe()
    driver = Recorded(theirs)
    thread = threading.Thread(target=driver.run_input_thread)
    thread.start()
    yield driver, ours, thread
    driver.exit_event.set()
    thread.join(PATIENCE)
    os.close(theirs)


def test_an_esc_that_stands_alone_is_seen_before_a_tenth_of_a_second(
    typing: tuple[Recorded, int, threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, end, _ = typing
    monkeypatch.setattr(constants, "ESCAPE_DELAY", 0.02)
    waited = []
    for _ in range(10):
        began = time.perf_counter()
        os.write(end, b"\x1b")
        assert driver.key() == "escape"
        waited.append(time.perf_counter() - began)
    assert 0.02 <= min(waited) < 0.08
    os.close(end)


def test_a_key_whose_bytes_come_one_by_one_is_one_key(
    typing: tuple[Recorded, int, threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, end, _ = typing
    monkeypatch.setattr(constants, "ESCAPE_DELAY", PATIENCE)
    for typed in (b"\x1b", b"[", b"A", b"x", b"\xc3", b"\xa9", b"y"):
        os.write(end, typed)
        time.sleep(0.01)
    assert [driver.key() for _ in range(4)] == ["up", "x", "é", "y"]
    os.close(end)


def test_bytes_that_are_no_text_do_not_end_it(typing: tuple[Recorded, int, threading.Thread]) -> None:
    driver, end, _ = typing
    os.write(end, b"\xff\xfe\xc3z")
    keys = []
    while "z" not in keys:
        keys.append(driver.key())
    os.close(end)


def test_it_ends_with_its_terminal(typing: tuple[Recorded, int, threading.Thread]) -> None:
    _, end, thread = typing
    os.close(end)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_frames_and_escapes_are_quick_unless_the_environment_says_otherwise() -> None:
    said = "import azr_tui.app; from textual import constants as c; print(c.MAX_FPS, c.ESCAPE_DELAY)"

    def settings(**environ: str) -> str:
        bare = {name: value for name, value in os.environ.items() if name not in ("TEXTUAL_FPS", "ESCDELAY")}
        environment = bare | environ
        run = subprocess.run([sys.executable, "-c", said], env=environment, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    assert settings() == "240 0.025"
    assert settings(TEXTUAL_FPS="30", ESCDELAY="200") == "30 0.2"
