"""Every message between the trainer and the processes that share its update."""

from __future__ import annotations

import msgspec

from azr_platform.trainer.update import Minibatch


class Begin(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Load the policy: from a checkpoint's folder, or where there is none as at the run's beginning."""

    folder: str


class Learn(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A process's share of an update. Tokens and numbers alone: no text that a model wrote."""

    minibatches: list[Minibatch]
    learning_rate: float


class State(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Take part in putting the optimizer's state together, for a checkpoint."""


Order = Begin | Learn | State


class Ready(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """It is there."""


class Failed(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """It ends."""

    error: str


FromWorker = Ready | Failed
