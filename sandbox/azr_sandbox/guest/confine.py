"""Limits and the second seccomp filter, put on each child after the fork and before any program text is touched.

The zygote already lives under nsjail's default-kill allow-list. The filter here takes away what only the zygote
needed: making processes, signalling them, loading another image, changing limits or filters. x86-64 only; the
host refuses to start on any other machine.
"""

import ctypes
import resource
import struct

_DENIED = {
    "pipe": 22,
    "clone": 56,
    "fork": 57,
    "vfork": 58,
    "execve": 59,
    "wait4": 61,
    "kill": 62,
    "prctl": 157,
    "arch_prctl": 158,
    "setrlimit": 160,
    "set_tid_address": 218,
    "pipe2": 293,
    "seccomp": 317,
    "execveat": 322,
    "pidfd_open": 434,
}
_PRLIMIT64 = 302

_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_NUMBER, _THIRD_LOW, _THIRD_HIGH = 0, 32, 36  # offsets in struct seccomp_data
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _MODE_FILTER = 4, 22, 2


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _assemble() -> bytes:
    """Kill on a denied call, and on prlimit64 with a new limit; allow the rest (the outer filter still holds)."""
    code = [
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_IF_EQUAL, _PRLIMIT64, 0, 6),
        _instruction(_LOAD, _THIRD_LOW),
        _instruction(_JUMP_IF_EQUAL, 0, 0, 2),
        _instruction(_LOAD, _THIRD_HIGH),
        _instruction(_JUMP_IF_EQUAL, 0, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_RETURN, _ALLOW),
    ]
    for position, number in enumerate(sorted(_DENIED.values())):
        code.append(_instruction(_JUMP_IF_EQUAL, number, len(_DENIED) - position, 0))
    code += [_instruction(_RETURN, _ALLOW), _instruction(_RETURN, _KILL)]
    return b"".join(code)


class Confinement:
    """Everything a child needs to lock itself in, prepared once in the zygote so a fork touches few pages."""

    def __init__(self, cpu_s: int, memory_mb: int, open_files: int) -> None:
        self._limits = (
            (resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20)),
            (resource.RLIMIT_CPU, (cpu_s, cpu_s)),  # SIGKILL at once: SIGXCPU could be caught and outlived
            (resource.RLIMIT_NPROC, (0, 0)),
            (resource.RLIMIT_NOFILE, (open_files, open_files)),
            (resource.RLIMIT_FSIZE, (0, 0)),
            (resource.RLIMIT_CORE, (0, 0)),
        )
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._prctl = self._libc.prctl
        self._prctl.argtypes = [
            ctypes.c_int,
            ctypes.c_ulong,
            ctypes.c_void_p,
            ctypes.c_ulong,
            ctypes.c_ulong,
        ]
        code = _assemble()
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // 8, ctypes.cast(self._code, ctypes.c_void_p))
        self._pointer = ctypes.byref(self._program)
        if self._prctl(_PR_SET_DUMPABLE, 0, None, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE")

    def apply(self) -> None:
        """Lock this process in; OSError or ValueError when the kernel refuses, and then nothing may run."""
        for which, bounds in self._limits:
            resource.setrlimit(which, bounds)
        if self._prctl(_PR_SET_SECCOMP, _MODE_FILTER, self._pointer, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")
