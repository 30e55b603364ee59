"""Weights & Biases: a run of theirs each branch, grouped under the run's name. Runs in the process of sinks/child.py.

Nothing but what the events hold is handed on: no code, console, host, package list or git state.
"""

from __future__ import annotations

import os
from typing import Any

from azr_platform.config.schema import SinksConfig
from azr_platform.sinks.base import Branch, Event, Sink, State, Step, Stream, as_metrics


class WandB(Sink):
    """Logs to ``RUN/wandb``, and to their server as well when ``sinks.wandb_mode`` is ``online``.

    Raises:
        wandb.errors.Error: no key, no connection, or they refuse the run.
    """

    def __init__(self, stream: Stream, settings: SinksConfig) -> None:
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # their crash reports; read when the library is imported
        self._stream = stream
        self._settings = settings
        self._run: Any = None

    def write(self, event: Event) -> None:
        match event:
            case Branch():
                self.close()
                self._run = self._open(event.branch)
            case Step():
                self._run.log(dict(as_metrics(event)), step=event.step)
            case State():
                self._run.summary["state"] = event.state

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None

    def _open(self, branch: int) -> Any:
        import wandb

        quiet = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            save_code=False,
            silent=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
            docker="",  # where this and the next are not given, it looks for them
            host="",
            finish_timeout=self._settings.end_seconds / 2,
        )
        return wandb.init(
            project=self._settings.wandb,
            id=f"{self._stream.id}-{branch}",
            name=self._stream.name if branch == 1 else f"{self._stream.name} branch {branch}",
            group=f"{self._stream.name}-{self._stream.id}",
            dir=self._stream.run,
            config=self._stream.config,
            mode=self._settings.wandb_mode,
            resume="allow",
            settings=quiet,
        )
