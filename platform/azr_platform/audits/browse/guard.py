"""Who may read a ledger that is served, and what their browser is told: whoever holds the address, on this machine.

Each check closes one way in that binding to loopback leaves open. A foreign name that was made to resolve to 127.0.0.1
is not ours; another site's page may not ask; every user of this machine can connect, so a part of the address is a word
that nobody guesses. Nothing but reading is answered.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
"""The port is not compared: a tunnel (``ssh -L``) may have another at its near end."""
_HEADERS: Final = {
    # Datasette writes styles and scripts into its pages; nothing is loaded from, or sent to, anywhere else.
    "content-security-policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def guarded(app: App, token: str) -> App:
    """``app`` for those who hold ``token``, the first part of every address."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        if refusal := why_refused(scope, token):
            await _refuse(refusal, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                kept = [
                    pair for pair in message.get("headers", []) if pair[0].decode("latin-1").lower() not in _HEADERS
                ]
                message = {**message, "headers": [*kept, *ours]}
            await send(message)

        await app(_below(scope, token), receive, with_headers)

    return guard


def why_refused(scope: Message, token: str) -> str:
    """Why a request is not answered; empty when it is."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
    host = headers.get("host", "")
    if not _is_local(host):
        return "This server answers to 127.0.0.1 and localhost only."
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "Another site's page may not read here."
    if scope["method"] not in ("GET", "HEAD"):
        return "The ledger is only read here."
    given = str(scope["path"]).split("/")[1:2]
    if not given or not hmac.compare_digest(given[0].encode("utf-8", "replace"), token.encode()):
        return "Open the whole address that `azr-platform audit browse` printed; its first part is the key."
    return ""


def _below(scope: Message, token: str) -> Message:
    """The request as it is below the first part of its address."""
    prefix = f"/{token}"
    raw = scope.get("raw_path") or scope["path"].encode()
    path = scope["path"].removeprefix(prefix) or "/"
    return {**scope, "path": path, "raw_path": raw.removeprefix(prefix.encode()) or b"/"}


async def _refuse(why: str, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})


def _is_local(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        return parts.netloc == host and parts.username is None and parts.hostname in _LOCAL
    except ValueError:
        return False
