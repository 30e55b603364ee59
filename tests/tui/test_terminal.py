"""The dashboard as a process on a real terminal: poor ones, slow ones, ones that go away, and those of other users."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from azr_platform.ledger.reader import LedgerReader

DEADLINE = 120.0


def dashboard(run: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "azr_platform", "tui", str(run)]


class Terminal:
    """A program on a pseudo-terminal. ``drawn`` is all text since the last key, without control sequences."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (80, 24), **environ: str) -> None:
        self._raw = b""
        pid, self.end = pty.fork()
        if pid == 0:
            kept = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
            environment = {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ}
            os.execve(command[0], command, {name: value for name, value in environment.items() if value})
        self.pid = pid
        self.resize(*size)

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, patience: float = 0.05) -> bool:
        """Take what was written; False when there was nothing."""
        if not select.select([self.end], [], [], patience)[0]:
            return False
        try:
            self._raw += os.read(self.end, 65536)
        except OSError:  # its end is closed
            time.sleep(patience)
            return False
        return True

    @property
    def drawn(self) -> str:
        text = re.sub(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|.)", b"", self._raw)
        return text.decode("utf-8", "replace")

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"did not happen: {what}; drawn: {self.drawn[-2000:]!r}"
            self.read()

    def shows(self, words: str) -> None:
        self.until(lambda: words in self.drawn, f"{words!r} on the terminal")

    def press(self, keys: str) -> None:
        self._raw = b""
        os.write(self.end, keys.encode())

    @property
    def raw(self) -> bytes:
        return self._raw

    def ended(self) -> int:
        """Its exit status, once it has ended; minus the signal that ended it."""
        deadline = time.monotonic() + DEADLINE
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"it did not end; drawn: {self.drawn[-2000:]!r}"
            if self.end >= 0:
                self.read()
            else:
                time.sleep(0.02)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def hang_up(self) -> None:
        os.close(self.end)
        self.end = -1

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.end >= 0:
            os.close(self.end)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_(command: Sequence[str], **given: Any) -> Terminal:
        opened.append(Terminal(command, **given))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


POOR = {
    "dumb": {"TERM": "dumb"},
    "console": {"TERM": "linux"},
    "vt100": {"TERM": "vt100"},
    "unnamed": {"TERM": ""},
    "unheard-of": {"TERM": "no-such-terminal"},
    "no colours": {"NO_COLOR": "1"},
    "no locale": {"LANG": "C", "LC_ALL": "C"},
    "no home": {"HOME": "/nonexistent"},
}


@pytest.mark.parametrize("environ", POOR.values(), ids=POOR)
def test_a_poor_terminal_gets_a_dashboard(full_run: Any, terminal: Any, environ: dict[str, str]) -> None:
    shown = terminal(dashboard(full_run[0]), **environ)
    shown.shows("step 42/60")
    shown.shows("Overview")
    shown.press("4")
    shown.shows("trace.outsmart")
    if "NO_COLOR" in environ:
        colours = re.findall(rb"\x1b\[[\d;]*(?:38|48);(?:2|5);", shown.raw)
        assert not colours
    shown.press("q")
    assert shown.ended() == 0


