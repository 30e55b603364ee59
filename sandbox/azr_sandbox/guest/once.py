"""One program in an nsjail started for it alone, for the benchmark: program and input in, the value's text out.

Passed to the interpreter with ``-c``; the socket's number is the argument. The two texts are parted by a NUL, which
no Python text may hold. Little is imported, since every start pays for it.
"""

import os
import sys


def main(channel: int) -> None:
    """Read until the supervisor has said all, and answer; with nothing when there is no value."""
    text = b""
    while piece := os.read(channel, 65_536):
        text += piece
    program, _, arguments = text.decode().partition("\0")
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(program, "<program>", "exec"), namespace)  # noqa: S102  # inside the jail
    value = eval(compile(f"f({arguments}\n)", "<input>", "eval"), namespace)  # noqa: S307  # as above
    os.write(channel, repr(value).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
