"""``RUN/tensorboard/branch-N``: an event file each time that the run is continued, a folder each branch.

A folder is a curve of its own in TensorBoard, so that a branch begins where the run was rolled back to, beside the one
that it left behind.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from azr_platform.sinks.base import Alert, Branch, Event, Sink, State, Step, Stream, as_metrics


class TensorBoard(Sink):
    """Writes event files with TensorBoard's own writer; TensorFlow and torch are not needed.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, stream: Stream) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._new_writer = EventFileWriter
        self._stream = stream
        self._writer: Any = None

    def write(self, event: Event) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        match event:
            case Branch():
                self._open(event)
            case Step():
                values = [Summary.Value(tag=name, simple_value=value) for name, value in as_metrics(event).items()]
                self._add(event, Summary(value=values))
                self._writer.flush()
            case State():
                self._add_text(event, "state", event.state)
            case Alert():
                self._add_text(event, f"alert/{event.severity}", event.rule)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, event: Branch) -> None:
        self.close()
        folder = Path(self._stream.run) / "tensorboard" / f"branch-{event.branch}"
        begun = folder.exists()
        self._writer = self._new_writer(str(folder))
        if not begun:
            settings = json.dumps(self._stream.config, indent=2, ensure_ascii=False)
            # TensorBoard shows texts as Markdown: four spaces make it verbatim.
            self._add_text(event, "settings", "\n".join(f"    {line}" for line in settings.splitlines()))

    def _add_text(self, event: Event, tag: str, text: str) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._add(event, text_pb(tag, text))

    def _add(self, event: Event, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Record

        self._writer.add_event(Record(wall_time=event.time, step=event.step, summary=summary))
