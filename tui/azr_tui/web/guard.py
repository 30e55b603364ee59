"""Who may speak to the web server: pages that it served itself, on this machine, to somebody who holds its address.

Each check closes one way in that binding to loopback leaves open:

- **Host**: a foreign name that was made to resolve to 127.0.0.1 (DNS rebinding) is not ours.
- **Origin**: a browser lets any page open a WebSocket to any address, and says only whose page it was.
- **Token**: every user of this machine can connect to its loopback. The token is part of the address, not a cookie,
  because cookies are shared with whatever else listens on the same name.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
"""The port is not compared: a tunnel (``ssh -L``) may have another at its near end."""
HEADERS = {
    # xterm.js writes the sizes of its cells into style elements; nothing else comes from the page itself.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "clipboard-read=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "azr-platform",
}


def new_token() -> str:
    """A word that nobody guesses, fit for an address."""
    return secrets.token_urlsafe(32)


def guarded(token: str) -> Middleware:
    """The middleware that lets a request through to its handler, or answers 403 and why."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := why_refused(request, token):
            return web.Response(status=403, text=f"{refusal}\n")
        return await handler(request)

    return guard


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """What a browser is told with every answer."""
    response.headers.update(HEADERS)


def why_refused(request: web.Request, token: str) -> str:
    """Why a request is not answered; empty when it is."""
    host = request.headers.get("Host", "")
    if not _is_local(host):
        return "This server answers to 127.0.0.1 and localhost only."
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return "Another site's page may not speak to this server."
    if origin is None and "Upgrade" in request.headers:
        return "A dashboard is opened by this server's own page only."
    given = request.match_info.get("token", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        return "Open the whole address that `azr-platform tui --serve` printed; its last part is the key."
    return ""


def _is_local(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        return parts.netloc == host and parts.username is None and parts.hostname in LOCAL_NAMES
    except ValueError:
        return False
