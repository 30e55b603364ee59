"""Framed msgpack on a stream socket: a 4-byte little-endian length, then one message."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any, Generic, TypeVar

import msgspec

MAX_FRAME = 256 * 1024 * 1024
CLOSE_SECONDS = 2.0
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode

In = TypeVar("In")


class WireError(Exception):
    """The peer sent something that is not a message of this protocol."""


class Disconnected(Exception):
    """The peer closed the connection, or it broke."""


def frame(message: msgspec.Struct) -> bytes:
    """One message as it goes over the socket.

    Raises:
        WireError: it is too long, or holds what has no encoding (a lone surrogate, an integer beyond 64 bits).
    """
    try:
        body = _encode(message)
    except (UnicodeEncodeError, OverflowError) as error:
        raise WireError(f"a {type(message).__name__} cannot be sent: {error}") from error
    if len(body) > MAX_FRAME:
        raise WireError(f"a message of {len(body)} bytes is over the limit of {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def _decode(decoder: msgspec.msgpack.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a message of this protocol: {error}") from error


def _length(head: bytes, limit: int = MAX_FRAME) -> int:
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise WireError(f"a frame of {length} bytes is over the limit of {limit}")
    return int(length)


class Wire(Generic[In]):
    """One blocking end of the channel, for the trainer and for clients. ``send`` may be called from any thread."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        self._socket = sock
        self._decoder = msgspec.msgpack.Decoder(incoming)
        self._sending = threading.Lock()

    def send(self, message: msgspec.Struct) -> None:
        data = frame(message)
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError as error:
            raise Disconnected(str(error)) from error

    def receive(self) -> In:
        received: In = _decode(self._decoder, self._read(_length(self._read(_LENGTH.size))))
        return received

    def ask(self, message: msgspec.Struct) -> In:
        """Send one message and wait for its reply."""
        self.send(message)
        return self.receive()

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        chunks = bytearray()
        while len(chunks) < size:
            try:
                chunk = self._socket.recv(min(size - len(chunks), 1 << 20))
            except OSError as error:
                raise Disconnected(str(error)) from error
            if not chunk:
                raise Disconnected("the other side closed the connection")
            chunks += chunk
        return bytes(chunks)


class AsyncWire(Generic[In]):
    """The supervisor's end of a connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: Any, limit: int = MAX_FRAME
    ) -> None:
        """A frame that claims more than ``limit`` bytes is refused before they come."""
        self._reader = reader
        self._writer = writer
        self._decoder = msgspec.msgpack.Decoder(incoming)
        self._limit = limit

    async def send(self, message: msgspec.Struct) -> None:
        try:
            self._writer.write(frame(message))
            await self._writer.drain()
        except OSError as error:
            raise Disconnected(str(error)) from error

    async def receive(self) -> In:
        try:
            head = await self._reader.readexactly(_LENGTH.size)
            body = await self._reader.readexactly(_length(head, self._limit))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Disconnected(str(error)) from error
        received: In = _decode(self._decoder, body)
        return received

    async def close(self) -> None:
        """Hang up; what the peer has not read after ``CLOSE_SECONDS`` is dropped."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), CLOSE_SECONDS)
        except OSError:
            pass  # broken already, or (a TimeoutError is an OSError) never read to its end
        finally:
            self._writer.transport.abort()  # nothing left to do when it is closed
        await asyncio.sleep(0)  # the loop closes the socket in its next round