def test_where_the_locale_is_ascii_nothing_else_is_drawn(full_run: Any, terminal: Any) -> None:
    shown = terminal(dashboard(full_run[0]), LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    shown.shows("step 42/60")
    for key in "1234567890":
        shown.press(key)
        while shown.read(0.3):
            pass
        assert shown.raw.isascii(), key
    shown.press("q")
    assert shown.ended() == 0


def test_a_terminal_that_goes_away_ends_the_dashboard_quietly(full_run: Any, terminal: Any) -> None:
    shown = terminal(dashboard(full_run[0]))
    shown.shows("step 42/60")
    shown.hang_up()  # as a dropped connection does: SIGHUP, then errors
    assert shown.ended() in (128 + signal.SIGHUP, 120)  # 120: Python had words left for a terminal that is no more


@pytest.mark.slow
def test_a_run_whose_terminal_goes_away_is_stopped_and_not_left_hanging(tmp_path: Path, terminal: Any) -> None:
    run = tmp_path / "run"
    options = ["--watch", "--preset", "nano", "--run", str(run), "--steps", "500", "--set", "jail.cpu_seconds=1"]
    shown = terminal([sys.executable, "-P", "-m", "azr_platform", "train", *options], OMP_NUM_THREADS="1")
    shown.shows("● running")
    shown.hang_up()
    shown.ended()
    with LedgerReader(run) as reader:
        assert reader.state().state == "stopped" and not reader.supervisor_alive()


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_gives_the_terminal_back(full_run: Any, terminal: Any, how: signal.Signals) -> None:
    shown = terminal(dashboard(full_run[0]))
    before = termios.tcgetattr(shown.end)
    shown.shows("step 42/60")
    assert termios.tcgetattr(shown.end)[3] != before[3]
    os.kill(shown.pid, how)
    assert shown.ended() == (0 if how is signal.SIGINT else 128 + how)
    assert termios.tcgetattr(shown.end)[3] == before[3], "the terminal is left without echo"
    assert b"\x1b[?1049l" in shown.raw and b"\x1b[?25h" in shown.raw


def test_it_can_be_put_aside_and_taken_up_again(full_run: Any, terminal: Any) -> None:
    shell = terminal(["/bin/bash", "--norc", "--noprofile", "-i"], PS1="ready> ")
    shell.shows("ready>")
    shell.press(f"{shlex.join(dashboard(full_run[0]))}\n")
    shell.shows("step 42/60")
    shell.press("\x1a")
    shell.shows("Stopped")
    shell.shows("ready>")
    shell.press("echo $((6*7))\n")
    shell.shows("42")
    shell.press("fg\n")
    shell.shows("step 42/60")
    shell.press("4")
    shell.shows("trace.outsmart")
    shell.press("q")
    shell.shows("ready>")
    shell.press("exit 7\n")
    assert shell.ended() == 7


def test_a_terminal_that_nobody_reads_costs_nothing_and_shows_the_present_when_somebody_does(
    full_run: Any, terminal: Any
) -> None:
    folder, run = full_run
    shown = terminal(dashboard(folder), size=(250, 80))
    shown.shows("step 42/60")
    started = shown.cpu_seconds()
    for step in range(43, 49):
        run.step(step)
        shown.resize(250 - step % 2, 80)
        with contextlib.suppress(BlockingIOError):
            os.write(shown.end, b"1234"[step % 4 : step % 4 + 1])
        time.sleep(0.5)
    assert shown.cpu_seconds() - started < 6
    shown.shows("step 48/60")
    shown.press("q")
    assert shown.ended() == 0


def test_a_storm_of_sizes_is_weathered(full_run: Any, terminal: Any) -> None:
    shown = terminal(dashboard(full_run[0]))
    shown.shows("step 42/60")
    for turn in range(120):
        shown.resize(60 + turn * 37 % 191, 18 + turn * 23 % 63)
        shown.read(0.01)
    shown.resize(100, 30)
    while shown.read(0.5):
        pass
    shown.press("4")
    shown.shows("trace.outsmart")
    shown.press("q")
    assert shown.ended() == 0


def test_without_a_terminal_it_says_so(full_run: Any) -> None:
    ran = subprocess.run(
        dashboard(full_run[0]), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE
    )
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.startswith("error: the dashboard needs a terminal") and ran.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_s_run_is_one_line(full_run: Any) -> None:
    full_run[0].chmod(0o700)
    code = (
        "import os, sys; from azr_platform.cli.main import main; import azr_platform.ledger.reader\n"
        "import azr_platform.cli.errors, azr_tui.settings\n"
        "os.setgid(65534); os.setuid(65534); sys.argv = ['azr-platform', 'tui', sys.argv[1]]; main()"
    )
    end, other = pty.openpty()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code, str(full_run[0])],
            stdin=other, stdout=other, stderr=subprocess.PIPE, text=True, timeout=DEADLINE,
        )  # fmt: skip
    finally:
        os.close(end)
        os.close(other)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1
    assert "Permission denied" in ran.stderr or "no run here" in ran.stderr
