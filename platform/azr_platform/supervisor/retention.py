"""Which checkpoints stay on the disk, who removes the others, and whether the next one fits.

A removal is on record before anything is touched; then the folder is renamed, so that it is no checkpoint any more, and
its files are removed. Killed anywhere between, ``sweep`` finishes it when the run is next supervised.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from azr_monitor.records import Severity
from azr_platform.config.schema import CheckpointsConfig, Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import CheckpointRow
from azr_platform.ledger.writer import LedgerWriter

FOLDER = "checkpoints"
_OURS = re.compile(r"step-\d+(-branch-\d+)?")
_REMOVED, _PARTIAL = ".removed", ".partial"


def keepers(reader: LedgerReader, config: Config) -> dict[int, str]:
    """Why a checkpoint stays, by its row's id; one that is not named may go."""
    rows = [row for row in reader.checkpoints() if row.removed is None]
    settings = config.checkpoints
    if not rows or not settings.keep_last:
        return {row.id: "all are kept" for row in rows}
    kept = {
        row.id: f"one of the last {settings.keep_last}" for row in _on(reader.lineage(), rows)[-settings.keep_last :]
    }
    kept[rows[0].id] = "the first"
    if settings.keep_every:
        every = settings.keep_every * config.run.checkpoint_every
        kept |= {row.id: f"every {settings.keep_every}." for row in rows if row.step % every == 0}
    for branch in reader.branches():
        line = _on(reader.lineage(branch.id), rows)
        kept |= {row.id: f"branch {branch.id} ends with it" for row in line[-1:]}
        before = [row for row in line if row.branch != branch.id and row.step == branch.from_step]
        kept |= {row.id: f"branch {branch.id} begins with it" for row in before[-1:]}
    return kept | _around_alerts(reader, rows, settings)


def _around_alerts(reader: LedgerReader, rows: Sequence[CheckpointRow], settings: CheckpointsConfig) -> dict[int, str]:
    """The newest checkpoint before each alert's step, and the one after; both on the alert's own line."""
    kept: dict[int, str] = {}
    lines: dict[int, list[CheckpointRow]] = {}
    for branch, step in reader.alerted(Severity[settings.keep_alerts.upper()]):
        line = lines.setdefault(branch, _on(reader.lineage(branch), rows))
        before = [row for row in line if row.step < step]
        after = [row for row in line if row.step >= step]
        kept |= {row.id: f"an alert at step {step}" for row in (*before[-1:], *after[:1])}
    return kept


def _on(line: Sequence[tuple[int, int]], rows: Iterable[CheckpointRow]) -> list[CheckpointRow]:
    return [row for row in rows if any(row.branch == branch and row.step <= last for branch, last in line)]


def tidy(run: Path, writer: LedgerWriter, config: Config, needed: Iterable[str] = ()) -> list[str]:
    """Remove what the settings do not keep, but for the ``needed`` paths; returns what went wrong, one line each.

    Raises:
        LedgerBroken: nothing was removed that is not on record.
    """
    if not config.checkpoints.keep_last:
        return []
    with LedgerReader(run) as reader:
        kept = keepers(reader, config)
        rows = [row for row in reader.checkpoints() if row.removed is None]
    spared = {*needed, *(row.path for row in rows if row.id in kept)}
    gone = [row for row in rows if row.path not in spared and _is_ours(run, row.path)]
    if not gone:
        return []
    with writer.batch() as batch:
        for row in gone:
            reason = f"not among those that [checkpoints] keeps, at step {rows[-1].step}"
            batch.add("removals", {"time": time.time(), "checkpoint": row.id, "reason": reason})
    return [trouble for row in gone if (trouble := _remove(run / row.path))]


def sweep(run: Path) -> list[str]:
    """Finish what a killed supervisor or trainer left behind; returns what is odd or went wrong, one line each."""
    with LedgerReader(run) as reader:
        rows = reader.checkpoints()
    known = {row.path for row in rows}
    kept = {row.path for row in rows if row.removed is None}
    gone = [run / row.path for row in rows if row.removed is not None and row.path not in kept]
    troubles = [_remove(path) for path in gone if _is_ours(run, str(path.relative_to(run))) and path.is_dir()]
    for path in sorted((run / FOLDER).glob("*")):
        stem = path.name.removesuffix(_REMOVED).removesuffix(_PARTIAL)
        if not _OURS.fullmatch(stem) or not path.is_dir() or path.is_symlink():
            continue
        if stem != path.name:
            troubles.append(_delete(path))
        elif f"{FOLDER}/{path.name}" not in known:
            troubles.append(
                f"{FOLDER}/{path.name} is not on record: a kill came between, or the ledger lost its newest rows. "
                f"It is not used"
            )
    return [trouble for trouble in troubles if trouble]


def _is_ours(run: Path, path: str) -> bool:
    """Whether a recorded path is a checkpoint's. The trainer named it, and must not choose what is deleted."""
    folder, _, name = path.partition("/")
    return (
        folder == FOLDER
        and bool(_OURS.fullmatch(name))
        and not (run / FOLDER).is_symlink()
        and not (run / path).is_symlink()
    )


def _remove(folder: Path) -> str:
    aside = folder.with_name(folder.name + _REMOVED)
    try:
        if aside.exists():
            shutil.rmtree(aside)
        folder.rename(aside)
    except FileNotFoundError:
        return ""  # somebody was faster
    except OSError as error:
        return f"{folder} could not be removed: {error.strerror}"
    return _delete(aside)


def _delete(folder: Path) -> str:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return f"{folder} could not be removed: {error.strerror}"
    return ""


def no_room(run: Path, config: Config, writes: int, trouble: str) -> str:
    """Why a checkpoint of ``writes`` bytes cannot be written now; empty when it can, or when none is to be.

    ``trouble``: how the attempt before this one failed.
    """
    if not writes:
        return ""
    if trouble:
        return f"{trouble}. Mend it and resume the run; nothing is lost"
    free, spare = shutil.disk_usage(run).free, config.checkpoints.spare_mb * 2**20
    if free >= writes + spare:
        return ""
    return (
        f"no room for a checkpoint: it takes about {_mb(writes)} and {_mb(spare)} must stay free "
        f"(checkpoints.spare_mb), but {run} has {_mb(free)} left. Free some and resume the run; nothing is lost"
    )


def _mb(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
