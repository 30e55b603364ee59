"""A capped store of validated tasks of one kind. It takes nothing without the supervisor's allowing judgement."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from azr_platform.channel.messages import Judgement
from azr_platform.records import Kind, Task


class NotAllowed(Exception):
    """Something without an allowing verdict was offered to a buffer: a bug, never to be waved through."""


class Entry(msgspec.Struct, frozen=True):
    """A task and the step that proposed it (0 for seeds)."""

    task: Task
    step: int


class TaskBuffer:
    """Tasks of one kind, oldest first, each once. The oldest leave when ``cap`` is reached."""

    def __init__(self, kind: Kind, cap: int) -> None:
        self.kind = kind
        self.cap = cap
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task: Task) -> bool:
        return task.id in self._entries

    @property
    def entries(self) -> Sequence[Entry]:
        return list(self._entries.values())

    def add(self, judgement: Judgement, step: int) -> bool:
        """Store the task of an allowed, valid proposal; returns whether it was new.

        Raises:
            NotAllowed: the judgement blocks the sample, has no ledger row, or brings no task of this kind.
        """
        task = judgement.task
        if not (judgement.allowed and judgement.valid and judgement.sample > 0 and task is not None):
            raise NotAllowed(f"sample {judgement.sample}: no allowing verdict on a valid proposal")
        if task.kind is not self.kind:
            raise NotAllowed(f"sample {judgement.sample}: a {task.kind} task in the {self.kind} buffer")
        return self._insert(Entry(task, step))

    def plant(self, task: Task) -> None:
        """Store one of the project's own seed tasks, which no model wrote."""
        self._insert(Entry(task, 0))

    def restore(self, entries: Sequence[Entry]) -> None:
        """Replace the content by a checkpoint's, whose entries came through ``add`` once.

        Raises:
            NotAllowed: an entry of another kind, or more than ``cap``: not what this buffer has held.
        """
        if any(entry.task.kind is not self.kind for entry in entries) or len(entries) > self.cap:
            raise NotAllowed(f"the entries are not those of a {self.kind} buffer of at most {self.cap}")
        self._entries = OrderedDict((entry.task.id, entry) for entry in entries)

    def _insert(self, entry: Entry) -> bool:
        if entry.task.id in self._entries:
            return False
        self._entries[entry.task.id] = entry
        while len(self._entries) > self.cap:
            self._entries.popitem(last=False)
        return True
