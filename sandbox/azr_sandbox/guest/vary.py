"""What differs in a verifier besides its clock: where objects lie, and how chance begins.

Randomized address layouts move whole pages, so the order of a set of a few objects, which depends on addresses, would
be the same in every zygote. And a draw that mostly falls one way would agree with itself in most runs.
"""

import _random
import ctypes
import gc
import os
import posix  # the module behind os
from typing import Any

_SMALL, _LARGE = range(16, 513, 16), range(528, 1_553, 16)  # bytes: Python's own allocator, and C's
_MANY, _FEW = 61, 13  # blocks of each size; prime, so that every step visits them all
_WORDS = {0x00: 0, 0x7F: 0x92CDB9B7, 0xFF: 0x12DD9BB3}
"""What a Mersenne twister must hold to give 32 bits of zeros, a zero and then ones, or ones."""


_kept: list[Any] = []  # what lies between the holes


def scatter(seed: int) -> None:
    """Leave holes all over the heap, to be filled in an order of this seed's own."""
    for sizes, count in ((_SMALL, _MANY), (_LARGE, _FEW)):
        for size in sizes:
            blocks = [_block(size) for _ in range(count)]
            step = 2 + (seed + size // 16) % (count - 3)
            for number in range(count):
                at = number * step % count
                if at % 2:
                    blocks[at] = None
            _kept.append(blocks)


def _block(size: int) -> Any:
    """An object of its own, not shared, that takes so many bytes."""
    if size == 16:
        return object()
    return 1 << size if size == 32 else bytes(size - 33)


def load_dice(byte: int) -> None:
    """Let the first draw of every generator nobody seeded, and of `os.urandom`, begin with this byte.

    With 0 it gives about the least it can, with 0x7F a middling number and the last of most lists, with 0xFF the most.
    What follows stays chance: no two draws are the same, none is exactly 0, and waiting for a certain one ends.
    """
    own, word = _random.Random, _WORDS[byte]
    seed, get, put = (own.__dict__[name] for name in ("seed", "getstate", "setstate"))

    def loaded_seed(self: _random.Random, value: object = None, /) -> None:
        seed(self, value)
        if value is None:
            put(self, (word, *get(self)[1:-1], 0))

    attributes = gc.get_referents(own.__dict__)[0]
    attributes["seed"] = loaded_seed
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(own))
    real, first = os.urandom, [bytes([byte])]

    def urandom(size: int, /) -> bytes:
        data = real(size)
        return first.pop() + data[1:] if first and data else data

    os.urandom = posix.urandom = urandom
