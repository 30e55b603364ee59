"""What a run asks of its machine: counted batch by batch, read from the system, begun anew each step."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from azr_platform.channel.messages import Review, Submission
from azr_platform.ledger.errors import LedgerBroken
from azr_platform.records import Kind, Phase, Role
from azr_platform.supervisor import recorder
from azr_platform.supervisor.gate import Judged
from azr_platform.supervisor.load import LoadMeter
from azr_platform.supervisor.warden import Warden
from azr_platform.supervisor.watch import Recorded


def _proc(folder: Path, stat: str = "cpu  100 0 50 800 50 0 0 0 0 0", available: int = 250) -> Path:
    (folder / "stat").write_text(f"{stat}\ncpu0 1 2 3\n")
    (folder / "meminfo").write_text(f"MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: {available} kB\n")
    return folder


def _judged(samples: int, programs: int, seconds: float) -> Judged:
    sample = Submission(uid="u", role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="", response="", tokens=1)
    judged = Judged(Review(step=1, phase=Phase.SOLVE, samples=[sample] * samples), programs=programs)
    judged.seconds["jail"] = seconds
    return judged


def test_programs_and_what_waited_are_counted_and_begin_anew(tmp_path: Path) -> None:
    meter = LoadMeter(_proc(tmp_path))
    meter.arrived(8)
    meter.arrived(4)
    meter.judged(_judged(8, programs=6, seconds=1.5))
    meter.arrived(2)
    meter.judged(_judged(4, programs=3, seconds=0.5))
    found = meter.metrics(None)
    assert found["load/programs"] == 9 and found["load/programs_per_second"] == 4.5
    assert found["load/waiting/reviews"] == 12 and found["load/waiting/programs"] == 6
    after = meter.metrics(None)
    assert after["load/programs"] == 0 and "load/programs_per_second" not in after
    assert after["load/waiting/reviews"] == 2  # those that still wait
    meter.left()
    meter.metrics(None)
    assert meter.metrics(None)["load/waiting/reviews"] == 0


def test_processors_are_counted_from_step_to_step_and_memory_as_it_is(tmp_path: Path) -> None:
    meter = LoadMeter(_proc(tmp_path))
    _proc(tmp_path, "cpu  160 0 70 810 60 0 0 0 0 0", available=400)
    found = meter.metrics(None)
    assert found["load/cpu"] == pytest.approx(80 / 100) and found["load/memory"] == pytest.approx(0.6)
    assert "load/cpu" not in meter.metrics(None)  # no time has passed


@pytest.mark.parametrize("stat", ["", "intr 5", "cpu one two", "cpu"])
def test_a_system_that_tells_nothing_sensible_costs_no_step(tmp_path: Path, stat: str) -> None:
    meter = LoadMeter(_proc(tmp_path, stat))
    (tmp_path / "meminfo").write_text("MemTotal: kB")
    found = meter.metrics(99999999)
    assert {name for name in found if not name.startswith(("load/programs", "load/waiting"))} == set()
    assert "load/cpu" not in LoadMeter(tmp_path / "nowhere").metrics(None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_process_holds_memory() -> None:
    found = LoadMeter().metrics(os.getpid())
    assert found["load/memory/trainer"] == found["load/memory/supervisor"] > 1.0
    assert 0.0 < found["load/memory"] < 1.0


def test_a_ledger_that_fails_once_costs_a_step_none_of_its_figures(
    supervise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [LedgerBroken(Path("run"), "disk full")]
    record = Warden.record

    def fails_once(self: Warden, *given: Any) -> Recorded:
        if failures:
            raise failures.pop()
        return record(self, *given)

    monkeypatch.setattr(Warden, "record", fails_once)
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.01)
    ended = supervise("""
link.hello()
link.safe_point("between steps")
link.step = 1
link.review(Phase.SOLVE, [answer("'Hello world'"), answer("[1]"), answer("2")])
done()
link.finished()
""")
    assert ended.status == 0 and not failures
    assert ended.rows("SELECT value FROM metrics WHERE name = 'load/waiting/reviews'") == [(3.0,)]


def test_each_step_of_a_run_has_its_load_on_record(supervise: Any) -> None:
    body = """
link.hello()
link.safe_point("between steps")
link.step = 1
link.review(Phase.SOLVE, [answer("'Hello world'"), answer("[1]"), answer("2")])
done()
link.step = 2
done()
link.finished()
"""
    ended = supervise(body)
    assert ended.status == 0
    rows = ended.rows("SELECT step, name, value FROM metrics WHERE name LIKE 'load/%'")
    found = {(step, name): value for step, name, value in rows}
    assert found[1, "load/waiting/reviews"] == 3.0 and found[2, "load/waiting/reviews"] == 0.0
    assert found[1, "load/programs"] >= 0.0 and found[1, "load/memory/trainer"] > 1.0
    assert 0.0 < found[2, "load/memory"] < 1.0
