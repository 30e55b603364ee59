"""One program in an nsjail started for it alone, for the benchmark: the program and its input on standard input.

Passed to the interpreter with ``-c``. The two texts are parted by a NUL, which no Python text may hold.
"""

import sys
from typing import Any


def main() -> None:
    """Write the text of the value to standard output; nothing when there is none."""
    program, _, arguments = sys.stdin.read().partition("\0")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(program, "<program>", "exec"), namespace)  # noqa: S102  # inside the jail
    value = eval(compile(f"f({arguments}\n)", "<input>", "eval"), namespace)  # noqa: S307  # as above
    sys.stdout.write(repr(value))


if __name__ == "__main__":
    main()
