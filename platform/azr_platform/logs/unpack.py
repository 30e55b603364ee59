"""The process that unpacks what is more than lines: python -m azr_platform.logs.unpack KIND SIZE.

    reader (logs/files.py)                       this process
      the open file is standard input  ──>         Parquet, an archive, or one JSON document
      rows, skips, the end             <──         frames on standard output (frames.py)

The libraries for these are native code, or hold a whole document at once. So they run here: with a limit of memory and
of CPU time, unable to open a file or a socket or to write a file, and with nothing of the environment that is a secret.
A file that is too much for that ends this process, and is one skip in the report.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import IO

from azr_platform.logs import archive, document
from azr_platform.logs.frames import write_end, write_skip
from azr_platform.logs.limits import CHILD_MEMORY, CHILD_SECONDS
from azr_platform.logs.lines import Unreadable
from azr_platform.logs.records import Reason


def main() -> None:
    """Unpack standard input."""
    kind, size = sys.argv[1], int(sys.argv[2])
    # Frames go to a descriptor of their own: a library that prints must not end up among them.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    file = os.fdopen(os.dup(0), "rb")
    try:
        _unpack(kind, file, size, out)
    except BrokenPipeError:
        os._exit(0)
    except Unreadable as error:
        write_skip(out, 0, Reason.BOMB if error.bomb else Reason.DAMAGED, str(error))
    except MemoryError:
        write_skip(out, 0, Reason.BOMB, f"takes more than {CHILD_MEMORY >> 20} MiB of memory")
    except Exception as error:  # whatever a library raises on hostile bytes: it is the file that is at fault
        write_skip(out, 0, Reason.DAMAGED, f"{type(error).__name__}")
    write_end(out)
    os._exit(0)  # what libraries do at the end of a process is not waited for


def _unpack(kind: str, file: IO[bytes], size: int, out: IO[bytes]) -> None:
    if kind == "parquet":
        from azr_platform.logs import parquet

        _confine()
        parquet.unpack(file, size, out)
    else:
        _load_before()
        _confine()
        (archive.unpack if kind == "archive" else document.unpack)(file, size, out)


def _load_before() -> None:
    """What would be imported later: no file can be opened then."""
    import encodings.cp437  # names in archives
    import encodings.utf_16
    from contextlib import suppress

    with suppress(ImportError):
        import zstandard  # noqa: F401

    del encodings


def _confine() -> None:
    """From here on no file and no socket can be opened, nothing can be written but to what is open, and memory ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_MEMORY, CHILD_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CHILD_SECONDS, CHILD_SECONDS))
    next_free = os.open("/", os.O_RDONLY)
    os.close(next_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, next_free))


if __name__ == "__main__":
    main()
