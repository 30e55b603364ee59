"""What can go wrong with a ledger, each with the remedy in its text."""

from __future__ import annotations

from pathlib import Path


class LedgerError(Exception):
    """Base of the ledger's errors; the text is fit to be shown to a user."""


class UnknownRun(LedgerError):
    """The folder is no run."""

    def __init__(self, run: Path) -> None:
        super().__init__(f"{run}: no run here (no ledger.db). Give a run's folder, such as runs/demo.")


class LedgerBusy(LedgerError):
    """Another supervisor writes this run."""

    def __init__(self, run: Path, holder: str) -> None:
        super().__init__(
            f"{run}: another supervisor runs it ({holder}). Watch it with `azr-platform tui {run}` "
            f"or end it with `azr-platform stop {run}`."
        )


class LedgerBroken(LedgerError):
    """SQLite refused the file."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(
            f"{path}: the ledger cannot be used ({detail}). Nothing was changed. "
            f"Restore the file from a copy, or start a new run in another folder."
        )
