"""First code inside the jail: receive the guest's sources over the socket and start the zygote.

Passed to the interpreter with ``-c``, so nothing of ours has to lie in the jail's file system. The sources come
from the supervisor before any program does, and are the only thing ever executed here that way.
"""

import builtins
import json
import os
import sys
import types


def _receive(socket_fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(socket_fd, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def _boot(socket_fd: int) -> None:
    package = json.loads(_receive(socket_fd, int.from_bytes(_receive(socket_fd, 8), "little")))
    for name, source in package["modules"]:
        module = types.ModuleType(name)
        # A copy of the builtins of its own: a program that patches them changes nothing for these modules.
        module.__dict__["__builtins__"] = dict(vars(builtins))
        sys.modules[name] = module
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    sys.modules["azr_sandbox.guest.zygote"].main(socket_fd, package["settings"])


if __name__ == "__main__":
    _boot(int(sys.argv[1]))
