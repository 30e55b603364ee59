"""A message posted to an address. The address may hold a secret, so no error and no line of ours shows it."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any

from azr_platform import __version__
from azr_platform.alerts.courier import Undelivered, Way
from azr_platform.alerts.told import Shape, Told, body

# Refusals that may be gone the next time: too early, too slow, too many.
_AGAIN = {408, 425, 429}


class BadAddress(Exception):
    """It cannot be posted to; the text says why, and does not show it."""


class Webhook(Way):
    """Posts to ``address`` in ``shape``. One attempt takes at most about ``timeout`` seconds, whoever answers.

    Proxies are those of the environment (``https_proxy``, ``no_proxy``). Redirects are not followed.

    Raises:
        BadAddress: it is no http or https URL with a host.
    """

    def __init__(self, shape: Shape, address: str, timeout: float) -> None:
        self._shape = shape
        self._address = checked(address)
        self._timeout = timeout
        self._handlers = _Http(), _Https(context=ssl.create_default_context())
        self._opener = urllib.request.build_opener(_NoRedirect, *self._handlers)

    def deliver(self, told: Told) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": f"azr-platform/{__version__}"}
        request = urllib.request.Request(  # noqa: S310 the scheme was checked
            self._address, body(told, self._shape), headers, method="POST"
        )
        # Timeouts of sockets are for each read: a server that sends a byte now and then would hold us for ever.
        cut_off = threading.Event()

        def cut() -> None:
            cut_off.set()
            self.abandon()

        late = threading.Timer(self._timeout, cut)
        late.daemon = True
        late.start()
        try:
            self._opener.open(request, timeout=self._timeout).close()
            if cut_off.is_set():  # off among the headers, which looks like their end
                raise TimeoutError
        except urllib.error.HTTPError as error:
            error.close()
            again = error.code in _AGAIN or error.code >= 500
            raise Undelivered(f"HTTP {error.code}", again=again, after=_seconds(error.headers)) from None
        except TimeoutError:
            raise Undelivered("no answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered("no answer in time" if cut_off.is_set() else _reason(error)) from None
        finally:
            late.cancel()

    def abandon(self) -> None:
        for handler in self._handlers:
            handler.cut()


def checked(address: str) -> str:
    """The address without spaces around it.

    Raises:
        BadAddress: see Webhook.
    """
    address = address.strip()
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadAddress("is no URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadAddress("is no http or https URL")
    if "@" in parts.netloc:
        raise BadAddress("has a user name in it; give an address without one")
    if not address.isascii() or any(character <= " " for character in address):
        raise BadAddress("has characters in it that no URL has")
    return address


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """To another host, the message is not ours to send: the redirect's own status is what came of it."""


class _Cut:
    """Remembers the connection that a handler made last, so that another thread can end it."""

    _connection: http.client.HTTPConnection | None = None

    def keep(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        self._connection = connection
        return connection

    def cut(self) -> None:
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with suppress(OSError):
                # Of the plain socket also where TLS is on it: a TLS socket may not be used by two threads.
                os_socket = socket.socket(fileno=os.dup(sock.fileno()))
                with os_socket:
                    os_socket.shutdown(socket.SHUT_RDWR)


class _Http(_Cut, urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(lambda host, **more: self.keep(http.client.HTTPConnection(host, **more)), req)


class _Https(_Cut, urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context

    def https_open(self, req: urllib.request.Request) -> Any:
        def connect(host: str, **more: Any) -> http.client.HTTPConnection:
            return self.keep(http.client.HTTPSConnection(host, context=self._tls, **more))

        return self.do_open(connect, req)


def _seconds(headers: Any) -> float:
    """What ``Retry-After`` says, where it is a number."""
    with suppress(TypeError, ValueError):
        return max(0.0, float(headers.get("Retry-After")))
    return 0.0


def _reason(error: BaseException) -> str:
    """Why, in the system's words: those of ours and of libraries may hold the address."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its host has no address"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__
