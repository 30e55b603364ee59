"""A few thousand programs through one pool, every bad end among them; and the soak's bounds, which can break."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.pool import JailPool

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import soak as module

    return module


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_thousands_of_programs_leave_nothing_behind_and_lose_nothing(tmp_path: Path, pool: JailPool) -> None:
    command = [sys.executable, str(BENCHMARKS / "soak.py"), "--programs", "2600", "--samples", "26"]
    command += ["--workers", "2", "--out", str(tmp_path / "soak")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1_100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((tmp_path / "soak.json").read_text("utf-8"))
    assert found["asked"] == found["answered"] == sum(found["outcomes"].values()) == 2_600
    assert found["wrong"] == []
    assert found["left_over"] == found["lasting_zombies"] == 0
    assert found["files_after"] == found["files_before"]
    assert len({sample["open_files"] for sample in found["samples"][5:]}) <= 3, (
        "one more or less while a jail is replaced"
    )
    assert {"ok", "crash", "memory", "output_limit", "error", "not_a_value", "nondeterministic"} <= set(
        found["outcomes"]
    )
    assert found["outcomes"]["ok"] > 2_000


def healthy(soak: ModuleType, **changes: Any) -> Any:
    samples = [
        soak.Sample(done, done / 100, done / 200, 50.0, 12.0, 8.0, 9, 0, 20) for done in range(1_000, 30_001, 1_000)
    ]
    return soak.Soak(**{"asked": 30_000, "answered": 30_000, "samples": samples, **changes})


def broken(soak: ModuleType, observed: Any) -> list[str]:
    return [name for name, _, holds in soak.bounds(observed, 1) if not holds]


def test_a_healthy_run_breaks_no_bound(soak: ModuleType) -> None:
    assert broken(soak, healthy(soak)) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"answered": 29_999}, "no result is lost"),
        ({"wrong": ["x"]}, "no result is another's, or wrong"),
        ({"stuck": True}, "nothing is stuck"),
        ({"lasting_zombies": 1}, "no zombie lasts"),
        ({"left_over": 1}, "no process outlives the pool"),
        ({"files_after": 1}, "no descriptor outlives the pool"),
    ],
)
def test_each_bound_breaks(soak: ModuleType, changes: dict[str, Any], name: str) -> None:
    assert broken(soak, healthy(soak, **changes)) == [name]


@pytest.mark.parametrize(
    ("figure", "value", "part"),
    [
        ("host_mb", 53.0, "memory of this process"),
        ("zygote_mb", 13.0, "memory of a zygote"),
        ("nsjail_mb", 9.0, "memory of an nsjail"),
        ("processes", 30, "processes"),
        ("open_files", 99, "descriptors stay"),
    ],
)
def test_growth_breaks_a_bound_and_none_is_seen_while_warming_up(
    soak: ModuleType, figure: str, value: float, part: str
) -> None:
    grown = healthy(soak)
    setattr(grown.samples[-1], figure, value)
    (name,) = broken(soak, grown)
    assert part in name
    early = healthy(soak)
    setattr(early.samples[0], figure, value)
    assert len(broken(soak, early)) == (figure == "processes")


def test_a_result_that_belongs_to_another_or_ended_otherwise_is_wrong(soak: ModuleType) -> None:
    asked = soak.Asked(Request("", ("1",)), frozenset({Outcome.OK}), "['own', 8]")
    assert not asked.wrong((Execution(Outcome.OK, "['own', 8]"),))
    assert asked.wrong((Execution(Outcome.OK, "['own', 16]"),))
    assert asked.wrong((Execution(Outcome.CRASH),))
    assert asked.wrong(())
    assert soak.Asked(Request("", ("1",)), frozenset({Outcome.MEMORY})).wrong((Execution(Outcome.ERROR),))
    assert not soak.Asked(Request("", ("1",)), frozenset()).wrong((Execution(Outcome.ERROR),))
