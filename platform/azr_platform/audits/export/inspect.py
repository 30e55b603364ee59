"""A log of Inspect's (.eval), for its viewer and whatever else reads such logs: a sample of the run is one of the log.

The archive is a zip of JSON: ``header.json``, ``summaries.json``, ``_journal/start.json`` and a file a sample.
"""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from azr_platform.audits.export.about import About
from azr_platform.audits.export.place import new_file
from azr_platform.audits.export.rows import Row

_VERSION: Final = 2
_SHOWN: Final = 500
"""Characters of a prompt in a summary."""
_encode = msgspec.json.Encoder().encode


def write(rows: Iterable[Row], about: About, out: Path) -> None:
    """Write a new file.

    Raises:
        OSError: the file is there already, or cannot be written.
    """
    numbers = array("q")
    with (
        new_file(out) as part,
        ZipFile(part, "w", ZIP_DEFLATED, allowZip64=True) as archive,
        tempfile.TemporaryFile(dir=out.parent) as summaries,
    ):
        for row in rows:
            sample = _sample(row, about)
            archive.writestr(f"samples/{row.sample}_epoch_1.json", _encode(sample))
            summaries.write((b",\n" if numbers else b"[") + _encode(_summary(sample)))
            numbers.append(row.sample)
        summaries.write(b"]" if numbers else b"[]")
        _add(archive, "summaries.json", summaries)
        header = _header(about, numbers.tolist())
        archive.writestr("_journal/start.json", _encode({key: header[key] for key in ("version", "eval", "plan")}))
        archive.writestr("header.json", _encode(header))


def _add(archive: ZipFile, name: str, file: IO[bytes]) -> None:
    file.seek(0)
    with archive.open(name, "w", force_zip64=True) as member:
        shutil.copyfileobj(file, member)


def _header(about: About, numbers: list[int]) -> dict[str, Any]:
    at = datetime.fromtimestamp(about.exported_at, UTC).isoformat(timespec="seconds")
    name = f"azr-platform/{about.run}"
    return {
        "version": _VERSION,
        "status": "success",
        "eval": {
            "eval_id": about.head[:22],
            "run_id": about.head[:22],
            "task_id": about.head[:22],
            "created": at,
            "task": about.run,
            "dataset": {"name": about.run, "samples": len(numbers), "sample_ids": numbers, "shuffled": False},
            "model": name,
            "config": {"epochs": 1},
            "packages": {"azr_platform": about.version},
            "metadata": msgspec.to_builtins(about),
        },
        "plan": {"name": "plan", "steps": []},
        "results": {"total_samples": len(numbers), "completed_samples": len(numbers), "scores": []},
        "stats": {"started_at": at, "completed_at": at, "model_usage": {}},
    }


def _sample(row: Row, about: About) -> dict[str, Any]:
    answer = {"role": "assistant", "content": row.response, "source": "generate"}
    name = f"azr-platform/{about.run}"
    told = msgspec.to_builtins(row)
    for column in ("sample", "prompt", "response", "findings", "reason", "score"):
        del told[column]
    return {
        "id": row.sample,
        "epoch": 1,
        "input": row.prompt,
        "target": "",
        "messages": [{"role": "user", "content": row.prompt, "source": "input"}, answer],
        "output": {
            "model": name,
            "choices": [{"message": answer, "stop_reason": "stop"}],
            "completion": row.response,
        },
        "scores": _scores(row),
        "metadata": told,
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def _scores(row: Row) -> dict[str, Any]:
    """What the run's own rewards say, where there are any, and what oversight says."""
    found = [msgspec.to_builtins(finding) for finding in row.findings]
    oversight = {
        "value": "allow" if row.allowed else "block",
        "explanation": row.reason,
        "metadata": {"score": row.score, "severity": row.severity, "findings": found},
    }
    reward = {} if row.reward is None else {"reward": {"value": row.reward}}
    return {**reward, "oversight": oversight}


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    scores = {name: {"value": score["value"]} for name, score in sample["scores"].items()}
    shown = sample["input"][:_SHOWN]
    return {"id": sample["id"], "epoch": 1, "input": shown, "target": "", "scores": scores, "completed": True}
