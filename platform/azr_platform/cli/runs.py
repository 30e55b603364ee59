"""Find runs when the user names none."""

from __future__ import annotations

from pathlib import Path

from azr_platform.cli.input import BadInput


def newest_run(folder: Path = Path("runs")) -> Path:
    """The run in ``runs/`` whose ledger changed last.

    Raises:
        BadInput: there is none.
    """
    ledgers = sorted(folder.glob("*/ledger.db"), key=lambda path: path.stat().st_mtime)
    if not ledgers:
        raise BadInput(f"{folder}/ holds no run; give a run's folder, or train one with `azr-platform train`")
    return ledgers[-1].parent
