"""One reading of a long stream for several readers: each takes a part of it, then the next takes the same part.

```
stream ─► 4,096 at a time ─► the first reader ─► the second ─► … ─► the next 4,096
```
A reader is an ordinary function over an iterator. Each has a thread of its own, of which only ever one runs: it stands
still until it is handed its next part. So nothing has to be safe for threads, and no more than a part is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from threading import Semaphore, Thread
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
_PART: Final = 4096


def hand_round(
    stream: Iterable[T], readers: Sequence[Callable[[Iterator[T]], Any]], told: Callable[[int], object]
) -> list[Any]:
    """What each reader makes of the whole stream, in their order; ``told`` hears how much was read, part by part.

    Whatever one of them raises, or the stream, ends all of it and is raised here.
    """
    table = [_Reader(reader) for reader in readers]
    source = iter(stream)
    try:
        while part := list(islice(source, _PART)):
            for reader in table:
                reader.take(part)
            told(len(part))
        for reader in table:
            reader.take([])
        return [reader.result for reader in table]
    finally:
        for reader in table:
            reader.leave()


class _Left(BaseException):
    """Raised where a reader stands still, when nobody wants its result any more."""


class _Reader(Generic[T]):
    """One of them, with what it was handed; ``take`` returns once it asks for more, or has come to its end."""

    def __init__(self, read: Callable[[Iterator[T]], Any]) -> None:
        self.result: Any = None
        self._read = read
        self._error: BaseException | None = None
        self._ended = False
        self._part: Sequence[T] | None = None
        self._handed, self._asks = Semaphore(0), Semaphore(0)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        self._asks.acquire()

    def take(self, part: Sequence[T]) -> None:
        """Hand it a part, an empty one at the end."""
        if not self._ended:
            self._part = part
            self._handed.release()
            self._asks.acquire()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """End it wherever it stands."""
        self._part = None
        self._handed.release()
        self._thread.join()

    def _run(self) -> None:
        try:
            self.result = self._read(self._parts())
        except _Left:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._ended = True
            self._asks.release()

    def _parts(self) -> Iterator[T]:
        while True:
            self._asks.release()
            self._handed.acquire()
            if self._part is None:
                raise _Left
            if not self._part:
                return
            yield from self._part
