"""trackio: a run of theirs each branch, in trackio's own database on this machine. Runs in the process of
sinks/child.py.
"""

from __future__ import annotations

import os
from typing import Any

from azr_platform.config.schema import SinksConfig
from azr_platform.sinks.base import Branch, Event, Sink, Step, Stream, as_metrics

# What would send a run elsewhere without being asked for in the run's settings.
_ELSEWHERE = ("SPACE_ID", "SERVER_URL", "BUCKET_ID", "DATASET_ID", "WEBHOOK_URL")


class Trackio(Sink):
    """Logs to trackio's folder (``TRACKIO_DIR``); nothing leaves the machine."""

    def __init__(self, stream: Stream, settings: SinksConfig) -> None:
        for name in _ELSEWHERE:
            os.environ.pop(f"TRACKIO_{name}", None)
        os.environ["HF_HUB_OFFLINE"] = "1"  # it would ask the hub for the user's name
        self._stream = stream
        self._project = settings.trackio
        self._run: Any = None

    def write(self, event: Event) -> None:
        match event:
            case Branch():
                self.close()
                self._run = self._open(event.branch)
            case Step():
                self._run.log(dict(as_metrics(event)), step=event.step)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None

    def _open(self, branch: int) -> Any:
        import trackio

        name = f"{self._stream.name}-{self._stream.id}"
        return trackio.init(
            project=self._project,
            name=name if branch == 1 else f"{name}-branch-{branch}",
            group=name,
            config=self._stream.config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
