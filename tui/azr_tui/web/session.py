"""One dashboard for one page: a process of its own between pipes, and the WebSocket that shows it.

```
page ──["stdin", "p"]──► Session ──D packet──► stdin │ dashboard
     ◄────── bytes ─────         ◄──D packet── stdout│ (a process)
```

Both ends are taken at their word as little as can be: the page sends keys, sizes and pings, the dashboard sends what a
terminal shows, and anything else ends the session. The dashboard waits for a slow page; the run waits for neither.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from aiohttp import WSMsgType, web

MOST_CELLS = (500, 250)
"""The largest terminal that a page may ask for: a screen is drawn whole, and its size is the page's word."""
MOST_BYTES = 64 * 1024
"""Of one message of the page's; a paste is cut by it."""
_MOST_PACKET = 16 * 1024 * 1024
_PATIENCE = 2.0
"""Seconds that a dashboard has to leave when it is asked to, and again when it is told to."""
_READY = b"__GANGLION__\n"  # what Textual's web driver says before anything else


class Stdin(msgspec.Struct, array_like=True, tag="stdin", frozen=True):
    """Keys, as a terminal sends them."""

    keys: str


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns and rows."""

    width: int
    height: int


class Resize(msgspec.Struct, array_like=True, tag="resize", frozen=True):
    """The page's terminal has another size."""

    size: Size


class Ping(msgspec.Struct, array_like=True, tag="ping", frozen=True):
    """Answered with a pong."""

    sent: str


class Focus(msgspec.Struct, array_like=True, tag="focus", frozen=True):
    """The page has the keyboard."""


class Blur(msgspec.Struct, array_like=True, tag="blur", frozen=True):
    """The page has lost the keyboard."""


_PAGE = msgspec.json.Decoder(Stdin | Resize | Ping | Focus | Blur)


class Session:
    """Runs ``command`` for one page, until either ends. The command is a list: no shell reads it."""

    def __init__(self, command: Sequence[str], socket: web.WebSocketResponse, width: int, height: int) -> None:
        self._command = command
        self._socket = socket
        self._size = _within(width, height)

    async def run(self) -> str:
        """Serve the page; returns the last words of a dashboard that failed, empty as a rule."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(*self._size),
            start_new_session=True,  # Ctrl-C in the server's terminal is for the server, which ends its dashboards
        )
        complaints = asyncio.create_task(_last_words(process))
        ways = [asyncio.create_task(self._to_page(process)), asyncio.create_task(self._to_dashboard(process))]
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ended:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await asyncio.shield(_end(process))
        words = await complaints
        return words if process.returncode else ""

    async def _to_page(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            await process.stdout.readuntil(_READY)
            while True:
                kind, size = struct.unpack(">cI", await process.stdout.readexactly(5))
                if size > _MOST_PACKET:
                    return
                payload = await process.stdout.readexactly(size)
                if kind == b"D":
                    await self._socket.send_bytes(payload)
                elif kind == b"M" and json.loads(payload).get("type") == "exit":
                    return
                # Nothing else is passed on: a dashboard has no page to open and no file to hand over.

    async def _to_dashboard(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        with suppress(ConnectionError):
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT:
                    return
                try:
                    said = _PAGE.decode(message.data)
                except (msgspec.MsgspecError, UnicodeError):
                    return
                if isinstance(said, Ping):
                    await self._socket.send_json(["pong", said.sent])
                    continue
                process.stdin.write(_packet(said))
                await process.stdin.drain()


def environment(width: int, height: int) -> dict[str, str]:
    """The dashboard's environment: ours, with the terminal that the page is."""
    return {
        **os.environ,
        "TEXTUAL_DRIVER": "azr_tui.web.driver:PageDriver",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TEXTUAL_FPS": "30",
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": str(width),
        "ROWS": str(height),
    }


def _within(width: int, height: int) -> tuple[int, int]:
    return max(1, min(width, MOST_CELLS[0])), max(1, min(height, MOST_CELLS[1]))


def _packet(said: Stdin | Resize | Focus | Blur) -> bytes:
    """What Textual's web driver reads: a letter, the length, then keys or a JSON object."""
    if isinstance(said, Stdin):
        kind, payload = b"D", said.keys.encode("utf-8", "replace")
    elif isinstance(said, Resize):
        width, height = _within(said.size.width, said.size.height)
        kind, payload = b"M", json.dumps({"type": "resize", "width": width, "height": height}).encode()
    else:
        kind, payload = b"M", json.dumps({"type": "focus" if isinstance(said, Focus) else "blur"}).encode()
    return struct.pack(">cI", kind, len(payload)) + payload


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """Standard error to its end; the last of it, so that a dashboard that talks on costs nothing."""
    assert process.stderr is not None
    kept = b""
    while said := await process.stderr.read(4096):
        kept = (kept + said)[-4096:]
    return kept.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Asked by the end of its input, then told, then killed: a dashboard never outlives its page."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    # What it still has to say is read and dropped: it could not leave while it waits for a reader.
    drained = asyncio.create_task(_drop(process.stdout))
    try:
        for told in (None, signal.SIGTERM, signal.SIGKILL):
            if told is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, told)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _PATIENCE)
                return
    finally:
        drained.cancel()


async def _drop(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
