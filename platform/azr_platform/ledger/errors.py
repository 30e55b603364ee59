"""What can go wrong with a ledger, each with the remedy in its text."""

from __future__ import annotations

from collections.abc import Sequence
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


class UnknownAudit(LedgerError):
    """No audit of that name is on record."""

    def __init__(self, run: Path, name: str, names: Sequence[str]) -> None:
        there = f"there are {', '.join(names)}" if names else f"`azr-platform audit {run}` makes one"
        super().__init__(f"{run}: no audit {name} is on record; {there}")


class LedgerNewer(LedgerError):
    """A later version of this package wrote it."""

    def __init__(self, path: Path, unknown: str) -> None:
        super().__init__(
            f"{path}: a newer azr-platform wrote this ledger ({unknown} is unknown here). Nothing was changed. "
            f"Use that version, or a later one."
        )


_WRITABLE = "Make the run's folder and what is in it writable for you."
# What SQLite or the system says of a fault that is not the file's, and what mends it.
_REMEDIES = {
    "locked": "Another program holds it: it works again when that one lets go or ends.",
    "full": "Free some space on its disk.",
    "readonly": _WRITABLE,
    "Read-only": _WRITABLE,
    "Permission denied": _WRITABLE,
    "I/O error": "Look at its disk: it may be full, over a quota, read-only or failing (`df`, `dmesg`).",
}


class LedgerBroken(LedgerError):
    """SQLite refused the file."""

    def __init__(self, path: Path, detail: str) -> None:
        otherwise = "Restore the file from a copy, or start a new run in another folder."
        remedy = next((remedy for words, remedy in _REMEDIES.items() if words in detail), otherwise)
        super().__init__(f"{path}: the ledger cannot be used ({detail}). Nothing was changed. {remedy}")


class SearchUnavailable(LedgerError):
    """There is no index of a run's words, and none can be made."""

    def __init__(self, path: Path, detail: str) -> None:
        otherwise = "Make it anew with --anew."
        remedy = next((remedy for words, remedy in _REMEDIES.items() if words in detail), otherwise)
        if "fts5" in detail:
            remedy = "Use a Python whose SQLite has FTS5, such as Debian's."
        super().__init__(f"{path}: the search index cannot be used ({detail}). The ledger is untouched. {remedy}")
