"""Who is at the other end of a Unix socket, as the kernel says; what a client says of itself it may make up."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("3i")  # pid, uid, gid (unix(7))


class Peer(NamedTuple):
    """The process that connected. It may have ended since, and its pid be another's."""

    uid: int
    pid: int

    @property
    def may_steer(self) -> bool:
        """The user who runs the supervisor, and root."""
        return self.uid in (os.geteuid(), 0)

    def on_record(self) -> dict[str, int]:
        """For the ledger, beside what the command says."""
        return self._asdict()


def peer_of(sock: socket.socket) -> Peer:
    """Raises OSError when it is no connected Unix socket."""
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(uid, pid)


def myself() -> Peer:
    """This process, where it does itself what a supervisor would do."""
    return Peer(os.geteuid(), os.getpid())
