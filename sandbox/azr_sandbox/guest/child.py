"""One program and its inputs in one process: what a forked child does before it exits.

The payload it writes is one frame for each input: kind byte, length, UTF-8 text. Nothing in it is trusted: a
program that forges it achieves what returning that value, or raising that error, would have achieved.
"""

import builtins
import errno
import gc
import os
import struct
import sys
import types
from _ast import Call, Name
from typing import Any

from azr_sandbox.guest.encode import NotAValue, TooLarge, encode

VALUE, ERROR, PROGRAM, INPUT, KIND, SIZE, MEMORY, HARNESS = b"v", b"e", b"p", b"i", b"n", b"o", b"m", b"h"
_LENGTH = struct.Struct("<I")
_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without importing ast
_DETAIL_CHARS = 300
_COMPILE_ERRORS = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, UnicodeError)
_NO_MEMORY = MEMORY + _LENGTH.pack(0)  # made while there is some
_write, _exit, _close, _read = os.write, os._exit, os.close, os.read
_class_name = type.__dict__["__name__"].__get__
_errno = OSError.__dict__["errno"].__get__


class Silence:
    """A text stream that forgets what is written to it; programs may print, nobody listens."""

    encoding = "utf-8"
    errors = "strict"
    closed = False

    def write(self, text: str) -> int:
        return len(text)

    def writelines(self, lines: object) -> None:
        pass

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


def describe(error: BaseException) -> bytes:
    """``TypeName: message``, bounded; the message may run the program's own code, which stays confined."""
    # The class's own name, not what a metaclass says; and an exact str, not a subclass with methods of its own.
    name: str = _class_name(type(error))
    try:
        message = str.__str__(str(error))
    except BaseException:
        message = ""
    text = f"{name}: {message[:_DETAIL_CHARS]}" if message else name
    return text[:_DETAIL_CHARS].encode("utf-8", "backslashreplace")


def compile_call(arguments: str) -> Any:
    """Code for ``f(<arguments>)``, only if that is exactly one call of the name ``f``; else SyntaxError.

    ``1) or True or f(1`` parses, but not as a call of f, and so is refused before anything runs.
    """
    tree = compile(f"f({arguments}\n)", "<input>", "eval", _ONLY_AST, dont_inherit=True)
    call = tree.body
    if type(call) is not Call or type(call.func) is not Name or call.func.id != "f":
        raise SyntaxError("the text is not the arguments of one call")
    return compile(tree, "<input>", "eval", dont_inherit=True)


def evaluate(program: str, inputs: list[str], room: int) -> bytes:
    """Run the program and call ``f`` with each input in turn: the frames, up to the first that is no value.

    Each input gets the program executed afresh, so globals do not carry over; what a program does to the modules
    of the interpreter does. The values together may take ``room`` characters.
    """
    try:
        code = compile(program, "<program>", "exec", dont_inherit=True)
    except _COMPILE_ERRORS as error:
        return frame(PROGRAM, describe(error))
    frames = []
    for arguments in inputs:
        kind, text = evaluate_one(code, arguments, room)
        frames.append(frame(kind, text))
        room -= len(text)
        if kind is not VALUE:
            break
    return b"".join(frames)


def evaluate_one(code: Any, arguments: str, room: int) -> tuple[bytes, bytes]:
    """(kind, UTF-8 text) of one call."""
    try:
        call = compile_call(arguments)
    except _COMPILE_ERRORS as error:
        return INPUT, describe(error)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    namespace = main.__dict__
    # The interpreter's own builtins, as for any script; the guest's modules have copies that nothing patches.
    namespace["__builtins__"] = builtins
    try:
        exec(code, namespace)  # noqa: S102  # this is what the jail is for
        if not callable(namespace.get("f")):
            return PROGRAM, b"the program defines no function f"
        value = eval(call, namespace)  # noqa: S307  # as above
        return VALUE, encode(value, room).encode()
    except NotAValue as error:
        return KIND, describe_limit(error)
    except TooLarge as error:
        return SIZE, describe_limit(error)
    except MemoryError as error:
        return MEMORY, describe(error)
    except BaseException as error:
        return (MEMORY if _is_want_of_memory(error) else ERROR), describe(error)


def _is_want_of_memory(error: BaseException) -> bool:
    """Whether it is the system's way of saying it, as of a mapping that does not fit."""
    return type(error) is OSError and _errno(error) == errno.ENOMEM


def frame(kind: bytes, text: bytes) -> bytes:
    return kind + _LENGTH.pack(len(text)) + text


def describe_limit(error: Exception) -> bytes:
    return str(error)[:_DETAIL_CHARS].encode("utf-8", "backslashreplace")


def receive(socket_fd: int, size: int) -> bytes:
    """Exactly ``size`` bytes; leaves the process when the supervisor is gone."""
    data = b""
    while len(data) < size:
        piece = _read(socket_fd, size - len(data))
        if not piece:
            _exit(0)
        data += piece
    return data


def split(data: bytes) -> list[str]:
    """The inputs: each a length and UTF-8 text."""
    inputs, at = [], 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + size
        inputs.append(data[at - size : at].decode())
    return inputs


def live(socket_fd: int, pipe_fd: int, sizes: tuple[int, int], confinement: Any, room: int) -> None:
    """The whole life of a child; never returns."""
    try:
        program = receive(socket_fd, sizes[0])
        inputs = receive(socket_fd, sizes[1])
        _close(socket_fd)
        try:
            confinement.apply()
            gc.enable()
        except BaseException as error:
            payload = frame(HARNESS, describe(error))
        else:
            payload = evaluate(program.decode(), split(inputs), room)
        while payload:
            payload = payload[_write(pipe_fd, payload) :]
    except MemoryError:
        _write(pipe_fd, _NO_MEMORY)
    finally:
        _exit(0)
