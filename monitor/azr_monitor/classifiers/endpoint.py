"""Ask a model behind an OpenAI-compatible endpoint: one request, one answer, within a time, whoever answers."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from azr_monitor.records import printable

_MOST = 1 << 20
"""Bytes of an answer that are read; a longer one is refused."""
_AGAIN = frozenset({408, 425, 429})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class EndpointFailed(RuntimeError):
    """There is no answer that can be used. ``again``: whether the next try may bring one."""

    def __init__(self, why: str, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Answer(msgspec.Struct, frozen=True):
    """What the model wrote, and what it cost."""

    text: str
    tokens: int


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    total_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class Endpoint:
    """A chat model at ``url``. Redirects are not followed, and proxies are not used.

    Raises:
        ValueError: the URL or the key cannot be used, or the URL would send the key in the clear.
    """

    def __init__(self, url: str, model: str, key: str = "") -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"url: {url!r} is no http or https URL with a host and without a user name")
        if key and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError(f"url: {url!r} would send the key in the clear; use https")
        if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
            # Said here, and without the key: the HTTP client would refuse it later and quote it.
            raise ValueError("the key holds a character that no HTTP header can carry; export it again")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = f"{parts.path.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def ask(self, messages: Sequence[Mapping[str, str]], max_tokens: int, as_json: bool, timeout: float) -> Answer:
        """The model's answer to ``messages``, at temperature 0.

        Raises:
            EndpointFailed: no connection, no answer within ``timeout`` seconds, or not the answer of such an endpoint.
        """
        wanted: dict[str, object] = {
            "model": self._model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        if as_json:
            wanted["response_format"] = {"type": "json_object"}
        status, body = self._post(msgspec.json.encode(wanted), timeout)
        if status != 200:
            raise EndpointFailed(f"HTTP {status}", again=status in _AGAIN or status >= 500)
        try:
            completion = msgspec.json.decode(body, type=_Completion)
            text = completion.choices[0].message.content
        except (msgspec.MsgspecError, IndexError, UnicodeDecodeError, RecursionError) as error:
            raise EndpointFailed(f"no chat completion ({printable(str(error))})", again=True) from error
        counted = completion.usage.total_tokens if completion.usage is not None else 0
        # An endpoint that does not count costs about a token for every four characters.
        return Answer(text, counted if counted > 0 else (sum(len(m["content"]) for m in messages) + len(text)) // 4)

    def _post(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=ssl.create_default_context())
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        )
        # A socket's timeout is for each read: a server that sends a byte now and then would hold us for ever.
        late = threading.Event()
        timer = threading.Timer(timeout, _cut, (connection, late))
        timer.daemon = True
        timer.start()
        try:
            connection.connect()
            if late.is_set():
                raise TimeoutError  # it was too early for the timer to cut anything
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            answer = response.read(_MOST + 1)
            if len(answer) > _MOST or late.is_set():
                raise EndpointFailed("no answer in time" if late.is_set() else "an answer too long to be read", True)
            return response.status, answer
        except (OSError, http.client.HTTPException) as error:
            timed_out = isinstance(error, TimeoutError) or late.is_set()
            why = "no answer in time" if timed_out else f"no answer ({printable(str(error)) or type(error).__name__})"
            raise EndpointFailed(why, again=True) from error
        finally:
            timer.cancel()
            connection.close()


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End a connection that another thread waits on, and say so first; of the plain socket, also where TLS is on it."""
    late.set()
    if connection.sock is not None:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.sock.fileno())) as plain:
            plain.shutdown(socket.SHUT_RDWR)
