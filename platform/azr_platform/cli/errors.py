"""Exit statuses of expected errors. Imported only when something went wrong.

```
0 done   1 the command's own negative answer, or the run failed   2 wrong usage or input
3 this machine lacks something   4 busy: another supervisor has the run, or none has   5 a damaged file
```
"""

from __future__ import annotations

import errno

from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.policy import PolicyError
from azr_platform.channel.client import NotSupervised
from azr_platform.channel.server import SocketOccupied
from azr_platform.cli.input import BadInput
from azr_platform.config.load import ConfigError
from azr_platform.ledger.errors import (
    LedgerBroken,
    LedgerBusy,
    LedgerNewer,
    SearchUnavailable,
    UnknownAudit,
    UnknownRun,
)
from azr_platform.supervisor.runfolder import KeptLog, NothingToDo, RunExists
from azr_platform.tasks.problems import BadProblem
from azr_sandbox.jail import JailLeaks, JailUnavailable
from azr_tui.settings import SettingsError

# The system's own refusals: a path that was named wrongly, and what the machine lacks (space, memory, descriptors).
_USAGE = {errno.EACCES, errno.EPERM, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EROFS}

_STATUS: dict[type[Exception], int] = {
    BadInput: 2,
    ConfigError: 2,
    PolicyError: 2,
    UnknownRun: 2,
    UnknownAudit: 2,
    BadProblem: 2,
    SettingsError: 2,
    RunExists: 2,
    KeptLog: 2,
    NothingToDo: 0,
    JailUnavailable: 3,
    JailLeaks: 3,
    ClassifierUnavailable: 3,
    LedgerNewer: 3,
    SearchUnavailable: 3,
    LedgerBusy: 4,
    SocketOccupied: 4,
    NotSupervised: 4,
    LedgerBroken: 5,
}


def exit_status(error: Exception) -> int | None:
    """The status of an error that a user can mend; None for a bug."""
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    if isinstance(error, OSError) and error.errno in _USAGE:
        return 2
    if isinstance(error, OSError) and error.errno is not None:
        return 3
    return None
