"""The web server: one page with its assets, and for each page that opens its socket a dashboard in its own process.

The terminal in the page is textual-serve's. Its server is not used: it hands the command to a shell, checks neither
names nor origins, loads fonts from elsewhere, and may leave dashboards behind.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from aiohttp import WSCloseCode, web

from azr_tui.escape import visible_line
from azr_tui.web.guard import add_headers, guarded, new_token
from azr_tui.web.session import MOST_BYTES, Session

HOST = "127.0.0.1"
MOST_SESSIONS = 8
"""Each is a process of about 100 MB."""
_SERVED = files("textual_serve") / "static"
_OWN = files("azr_tui.web") / "page"
ASSETS = {
    "": _OWN / "index.html",
    "page.css": _OWN / "page.css",
    "page.js": _OWN / "page.js",
    "textual.js": _SERVED / "js/textual.js",
    "xterm.css": _SERVED / "css/xterm.css",
    "RobotoMono.ttf": _SERVED / "fonts/RobotoMono-VariableFont_wght.ttf",
    "RobotoMono-Italic.ttf": _SERVED / "fonts/RobotoMono-Italic-VariableFont_wght.ttf",
}
"""All that is served, by the last part of its address."""

Tell = Callable[[str], object]


class PageServer:
    """Serves ``command`` at ``/TOKEN/``; ``tell`` is told what went wrong with a dashboard."""

    def __init__(self, command: Sequence[str], token: str, tell: Tell, most: int = MOST_SESSIONS) -> None:
        self._command = command
        self._tell = tell
        self._most = most
        self._sockets: set[web.WebSocketResponse] = set()
        self.app = web.Application(middlewares=[guarded(token)])
        self.app.add_routes(
            [
                web.get("/{token}/socket", self._socket),
                web.get("/{token}/{asset:[^/]*}", self._asset),
            ]
        )
        self.app.on_response_prepare.append(add_headers)
        self.app.on_shutdown.append(self._close)

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        asset = ASSETS.get(request.match_info["asset"])
        if asset is None:
            raise web.HTTPNotFound(text="There is no such page.\n")
        return web.FileResponse(Path(str(asset)))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= self._most:
            raise web.HTTPServiceUnavailable(text=f"{self._most} dashboards are open; close one.\n")
        socket = web.WebSocketResponse(heartbeat=15, timeout=2, max_msg_size=MOST_BYTES, compress=False)
        self._sockets.add(socket)  # counted before anything is waited for, so that none slips past the limit
        try:
            await socket.prepare(request)
            words = await Session(
                self._command, socket, _number(request, "width", 80), _number(request, "height", 24)
            ).run()
            if words:
                self._tell(f"a dashboard ended with: {visible_line(words.strip().rpartition(chr(10))[2], 300)}")
        finally:
            self._sockets.discard(socket)
            if socket.prepared:  # a plain request's handshake fails, and there is nothing to close
                await socket.close()
        return socket

    async def _close(self, _: web.Application) -> None:
        closing = (socket.close(code=WSCloseCode.GOING_AWAY) for socket in self._sockets)
        await asyncio.gather(*closing, return_exceptions=True)


def _number(request: web.Request, name: str, default: int) -> int:
    try:
        return int(request.query.get(name, ""))
    except ValueError:
        return default


async def open_server(server: PageServer, port: int) -> tuple[web.AppRunner, int]:
    """Listen on loopback; returns what closes it, dashboards included, and the port (0 takes any free one).

    Raises:
        OSError: the port is taken, or not for this user.
    """
    # Without an access log: addresses hold the token.
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=10.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]


def serve(command: Sequence[str], port: int, announce: Callable[[str], object], tell: Tell) -> None:
    """Serve until Ctrl-C, SIGTERM or the terminal's end; ``announce`` is given the address once it answers."""
    asyncio.run(_serve(command, port, announce, tell))


async def _serve(command: Sequence[str], port: int, announce: Callable[[str], object], tell: Tell) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    token = new_token()
    runner, port = await open_server(PageServer(command, token, tell), port)
    try:
        with suppress(OSError):  # a terminal that has gone takes no address
            announce(f"http://{HOST}:{port}/{token}/")
        await ended.wait()
    finally:
        await runner.cleanup()
