"""Weights & Biases without a network: what its own process wrote, record by record, with its own message types."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from azr_platform.sinks.registry import Sinks

messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")

_BLOCK, _HEADER = 32768, 7
_WHOLE, _LAST = 1, 4

TALKATIVE = {
    "MODE": "online",
    "PROJECT": "elsewhere",
    "SAVE_CODE": "true",
    "DISABLE_GIT": "false",
    "DISABLE_CODE": "false",
    "CONSOLE": "redirect",
    "HOST": "a-name-from-the-environment",
    "DOCKER": "an-image-from-the-environment",
}
EXPECTED = {"header", "run", "telemetry", "summary", "history", "exit", "final", "footer"}


def records(file: Path) -> Iterator[Any]:
    """The records of a .wandb file: LevelDB's log format behind 7 bytes of its own."""
    data, at, whole = file.read_bytes(), _HEADER, b""
    while at + _HEADER <= len(data):
        if (left := _BLOCK - at % _BLOCK) < _HEADER:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + _HEADER : at + _HEADER + size]
        at += _HEADER + size
        if kind in (_WHOLE, _LAST):
            record = messages.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def files(run: Path) -> list[Path]:
    return sorted((run / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime_ns)


def history(file: Path) -> list[dict[str, Any]]:
    steps = []
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            steps.append({"step": record.history.step.num, **items})
    return steps


def described(file: Path) -> Any:
    return next(record.run for record in records(file) if record.WhichOneof("record_type") == "run")


@pytest.mark.slow
def test_a_continued_run_keeps_its_id_and_a_branch_has_its_own(
    open_sinks: Callable[..., Sinks],
    tell_steps: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing is sent that was not asked for, whatever the environment says."""
    for name, value in TALKATIVE.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("A_SECRET_OF_MINE", "uniquely-secret-value")
    first = open_sinks("sinks.wandb=azr")
    first.branch(1, 0)
    tell_steps(first, 1, 2)
    assert first.close() == []
    second = open_sinks("sinks.wandb=azr")
    second.branch(1, 2)
    tell_steps(second, 3, 3)
    second.branch(2, 1)
    tell_steps(second, 2, 2, "paused")
    assert second.close() == []

    begun, continued, branch = files(tmp_path)
    assert [(step["step"], step["loss"]) for step in history(begun)] == [(1, 0.1), (2, 0.2)]
    assert [(step["step"], step["loss"]) for step in history(continued)] == [(3, 0.3)]
    assert [(step["step"], step["loss"]) for step in history(branch)] == [(2, 0.2)]
    assert history(begun)[1]["alerts/high"] == 1
    runs = [described(file) for file in (begun, continued, branch)]
    assert runs[0].run_id == runs[1].run_id != runs[2].run_id
    assert len({run.run_group for run in runs}) == 1
    assert {run.project for run in runs} == {"azr"}
    assert [run.display_name for run in runs] == ["first", "first", "first branch 2"]

    assert {record.WhichOneof("record_type") for file in files(tmp_path) for record in records(file)} <= EXPECTED
    assert not [run for run in runs if run.host or run.HasField("git") or run.settings.item]
    beside = [
        path for path in (tmp_path / "wandb").rglob("*") if path.is_file() and path.suffix not in (".wandb", ".log")
    ]
    assert not beside
    sent = b"".join(file.read_bytes() for file in files(tmp_path))
    private = ("uniquely-secret-value", "from-the-environment", "uniquely-the-models-own-words", str(Path.cwd()))
    assert not [text for text in private if text.encode() in sent]


@pytest.mark.slow
def test_online_without_a_key_is_one_notice_and_no_question(
    open_sinks: Callable[..., Sinks], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # if it were to ask for anything, it would be here
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    sinks = open_sinks("sinks.wandb=azr", "sinks.wandb_mode=online")
    sinks.branch(1, 0)
    (trouble,) = sinks.close()
    assert trouble.startswith("sinks.wandb is off: No API key")
